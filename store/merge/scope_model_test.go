package merge

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// The stores of the small world: two snapshots of the origin, and an undo log of it.
const (
	first = iota
	second
	undoLog
	stores
)

var storeNames = [stores]string{"A", "B", "log"}

// saved is exceptions in the list's order, two bytes each: the chunk of the origin, and its content, which a number
// stands for.
type saved string

func (l saved) at(chunk byte) int {
	for i := 0; i < len(l); i += 2 {
		if l[i] == chunk {
			return i
		}
	}
	return -1
}

func (l saved) has(chunk byte) bool { return l.at(chunk) >= 0 }

func (l saved) with(chunk, content byte) saved {
	if i := l.at(chunk); i >= 0 {
		return l[:i+1] + saved([]byte{content}) + l[i+2:]
	}
	return l + saved([]byte{chunk, content})
}

// last is the last n exceptions.
func (l saved) last(n int) saved { return l[len(l)-2*n:] }

func (l saved) chunks() (all []byte) {
	for ; l != ""; l = l[2:] {
		all = append(all, l[0])
	}
	return all
}

func (l saved) sorted() saved {
	pairs := slices.Collect(slices.Chunk([]byte(l), 2))
	slices.SortFunc(pairs, bytes.Compare)
	return saved(bytes.Join(pairs, nil))
}

// model is what users know of the world: what is in each chunk, and what each store keeps of it.
type model struct {
	origin string
	stores [stores]shadow
	sums   string // of what the log has captured: chunk, and the two contents that its label may have for it
	kept   bool   // the undo log is one of merges that left their stores as they were
}

// String tells of each chunk its content, and of each store its exceptions: the chunk, and its content.
func (m model) String() string {
	text := fmt.Sprintf("origin %x", m.origin)
	for s, o := range m.stores {
		if o.made {
			text += fmt.Sprintf(", %s [% x]", storeNames[s], string(o.list))
		}
		if o.invalid {
			text += " invalid"
		}
		if o.hidden != "" {
			text += fmt.Sprintf(", hides %x, doubtful: %v", string(o.hidden), o.doubtful)
		}
	}
	return fmt.Sprintf("%s, label %x, kept %v", text, m.sums, m.kept)
}

// shadow is what the model knows of a store.
type shadow struct {
	made, invalid bool
	room          int // exceptions
	list          saved
	hidden        saved // chunks of exceptions behind its end, as a commit that was torn leaves them
	doubtful      bool  // it may be that they change something
	stale         bool  // the area behind the one where the list ends holds exceptions of an earlier life
}

func (o *shadow) hasRoom(n int) bool { return len(o.list)/2+n <= o.room }

// add gives a chunk an exception, or the one that it has another content. What hides behind the list is cleared before
// that gets longer.
func (o *shadow) add(chunk, content byte) {
	if !o.list.has(chunk) {
		o.hidden = ""
	}
	o.list = o.list.with(chunk, content)
}

// serves reports whether a store is a snapshot that the kernel gives exceptions to.
func (m *model) serves(s int) bool { return m.stores[s].made && !m.stores[s].invalid }

// view is what the snapshot shows.
func (m *model) view(s int) string {
	v := []byte(m.origin)
	for l := m.stores[s].list; l != ""; l = l[2:] {
		v[l[0]] = l[1]
	}
	return string(v)
}

// keep gives all snapshots but one exceptions for chunks of the origin that are going to be overwritten. One that has
// no room for all of them is lost.
func (m *model) keep(but int, chunks []byte) {
	for s := range undoLog {
		o := &m.stores[s]
		missing := slices.DeleteFunc(slices.Clone(chunks), o.list.has)
		switch {
		case s == but || !m.serves(s):
		case !o.hasRoom(len(missing)):
			o.invalid = true
		default:
			for _, c := range missing {
				o.add(c, m.origin[c])
			}
		}
	}
}

func (m *model) overwrite(chunk, content byte) {
	m.origin = m.origin[:chunk] + string([]byte{content}) + m.origin[chunk+1:]
}

func (m *model) writeOrigin(chunks []byte) {
	m.keep(-1, chunks)
	for _, c := range chunks {
		m.overwrite(c, m.fresh(c))
	}
}

// write writes to a snapshot. One that has no room for the exception is lost.
func (m *model) write(s int, chunk byte) {
	o := &m.stores[s]
	if o.invalid = !o.list.has(chunk) && !o.hasRoom(1); !o.invalid {
		o.add(chunk, m.fresh(chunk))
	}
}

// merge puts the last n chunks of a list back. The log gets what they replace, where it is to.
func (m *model) merge(s, n int, way mergeWay) {
	o := &m.stores[s]
	for l := o.list.last(n); l != ""; l = l[2:] {
		if way.undo {
			m.capture(l[0], l[1])
		}
		m.overwrite(l[0], l[1])
	}
	if way.how != "keep" {
		o.list = o.list[:len(o.list)-2*n]
	}
	if way.how != "keep" && way.how != "kernel" {
		o.hidden = ""
	}
}

// capture is what the undo log does before content is written to a chunk.
func (m *model) capture(chunk, content byte) {
	log := &m.stores[undoLog]
	pairs := [][2]byte{{content, content}}
	if log.list.has(chunk) {
		pairs = m.pairs(chunk)
		for i, p := range pairs {
			if p[0] != content {
				pairs[i] = [2]byte{content, m.origin[chunk]}
			}
		}
	} else {
		log.add(chunk, m.origin[chunk])
	}
	m.setPairs(chunk, pairs)
}

// pairs are what the log's label may have for a chunk: the content that was to be written last, and the one
// that was there then. A power cut leaves more than one.
func (m *model) pairs(chunk byte) (all [][2]byte) {
	for s := m.sums; s != ""; s = s[3:] {
		if s[0] == chunk {
			all = append(all, [2]byte{s[1], s[2]})
		}
	}
	return all
}

func (m *model) setPairs(chunk byte, pairs [][2]byte) {
	var all []string
	for s := m.sums; s != ""; s = s[3:] {
		if s[0] != chunk {
			all = append(all, s[:3])
		}
	}
	for _, p := range pairs {
		all = append(all, string([]byte{chunk, p[0], p[1]}))
	}
	slices.Sort(all)
	m.sums = strings.Join(slices.Compact(all), "")
}

// belongs reports whether the log must belong to the origin as it is, and whether it may.
func (m *model) belongs() (must, may bool) {
	must, may = true, true
	for l := m.stores[undoLog].list; l != ""; l = l[2:] {
		now := m.origin[l[0]]
		if now == l[1] {
			continue
		}
		every, some := true, false
		for _, p := range m.pairs(l[0]) {
			matches := now == p[0] || now == p[1]
			every, some = every && matches, some || matches
		}
		must, may = must && every && some, may && some
	}
	return must, may
}

// fresh is content for a chunk that nothing has there.
func (m *model) fresh(chunk byte) byte {
	var used [256]bool
	m.contents(chunk, func(c byte) { used[c] = true })
	return byte(slices.Index(used[:], false))
}

// contents calls use with everything that is in a chunk somewhere, in an order that goes by the place.
func (m *model) contents(chunk byte, use func(byte)) {
	use(m.origin[chunk])
	for _, s := range m.stores {
		if i := s.list.at(chunk); i >= 0 {
			use(s.list[i+1])
		}
	}
	for _, p := range m.pairs(chunk) {
		use(p[0])
		use(p[1])
	}
}

// key tells models apart, but not those in which only the names of contents differ: to dmcow, content is bytes.
func (m *model) key() string {
	var b strings.Builder
	for c := range len(m.origin) {
		names := map[byte]int{}
		m.contents(byte(c), func(content byte) {
			if _, ok := names[content]; !ok {
				names[content] = len(names)
			}
			b.WriteByte(byte(names[content]))
		})
		b.WriteByte(0xff)
	}
	for _, s := range m.stores {
		fmt.Fprint(&b, s.made, s.invalid, s.doubtful)
		b.Write(s.list.chunks())
		b.WriteByte(0xff)
	}
	fmt.Fprint(&b, m.kept)
	return b.String()
}

// outcome is what becomes of a step.
type outcome int

const (
	idle outcome = iota // there is nothing to do, or nobody can say what it does
	done
	refused // and all is as before
)

// do does a deed in the model.
func (m *model) do(d deed) outcome {
	for _, o := range m.stores {
		if o.doubtful {
			return idle // it is for the user to say what becomes of it
		}
	}
	o := &m.stores[max(d.store, 0)]
	switch {
	case d.verb == "origin":
		m.writeOrigin(d.chunks)
	case d.verb == "second":
		return m.makeSecond(d.store == first)
	case !o.made:
		return idle
	case d.verb == "merge":
		return m.doMerge(d)
	case d.verb == "invalidate":
		o.invalid = true
	case d.verb == "revalidate" && (!o.invalid || o.hidden != ""), d.verb == "mount" && (o.invalid || o.hidden != "" || !o.list.has(d.chunks[0]) && !o.hasRoom(1)):
		return refused
	case d.verb == "revalidate":
		o.invalid = false
	case d.verb == "repair" && o.hidden == "", d.verb == "write" && o.invalid:
		return idle
	case d.verb == "repair":
		o.hidden = ""
	default: // write, mount
		m.write(d.store, d.chunks[0])
	}
	return done
}

func (m *model) makeSecond(asFirst bool) outcome {
	o := &m.stores[second]
	if o.made || asFirst && !m.serves(first) {
		return idle
	}
	was := *o
	o.made = true
	for c, shown := range []byte(m.view(first)) {
		if asFirst && shown != m.origin[c] {
			o.list = o.list.with(byte(c), shown)
		}
	}
	if !o.hasRoom(0) {
		*o = was
		return refused
	}
	return done
}

// hides reports whether entries hide behind the list of another snapshot. What shows that they change nothing is the
// origin, and once that is written without saving anything for the snapshot, it is for the user to say.
func (m *model) hides(but int) bool {
	for s, o := range m.stores[:undoLog] {
		if s != but && o.hidden != "" {
			return true
		}
	}
	return false
}

func (m *model) doMerge(d deed) outcome {
	l := m.stores[d.store].list
	n := len(l) / 2
	must, may := m.belongs()
	switch isLog := d.store == undoLog; {
	case !isLog && !m.serves(d.store), isLog && !may:
		return refused
	case n == 0, (d.way.undo || isLog) && !must, !d.way.siblings && m.hides(d.store):
		return idle
	case d.way.how == "step", d.way.how == "kernel":
		n = d.lastRun(d.store, l)
	}
	was := *m
	if d.way.siblings {
		m.keep(d.store, l.last(n).sorted().chunks())
	}
	if d.way.how == "kernel" {
		m.keep(d.store, l.last(n).chunks())
	} else if was.serves(first) != m.serves(first) || was.serves(second) != m.serves(second) {
		*m = was
		return refused
	}
	if d.way.how == "batch" {
		n = 1
	}
	if log := &m.stores[undoLog]; d.way.undo {
		m.kept = d.way.how == "keep" && (m.kept || !log.made)
		log.made = true
	}
	m.merge(d.store, n, d.way)
	return done
}
