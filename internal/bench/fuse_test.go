package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestPieces: what bounds a mount shows what the merge would leave.
func TestPieces(t *testing.T) {
	dir := t.TempDir()
	m := mergeable{40, "quarter"}
	store, origin := filepath.Join(dir, "store"), filepath.Join(dir, "origin")
	if err := m.write(store, origin); err != nil {
		t.Fatal(err)
	}
	p, err := m.pieces(store)
	if err != nil {
		t.Fatal(err)
	}
	defer p.file.Close()
	f, err := os.Open(origin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	saved := map[uint64]bool{}
	for _, old := range m.old() {
		saved[old] = true
	}
	size := int(geometry().ChunkBytes())
	for _, chunks := range []int{1, 7, 32} { // in each read
		got, want := make([]byte, chunks*size), make([]byte, size)
		for at := 0; at < int(m.originSize()); at += len(got) {
			n, err := p.readAt(f, got, int64(at))
			if err != nil && at+n != int(m.originSize()) {
				t.Fatal(err)
			}
			for i := 0; i < n; i += size {
				chunk := uint64((at + i) / size)
				if content(want, chunk, saved[chunk]); !bytes.Equal(got[i:i+size], want) {
					t.Fatalf("chunk %d is another", chunk)
				}
			}
		}
	}
}
