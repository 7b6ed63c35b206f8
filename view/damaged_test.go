package view

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/store/look"
)

// damage is a store with faults, of chunks of one sector, whose origin has 256; and what is
// certain of it.
type damage struct {
	name, spec string
	// uncertain are the chunks that are, and why has what is said of the first of them. Where
	// unlisted is set, it is said of all chunks that are not listed as certain.
	uncertain []uint64
	unlisted  bool
	why       string
	errors    int // that the check finds
}

// fill 40 has old chunks 3*i in new chunks 2+i, but for the one that is area 1, 34.
var damages = []damage{
	{name: "two exceptions of a chunk", spec: "fill 40\nex 5 12 7", uncertain: []uint64{12}, unlisted: true,
		why: "area 0 slot 5: old chunk 12 already has an exception, area 0 slot 4", errors: 1},
	{name: "one data chunk of two", spec: "fill 40\nex 5 15 6", uncertain: []uint64{12, 15},
		why: "area 0 slot 4: another exception also has its data chunk 6", errors: 1},
	{name: "both", spec: "fill 40\nex 5 12 8", uncertain: []uint64{12, 18}, unlisted: true, why: "area 0 slot 5: old chunk 12 already has an exception", errors: 2},
	{name: "of one chunk, with another's data", spec: "fill 40\nex 20 12 10", uncertain: []uint64{12, 24}, unlisted: true, why: "old chunk 12 already has an exception", errors: 1},
	{name: "twice the same", spec: "fill 40\nex 5 12 6", unlisted: true, why: "is already in the list", errors: 1},
	{name: "three times, once otherwise", spec: "fill 40\nex 5 12 6\nex 6 12 8", uncertain: []uint64{12}, unlisted: true, why: "area 0 slot", errors: 2},
	{name: "metadata", spec: "fill 40\nex 5 15 34", uncertain: []uint64{15}, why: "area 0 slot 5: new chunk 34 is metadata area 1", errors: 1},
	{name: "behind the device", spec: "fill 40\nex 5 15 200", uncertain: []uint64{15}, why: "area 0 slot 5: new chunk 200 is past the end of the device", errors: 1},
	{name: "over 56 bits", spec: "fill 40\nex 5 15 0x100000000000007", uncertain: []uint64{15}, why: "area 0 slot 5: new chunk 0x100000000000007 does not fit", errors: 1},
	{name: "all ones", spec: "fill 40\nex 5 15 max", uncertain: []uint64{15}, why: "area 0 slot 5", errors: 1},
	{name: "an exception of ones", spec: "fill 40\nex 5 max max", unlisted: true, why: "area 0 slot 5", errors: 1},
	{name: "two of a sector", spec: "fill 40\nex 5 15 max\nex 9 27 max", uncertain: []uint64{15, 27}, unlisted: true, why: "area 0 slot", errors: 2},
	{name: "out of place", spec: "fill 40\nex 5 15 150", uncertain: []uint64{15}, why: "area 0 slot 5: new chunk 150 is out of place", errors: 1},
	{name: "without its new chunk", spec: "fill 40\nex 40 7 0", uncertain: []uint64{7}, why: "area 1 slot 8", errors: 1},
	{name: "behind the origin", spec: "fill 40\nex 5 256 7", unlisted: true, why: "old chunk 256 is past the end of the origin", errors: 1},
	{name: "behind the origin, with another's data", spec: "fill 40\nex 5 256 6", uncertain: []uint64{12}, unlisted: true, errors: 1},
	{name: "list cut off", spec: "fill 400", unlisted: true, why: "area 2 slot 22: old chunk 258", errors: 1},
	{name: "hidden", spec: "fill 40\nex 20 0 0", unlisted: true, why: "area 0 slot 21: the list ends at slot 20 of this area, and 11 exceptions follow", errors: 1},
	{name: "torn", spec: "fill 40\nraw 0x4600 00*0\nex 64 7 150\nex 65 8 151", errors: 0},
}

// device is the COW device of a damage.
func (d damage) device(t *testing.T) []byte {
	t.Helper()
	size := "200"
	if d.name == "list cut off" {
		size = "430"
	}
	return storespec.MustCompile(t, "device "+size+"\nheader chunk=1\n"+d.spec+"\ndata 9")
}

// TestDamage: what is certain is read, and what is not is an error that names the exception.
func TestDamage(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			cow := d.device(t)
			if d.name == "list cut off" {
				cow = cow[:331*sector] // A(10) = 331
			}
			r := newRig(t, "device 2", 256*sector)
			r = rigOf(cow, r.originImage())
			v := r.open(t)
			n := 0
			for _, tally := range v.Report().Tallies {
				if tally.Severity == 0 {
					n += int(tally.Count)
				}
			}
			if n != d.errors && d.name != "list cut off" {
				t.Errorf("%d errors, want %d", n, d.errors)
			}
			for old := range uint64(256) {
				d.chunk(t, r, v, old)
			}
			stretchesOf(t, r, v)
		})
	}
}

// stretchesOf wants the stretches that a view says are uncertain to be the chunks that it does not read,
// and the first of them to be told; so also of a view of the list alone.
func stretchesOf(t *testing.T, r *rig, v *View) {
	t.Helper()
	unread := make([]bool, v.Size()/sector)
	for i := range unread {
		_, err := v.ReadAt(make([]byte, sector), int64(i)*sector)
		unread[i] = err != nil
	}
	want := marked(int(v.Size()), func(at int) bool { return unread[at/sector] })
	for i, v := range lists(t, r) {
		var got []Range
		for r := range v.Uncertain() {
			got = append(got, r)
		}
		if !slices.Equal(got, want) {
			t.Errorf("view %d: uncertain are %v, and %v cannot be read", i, got, want)
		}
		var first *UncertainError
		switch told := errors.As(v.FirstUncertain(), &first); {
		case told != (len(want) > 0):
			t.Errorf("view %d: the first one is %v", i, v.FirstUncertain())
		case told && (first.Offset != want[0].Offset || first.Old != format.OldChunk(want[0].Offset/sector)):
			t.Errorf("view %d: the first one is %v, want byte %d", i, first, want[0].Offset)
		}
		if err := v.Close(); err != nil {
			t.Errorf("view %d: %v", i, err)
		}
	}
}

// TestPastEnd: where each chunk has its exception, and one lies past the snapshot's end, all that can be
// read is certain, and yet it may be that the snapshot is longer.
func TestPastEnd(t *testing.T) {
	const farthest = math.MaxInt64 / sector
	for past, at := range map[uint64]format.Bytes{20: 20, 21: 21, 1 << 40: 1 << 40, 1<<63 + 7: farthest} {
		r := newRig(t, fmt.Sprintf("device 200\nheader chunk=1\nfill 20 0\nex 20 %d 22\ndata 9", past), 20*sector)
		for i, v := range lists(t, r) {
			for r := range v.Uncertain() {
				t.Errorf("past %d: view %d: %+v is uncertain", past, i, r)
			}
			var u *UncertainError
			if !errors.As(v.FirstUncertain(), &u) || uint64(u.Old) != past || u.Offset != at*sector || !strings.Contains(u.Why, "past the end") {
				t.Errorf("past %d: view %d: %v", past, i, v.FirstUncertain())
			}
		}
	}
}

// chunk holds a chunk to what it must be.
func (d damage) chunk(t *testing.T, r *rig, v *View, old uint64) {
	t.Helper()
	got := make([]byte, sector)
	n, err := v.ReadAt(got, int64(old)*sector)
	listed, data := d.listed(r, old)
	var u *UncertainError
	switch certain := !slices.Contains(d.uncertain, old) && (listed || !d.unlisted); {
	case !certain && !errors.As(err, &u):
		t.Errorf("chunk %d: %v, and it is uncertain", old, err)
	case !certain && (n != 0 || u.Old != format.OldChunk(old) || !strings.Contains(u.Why, d.why) && (!listed && d.unlisted || len(d.uncertain) > 0 && old == d.uncertain[0])):
		t.Errorf("chunk %d: %d bytes, %v", old, n, u)
	case certain && err != nil:
		t.Errorf("chunk %d: %v", old, err)
	case certain && !bytes.Equal(got, data):
		t.Errorf("chunk %d holds something else", old)
	}
}

// listed reports whether a chunk has an exception, and what it holds then, going by its first
// one; else by the origin.
func (d damage) listed(r *rig, old uint64) (bool, []byte) {
	cow := naive.Of(r.cowImage())
	for _, x := range cow.List() {
		if x.Old == old {
			return true, cow.Data(x.New)
		}
	}
	return false, r.originImage()[old*sector:][:sector]
}

// TestUnreadableArea: where an area cannot be read, no chunk without an exception is certain.
func TestUnreadableArea(t *testing.T) {
	r := newRig(t, "device 200\nheader chunk=1\nfill 40\ndata 9", 256*sector)
	want := r.naiveView(t)
	r.all.Fault = devicetest.BadByte(34*sector, errBroken) // area 1
	v := r.open(t)
	r.all.Fault = nil
	p := make([]byte, sector)
	for old := range int64(256) {
		_, err := v.ReadAt(p, old*sector)
		first := old < 96 && old%3 == 0 // those of area 0
		var u *UncertainError
		switch {
		case first && (err != nil || !bytes.Equal(p, want[old*sector:][:sector])):
			t.Errorf("chunk %d: %v", old, err)
		case !first && (!errors.As(err, &u) || !strings.Contains(u.Why, "area 1 at chunk 34")):
			t.Errorf("chunk %d: %v", old, err)
		}
	}
	if len(v.Report().Unread) == 0 {
		t.Error("the report does not tell")
	}
}

// TestGarbageArea: what stands in an area that holds no exceptions is not looked at, and no
// chunk that has no exception elsewhere is certain.
func TestGarbageArea(t *testing.T) {
	// Of its entries, two could be exceptions.
	spec := "device 400\nheader chunk=1\nfill 100\nraw 0x4400 " + strings.Repeat("e7 ", 512) + "\nex 40 500 150\nex 41 3 151\ndata 9"
	r := newRig(t, spec, 512*sector)
	v := r.open(t)
	p := make([]byte, sector)
	for old := range int64(512) {
		_, err := v.ReadAt(p, old*sector)
		good := old%3 == 0 && (old < 96 || old >= 192 && old < 300)
		var u *UncertainError
		if good && err != nil || !good && (!errors.As(err, &u) || !strings.Contains(u.Why, "area 1: 30 of the 32 slots")) {
			t.Errorf("chunk %d: %v", old, err)
		}
	}
}

// TestWrongChunkSize: where the exceptions of a store with smaller chunks show that the header has
// the wrong size, nothing is certain, though the list reads as empty.
func TestWrongChunkSize(t *testing.T) {
	r := newRig(t, "device 4000\nlayout chunk=1\nheader chunk=8\nfill 5", 256*sector)
	v := r.open(t)
	p := make([]byte, sector)
	for old := range int64(256) {
		var u *UncertainError
		if _, err := v.ReadAt(p, old*sector); !errors.As(err, &u) || !strings.Contains(u.Why, "wrong-chunk-size") {
			t.Fatalf("sector %d: %v", old, err)
		}
	}
}

// TestDamagedStores opens every damaged store of the project and reads all of it: what there
// is no error for is what the list says, or the origin.
func TestDamagedStores(t *testing.T) {
	for _, c := range damaged.Load(t) {
		t.Run(c.Name, func(t *testing.T) {
			r := newRig(t, "device 2", damaged.OriginSectors*sector)
			r = rigOf(c.Image, r.originImage())
			v, err := Open(r.options())
			var state *look.StateError
			switch {
			case errors.Is(err, look.ErrInvalid), errors.As(err, &state):
				return
			case err != nil:
				t.Fatal(err)
			}
			chunk := int64(v.geometry.ChunkBytes())
			for at := int64(0); at < v.Size(); at += chunk {
				p := make([]byte, min(chunk, v.Size()-at))
				if _, err := v.ReadAt(p, at); err != nil {
					if c.Result == "sound" {
						t.Errorf("byte %d: %v", at, err)
					}
					continue
				}
				if !bytes.Equal(p, r.originImage()[at:][:len(p)]) && !bytes.Contains(r.cowImage(), p) {
					t.Errorf("byte %d: what is there is on neither device", at)
				}
			}
			if c.Result == "sound" && !bytes.Equal(content(t, v), r.naiveView(t)) {
				t.Error("the view is another")
			}
		})
	}
}

// TestRefused: what is no store that can be shown is refused.
func TestRefused(t *testing.T) {
	for spec, want := range map[string]any{
		"device 200":                            look.Uninitialized,
		"device 200\nheader chunk=1 valid=0":    look.ErrInvalid,
		"device 200\nheader chunk=1 version=2":  look.Damaged,
		"device 200\nheader chunk=3":            look.Damaged,
		"device 200\nheader chunk=1 magic=0x77": look.Foreign,
	} {
		r := newRig(t, spec, 256*sector)
		_, err := Open(r.options())
		var state *look.StateError
		if e, ok := want.(error); ok && !errors.Is(err, e) || !ok && (!errors.As(err, &state) || state.State != want) {
			t.Errorf("%q: %v", spec, err)
		}
	}
	r := newRig(t, "device 200\nheader chunk=1 valid=0\nfill 40\ndata 9", 256*sector)
	o := r.options()
	o.InvalidOK = true
	v, err := Open(o)
	if err != nil || !bytes.Equal(content(t, v), r.naiveView(t)) {
		t.Errorf("an invalid one: %v", err)
	}
	if o.To = r.cow; true {
		if _, err := Open(o); !errors.Is(err, look.ErrInvalid) {
			t.Errorf("an invalid one, to be written: %v", err)
		}
	}
	if _, err := v.WriteAt([]byte{1}, 0); !errors.Is(err, ErrReadOnly) {
		t.Errorf("written to: %v", err)
	}
	for _, d := range damages {
		if d.errors == 0 {
			continue
		}
		r := rigOf(d.device(t), make([]byte, 256*sector))
		if _, err := r.openToWrite(); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s, to be written: %v", d.name, err)
		}
	}
	stop := errors.New("stop")
	o = newRig(t, "device 200\nheader chunk=1\nfill 40", 256*sector).options()
	if o.Visit = func(format.AreaIndex) error { return stop }; true {
		if _, err := Open(o); !errors.Is(err, stop) {
			t.Errorf("stopped: %v", err)
		}
	}
}
