package naive_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/naive"
)

// TestIndependent: the packages that say what a store or a physical volume holds, for tests, import
// nothing of the program.
func TestIndependent(t *testing.T) {
	independent := []string{"dmcow/internal/naive", "dmcow/internal/storespec", "dmcow/internal/damaged", "dmcow/internal/pvimage"}
	out, err := exec.Command("go", append([]string{"list", "-deps"}, independent...)...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(pkg, "dmcow") && !slices.Contains(independent, pkg) {
			t.Errorf("one of them imports %s", pkg)
		}
	}
}

// TestStoresOfTheKernel: every snapshot reads as the kernel showed it, and has as many exceptions as
// the kernel made.
func TestStoresOfTheKernel(t *testing.T) {
	shown := 0
	for name, k := range corpus.Load(t) {
		s := naive.Of(k.COW(t))
		if s.Chunk != int(k.ChunkSectors)*512 {
			t.Errorf("%s: chunks of %d bytes, the kernel was told %d sectors", name, s.Chunk, k.ChunkSectors)
		}
		if n := len(s.List()); k.Exceptions != nil && n != *k.Exceptions {
			t.Errorf("%s: %d exceptions, the kernel made %d", name, n, *k.Exceptions)
		}
		if k.ViewSHA256 == "" {
			continue
		}
		shown++
		view, err := s.View(k.Origin(t))
		if err != nil || corpus.Digest(view) != k.ViewSHA256 {
			t.Errorf("%s: the view is not what the kernel showed (%v)", name, err)
		}
	}
	if shown < 10 {
		t.Errorf("the kernel showed %d snapshots, want more", shown)
	}
}

// TestByHand reads a store of chunks of one sector, whose second area is chunk 34, and whose image
// ends within a chunk.
func TestByHand(t *testing.T) {
	image := make([]byte, 40*512+100)
	copy(image, "SnAp\x01\x00\x00\x00\x01\x00\x00\x00\x01")
	s := naive.Of(image)
	if s.Chunk != 512 || s.Chunks() != 40 || s.PerArea() != 32 || len(s.List()) != 0 {
		t.Fatalf("%d, %d, %d, %v", s.Chunk, s.Chunks(), s.PerArea(), s.List())
	}
	var want []naive.Exception
	for n := range 33 {
		want = append(want, naive.Exception{Old: uint64(100 - n), New: uint64(n%30 + 2)})
		want[n].Encode(s.Entry(n))
	}
	if image[512] != 100 || image[520] != 2 || image[34*512] != 68 || image[34*512+8] != 4 {
		t.Error("the list does not stand in chunks 1 and 34")
	}
	if got := s.List(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	var data []uint64
	for chunk := range uint64(50) {
		if s.IsData(chunk) {
			data = append(data, chunk)
		}
	}
	if len(data) != 37 || data[0] != 2 || data[31] != 33 || data[32] != 35 || data[36] != 39 {
		t.Errorf("chunks with data: %v", data)
	}
	if _, ok := s.Slot(63); !ok {
		t.Error("slot 63 is the last one of area 1")
	}
	if _, ok := s.Slot(64); ok {
		t.Error("area 2 is not on the device")
	}
	if s.Data(39) == nil || s.Data(40) != nil {
		t.Error("chunk 39 is the last whole one")
	}
}

// TestView: the last exception of a chunk counts, a short chunk at the origin's end is cut, and an
// exception of a chunk that is not there is left out and told.
func TestView(t *testing.T) {
	s := naive.Store{Image: make([]byte, 20*1024), Chunk: 1024}
	for n, x := range []naive.Exception{{Old: 0, New: 2}, {Old: 0, New: 3}, {Old: 2, New: 4}, {Old: 3, New: 5}, {Old: 1, New: 20}, {Old: 1 << 60, New: 6}, {Old: 1, New: 1 << 63}} {
		x.Encode(s.Entry(n))
	}
	for i := range s.Image[2*1024:] {
		s.Image[2*1024+i] = byte(2 + i/1024)
	}
	origin := make([]byte, 2*1024+7)
	view, err := s.View(origin)
	if err == nil || err.Error() != "exception 3, {Old:3 New:5}, names a chunk that is not there" {
		t.Error(err)
	}
	want := slices.Concat(slices.Repeat([]byte{3}, 1024), make([]byte, 1024), slices.Repeat([]byte{4}, 7))
	if !slices.Equal(view, want) {
		t.Errorf("%d bytes, want %d; they begin with %v", len(view), len(want), view[:1])
	}
	if slices.Max(origin) != 0 {
		t.Error("the origin was changed")
	}
}
