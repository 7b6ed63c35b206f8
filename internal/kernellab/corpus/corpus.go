// Package corpus holds the project's stores that a kernel made: how each is
// made, and, for tests that have no kernel at hand, copies of them under
// testdata/kernel with the kernel's own answers beside them.
//
// The copies and kernel.json are written anew by this package's tests, in the
// lab but for the power cut, which takes two kernels and so runs outside:
//
//	export DMCOW_UPDATE=1 DMCOW_LAB_OUT=$PWD/testdata/kernel
//	go test -count=1 -exec "go run dmcow/internal/kernellab/umlexec" ./internal/kernellab/corpus
//	go test -count=1 -run '^TestPowerCut$' ./internal/kernellab/corpus
//
// Without DMCOW_UPDATE the same tests compare what the kernel makes with the
// copies. What depends on timing (the power cut, the merge that was stopped) or
// on the time of day (LVM's) comes out different each time.
package corpus

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// A Store is one entry of kernel.json: a store, its origin, and what the kernel
// says and serves when it loads them.
type Store struct {
	Name string `json:"-"`

	// The files beside kernel.json, gzipped.
	COWFile    string `json:"cow"`
	OriginFile string `json:"origin"`

	COWSectors    uint64 `json:"cow_sectors"`
	OriginSectors uint64 `json:"origin_sectors"`
	ChunkSectors  uint64 `json:"chunk_sectors"`
	Type          string `json:"type"` // P or PO, of the table that it was made with

	// Status is what follows the target's name in the status line.
	Status string `json:"status"`
	// Of the snapshot's content; empty when the kernel fails to read it.
	ViewSHA256   string `json:"view_sha256,omitempty"`
	OriginSHA256 string `json:"origin_sha256"`
	COWSHA256    string `json:"cow_sha256"`

	// Exceptions is the number of chunks in which snapshot and origin differ,
	// where every exception made such a difference; else nil.
	Exceptions *int `json:"exceptions,omitempty"`

	// Writes to the COW device in the order in which it completed them, from
	// its first use on, where they were logged.
	Writes []Write `json:"cow_writes,omitempty"`

	// Of LVM's store: VG/LV, and lvs -o data_percent.
	LVMName     string `json:"lvm_name,omitempty"`
	DataPercent string `json:"data_percent,omitempty"`

	Kernel string `json:"kernel"` // uname -r

	dir string
}

// A Write is an entry of a dm-log-writes log: a write, or a mark between them.
type Write struct {
	Mark    string `json:"mark,omitempty"`
	Sector  uint64 `json:"sector"`
	Sectors uint64 `json:"sectors"`
	Flags   string `json:"flags,omitempty"` // of FLUSH, FUA, DISCARD and METADATA, joined by +
	SHA256  string `json:"sha256,omitempty"`
	Zero    bool   `json:"zero,omitempty"` // nothing but zeros
}

// Load reads testdata/kernel/kernel.json: the stores by their names.
func Load(t testing.TB) map[string]Store {
	t.Helper()
	stores, err := read(filepath.Join(moduleRoot(t), "testdata", "kernel"))
	kernellab.Must(t, err)
	return stores
}

// COW is the COW device's content.
func (s Store) COW(t testing.TB) []byte {
	t.Helper()
	return devicetest.Unzip(t, filepath.Join(s.dir, s.COWFile))
}

// Origin is the origin's content as the store leaves it.
func (s Store) Origin(t testing.TB) []byte {
	t.Helper()
	return devicetest.Unzip(t, filepath.Join(s.dir, s.OriginFile))
}

// Digest is the SHA-256 of content as kernel.json has it, in hexadecimal.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func read(dir string) (map[string]Store, error) {
	b, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil {
		return nil, err
	}
	var stores map[string]Store
	if err := json.Unmarshal(b, &stores); err != nil {
		return nil, err
	}
	for name, s := range stores {
		s.Name, s.dir = name, dir
		stores[name] = s
	}
	return stores, nil
}

// moduleRoot is the directory with go.mod, from the test's on upwards.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	kernellab.Must(t, err)
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test's directory")
		}
	}
}
