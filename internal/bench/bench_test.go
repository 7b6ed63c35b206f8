package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"dmcow/cmd"
	"dmcow/format"
	"dmcow/internal/device"
)

// TestStores makes tiny stores, some of whose areas are exactly full, and lets
// the floor walk, dmcow and a look at each exception agree on them.
func TestStores(t *testing.T) {
	for _, n := range []uint64{0, 1, 3, 255, 256, 257, 1000, 4096} {
		for _, order := range orders {
			t.Run(fmt.Sprintf("%d %s", n, order), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "store")
				if err := synthesize(path, n, order); err != nil {
					t.Fatal(err)
				}
				found, highest, err := floor(path)
				if err != nil || found != n {
					t.Fatalf("floor: %d exceptions, %v", found, err)
				}
				for name, bound := range bounds {
					if found, err := bound(path); err != nil || found != n {
						t.Errorf("%s: %d exceptions, %v", name, found, err)
					}
				}
				checkUsage(t, path, n, highest)
				checkSound(t, path)
			})
		}
	}
}

// checkUsage asks dmcow about a store without holes.
func checkUsage(t *testing.T, path string, n, highest uint64) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := cmd.Main([]string{"usage", "--output", "json", path}, &stdout, &stderr); code != 0 {
		t.Fatalf("usage: status %d: %s", code, &stderr)
	}
	var all []struct {
		State         string
		Exceptions    uint64 `json:"exceptions"`
		NextFreeChunk uint64 `json:"next_free_chunk"`
		LeakedChunks  uint64 `json:"leaked_chunks"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &all); err != nil || len(all) != 1 {
		t.Fatal(err, stdout.String())
	}
	next := uint64(geometry().SkipMetadata(format.NewChunk(max(highest, 1) + 1)))
	if u := all[0]; u.State != "valid" || u.Exceptions != n || u.NextFreeChunk != next || u.LeakedChunks != 0 {
		t.Errorf("usage: %s, want %d exceptions, next free chunk %d", &stdout, n, next)
	}
}

// checkSound makes sure that no two exceptions share a chunk, and that all
// chunks are data chunks.
func checkSound(t *testing.T, path string) {
	t.Helper()
	d, err := device.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	old, new := map[format.OldChunk]bool{}, map[format.NewChunk]bool{}
	w := format.Walk{Device: d, Size: format.Bytes(d.Size()), Geometry: geometry()}
	_, err = format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
		for p := range b.Pieces() {
			for i := range p.Len() {
				x := p.At(i)
				if old[x.Old] || new[x.New] || x.New < 2 || geometry().IsMetadata(x.New) {
					return fmt.Errorf("unsound: %v", x)
				}
				old[x.Old], new[x.New] = true, true
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []int
		want   int
	}{{[]int{7}, 7}, {[]int{3, 1}, 3}, {[]int{5, 1, 3}, 3}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v: %d, want %d", c.values, got, c.want)
		}
	}
}
