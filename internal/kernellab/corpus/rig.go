package corpus

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// A Result is a store fresh from the kernel: the entry for kernel.json, and
// where its bytes are until the test ends.
type Result struct {
	Store
	COWPath, OriginPath string
	Table               string  // as loaded to ask for the status
	Before              *Result // the store before the merge, named NAME.before; nil without one
}

// Run makes the scenario's store. The caller has called kernellab.Require.
func Run(t testing.TB, sc Scenario) Result {
	t.Helper()
	b := newRig(t, sc)
	for _, step := range sc.Steps {
		step(b)
	}
	if len(sc.Steps) == 0 {
		b.load()
	}
	result := b.result(sc.Name)
	result.Before = b.before
	if sc.Logged {
		result.Writes = b.writes()
	}
	return result
}

// A rig carries out a scenario.
type rig struct {
	testing.TB
	sc                  Scenario
	origin, rawCOW, cow string // block devices; cow is what the kernel is given
	log                 *kernellab.WriteLog
	up                  *kernellab.Snapshot // nil while the store is not loaded
	before              *Result
}

func newRig(t testing.TB, sc Scenario) *rig {
	t.Helper()
	if sc.Type == "" {
		sc.Type = "P"
	}
	origin, cow := kernellab.File(t, "origin", sc.OriginSectors), kernellab.File(t, "cow", sc.COWSectors)
	devicetest.WriteFile(t, origin, kernellab.Pattern(0, sc.OriginSectors, 0))
	if sc.Stale {
		const zeroed = 4096 // what lvcreate clears
		garbage := bytes.Repeat([]byte{0xa5}, int(sc.COWSectors*kernellab.SectorSize)-zeroed)
		devicetest.WriteFile(t, cow, append(make([]byte, zeroed), garbage...))
	}
	b := &rig{TB: t, sc: sc, origin: kernellab.Loop(t, origin), rawCOW: kernellab.Loop(t, cow)}
	b.cow = b.rawCOW
	if sc.Logged {
		b.log = kernellab.NewWriteLog(t, b.rawCOW, 8<<20/kernellab.SectorSize)
		b.cow = b.log.Path
	}
	return b
}

func (b *rig) load() *kernellab.Snapshot {
	b.Helper()
	if b.up == nil {
		b.up = kernellab.NewSnapshot(b, b.origin, b.cow, b.sc.Type, b.sc.Chunk)
	}
	return b.up
}

func (b *rig) unload() {
	b.Helper()
	if b.up != nil {
		b.up.Down(b)
		b.up = nil
	}
}

func writeOrigin(chunks []uint64, version uint64) Step {
	return func(b *rig) { b.write(b.load().Origin, chunks, version, false) }
}

func writeSnapshot(chunks []uint64, version uint64) Step {
	return func(b *rig) { b.write(b.load().View, chunks, version, false) }
}

// writeSnapshotInVain expects some of the writes to find no room.
func writeSnapshotInVain(chunks []uint64, version uint64) Step {
	return func(b *rig) { b.write(b.load().View, chunks, version, true) }
}

func (b *rig) write(to *kernellab.Device, chunks []uint64, version uint64, inVain bool) {
	b.Helper()
	failed, err := kernellab.WritePattern(to.Path, b.sc.Chunk, chunks, version)
	kernellab.Must(b, err)
	if (failed > 0) != inVain {
		b.Fatalf("%s: %d writes failed", to.Name, failed)
	}
}

func expectStatus(want string) Step {
	return func(b *rig) {
		if got := b.load().View.Status(b); got != want {
			b.Errorf("status %q, want %q", got, want)
		}
	}
}

func mark(word string) Step {
	return func(b *rig) { b.log.Message(b, "mark", word) }
}

// saveBefore keeps the store as it is before the next step.
func saveBefore(b *rig) {
	r := b.result(b.sc.Name + ".before")
	b.before = &r
}

// merge has the kernel merge the store into its origin, and stops as Merge
// does. A merge that is to be stopped goes to a slow origin, or it would be
// over before anybody could look.
func merge(enough func(allocated uint64) bool) Step {
	return func(b *rig) {
		b.unload()
		origin := b.origin
		if enough != nil {
			const milliseconds = 10
			slow := kernellab.Create(b, "slow", fmt.Sprintf("0 %d delay %s 0 0 %s 0 %d",
				b.sc.OriginSectors, origin, origin, milliseconds), false)
			defer slow.Remove(b)
			origin = slow.Path
		}
		first, last := kernellab.Merge(b, origin, b.cow, b.sc.Type, b.sc.Chunk, enough)
		if strings.Contains(last, "ailed") {
			b.Fatalf("merge: first %q, last %q", first, last)
		}
	}
}

// result takes the store down and has the kernel load it once more, straight
// from its device: a log then shows nothing of that.
func (b *rig) result(name string) Result {
	b.Helper()
	b.unload()
	dir := b.TempDir()
	r := Result{COWPath: filepath.Join(dir, "cow"), OriginPath: filepath.Join(dir, "origin")}
	r.COWSHA256 = copyDevice(b, r.COWPath, b.rawCOW)
	r.OriginSHA256 = copyDevice(b, r.OriginPath, b.origin)
	r.Table = ask(b, &r.Store, b.origin, b.rawCOW, b.sc.Type, b.sc.Chunk)
	r.Name = name
	return r
}

// ask loads the store on the block device cow, fills in what the kernel says
// and serves, and returns the table that it was loaded with.
func ask(t testing.TB, s *Store, origin, cow, typ string, chunk uint64) (table string) {
	t.Helper()
	snapshot := kernellab.NewSnapshot(t, origin, cow, typ, chunk)
	defer snapshot.Down(t)
	s.Type, s.ChunkSectors = typ, chunk
	s.COWSectors, s.OriginSectors = kernellab.Size(t, cow), kernellab.Size(t, origin)
	s.Status = snapshot.View.Status(t)
	if view, err := kernellab.Digest(snapshot.View.Path); err == nil {
		s.ViewSHA256 = view
		s.Exceptions = new(differences(t, snapshot, chunk))
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	kernellab.Must(t, err)
	s.Kernel = strings.TrimSpace(string(release))
	return snapshot.View.Table(t)
}

func differences(t testing.TB, s *kernellab.Snapshot, chunk uint64) int {
	t.Helper()
	view, origin := kernellab.MustRead(t, s.View.Path), kernellab.MustRead(t, s.Origin.Path)
	n, size := 0, int(chunk*kernellab.SectorSize)
	for at := 0; at < len(origin); at += size {
		end := min(at+size, len(origin))
		if !bytes.Equal(view[at:end], origin[at:end]) {
			n++
		}
	}
	return n
}

// copyDevice copies a device to a file, and returns the SHA-256 of its content.
func copyDevice(t testing.TB, to, device string) string {
	t.Helper()
	b := kernellab.MustRead(t, device)
	devicetest.WriteFile(t, to, b)
	return Digest(b)
}
