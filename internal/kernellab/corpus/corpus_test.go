package corpus

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
)

// TestKernelScenarios has the kernel make each store, and compares it with the copy
// in testdata, or writes that copy.
func TestKernelScenarios(t *testing.T) {
	kernellab.Require(t)
	var stored map[string]Store
	if !updating() {
		stored = Load(t)
	}
	for _, sc := range Scenarios() {
		t.Run(sc.Name, func(t *testing.T) {
			r := Run(t, sc)
			if r.Before != nil {
				settle(t, *r.Before, stored, false)
			}
			settle(t, r, stored, sc.Timed)
		})
	}
}

func settle(t *testing.T, r Result, stored map[string]Store, timed bool) {
	t.Helper()
	t.Logf("%s: %s", r.Name, r.Status)
	if updating() {
		save(t, r.Store, readFile(t, r.COWPath), readFile(t, r.OriginPath))
		return
	}
	want, found := stored[r.Name]
	if !found {
		t.Fatalf("testdata has no %s: write it anew, see the package comment", r.Name)
	}
	got := r.Store
	got.COWFile, got.OriginFile, got.dir, got.Kernel = want.COWFile, want.OriginFile, want.dir, want.Kernel
	if !kernellab.Linux(6, 1) {
		got.Writes, want.Writes = plainFlushes(got.Writes), plainFlushes(want.Writes)
	}
	if !timed && !reflect.DeepEqual(got, want) {
		t.Errorf("the kernel made\n%+v\ntestdata has\n%+v", got, want)
	}
}

// plainFlushes are writes with each flush that is alone as Linux 5.10 has it: at no place, and without the FUA that
// says nothing of it.
func plainFlushes(writes []Write) []Write {
	writes = slices.Clone(writes)
	for i, w := range writes {
		if w.Sectors == 0 && strings.HasPrefix(w.Flags, "FLUSH") {
			writes[i].Sector, writes[i].Flags = 0, "FLUSH"
		}
	}
	return writes
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	kernellab.Must(t, err)
	return b
}

// TestCopies needs no kernel: the files in testdata are those that kernel.json
// speaks of, all of them.
func TestCopies(t *testing.T) {
	files := map[string]bool{"kernel.json": true}
	for name, s := range Load(t) {
		cow, origin := s.COW(t), s.Origin(t)
		if Digest(cow) != s.COWSHA256 || uint64(len(cow)) != s.COWSectors*kernellab.SectorSize {
			t.Errorf("%s: not the store that kernel.json describes", name)
		}
		if Digest(origin) != s.OriginSHA256 || uint64(len(origin)) != s.OriginSectors*kernellab.SectorSize {
			t.Errorf("%s: not the origin that kernel.json describes", name)
		}
		files[s.COWFile], files[s.OriginFile] = true, true
	}
	entries, err := os.ReadDir(filepath.Join(moduleRoot(t), "testdata", "kernel"))
	kernellab.Must(t, err)
	for _, e := range entries {
		if !files[e.Name()] {
			t.Errorf("kernel.json does not speak of %s", e.Name())
		}
	}
}
