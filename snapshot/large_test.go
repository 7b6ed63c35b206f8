package snapshot_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/pvimage"
	"dmcow/snapshot"
)

// TestInventoryGrows: what listing a group takes grows with its snapshots, not with their square, whether they have
// one origin or one each. Counted are the bytes that it asks for, of which there are some wherever it goes through the group.
func TestInventoryGrows(t *testing.T) {
	const few, many = 300, 3000
	for _, each := range []bool{false, true} {
		per := func(n int) float64 {
			path := filepath.Join(t.TempDir(), "disk")
			devicetest.WriteFile(t, path, largeGroup(n, each))
			inventory(t, path, n) // what is asked for once only
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			inventory(t, path, n)
			runtime.ReadMemStats(&after)
			return float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
		}
		if a, b := per(few), per(many); b > 1.5*a {
			t.Errorf("an origin for each %v: %.0f bytes for each of %d snapshots, and %.0f for each of %d", each, a, few, b, many)
		}
	}
}

// TestInventoryKeeps: of a store that was examined, what it tells is kept, and nothing of the device that it was read from.
func TestInventoryKeeps(t *testing.T) {
	const n, most = 3000, 700 // bytes; a device that was joined has some 1000
	path := filepath.Join(t.TempDir(), "disk")
	devicetest.WriteFile(t, path, largeGroup(n, true))
	s := snapshot.Open(snapshot.Options{Where: []string{path}})
	defer s.Close()
	i, err := s.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	examine(t, s, i)
	if kept := (heap() - before) / n; kept > most {
		t.Errorf("%d bytes are kept of each store, expected %d at most", kept, most)
	}
	runtime.KeepAlive(i)
}

// inventory lists what is on a disk, and examines it.
func inventory(t *testing.T, disk string, want int) {
	t.Helper()
	s := snapshot.Open(snapshot.Options{Where: []string{disk}})
	defer s.Close()
	i, err := s.Inventory()
	if err != nil || len(i.All) != want {
		t.Fatal(len(i.All), err, i.Unread, i.Faults, i.Empty)
	}
	examine(t, s, i)
}

func examine(t *testing.T, s *snapshot.Session, i *snapshot.Inventory) {
	t.Helper()
	for _, l := range i.All {
		if err := s.Examine(l); err != nil || l.Err != nil {
			t.Fatal(err, l.Err)
		}
	}
}

// largeGroup is a physical volume with n snapshots, each on two extents of 4 KiB.
func largeGroup(n int, each bool) []byte {
	id := func(n int) string { return fmt.Sprintf("%06d-0000-0000-0000-0000-0000-000000", n) }
	origins := 1
	if each {
		origins = n
	}
	var b strings.Builder
	fmt.Fprintf(&b, "vg0 { id = %q seqno = 1 extent_size = 8 physical_volumes { pv0 { id = %q pe_start = 4096 pe_count = %d } } logical_volumes {\n", id(1), id(0), origins+2*n)
	ids := 1
	volume := func(name string, i, extents int, rest string) {
		ids++
		fmt.Fprintf(&b, "%s%d { id = %q segment_count = 1 segment1 { start_extent = 0 extent_count = %d %s } }\n", name, i, id(ids), extents, rest)
	}
	for i := range origins {
		volume("o", i, 1, fmt.Sprintf(`type = "striped" stripes = ["pv0", %d]`, i))
	}
	for i := range n {
		volume("s", i, 2, fmt.Sprintf(`type = "striped" stripes = ["pv0", %d]`, origins+2*i))
		volume("snapshot", i, 1, fmt.Sprintf(`type = "snapshot" chunk_size = 8 origin = "o%d" cow_store = "s%d"`, i%origins, i))
	}
	b.WriteString("} }\nversion = 1\n")
	v := pvimage.Volume{UUID: id(0), Size: 2<<20 + int64(origins+2*n)*4096, Label: 1}
	v.Areas = []pvimage.Area{{Offset: 4096, Size: 2<<20 - 4096, Start: 512, Text: b.String()}}
	image := v.Image()
	for i := range n {
		format.Header{Magic: format.Magic, Valid: 1, Version: format.Version, ChunkSectors: 8}.Encode(image[2<<20+(origins+2*i)*4096:])
	}
	return image
}
