package snapshot

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/look"
)

// into is a merge of the two files.
func into(more func(*MergeRequest)) MergeRequest {
	r := MergeRequest{Request: Request{COW: "cow"}, Into: "origin"}
	if more != nil {
		more(&r)
	}
	return r
}

// TestMergeRefusals: what a merge must not begin with is a value, and nothing is written.
func TestMergeRefusals(t *testing.T) {
	log := func(r rig) { // an undo log of a change of the origin
		m, err := r.PlanMerge(into(func(m *MergeRequest) { m.Undo, m.Keep = "log", true }))
		if err == nil {
			_, err = m.Do()
		}
		if err != nil {
			r.Fatal(err)
		}
		m.Close()
	}
	for name, x := range map[string]struct {
		prepare func(rig)
		more    func(*MergeRequest)
		wanted
	}{
		"invalid": {
			func(r rig) { r.store("cow", "device 200\nheader chunk=1 valid=0\nfill 20") }, nil,
			wanted{Invalid, "cow", "a merge would mix old and new", []Deed{RunRevalidate}},
		},
		"blank": {
			func(r rig) { r.file("cow", make([]byte, 1<<20)) }, nil,
			wanted{Blank, "cow", "nothing to merge", nil},
		},
		"something else": {
			func(r rig) { r.file("cow", bytes.Repeat([]byte("text"), 4096)) }, nil,
			wanted{Foreign, "cow", "not a COW store", nil},
		},
		"damaged": {
			func(r rig) { r.store("cow", sound+"\nex 5 15 190000") }, nil,
			wanted{Damaged, "cow", "refused: damaged", []Deed{Mend, RunCheck}},
		},
		"repeated": {
			func(r rig) { r.store("cow", sound+"\nex 5 12 6") }, nil,
			wanted{Damaged, "cow", "refused: damaged", []Deed{Rescue, Mend, RunCheck}},
		},
		"past the origin's end": {
			func(r rig) { r.store("cow", sound+"\nex 19 300 21") }, nil,
			wanted{Damaged, "cow", "refused: damaged", []Deed{Mend, ForceBeyond, RunCheck}},
		},
		"no origin is named": {
			nil, func(m *MergeRequest) { m.Into = "" },
			wanted{WrongUse, "cow", "its origin is not known", []Deed{NameOrigin}},
		},
		"there is no origin": {
			nil, func(m *MergeRequest) { m.Into = "none" },
			wanted{Unreadable, "none", "no such file or directory", nil},
		},
		"into itself": {
			nil, func(m *MergeRequest) { m.Into = "cow" },
			wanted{Unable, "cow", "overlaps cow", nil},
		},
		"swapped": {
			func(r rig) { r.store("origin", sound) }, nil,
			wanted{Unable, "origin", "starts with a COW header", nil},
		},
		"a store within the store": {
			func(r rig) {
				nested := storespec.MustCompile(r.T, "device 4\nheader chunk=1")
				image := storespec.MustCompile(r.T, sound)
				copy(image[2*512:], nested[:512]) // the data of chunk 0
				r.file("cow", image)
			}, nil,
			wanted{Unable, "origin", "chunk 0 of the snapshot starts with a COW header", []Deed{Force}},
		},
		"over a partition table": {
			func(r rig) { r.file("origin", partitioned()) }, nil,
			wanted{Unable, "origin", "the merge would remove or replace its", []Deed{Force}},
		},
		"other snapshots of a path": {
			nil, func(m *MergeRequest) { m.Lost = []string{"other"} },
			wanted{WrongUse, "other", "not another snapshot of origin; those are: none", nil},
		},
		"an undo log that is the origin": {
			nil, func(m *MergeRequest) { m.Undo = "origin" },
			wanted{Unable, "origin", "overlaps origin", nil},
		},
		"an undo log over a file": {
			func(r rig) { r.file("log", bytes.Repeat([]byte("text"), 4096)) }, func(m *MergeRequest) { m.Undo = "log" },
			wanted{Unable, "log", "not an undo log, and dmcow does not write over it", nil},
		},
		"an undo log that cannot be made": {
			nil, func(m *MergeRequest) { m.Undo = "none/log" },
			wanted{Unable, "none/log", "", nil},
		},
		"an undo log of something else": {
			func(r rig) {
				log(r)
				r.file("origin", make([]byte, originLength+512))
			}, func(m *MergeRequest) { m.Undo = "log" },
			wanted{Unable, "origin", "refused: ", nil},
		},
		"into something else than an undo log's": {
			func(r rig) {
				log(r)
				r.file("origin", bytes.Repeat([]byte{7}, originLength))
			}, func(m *MergeRequest) { m.COW = "log" },
			wanted{Unable, "origin", "refused: ", []Deed{Force}},
		},
		"some of an undo log": {
			log, func(m *MergeRequest) { m.COW, m.Rescue = "log", true },
			wanted{WrongUse, "log", "a partly merged undo log", []Deed{Keep}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if x.prepare != nil {
				x.prepare(r)
			}
			cow, origin := r.read("cow"), r.read("origin")
			r.refused(done(r.PlanMerge(into(x.more))), x.wanted)
			if !bytes.Equal(r.read("cow"), cow) || !bytes.Equal(r.read("origin"), origin) {
				t.Error("something was written")
			}
		})
	}
}

// TestMerge: a merge of what is in memory alone gives the view, and its undo log takes it back.
func TestMerge(t *testing.T) {
	r := newRig(t)
	cow, origin := r.memory(storespec.MustCompile(t, sound)), r.memory(make([]byte, originLength))
	seen, err := r.Read(ViewRequest{Request: Request{COW: cow}, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, originLength)
	if _, err := seen.View.ReadAt(want, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if err := seen.Close(); err != nil {
		t.Fatal(err)
	}
	m, err := r.PlanMerge(MergeRequest{Request: Request{COW: cow}, Into: origin, Undo: "log"})
	if err != nil {
		t.Fatal(err)
	}
	if m.Chunks != 20 || m.Bytes != 20*512 || m.IsEmpty() || m.IsUndo || m.Seen {
		t.Errorf("%+v", m.Plan)
	}
	result, err := m.Do()
	if err != nil || result.Chunks != 20 {
		t.Fatalf("%+v, %v", result, err)
	}
	m.Close()
	if got := r.read(origin); !bytes.Equal(got, want) {
		t.Error("the origin is not what the snapshot was")
	}
	back, err := r.PlanMerge(MergeRequest{Request: Request{COW: "log"}, Into: origin})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if !back.IsUndo {
		t.Error("the log is not known as one")
	}
	if _, err := back.Do(); err != nil || !bytes.Equal(r.read(origin), make([]byte, originLength)) {
		t.Errorf("it is not taken back: %v", err)
	}
}

// TestMergeInterrupted: what Visit says ends a merge, and it goes on.
func TestMergeInterrupted(t *testing.T) {
	r := newRig(t)
	r.store("cow", "device 43000\nheader chunk=1\nfill 40000")
	r.file("origin", nil)
	if err := os.Truncate("origin", 120000*512); err != nil {
		t.Fatal(err)
	}
	m, err := r.PlanMerge(into(nil))
	if err != nil {
		t.Fatal(err)
	}
	ended := &endedWatcher{}
	r.options.Watch = func(string, Unit, uint64) Watcher { return ended }
	_, err = m.Do()
	m.Close()
	r.refused(err, wanted{Interrupted, "cow", "run the same command again to go on", nil})
	if !ended.told || !ended.ended {
		t.Errorf("nobody was told: %+v", ended)
	}
	r.options.Watch = nil
	if m, err = r.PlanMerge(into(nil)); err == nil {
		_, err = m.Do()
		m.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

// endedWatcher ends whatever it watches.
type endedWatcher struct{ told, ended bool }

func (w *endedWatcher) Visit(uint64) error { return ErrInterrupted }
func (w *endedWatcher) Ending()            { w.told = true }
func (w *endedWatcher) End()               { w.ended = true }

// TestMergeSteps: steps are those that were foretold.
func TestMergeSteps(t *testing.T) {
	r := newRig(t)
	m, err := r.PlanMerge(into(func(m *MergeRequest) { m.Steps = 3 }))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var foretold, taken []store.Run
	if err := m.Preview(func(x store.Run) error { foretold = append(foretold, x); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := m.Step(func(x store.Run) error { taken = append(taken, x); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(taken) != 3 || !slices.Equal(foretold, taken) {
		t.Errorf("foretold %v, taken %v", foretold, taken)
	}
	mine := errors.New("mine")
	if err := m.Preview(func(store.Run) error { return mine }); err != mine {
		t.Errorf("an error of who is told: %v", err)
	}
}

// lvmDisk is an image of a physical volume that LVM has made, with vg0/origin and vg0/snap.
func lvmDisk(t *testing.T) []byte {
	t.Helper()
	return devicetest.Unzip(t, filepath.Join("..", "testdata", "lvm", "linear.0.gz"))
}

// TestVolumes: by a name of LVM, a snapshot's origin and its other snapshots are known; what does
// not belong together is refused.
func TestVolumes(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t, "disk")
	r.file("disk", disk)
	name := Request{COW: "vg0/snap"}
	m, err := r.PlanMerge(MergeRequest{Request: name, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if m.Origin.Text != "vg0/origin" || !m.Seen || m.Chunks == 0 {
		t.Errorf("%s, %+v", m.Origin.Text, m.Plan)
	}
	m.Close()
	for name, x := range map[string]struct {
		run func() error
		wanted
	}{
		"the origin as a snapshot": {
			func() error { return done(r.Look(Request{COW: "vg0/origin"})) },
			wanted{Unreadable, "vg0/origin", "", nil},
		},
		"a snapshot as the origin": {
			func() error {
				return done(r.PlanMerge(MergeRequest{Request: Request{COW: "cow"}, Into: "vg0/snap", DryRun: true}))
			},
			wanted{Unable, "vg0/snap", "this is a snapshot, not an origin", nil},
		},
		"a snapshot as another's origin, to read": {
			func() error {
				return done2(r.Read(ViewRequest{Request: Request{COW: "cow"}, Origin: "vg0/snap"}))
			},
			wanted{Unable, "vg0/snap", "this is a snapshot, not an origin", nil},
		},
		"another origin": {
			func() error { return done(r.PlanMerge(MergeRequest{Request: name, Into: "vg0/snap", DryRun: true})) },
			wanted{Unable, "vg0/snap", "not the origin of vg0/snap; that is vg0/origin", nil},
		},
		"another origin, to read": {
			func() error { return done2(r.Read(ViewRequest{Request: name, Origin: "vg0/snap"})) },
			wanted{Unable, "vg0/snap", "not the origin of vg0/snap; that is vg0/origin", nil},
		},
		"an origin of another size": {
			func() error { return done(r.PlanMerge(MergeRequest{Request: name, Into: "origin", DryRun: true})) },
			wanted{Unable, "origin", "refused: it has 131072 bytes; the origin of vg0/snap has", []Deed{Force}},
		},
		"an origin of another size, to read": {
			func() error { return done2(r.Read(ViewRequest{Request: name, Origin: "origin"})) },
			wanted{Unable, "origin", "refused: it has 131072 bytes; the origin of vg0/snap has", nil},
		},
		"a part of a volume": {
			func() error { return done(r.Look(Request{COW: "vg0/snap", Part: Part{Offset: format.SectorSize}})) },
			wanted{WrongUse, "vg0/snap", "they need a device or an image", nil},
		},
		"no such volume": {
			func() error { return done(r.Look(Request{COW: "vg0/none"})) },
			wanted{Unreadable, "vg0/none", "", nil},
		},
		"no such group": {
			func() error { return done(r.Look(Request{COW: "vg9/snap"})) },
			wanted{Unreadable, "vg9/snap", "", nil},
		},
		"none to give up": {
			func() error {
				return done(r.PlanMerge(MergeRequest{Request: name, Lost: []string{"other"}, DryRun: true}))
			},
			wanted{WrongUse, "other", "not another snapshot of vg0/origin", nil},
		},
	} {
		t.Run(name, func(t *testing.T) { rig{t, r.Session}.refused(x.run(), x.wanted) })
	}
	if !bytes.Equal(r.read("disk"), disk) {
		t.Error("the disk was written to")
	}
}

// TestPhysicalVolume: of a device that holds no store, but snapshots of LVM, a user is told so.
func TestPhysicalVolume(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t)
	r.file("disk", disk)
	r.file("text", bytes.Repeat([]byte("text"), 4096))
	for _, name := range []string{"disk", "text"} {
		c, err := r.Look(Request{COW: name})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		told := slices.ContainsFunc(r.Notes(), func(n Note) bool { return len(n.Remedies) == 1 && n.Remedies[0].Do == ListVolumes })
		if told != (name == "disk") || c.Identity.State != look.Foreign {
			t.Errorf("%s: %s, and it was told of volumes: %v", name, c.Identity.State, told)
		}
	}
}

// TestReadUndoLog: an undo log shows what its device was, and no other device.
func TestReadUndoLog(t *testing.T) {
	r := newRig(t)
	m, err := r.PlanMerge(into(func(m *MergeRequest) { m.Undo, m.Keep = "log", true }))
	if err == nil {
		_, err = m.Do()
	}
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	n, err := r.Read(of("log"))
	if err != nil {
		t.Fatal(err)
	}
	was := make([]byte, originLength)
	if _, err := n.View.ReadAt(was, 0); err != nil && err != io.EOF || !n.IsUndo || !bytes.Equal(was, make([]byte, originLength)) {
		t.Errorf("it shows something else, %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	r.refused(done2(r.Write(of("log"))), wanted{Unable, "log", "an undo log can only be read", nil})
	r.file("origin", bytes.Repeat([]byte{7}, originLength))
	r.refused(done2(r.Read(of("log"))), wanted{Unable, "origin", "refused: ", nil})
}

// TestUndoLogIsAFile: an undo log is a file also where its path looks like VG/LV, and volumes are looked
// for.
func TestUndoLogIsAFile(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t, "disk")
	r.file("disk", disk)
	if err := os.Mkdir("dir", 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second goes on with the log of the first
		m, err := r.PlanMerge(MergeRequest{Request: Request{COW: "vg0/snap"}, Undo: "dir/log", Keep: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Do()
		m.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat("dir/log"); err != nil || info.Size() == 0 {
		t.Errorf("there is no log: %v", err)
	}
}
