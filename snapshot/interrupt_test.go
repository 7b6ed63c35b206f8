package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
)

// interruptions counts the stretches of work of a session, and ends one of them.
type interruptions struct {
	end   int // which one
	begun int
	asked bool // the one that is to end was asked whether to go on
	left  int  // watchers that were not told of the end
}

// interrupting is a watcher of one stretch.
type interrupting struct {
	*interruptions
	number int
	over   bool
}

func (s *interruptions) watch(string, Unit, uint64) Watcher {
	s.begun++
	s.left++
	return &interrupting{interruptions: s, number: s.begun - 1}
}

func (w *interrupting) Visit(uint64) error {
	if w.number != w.end {
		return nil
	}
	w.asked = true
	return ErrInterrupted
}
func (w *interrupting) Ending() {}
func (w *interrupting) End() {
	if !w.over {
		w.over = true
		w.left--
	}
}

// works are what a session does, on the files of changing.
var works = map[string]struct {
	do     func(rig) error
	writes string // what may have changed when it is interrupted
	well   bool   // the last of what it has begun is done to its end
}{
	"check": {do: func(r rig) error { return done(r.Check(CheckRequest{Request: Request{COW: "cow"}})) }},
	"usage": {do: func(r rig) error {
		_, err := r.Usage(Request{COW: "cow"}, OriginFacts{})
		return err
	}},
	"read":  {do: func(r rig) error { return done2(r.Read(of("cow"))) }},
	"list":  {do: func(r rig) error { return done2(r.List(of("cow"))) }},
	"write": {do: func(r rig) error { return done2(r.Write(of("cow"))) }},
	"a wiped header": {do: func(r rig) error {
		cow := r.read("cow8")
		clear(cow[:4096])
		r.file("wiped", cow)
		c, err := r.Look(Request{COW: "wiped"})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = r.Earlier(c, 0)
		return err
	}},
	"merge, planned": {do: func(r rig) error { return done(r.PlanMerge(into(func(m *MergeRequest) { m.DryRun = true }))) }},
	"merge": {func(r rig) error {
		m, err := r.PlanMerge(into(func(m *MergeRequest) { m.Undo = "log" }))
		if err != nil {
			return err
		}
		defer m.Close()
		_, err = m.Do()
		return err
	}, "cow origin log", true},
	"repair, planned": {do: func(r rig) error {
		return done(r.PlanRepair(RepairRequest{Request: Request{COW: "bad"}, Base: BaseRequest{Origin: "origin"}, DryRun: true}))
	}},
	"repair": {func(r rig) error { return repaired(r, RepairRequest{Request: Request{COW: "bad"}, Undo: "log"}) }, "bad log", false},
	"repair a copy": {do: func(r rig) error {
		os.Remove("new")
		return repaired(r, RepairRequest{Request: Request{COW: "bad"}, CopyTo: "new"})
	}},
	"repair to a stream": {do: func(r rig) error {
		return repaired(r, RepairRequest{Request: Request{COW: "bad"}, Stream: &Stream{Writer: io.Discard}})
	}},
	"revalidate": {func(r rig) error {
		p, err := r.PlanRevalidate(RevalidateRequest{Request: Request{COW: "lost"}, OriginUnchanged: true})
		if err != nil {
			return err
		}
		defer p.Close()
		_, err = p.Do()
		return err
	}, "lost", false},
	"export": {do: func(r rig) error {
		os.Remove("new")
		return exported(r, OutputRequest{Name: "new", Mode: Private})
	}},
	"create, planned": {do: func(r rig) error {
		return done(r.PlanCreate(CreateRequest{Request: Request{COW: "new"}, Base: "origin", Image: "image", DryRun: true}))
	}},
	"create": {do: func(r rig) error {
		os.Remove("new")
		return storeMade(r, CreateRequest{Request: Request{COW: "new"}, Base: "origin", Image: "image"})
	}},
}

func repaired(r rig, request RepairRequest) error {
	p, err := r.PlanRepair(request)
	if err != nil {
		return err
	}
	defer p.Close()
	_, err = p.Do()
	return err
}

func exported(r rig, o OutputRequest) error {
	x, err := r.PlanExport(ExportRequest{ViewRequest: of("cow"), Output: o})
	if err != nil {
		return err
	}
	defer x.Close()
	return x.Do()
}

func storeMade(r rig, request CreateRequest) error {
	c, err := r.PlanCreate(request)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Do()
}

// changing is a rig with a store of each kind.
func changing(t *testing.T) rig {
	r := newRig(t)
	r.file("image", bytes.Repeat([]byte{7}, originLength))
	r.store("bad", sound+"\nex 5 12 6") // repeated, which repair mends by itself
	r.store("lost", "device 200\nheader chunk=1 valid=0\nfill 20")
	r.store("cow8", "device 400\nheader chunk=8\nfill 20\ndata 9")
	return r
}

// TestInterruptedAnywhere ends each stretch of each work in turn: it is refused as an interruption, nothing has
// changed that must not, no file is left of what was to be made, and the work can be done then.
func TestInterruptedAnywhere(t *testing.T) {
	for name, work := range works {
		t.Run(name, func(t *testing.T) {
			ended := 0
			for k := 0; ; k++ {
				r := changing(t)
				before := files(t)
				s := &interruptions{end: k}
				r.options.Watch = s.watch
				err := work.do(r)
				if s.begun <= k {
					if err != nil || ended == 0 {
						t.Errorf("%d of %d stretches can be ended: %v", ended, s.begun, err)
					}
					return
				}
				if s.left > 0 {
					t.Errorf("stretch %d: of %d nobody is told that they are over", k, s.left)
				}
				if !s.asked {
					continue
				}
				if ended++; work.well && err == nil && s.begun == k+1 {
					continue
				}
				var refusal *Refusal
				if refusal = asRefusal(err); refusal == nil || refusal.Code != Interrupted {
					t.Fatalf("stretch %d was ended: %v", k, err)
				}
				for file, content := range files(t) {
					was, there := before[file]
					if may := " " + work.writes + " "; !bytes.Contains([]byte(may), []byte(" "+file+" ")) && (file != "wiped" && !there || there && !bytes.Equal(was, content)) {
						t.Errorf("stretch %d was ended: %s has changed: %v", k, file, err)
					}
				}
				r.options.Watch = nil
				if err := work.do(r); err != nil {
					t.Errorf("stretch %d was ended, and then: %v", k, err)
				}
			}
		})
	}
}

// TestProgress: whoever is told how far a work has come is told of no more than there was said to be at most, and of
// what is not read again and again, more and more up to that.
func TestProgress(t *testing.T) {
	for name, work := range works {
		r := changing(t)
		r.options.Watch = func(device string, unit Unit, most uint64) Watcher {
			last := uint64(0)
			return visiting(func(done uint64) {
				if done > most || done < last && unit != Areas {
					t.Errorf("%s, %s: %d of %d %ss behind %d", name, device, done, most, unit, last)
				}
				last = done
			})
		}
		if err := work.do(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBetween: an interruption that is heard within a batch ends the work behind it, whatever is said later; and between
// two batches, at once.
func TestBetween(t *testing.T) {
	w := &onceWatcher{}
	copied, pause := (&stretch{Watcher: w}).between()
	copied(3)
	if err := pause(); err != nil {
		t.Fatal(err)
	}
	w.ends = true
	copied(4)
	copied(5)
	if a, b := pause(), pause(); a != ErrInterrupted || b != ErrInterrupted || w.endings != 1 || !slices.Equal(w.done, []uint64{3, 3, 7, 12}) {
		t.Errorf("%v, %v, told %d times, of %v", a, b, w.endings, w.done)
	}
	copied, pause = (&stretch{Watcher: w}).between()
	copied(1)
	w.ends = true
	if err := pause(); err != ErrInterrupted {
		t.Error(err)
	}
}

// onceWatcher ends what it watches, once.
type onceWatcher struct {
	ends    bool
	endings int
	done    []uint64
}

func (w *onceWatcher) Visit(done uint64) error {
	w.done = append(w.done, done)
	if !w.ends {
		return nil
	}
	w.ends = false
	return ErrInterrupted
}
func (w *onceWatcher) Ending() { w.endings++ }
func (w *onceWatcher) End()    {}

// files are all files of the current directory.
func files(t *testing.T) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, e := range entries {
		content, err := os.ReadFile(e.Name())
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", e.Name(), err))
		}
		all[e.Name()] = content
	}
	return all
}
