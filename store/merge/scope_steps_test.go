package merge

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/repair"
	"dmcow/store"
	"dmcow/store/create"
	"dmcow/store/look"
	"dmcow/store/save"
	"dmcow/store/undo"
	"dmcow/view"
)

// step is what somebody does, as text:
//
//	origin 1             the kernel writes to the origin's chunk 1
//	origin all           it writes all of it from its end, all copies at once
//	write A 1            the kernel writes to the snapshot
//	merge A kernel       the kernel merges a run
//	mount A 1            dmcow writes to the snapshot, by a view
//	second               snapshot B is made
//	second as A          snapshot B is made to show what A does
//	invalidate A, revalidate A, repair A
//	merge A HOW          HOW is step, batch, all or keep; with undo, siblings
//	merge log HOW        the undo log takes back what was merged with it
//
// What the kernel does one after the other, without loading the snapshots again, has commas in between.
type step string

// mergeWay is the end of a merge's text.
type mergeWay struct {
	how            string
	undo, siblings bool
}

// allSteps are all that can be done in a world.
func (c scope) allSteps() (all []step) {
	add := func(format string, args ...any) { all = append(all, step(fmt.Sprintf(format, args...))) }
	all = append(all, "origin all", "second", "second as A")
	for i := range c.written {
		add("origin %d", i)
		add("write A %d, merge A kernel, write A %[1]d", i)
		add("origin %d, write A %[1]d, merge A kernel, origin %[1]d", i)
		for _, s := range storeNames[:undoLog] {
			add("write %s %d", s, i)
			add("mount %s %d", s, i)
		}
	}
	for _, s := range storeNames[:undoLog] {
		for _, verb := range []string{"invalidate", "revalidate", "repair"} {
			add("%s %s", verb, s)
		}
	}
	for _, s := range storeNames {
		for _, how := range []string{"step", "batch", "all", "keep"} {
			for _, with := range []string{"", " undo", " siblings", " undo siblings"} {
				if s != "log" || how != "keep" && !strings.Contains(with, "undo") {
					add("merge %s %s%s", s, how, with)
				}
			}
		}
	}
	return all
}

// deed is a step, or a part of one.
type deed struct {
	scope
	verb   string
	store  int // what it is done to; -1 for the origin
	chunks []byte
	way    mergeWay
}

func (s step) deeds(c scope) (all []deed) {
	for part := range strings.SplitSeq(string(s), ", ") {
		f := strings.Fields(part)
		d := deed{scope: c, verb: f[0], store: -1}
		for _, word := range f[1:] {
			n, err := strconv.Atoi(word)
			switch i := slices.Index(storeNames[:], word); {
			case err == nil:
				d.chunks = []byte{byte(n)}
			case i >= 0:
				d.store = i
			case word == "undo":
				d.way.undo = true
			case word == "siblings":
				d.way.siblings = true
			default:
				d.way.how = word
			}
		}
		if d.verb == "origin" && d.way.how == "all" {
			for i := c.written - 1; i >= 0; i-- {
				d.chunks = append(d.chunks, byte(i))
			}
		}
		all = append(all, d)
	}
	return all
}

// do does a deed, before which the world is as in the model. It returns an error where dmcow refuses it.
func (w *world) do(d deed, m *model) error {
	switch d.verb {
	case "origin":
		return w.writeOrigin(m, d.chunks)
	case "write":
		return w.write(d.store, d.chunks[0], m.fresh(d.chunks[0]))
	case "mount":
		return w.mount(d, m.fresh(d.chunks[0]))
	case "second":
		if d.store == first {
			return w.createAs()
		}
		return store.Initialize(w.stores[second], w.geometry(), nil)
	case "invalidate":
		return store.Invalidate(w.stores[d.store])
	case "repair", "revalidate":
		p, err := w.plan(d.store, d.verb == "revalidate")
		if err != nil {
			return err
		}
		return p.Apply(w.stores[d.store], nil, nil)
	}
	if d.way.how == "kernel" {
		return w.kernelMerge(d.store)
	}
	return w.merge(d, m)
}

func (w *world) plan(s int, revalidate bool) (*repair.Plan, error) {
	if revalidate {
		return repair.Revalidate(w.checkOptions(s))
	}
	return repair.Make(repair.Options{Options: w.checkOptions(s)})
}

func (w *world) checkOptions(s int) check.Options {
	return check.Options{Device: w.stores[s], Origin: format.Bytes(w.origin.Size()), Content: w.origin}
}

// load opens a snapshot as the kernel does, once in a step; except that what hides behind its list does not come
// alive. It is nil for one that is lost, or not made.
func (w *world) load(s int) (*store.Store, error) {
	if w.loaded[s] != nil {
		return w.loaded[s], nil
	}
	report, err := check.Make(w.checkOptions(s))
	if err != nil {
		return nil, err
	}
	w.loaded[s], err = store.Open(w.stores[s], store.Options{Table: true, HiddenVoid: report.HiddenVoid()})
	if errors.As(err, new(*look.StateError)) || errors.Is(err, look.ErrInvalid) {
		return nil, nil
	}
	return w.loaded[s], err
}

// add gives a snapshot exceptions for those of some chunks that have none. Their data is written at once, and they are
// committed in another order. A snapshot without room is lost.
func (w *world) add(s int, data func(chunk byte) ([]byte, error), chunks ...byte) (failed error) {
	loaded, err := w.load(s)
	if loaded == nil || err != nil {
		return err
	}
	var all []store.Pending
	for _, c := range chunks {
		if _, has := loaded.Lookup(format.OldChunk(c)); has {
			continue
		}
		p, err := loaded.PrepareException(format.OldChunk(c))
		switch {
		case errors.Is(err, look.ErrInvalid):
			return nil
		case errors.Is(err, store.ErrNoRoom):
			return loaded.Overflow(true)
		case err != nil:
			return err
		}
		all = append(all, p)
		content, err := data(c)
		if err == nil {
			_, err = w.stores[s].WriteAt(content, int64(p.New)*w.chunk)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range slices.Backward(all) {
		loaded.CommitException(p, true, func(err error) { failed = errors.Join(failed, err) })
	}
	return failed
}

// keep gives all snapshots but one exceptions for chunks of the origin, as the kernel does before it overwrites them.
func (w *world) keep(but int, chunks []byte) (err error) {
	for s := range undoLog {
		if s != but && err == nil {
			err = w.add(s, func(c byte) ([]byte, error) {
				data := make([]byte, w.chunk)
				_, err := w.origin.ReadAt(data, int64(c)*w.chunk)
				return data, err
			}, chunks...)
		}
	}
	return err
}

func (w *world) writeOrigin(m *model, chunks []byte) error {
	err := w.keep(-1, chunks)
	for _, c := range chunks {
		if err == nil {
			_, err = w.origin.WriteAt(w.content(c, m.fresh(c)), int64(c)*w.chunk)
		}
	}
	return errors.Join(err, w.origin.Sync())
}

// write writes to a snapshot as the kernel does: here it writes the whole chunk, and copies nothing.
func (w *world) write(s int, chunk, to byte) error {
	loaded, err := w.load(s)
	if err != nil {
		return err
	}
	if n, has := loaded.Lookup(format.OldChunk(chunk)); has {
		_, err := w.stores[s].WriteAt(w.content(chunk, to), int64(n)*w.chunk)
		return errors.Join(err, w.stores[s].Sync())
	}
	return w.add(s, func(byte) ([]byte, error) { return w.content(chunk, to), nil }, chunk)
}

func (w *world) kernelMerge(s int) error {
	loaded, err := w.load(s)
	if err != nil {
		return err
	}
	run, err := loaded.PrepareMerge()
	if err != nil {
		return err
	}
	var chunks []byte
	for i := range run.Count {
		chunks = append(chunks, byte(run.Old)+byte(i))
	}
	data := make([]byte, int64(run.Count)*w.chunk)
	if err := w.keep(s, chunks); err != nil {
		return err
	}
	if _, err := w.stores[s].ReadAt(data, int64(run.New)*w.chunk); err != nil {
		return err
	}
	if _, err := w.origin.WriteAt(data, int64(run.Old)*w.chunk); err != nil {
		return err
	}
	return errors.Join(w.origin.Sync(), loaded.CommitMerge(run.Count))
}

// mount writes to a snapshot by a view: the part of the chunk that differs, and some that does not.
func (w *world) mount(d deed, to byte) error {
	disk := w.stores[d.store]
	v, err := view.Open(view.Options{COW: disk, Origin: w.origin, To: disk})
	if err != nil {
		return err
	}
	for at, p := range pieces(w.content(d.chunks[0], to)[:2*told], told) {
		if _, err = v.WriteAt(p, int64(d.chunks[0])*w.chunk+at); err != nil {
			break
		}
	}
	return errors.Join(err, v.Close())
}

// pieces are those of some bytes, each with where it begins.
func pieces(p []byte, size int) iter.Seq2[int64, []byte] {
	return func(yield func(int64, []byte) bool) {
		for at := 0; at < len(p) && yield(int64(at), p[at:min(at+size, len(p))]); at += size {
		}
	}
}

// solid is a device without holes.
type solid struct {
	io.ReaderAt
	size int64
}

func (i solid) Size() int64 { return i.size }
func (i solid) NextData(offset int64) (start, end int64, err error) {
	return min(offset, i.size), i.size, nil
}

func (w *world) createAs() error {
	v, err := view.Open(view.Options{COW: w.stores[first], Origin: w.origin})
	if err != nil {
		return err
	}
	defer v.Close()
	c := create.Creation{Base: solid{w.origin, v.Size()}, Image: solid{v, v.Size()}, Geometry: w.geometry()}
	_, err = c.Write(w.stores[second], nil)
	return err
}

var errPaused = errors.New("the merge was paused")

// merge merges a store into the origin, in the order in which package snapshot has it done.
func (w *world) merge(d deed, m *model) error {
	disk, o := w.stores[d.store], Options{batch: 1000, window: w.window}
	report, err := check.Make(w.checkOptions(d.store))
	if err != nil {
		return err
	}
	if t := report.Against(func(x check.Meaning) bool { return x.Merging == check.AnyMerge }); t != nil {
		return fmt.Errorf("check: %s", t.Name)
	}
	if d.store == undoLog {
		if err := undo.CheckBelongs(disk, w.origin, false, nil); err != nil {
			return err
		}
	}
	g, err := Open(disk, w.origin, Opening{HiddenVoid: report.HiddenVoid()})
	if err != nil {
		return err
	}
	savers, err := w.savers(d, g)
	if err == nil && d.way.undo {
		o.Undo, err = w.openLog(d.way.how == "keep")
	}
	for s, saver := range savers {
		if err == nil {
			err = saver.Save(w.stores[s], w.origin, func(uint64) error { return nil })
		}
		saver.Close()
	}
	if err == nil && d.store == undoLog {
		err = undo.BeginTakingBack(disk)
	}
	if err != nil {
		return err
	}
	return errors.Join(w.run(g, d.way, o), w.endLog(o.Undo, *m, d))
}

func (w *world) run(g *Merge, way mergeWay, o Options) (err error) {
	switch way.how {
	case "step":
		_, err = g.Steps(o, 1, func(store.Run) error { return nil })
		return err
	case "batch":
		o.batch, o.Pause = 1, func() error { return errPaused }
	case "keep":
		o.Keep, o.PastCache = true, []Reader{w.origin}
	}
	if _, err = g.Run(o); errors.Is(err, errPaused) {
		err = nil
	}
	return err
}

// savers are for the other snapshots, as far as they are valid: those that are not were given up.
func (w *world) savers(d deed, g *Merge) (map[int]*save.Saver, error) {
	all := map[int]*save.Saver{}
	for s := range undoLog {
		disk := w.stores[s]
		if _, err := look.Loadable(disk); s == d.store || err != nil || !d.way.siblings {
			continue
		}
		report, err := check.Make(w.checkOptions(s))
		if err != nil {
			return all, err
		}
		if all[s], err = save.New(disk, w.geometry(), format.Bytes(w.origin.Size()), report.HiddenVoid()); err != nil {
			return all, err
		}
		if err := w.mark(d, g, all[s].Overwritten); err != nil {
			return all, err
		}
		need, err := all[s].Need(nil)
		if err == nil && need.Enough > 0 {
			err = fmt.Errorf("%+v: %w", need, store.ErrNoRoom)
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// mark tells what a merge will overwrite.
func (w *world) mark(d deed, g *Merge, overwritten func(start, end format.Bytes)) error {
	chunk := w.geometry().ChunkBytes()
	if d.way.how == "step" {
		return g.Preview(1, func(r store.Run) error {
			overwritten(format.Bytes(r.Old)*chunk, format.Bytes(r.Old+format.OldChunk(r.Count))*chunk)
			return nil
		})
	}
	list, _, err := exceptions(w.stores[d.store])
	for _, x := range list {
		overwritten(format.Bytes(x.Old)*chunk, format.Bytes(x.Old+1)*chunk)
	}
	return err
}

// openLog goes on with the undo log, or makes one.
func (w *world) openLog(kept bool) (*undo.Log, error) {
	log, o := w.stores[undoLog], undo.Options{Kept: kept}
	is, err := undo.IsLog(log)
	switch {
	case err != nil:
		return nil, err
	case is:
		return undo.Open(log, w.origin, o)
	}
	return undo.New(log, w.origin, w.geometry(), o)
}

// endLog closes the log, and wants it to know whether all merges with it left their stores as they were.
func (w *world) endLog(log *undo.Log, m model, d deed) error {
	if log == nil {
		return nil
	}
	if m.do(d); log.Kept() != m.kept {
		return fmt.Errorf("the undo log takes its merges for such that left their stores as they were: %v", log.Kept())
	}
	return log.Close()
}
