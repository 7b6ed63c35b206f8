package snapshot

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/internal/device"
	"dmcow/repair"
	"dmcow/store"
	"dmcow/store/undo"
)

// TestMergeUnreadable: a merge does not begin where a part of the list cannot be read.
func TestMergeUnreadable(t *testing.T) {
	r := newRig(t)
	r.store("cow", "device 200\nheader chunk=1\nfill 100\ndata 9")
	r.options.Watch = func(string, Unit, uint64) Watcher {
		if err := os.Truncate("cow", 40*512); err != nil { // before the third area
			t.Fatal(err)
		}
		return nil
	}
	r.refused(done(r.PlanMerge(into(nil))), wanted{Unreadable, "cow", "area 2 at chunk 67", nil})
	if !bytes.Equal(r.read("origin"), make([]byte, originLength)) {
		t.Error("the origin was written to")
	}
}

// TestStepsInterrupted: an interruption ends steps between two of them, not behind the last one, and an error of who is
// told of them ends them, too.
func TestStepsInterrupted(t *testing.T) {
	for name, c := range map[string]struct {
		steps, taken int
		told         error
		wanted       wanted
	}{
		"between":     {3, 1, nil, wanted{Interrupted, "cow", "to go on", nil}},
		"at the end":  {1, 1, nil, wanted{}},
		"by a reader": {3, 1, errBroken, wanted{}},
	} {
		r := newRig(t)
		m, err := r.PlanMerge(into(func(m *MergeRequest) { m.Steps = uint64(c.steps) }))
		if err != nil {
			t.Fatal(err)
		}
		r.options.Interrupted = func() error { return ErrInterrupted }
		taken := 0
		err = m.Step(func(store.Run) error { taken++; return c.told })
		if m.Close(); taken != c.taken {
			t.Errorf("%s: %d steps were taken", name, taken)
		}
		if c.wanted.words != "" {
			r.refused(err, c.wanted)
		} else if err != c.told {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTakingBackGoesOn: taking back with an undo log goes on where it was ended.
func TestTakingBackGoesOn(t *testing.T) {
	r := newRig(t)
	merged(r, into(func(m *MergeRequest) { m.Undo = "log" }))
	m, err := r.PlanMerge(into(func(m *MergeRequest) { m.COW, m.Steps = "log", 1 }))
	if err == nil {
		err = m.Step(func(store.Run) error { return nil })
		m.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if m := merged(r, into(func(m *MergeRequest) { m.COW = "log" })); m.Chunks != 19 || !bytes.Equal(r.read("origin"), make([]byte, originLength)) {
		t.Errorf("%d more chunks are taken back, or not all", m.Chunks)
	}
}

// merged is a merge that was done.
func merged(r rig, request MergeRequest) *Merge {
	r.Helper()
	m, err := r.PlanMerge(request)
	if err != nil {
		r.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Do(); err != nil {
		r.Fatal(err)
	}
	return m
}

// TestUndoFails: a change ends with its own error, whatever becomes of its undo log, and with the log's where it has
// none: then it may not be taken back.
func TestUndoFails(t *testing.T) {
	for _, c := range []struct {
		breaks bool // the log, before it is closed
		told   error
	}{{true, nil}, {true, errBroken}, {false, errBroken}, {false, nil}} {
		r := newRig(t)
		m, err := r.PlanMerge(into(func(m *MergeRequest) { m.Steps, m.Undo = 1, "log" }))
		if err != nil {
			t.Fatal(err)
		}
		err = m.Step(func(store.Run) error {
			if c.breaks {
				m.undoing.log.out.Close()
			}
			return c.told
		})
		m.Close()
		if c.breaks && c.told == nil {
			r.refused(err, wanted{Unable, "log", "closed", nil})
		} else if err != c.told {
			t.Errorf("%+v: %v", c, err)
		}
		noted := slices.ContainsFunc(r.Notes(), func(n Note) bool { return n.Device == "log" && n.Code == Unable })
		if noted != (c.breaks && c.told != nil) {
			t.Errorf("%+v: the log's error is noted: %v", c, noted)
		}
		if _, err := os.Stat("log"); err != nil {
			t.Error(err)
		}
	}
}

// TestUnusedLog: the log of a change that did not begin is removed, and of one that was made stays, even if it changed
// nothing.
func TestUnusedLog(t *testing.T) {
	r := newRig(t)
	seen := r.read("cow")
	var origin [originLength]byte
	for i := range 20 { // what the snapshot shows, as fill has it
		copy(origin[3*i*512:], seen[(2+i)*512:][:512])
	}
	r.file("origin", origin[:])
	merged(r, into(func(m *MergeRequest) { m.Undo, m.SkipIdentical = "log", true }))
	if id, err := r.Look(Request{COW: "log"}); err != nil {
		t.Errorf("the log of a merge that changed nothing: %v", err)
	} else {
		id.Close()
	}
	for _, broken := range []bool{false, true} {
		d, created, err := device.CreateWritable("unused")
		if err != nil || !created {
			t.Fatal(created, err)
		}
		target, err := r.targetOn(&COW{Name: Name{Text: "unused"}}, d, 0)
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(r.Notes(), func(n Note) bool { return n.Detail && strings.Contains(n.Text, "open for exclusive use") })
		if broken {
			target.Close()
		}
		(&undoing{session: r.Session, name: "unused", log: target, made: true}).close()
		_, err = os.Stat("unused")
		noted := slices.ContainsFunc(r.Notes(), func(n Note) bool { return n.Device == "unused" && strings.Contains(n.Text, "cannot be removed") })
		if errors.Is(err, fs.ErrNotExist) == broken || noted != broken || !told {
			t.Errorf("broken: %v, noted: %v, %v", broken, noted, err)
		}
	}
}

// TestRoomOfLog: the room that an undo log is refused for is enough for it, and not much more.
func TestRoomOfLog(t *testing.T) {
	r := newRig(t)
	r.store("cow", "device 4000\nheader chunk=1\nfill 3000 0\ndata 9")
	r.file("origin", make([]byte, 3000*512))
	m := merged(r, into(func(m *MergeRequest) { m.Undo = "log" }))
	r.holdsLog(m.undoing, 1)
	r.store("bad", "device 4000\nheader chunk=64\nfill 40\ndata 9\nex 5 15 2\nex 9 27 3") // which share a chunk with others
	p, err := r.PlanRepair(RepairRequest{Request: Request{COW: "bad"}, Undo: "repaired", Choices: repair.Choices{Unshare: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Do(); err != nil {
		t.Fatal(err)
	}
	r.holdsLog(p.undoing, 2*p.Plan.Writes()) // which may begin and end within chunks
}

// holdsLog wants a device to be refused for a log that has a sector less than it is said to need, and that to be enough
// for the log as it is now, with so many chunks to spare at most.
func (r rig) holdsLog(u undoing, spare int) {
	r.Helper()
	need, is := undo.Size(u.geometry, u.chunks), len(r.read(u.name))
	if int(need) < is || int(need) > is+spare*int(u.geometry.ChunkBytes()) {
		r.Errorf("%s has %d bytes, and is said to need up to %d, in chunks of %d", u.name, is, need, u.geometry.ChunkBytes())
	}
	if err := u.checkRoom(need); err != nil {
		r.Error(err)
	}
	r.refused(u.checkRoom(need-512), wanted{Unable, u.name, "too small for the undo log", nil})
}

// TestCopyByManyPlans: a copy that one plan does not mend is mended by those that follow it.
func TestCopyByManyPlans(t *testing.T) {
	r := newRig(t)
	r.store("bad", "device 200\nheader chunk=1\nfill 100\ndata 9\nex 5 12 6\nex 50 147 52") // each repeated
	p, err := r.PlanRepair(RepairRequest{Request: Request{COW: "bad"}, CopyTo: "new", Choices: repair.Choices{Keep: repair.KeepFirst}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if len(p.Plan.Steps) < 2 {
		t.Fatalf("a plan of %d steps", len(p.Plan.Steps))
	}
	p.Plan.Steps, p.Plan.More = p.Plan.Steps[:1], true // as if it could hold no more
	done, err := p.Do()
	if err != nil || done.Report.Outcome() != check.Sound || done.Written != "new" {
		t.Fatalf("%s, %s: %v", done.Written, done.Report.Outcome(), err)
	}
	x, err := r.Check(CheckRequest{Request: Request{COW: "new"}})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if x.Report.Outcome() != check.Sound || x.Report.Exceptions != 98 {
		t.Errorf("%d exceptions, %s", x.Report.Exceptions, x.Report.Outcome())
	}
}
