package merge

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/undo"
	"dmcow/view"
)

// scope is how large a world is.
type scope struct {
	chunk      int64         // its size, in bytes
	chunks     int           // of the origin
	written    int           // of these, the first ones: what histories write to
	filled     int           // of the others, those that snapshot A has from the beginning
	devices    [stores]int64 // the size of the stores, in chunks
	room       [stores]int   // in exceptions
	labels     int           // chunks that a label takes in the undo log
	window     format.Bytes  // of merges
	cuts       int           // of one moment that are all tried; of more, some
	thin       int           // where it is set, one in so many power cuts is tried, and those amid durable writes
	beginnings []string      // histories that others begin with
	steps      int           // of histories, in a run that is not told how many
	share      float64       // of the time
}

// world is an origin, two snapshots of it and an undo log, each a part of one memory.
type world struct {
	scope
	all    *devicetest.Memory
	origin *devicetest.Part
	stores [stores]*devicetest.Part
	starts [stores]int64         // of the stores, in the memory
	loaded [undoLog]*store.Store // what the kernel has loaded
}

func (c scope) size() int64 {
	chunks := int64(c.chunks)
	for _, n := range c.devices {
		chunks += n
	}
	return chunks * c.chunk
}

func (c scope) on(all *devicetest.Memory) *world {
	w := &world{scope: c, all: all, origin: all.Part(0, int64(c.chunks)*c.chunk)}
	at := w.origin.Size()
	for s, n := range c.devices {
		w.stores[s], w.starts[s] = all.Part(at, n*c.chunk), at
		at += n * c.chunk
	}
	return w
}

// told is how much of a chunk its content is in, in bytes. What stands behind is always the same.
const told = 128

// content is a chunk of the origin with some content.
func (c scope) content(chunk, content byte) []byte {
	return append(bytes.Repeat([]byte{chunk, content, ^chunk, 'c'}, told/4), bytes.Repeat([]byte{chunk, 'x'}, (int(c.chunk)-told)/2)...)
}

// contentOf is what stands in a chunk, which must be a chunk's.
func (c scope) contentOf(p []byte, chunk byte) (byte, error) {
	if !bytes.Equal(p, c.content(chunk, p[1])) {
		return 0, fmt.Errorf("chunk %d has %x in its place", chunk, p[:8])
	}
	return p[1], nil
}

// read reads the world without dmcow's code, into a model. What it does not tell is taken from m.
func (w *world) read(m model) (model, error) {
	origin := w.origin.Image()
	var err error
	if m.origin, err = w.contents(origin); err != nil {
		return m, fmt.Errorf("origin: %w", err)
	}
	for s := range m.stores {
		image := w.stores[s].Image()
		if err := m.stores[s].read(w.scope, image, m.origin); err != nil {
			return m, fmt.Errorf("%s: %w", storeNames[s], err)
		}
		if !m.stores[s].made {
			continue
		}
		shown, err := naive.Of(image).View(origin)
		if err != nil {
			return m, fmt.Errorf("%s: %w", storeNames[s], err)
		}
		if v, err := w.contents(shown); err != nil || v != m.view(s) {
			return m, fmt.Errorf("%s: shows %x, %v: by its list %x", storeNames[s], v, err, m.view(s))
		}
	}
	return m, nil
}

// contents are those of all chunks of an image.
func (c scope) contents(image []byte) (string, error) {
	var all []byte
	for p := range slices.Chunk(image, int(c.chunk)) {
		content, err := c.contentOf(p, byte(len(all)))
		if err != nil {
			return "", err
		}
		all = append(all, content)
	}
	return string(all), nil
}

// read reads a store of an origin. What stands behind its list's end changes nothing where its chunk is one of the
// list's, or has what the origin has.
func (o *shadow) read(c scope, image []byte, origin string) error {
	const magic, valid = 0, 4 // where they stand
	o.made = binary.LittleEndian.Uint32(image[magic:]) != 0
	o.invalid, o.list, o.hidden, o.doubtful = o.made && binary.LittleEndian.Uint32(image[valid:]) == 0, "", "", false
	if !o.made {
		return nil
	}
	s := naive.Of(image)
	all, given := s.List(), map[uint64]bool{}
	for _, x := range all {
		if !s.IsData(x.New) || given[x.New] || o.list.has(byte(x.Old)) {
			return fmt.Errorf("%+v: its data lies on no chunk for data, or there is an exception with one of its chunks", x)
		}
		content, err := c.contentOf(s.Data(x.New), byte(x.Old))
		if err != nil {
			return err
		}
		o.list, given[x.New] = o.list.with(byte(x.Old), content), true
	}
	next, _ := s.Slot((len(all)/s.PerArea() + 1) * s.PerArea())
	o.stale = next.New != 0
	for n := len(all); n == len(all) || n%s.PerArea() != 0; n++ {
		x, ok := s.Slot(n)
		if !ok {
			break
		}
		if x.New == 0 {
			continue
		}
		o.hidden += saved([]byte{byte(x.Old)})
		content, err := c.contentOf(s.Data(x.New), byte(x.Old))
		o.doubtful = o.doubtful || !given[x.New] && !o.list.has(byte(x.Old)) && (err != nil || content != origin[x.Old])
	}
	return nil
}

// sound wants dmcow to say of each store what the model does.
func (w *world) sound(m *model) error {
	for s, o := range m.stores {
		id, err := look.Identify(w.stores[s], w.geometry())
		if made := id.State == look.Valid || id.State == look.Invalid; err == nil && made != o.made {
			err = fmt.Errorf("%+v", id)
		}
		for _, check := range []func(*model, int) error{w.checkUsage, w.checkFindings, w.checkView, w.checkLog} {
			if err == nil && o.made {
				err = check(m, s)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", storeNames[s], err)
		}
	}
	return nil
}

// checkUsage wants what dmsetup status shows of a snapshot.
func (w *world) checkUsage(m *model, s int) error {
	id, err := look.Identify(w.stores[s], w.geometry())
	if err != nil {
		return err
	}
	survey, err := id.Examine(id.Walk(w.stores[s]), func(format.AreaIndex) error { return nil })
	if err != nil {
		return err
	}
	want, n := "Invalid", len(m.stores[s].list)/2
	if !m.stores[s].invalid {
		next, sectors := w.nextChunk(s, n), w.chunk/sector
		want = fmt.Sprintf("%d/%d %d", int64(next)*sectors, w.stores[s].Size()/sector, int64(n/w.perArea()+2)*sectors)
	}
	if line, _ := survey.Status(); line != want {
		return fmt.Errorf("usage: %s: want %s", line, want)
	}
	return nil
}

func (c scope) geometry() format.Geometry {
	g, err := format.NewGeometry(uint32(c.chunk / int64(sector)))
	if err != nil {
		panic(err)
	}
	return g
}

// perArea is how many exceptions an area has.
func (c scope) perArea() int { return int(c.chunk) / 16 }

// dataChunk is where exception n of a store has its data: chunks are given out one after the other, and in an undo log
// those before the first of an area to its label.
func (c scope) dataChunk(s, n int) int {
	e := c.perArea()
	if s == undoLog {
		n += c.labels * (n/e + 1)
	}
	return 2 + n/e*(e+1) + n%e
}

// nextChunk is what the kernel gives out when it has loaded a list of n exceptions.
func (c scope) nextChunk(s, n int) int {
	if n == 0 {
		return 2
	}
	next := c.dataChunk(s, n-1) + 1
	if next%(c.perArea()+1) == 1 {
		next++
	}
	return next
}

// lastRun is how many exceptions the kernel merges at once: they follow each other on both devices, in one area.
func (c scope) lastRun(s int, l saved) (n int) {
	last := len(l)/2 - 1
	for n = 1; (last-n+1)%c.perArea() != 0 && l[2*(last-n)]+1 == l[2*(last-n+1)] && c.dataChunk(s, last-n)+1 == c.dataChunk(s, last-n+1); n++ {
	}
	return n
}

// checkFindings wants a check to find what there is, and a repair to repair that, and to be taken back.
func (w *world) checkFindings(m *model, s int) error {
	report, err := check.Make(w.checkOptions(s))
	if err != nil {
		return err
	}
	o, n := m.stores[s], len(m.stores[s].list)/2
	var found, want []string
	for _, t := range report.Tallies {
		found = append(found, t.Name)
	}
	for _, f := range []struct {
		name string
		is   bool
	}{
		{"hidden-exceptions", o.hidden != ""},
		{"next-chunk-is-metadata", n > 0 && w.dataChunk(s, n-1)%(w.perArea()+1) == 0},
		{"full", !o.hasRoom(1) && !o.invalid},
		{"leaked-chunks", leaks(w.stores[s].Image())}, // the label of a log
		{"stale-areas", o.stale},
	} {
		if f.is {
			want = append(want, f.name)
		}
	}
	outcome := check.Sound
	switch {
	case o.hidden != "":
		outcome = check.Damaged
	case o.invalid:
		outcome = check.Invalid
	}
	if report.Outcome() != outcome || !slices.Equal(found, want) {
		return fmt.Errorf("check: %s, %v: want %s, %v", report.Outcome(), found, outcome, want)
	}
	return w.checkRepair(s, o)
}

// leaks reports whether a data chunk below the highest one that the list names is not named.
func leaks(image []byte) bool {
	s := naive.Of(image)
	all, below, highest := s.List(), 0, uint64(0)
	for _, x := range all {
		highest = max(highest, x.New)
	}
	for c := range highest + 1 {
		if s.IsData(c) {
			below++
		}
	}
	return below > len(all)
}

// checkRepair wants a repair to change what it should, and its undo log to take that back.
func (w *world) checkRepair(s int, o shadow) error {
	plan, err := w.plan(s, o.invalid && o.hidden == "")
	if err != nil {
		return err
	}
	if repairs := plan.Writes() > 0; repairs != (o.hidden != "" && !o.doubtful || o.invalid && o.hidden == "") {
		return fmt.Errorf("a repair writes %d times", plan.Writes())
	} else if !repairs {
		return nil
	}
	image := w.stores[s].Image()
	both := devicetest.New(4 * int64(len(image)))
	both.Put(0, image)
	cow, log := both.Part(0, int64(len(image))), both.Part(int64(len(image)), 3*int64(len(image)))
	u, err := undo.New(log, cow, w.geometry(), undo.Options{})
	if err == nil {
		err = plan.Apply(cow, u.Capture, nil)
	}
	if err == nil {
		err = errors.Join(u.Close(), undo.CheckBelongs(log, cow, false, nil))
	}
	if err != nil {
		return err
	}
	g, err := Open(log, cow, Opening{})
	if err == nil {
		_, err = g.Run(Options{batch: 1, window: sector})
	}
	if err == nil && !bytes.Equal(cow.Image(), image) {
		err = errors.New("its undo log does not take it back")
	}
	return err
}

// checkView wants the view to show what the model says, and to know what is kept; and to tell where it is not sure.
func (w *world) checkView(m *model, s int) error {
	o := view.Options{COW: w.stores[s], Origin: w.origin, DamagedOK: m.stores[s].doubtful}
	if m.stores[s].invalid {
		if _, err := view.Open(o); !errors.Is(err, look.ErrInvalid) {
			return fmt.Errorf("a view of an invalid snapshot: %v", err)
		}
		o.InvalidOK = true
	}
	v, err := view.Open(o)
	if err != nil {
		return err
	}
	defer v.Close()
	if err := w.checkUncertain(m, s, v); err != nil {
		return err
	}
	shown := make([]byte, v.Size())
	for _, size := range []int{len(shown), told + 1} {
		for at, p := range pieces(shown, size) {
			if _, err := v.ReadAt(p, at); err != nil {
				return err
			}
		}
		if c, err := w.contents(shown); err != nil || c != m.view(s) {
			return fmt.Errorf("the view shows %x, %v: want %x", c, err, m.view(s))
		}
		clear(shown)
	}
	var changed, want []byte
	for r := range v.Changes().Ranges() {
		for at := int64(r.Offset); at < int64(r.Offset+r.Length); at += w.chunk {
			changed = append(changed, byte(at/w.chunk))
		}
	}
	for c := range byte(len(m.origin)) {
		if m.stores[s].list.has(c) {
			want = append(want, c)
		}
	}
	if !bytes.Equal(changed, want) {
		return fmt.Errorf("the view takes chunks %v for changed: want %v", changed, want)
	}
	return nil
}

// checkUncertain wants the view to have uncertain chunks where what hides may change something, and where the snapshot
// is invalid: there all that have no exception.
func (w *world) checkUncertain(m *model, s int, v *view.View) error {
	var uncertain, unlisted []byte
	for r := range v.Uncertain() {
		for at := int64(r.Offset); at < int64(r.Offset+r.Length); at += w.chunk {
			uncertain = append(uncertain, byte(at/w.chunk))
		}
	}
	for c := range byte(len(m.origin)) {
		if !m.stores[s].list.has(c) {
			unlisted = append(unlisted, c)
		}
	}
	right := len(uncertain) > 0
	switch o := m.stores[s]; {
	case !o.doubtful && o.invalid:
		right = bytes.Equal(uncertain, unlisted)
	case !o.doubtful:
		right = !right
	}
	if !right {
		return fmt.Errorf("the view takes chunks %v for uncertain: without an exception are %v", uncertain, unlisted)
	}
	return nil
}

// checkLog wants an undo log to be known for one, and to belong to the origin where it does.
func (w *world) checkLog(m *model, s int) error {
	if is, err := undo.IsLog(w.stores[s]); err != nil || is != (s == undoLog) {
		return fmt.Errorf("an undo log: %v, %v", is, err)
	}
	if s != undoLog {
		return nil
	}
	must, may := m.belongs()
	for _, sample := range []bool{true, false} {
		err := undo.CheckBelongs(w.stores[s], w.origin, sample, nil)
		if foreign := new(undo.ForeignError); err != nil && (must || !errors.As(err, &foreign)) || err == nil && !may {
			return fmt.Errorf("belongs to the origin: %v: must %v, may %v", err, must, may)
		}
	}
	return nil
}

// key tells worlds apart, but not those that differ in the names of contents, or in what nobody reads.
func (w *world) key(m *model) [sha256.Size]byte {
	b := []byte(m.key())
	p := make([]byte, w.chunk)
	for s, d := range w.stores {
		for c := int64(0); c*w.chunk < d.Size(); c++ {
			w.all.Peek(p, w.starts[s]+c*w.chunk)
			switch {
			case c == 0 || c%int64(w.perArea()+1) == 1:
				b = append(b, p...)
			case s == undoLog && bytes.HasPrefix(p, []byte("dmcow undo log")):
				b = append(b, p[:64]...) // what stands behind are sums of contents
			}
		}
	}
	return sha256.Sum256(b)
}

// between wants what a power cut has left of a step to lie between what was before and what is after it: each
// chunk and each state is one of the two, and a list is a beginning of one that begins with the other.
func between(before, after, now *model) error {
	for s := range stores {
		b, a, n := before.stores[s], after.stores[s], now.stores[s]
		switch {
		case n.made != b.made && n.made != a.made, n.invalid != b.invalid && n.invalid != a.invalid:
			return fmt.Errorf("%s: made %v, invalid %v", storeNames[s], n.made, n.invalid)
		case s != undoLog && n.made && !b.made && n.list != a.list:
			return fmt.Errorf("%s is half made: %x of %x", storeNames[s], n.list, a.list)
		case s == undoLog: // captures what it has to in any order
			n.list, b.list, a.list = n.list.sorted(), b.list.sorted(), a.list.sorted()
		}
		if !within(n.list, b.list, a.list) && s != undoLog {
			return fmt.Errorf("%s: the list is %x: want one from %x to %x", storeNames[s], n.list, b.list, a.list)
		}
		for _, chunk := range n.hidden {
			if !b.list.has(byte(chunk)) && !a.list.has(byte(chunk)) && !strings.ContainsRune(string(b.hidden), chunk) {
				return fmt.Errorf("%s: an exception of chunk %d hides behind the list", storeNames[s], chunk)
			}
		}
		if err := betweenViews(before, after, now, s); err != nil {
			return err
		}
	}
	for c := range now.origin {
		if now.origin[c] != before.origin[c] && now.origin[c] != after.origin[c] {
			return fmt.Errorf("the origin is %x: was %x, becomes %x", now.origin, before.origin, after.origin)
		}
	}
	return nil
}

// betweenViews wants a snapshot to show what it did, or what it will; while it is valid, and was, not what it will
// when it is not.
func betweenViews(before, after, now *model, s int) error {
	was, will, is := before.view(s), after.view(s), now.view(s)
	if before.serves(s) && now.serves(s) && !after.serves(s) {
		will = was
	}
	for c := range is {
		if is[c] != was[c] && is[c] != will[c] {
			return fmt.Errorf("%s shows %x: has shown %x, will %x", storeNames[s], is, was, will)
		}
	}
	return nil
}

func within(now, a, b saved) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return strings.HasPrefix(string(b), string(now)) && len(now) >= len(a) && strings.HasPrefix(string(now), string(a)) ||
		now == a || now == b
}
