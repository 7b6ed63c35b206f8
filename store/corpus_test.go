package store_test

import (
	"strconv"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
	"dmcow/store/look"
)

// TestStoresOfTheKernel: for each store that a kernel made, the kernel's status
// line, the number of chunks that it serves from the store, and what lvs shows
// where LVM was there.
func TestStoresOfTheKernel(t *testing.T) {
	shown := 0
	for name, s := range corpus.Load(t) {
		d := devicetest.Of(s.COW(t))
		id, u := usageOf(t, d)
		if id.State == look.Invalid {
			if s.Status != "Invalid" {
				t.Errorf("%s: invalid, the kernel has %s", name, s.Status)
			}
			continue
		}
		if id.State != look.Valid || u.Status() != s.Status || id.Geometry.ChunkSectors() != format.Sectors(s.ChunkSectors) {
			t.Errorf("%s: %s, %s, the kernel has %s", name, id.State, u.Status(), s.Status)
		}
		if s.Exceptions != nil && u.End.Exceptions != uint64(*s.Exceptions) {
			t.Errorf("%s: %d exceptions, the kernel made %d", name, u.End.Exceptions, *s.Exceptions)
		}
		if u.Fault() != "" {
			t.Errorf("%s: %s", name, u.Fault())
		}
		if s.DataPercent != "" {
			shown++
			if got := strconv.FormatFloat(u.Percent(), 'f', 2, 64); got != s.DataPercent {
				t.Errorf("%s: %s%%, lvs shows %s", name, got, s.DataPercent)
			}
		}
	}
	if shown == 0 {
		t.Error("no store has what lvs shows")
	}
}

// TestFullByKernel: one of the stores has the kernel's word for being full,
// with as many exceptions as there is room for.
func TestFullByKernel(t *testing.T) {
	s := corpus.Load(t)["overflow-snapshot-write"]
	_, u := usageOf(t, devicetest.Of(s.COW(t)))
	if u.Free() != 0 || u.Percent() != 100 || u.End.Exceptions != 10 || u.Leaked() != 0 {
		t.Errorf("%d free, %v%%, %d exceptions, %d leaked", u.Free(), u.Percent(), u.End.Exceptions, u.Leaked())
	}
	if size, ok := u.Minimum(); size != 96 || !ok {
		t.Errorf("minimum %d, %v", size, ok)
	}
}

func usageOf(t testing.TB, d *devicetest.Memory) (look.Identity, look.Usage) {
	t.Helper()
	id, err := look.Identify(d, geometry(t, 8))
	if err != nil || id.Geometry.IsZero() {
		t.Fatalf("%+v, %v", id, err)
	}
	size := format.Bytes(d.Size())
	w := format.Walk{Device: d, Size: size, Geometry: id.Geometry}
	end, err := format.Scan(w, func(format.AreaIndex) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return id, look.Usage{Geometry: id.Geometry, Size: size, End: end}
}
