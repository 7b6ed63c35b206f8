package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/inuse"
	"dmcow/internal/volume"
	"dmcow/lvm"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/merge"
)

var errBroken = errors.New("broken")

// TestUnfit: what the kernel cannot load, it is said why, of each kind.
func TestUnfit(t *testing.T) {
	g, err := format.NewGeometry(2)
	if err != nil {
		t.Fatal(err)
	}
	unread := look.Survey{Usage: look.FreshUsage(g, 1<<20), Err: &format.AreaError{Err: errBroken}}
	read := look.Survey{Usage: look.FreshUsage(g, 1<<20)}
	known := OriginFacts{Sectors: 8, Block: 512}
	for _, c := range []struct {
		used   Used
		want   string
		unread error
	}{
		{Used{&COW{}, read, known, false, nil}, "", nil},
		{Used{&COW{}, unread, known, false, nil}, "the list cannot be read", errBroken},
		{Used{&COW{Name: Name{Volume: &volume.Volume{}}}, read, known, false, nil}, "", nil},
		{Used{&COW{Name: Name{Volume: &volume.Volume{Gone: errBroken}}}, read, known, false, nil}, "part of the volume is missing", errBroken},
		{Used{&COW{}, read, OriginFacts{Block: 512}, false, nil}, "the origin is not known", nil},
		{Used{&COW{}, read, OriginFacts{Sectors: 8, Block: 4096}, false, nil}, "not a multiple of device blocksize of the origin (4096 bytes)", nil},
		{Used{&COW{}, read, OriginFacts{Sectors: 8, Block: 1024}, false, nil}, "", nil},
	} {
		if got := c.used.Unfit(); !strings.HasSuffix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%q, want %q", got, c.want)
		}
		if got := c.used.Unread(); !errors.Is(got, c.unread) || (got == nil) != (c.unread == nil) {
			t.Errorf("unread: %v, want %v", got, c.unread)
		}
	}
	if (&Listed{}).Used() != nil {
		t.Error("a store that cannot be read is used")
	}
}

// TestOriginFacts: what is said of an origin comes before what LVM has on record; the snapshot's own size goes
// with the origin's.
func TestOriginFacts(t *testing.T) {
	r := newRig(t)
	size := format.Bytes(40 * 512)
	for _, c := range []struct {
		request BaseRequest
		want    OriginFacts
	}{
		{BaseRequest{}, OriginFacts{Block: 512}},
		{BaseRequest{Size: &size}, OriginFacts{Sectors: 40, Whole: 40, Block: 512}},
		{BaseRequest{Origin: "origin"}, OriginFacts{Name: r.read2(r.LookAtOrigin("origin")), Sectors: originLength / 512, Whole: originLength / 512, Block: 512}},
	} {
		got, err := r.OriginFacts(c.request)
		if got.Device = nil; err != nil || got != c.want {
			t.Errorf("%+v, %v; want %+v", got, err, c.want)
		}
	}
	v := &volume.Volume{OriginSize: 100 * 512, SnapshotSize: 60 * 512, OriginNumber: "253:7"}
	for _, c := range []struct{ said, want OriginFacts }{
		{OriginFacts{Block: 512}, OriginFacts{Name: "253:7", Sectors: 60, Whole: 100, Block: 512}},
		{OriginFacts{Name: "x", Sectors: 100, Whole: 100, Block: 512}, OriginFacts{Name: "x", Sectors: 60, Whole: 100, Block: 512}},
		{OriginFacts{Name: "x", Sectors: 90, Whole: 90, Block: 512}, OriginFacts{Name: "x", Sectors: 90, Whole: 90, Block: 512}},
	} {
		if got := c.said.of(v); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.said, got, c.want)
		}
		if got := c.said.of(nil); got != c.said {
			t.Errorf("%+v: %+v where there is no volume", c.said, got)
		}
	}
}

// read2 is the name of an origin in a table.
func (r rig) read2(o *Origin, err error) string {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
	defer o.Close()
	return o.Device.TableName()
}

// TestWorth: a new store is not written over what may be of worth, unless that is forced; then it is said what is
// lost.
func TestWorth(t *testing.T) {
	swap := make([]byte, 1<<20)
	copy(swap[4096-10:], "SWAPSPACE2")
	swap[1024], swap[1028] = 1, 255 // version, pages
	leftover := make([]byte, 1<<20)
	leftover[4096+3] = 1
	for name, c := range map[string]struct {
		spec    string
		content []byte
		loss    string // empty where there is nothing of worth
	}{
		"nothing":         {"device 2000", nil, ""},
		"a store":         {sound, nil, "it holds a COW store (valid)"},
		"a lost one":      {"device 200\nheader chunk=1 valid=0", nil, "it holds a COW store (invalid)"},
		"a damaged one":   {"device 200\nheader chunk=1 version=2", nil, "it holds a damaged COW store: header: version"},
		"swap":            {"", swap, "it holds swap"},
		"old blocks":      {"", leftover, "the first 4096 bytes are zero, what follows is not"},
		"text":            {"", bytes.Repeat([]byte("text"), 1<<14), "it is not blank"},
		"another format":  {"", append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 1<<20)...), "it is "},
		"a text of zeros": {"", append(make([]byte, 4000), bytes.Repeat([]byte("text"), 1<<14)...), "it is not blank"},
	} {
		r := newRig(t)
		if c.content == nil {
			r.store("cow", c.spec)
		} else {
			r.file("cow", c.content)
		}
		before := r.read("cow")
		i, err := r.PlanInitialize(WriteRequest{Request: Request{COW: "cow", ChunkSectors: 8}})
		switch refusal := asRefusal(err); {
		case c.loss == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.loss == "":
			i.Close()
		case refusal == nil || refusal.Code != Foreign || !strings.HasPrefix(refusal.Err.Error(), "refused: "+c.loss):
			t.Errorf("%s: %v, want %q", name, err, c.loss)
		}
		if !bytes.Equal(r.read("cow"), before) {
			t.Errorf("%s: it was written to", name)
		}
		if i, err = r.PlanInitialize(WriteRequest{Request: Request{COW: "cow", ChunkSectors: 8}, Force: true}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(i.Loss, c.loss) || (i.Loss == "") != (c.loss == "") {
			t.Errorf("%s: lost is %q, want %q", name, i.Loss, c.loss)
		}
		err = i.Do()
		i.Close()
		if id, e := r.Look(Request{COW: "cow"}); err != nil || e != nil || id.Identity.State != look.Valid {
			t.Errorf("%s: %v, %v", name, err, e)
		}
	}
}

// TestFailed: what a merge ends with is a refusal that names the device, and says what can be done.
func TestFailed(t *testing.T) {
	r := newRig(t)
	m, err := r.PlanMerge(into(func(m *MergeRequest) { m.DryRun, m.Undo = true, "log" }))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []struct {
		err error
		wanted
	}{
		{&merge.TransferError{Err: errBroken}, wanted{Unable, "cow", "the snapshot reads as before", []Deed{RescueRest}}},
		{&merge.TransferError{Origin: true, Err: errBroken}, wanted{Unable, "origin", "broken", nil}},
		{&merge.SyncError{Err: errBroken}, wanted{Unable, "origin", "broken", nil}},
		{&merge.DifferenceError{}, wanted{Unable, "origin", "other data than was written", nil}},
		{&merge.UndoError{Err: errBroken}, wanted{Unable, "log", "broken", nil}},
		{&store.HiddenError{}, wanted{Damaged, "cow", "refused: ", nil}},
		{&merge.BadExceptionError{}, wanted{Damaged, "cow", "refused: ", nil}},
		{fmt.Errorf("%w here", ErrInterrupted), wanted{Interrupted, "cow", "to go on", nil}},
		{&store.AreaWriteError{Err: errBroken}, wanted{Unable, "cow", "broken", nil}},
		{&look.StateError{State: look.Damaged, Fault: "fault"}, wanted{Damaged, "cow", "fault", nil}},
	} {
		r.refused(m.failed(c.err), c.wanted)
	}
	if err := m.failed(ofCalled(errBroken)); err != errBroken {
		t.Errorf("an error of who is called back: %v", err)
	}
	if err := m.failed(nil); err != nil {
		t.Error(err)
	}
}

// TestInactive: a snapshot that is active is not merged.
func TestInactive(t *testing.T) {
	r := rig{T: t}
	if err := checkInactive(nil); err != nil {
		t.Error(err)
	}
	if err := checkInactive(&volume.Volume{}); err != nil {
		t.Error(err)
	}
	active := &volume.Volume{Name: "vg/snap", Active: &inuse.Mapping{}}
	r.refused(checkInactive(active), wanted{Unable, "vg/snap", "its COW device is " + active.Active.Path(), nil})
}

// TestCalls: another snapshot is called by its name, alone or in its group's.
func TestCalls(t *testing.T) {
	group := &lvm.Group{Name: "vg", UUID: "8iwpzC"}
	one := &lvm.Logical{Name: "one"}
	v := &volume.Volume{Group: group}
	for name, is := range map[string]bool{
		"one": true, "vg/one": true, "8iwpzC/one": true, "two": false, "vg/two": false, "other/one": false, "": false,
	} {
		if calls(v, lvm.Snapshot{COW: one}, name) != is {
			t.Errorf("%q: %v", name, !is)
		}
	}
}

// TestEachFinding: of a rule that says more than a report keeps, all findings are shown where all were asked
// for, and those of no other rule.
func TestEachFinding(t *testing.T) {
	spec := "device 400\nheader chunk=1\nfill 100\n"
	for i := range check.Shown + 5 {
		spec += fmt.Sprintf("ex %d %d %d\n", 3*i, 9*i, 1000+i)
	}
	for i := range check.Shown { // of another rule, as many as are kept
		spec += fmt.Sprintf("ex %d %d %d\n", 80+i, 3*(50+i), 84+i)
	}
	for _, all := range []bool{true, false} {
		r := newRig(t)
		r.store("cow", spec)
		x, err := r.Check(CheckRequest{Request: Request{COW: "cow"}, All: all})
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		for _, tally := range x.Report.Tallies {
			shown := 0
			err := x.Each(tally, func(f check.Finding) error {
				if shown++; f.Rule != tally.Rule {
					t.Errorf("%s among those of %s", f.Name, tally.Name)
				}
				return nil
			})
			want := tally.Count
			if !all {
				want = min(want, check.Shown)
			}
			if err != nil || uint64(shown) != want {
				t.Errorf("%s: %d are shown, want %d: %v", tally.Name, shown, want, err)
			}
			if err := x.Each(tally, func(check.Finding) error { return errBroken }); err != errBroken {
				t.Errorf("%s: an error of who is shown them: %v", tally.Name, err)
			}
		}
		if most := slices.MaxFunc(x.Report.Tallies, func(a, b check.Tally) int { return int(a.Count) - int(b.Count) }); most.Count <= check.Shown || len(x.Report.Tallies) < 2 {
			t.Errorf("the store has too few faults: %+v", x.Report.Tallies)
		}
		if !all {
			continue
		}
		for _, left := range []int64{40 * 512, 600} { // now the second area cannot be read again, or the first
			if err := os.Truncate("cow", left); err != nil {
				t.Fatal(err)
			}
			for _, tally := range x.Report.Tallies { // of a rule with few, all are known
				err := x.Each(tally, func(check.Finding) error { return nil })
				if refusal := asRefusal(err); (refusal != nil && refusal.Code == Unreadable) != (tally.Count > check.Shown) {
					t.Errorf("%s, %d times, which cannot be read any more: %v", tally.Name, tally.Count, err)
				}
			}
		}
	}
}
