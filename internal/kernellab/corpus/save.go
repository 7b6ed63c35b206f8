package corpus

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// updating reports whether the test is to write its stores to DMCOW_LAB_OUT.
func updating() bool { return os.Getenv("DMCOW_UPDATE") != "" }

// save writes the store's files to DMCOW_LAB_OUT, and its entry to kernel.json
// there, in which it leaves the other stores' entries alone.
func save(t testing.TB, s Store, cow, origin []byte) {
	t.Helper()
	dir := os.Getenv("DMCOW_LAB_OUT")
	if dir == "" {
		t.Fatal("DMCOW_UPDATE without DMCOW_LAB_OUT, the directory to write to")
	}
	s.COWFile, s.OriginFile = s.Name+".cow.gz", s.Name+".origin.gz"
	for name, content := range map[string][]byte{s.COWFile: cow, s.OriginFile: origin} {
		if err := os.WriteFile(filepath.Join(dir, name), devicetest.Zip(t, content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stores, err := read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		stores, err = map[string]Store{}, nil
	}
	kernellab.Must(t, err)
	stores[s.Name] = s
	b, err := json.MarshalIndent(stores, "", "  ")
	kernellab.Must(t, err)
	kernellab.Must(t, os.WriteFile(filepath.Join(dir, "kernel.json"), append(b, '\n'), 0o644))
}
