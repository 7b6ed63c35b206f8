package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/kernellab"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/store"
)

// rig is an origin and a COW device, on which both the kernel and the engine
// can work. Chunk numbers are those of the origin.
type rig struct {
	*testing.T
	chunk  uint64 // sectors
	origin string // block device, with the lab's pattern of version 0 at first
	cow    string // block device
}

// newRig makes the devices; the spec is that of the COW device.
func newRig(t *testing.T, chunk, originChunks uint64, spec string) *rig {
	t.Helper()
	return newRigOf(t, chunk, 0, originChunks, spec)
}

// newRigOf makes devices whose origin is zero up to the chunk first: the lab has
// little memory, and zeros take none.
func newRigOf(t *testing.T, chunk, first, originChunks uint64, spec string) *rig {
	t.Helper()
	pattern := kernellab.Pattern(first*chunk, (originChunks-first)*chunk, 0)
	return &rig{t, chunk,
		kernellab.Loop(t, sparseFile(t, "origin", originChunks*chunk, first*chunk, pattern)),
		kernellab.Loop(t, cowFile(t, spec))}
}

// sparseFile makes a file of so many sectors with something from one of them on.
func sparseFile(t *testing.T, name string, sectors, at uint64, content []byte) string {
	t.Helper()
	path := kernellab.File(t, name, sectors)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(content, int64(at)*kernellab.SectorSize); err != nil {
		t.Fatal(err)
	}
	return path
}

// cowFile makes the file of a spec, which takes room as far as it is not zero.
func cowFile(t *testing.T, spec string) string {
	t.Helper()
	image := storespec.MustCompile(t, spec)
	path := kernellab.File(t, "cow", uint64(len(image))/kernellab.SectorSize)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const piece = 4096
	for at := 0; at < len(image); at += piece {
		p := image[at:min(at+piece, len(image))]
		if bytes.Count(p, []byte{0}) == len(p) {
			continue
		}
		if _, err := f.WriteAt(p, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// load has the kernel load the store on cow.
func (r *rig) load(cow string) *kernellab.Snapshot {
	r.Helper()
	return kernellab.NewSnapshot(r, r.origin, cow, "P", r.chunk)
}

// kernel has the kernel write version v to chunks of the origin.
func (r *rig) kernel(cow string, v uint64, chunks []uint64) {
	r.Helper()
	s := r.load(cow)
	if failed, err := kernellab.WritePattern(s.Origin.Path, r.chunk, chunks, v); failed > 0 || err != nil {
		r.Fatalf("%d writes failed, %v", failed, err)
	}
	s.Down(r)
}

// opened opens the store on cow with the engine, until close is called.
func (r *rig) opened(cow string) (s *store.Store, d *device.Writable, close func()) {
	r.Helper()
	d, err := device.OpenWritable(cow)
	if err != nil {
		r.Fatal(err)
	}
	if s, err = store.Open(d, store.Options{Table: true, HiddenVoid: true}); err != nil {
		r.Fatal(err)
	}
	return s, d, func() { d.Close() }
}

// engine does with the engine what kernel has the kernel do. Of the exceptions,
// batch are in flight together.
func (r *rig) engine(cow string, v uint64, chunks []uint64, batch int) {
	r.Helper()
	s, d, done := r.opened(cow)
	defer done()
	for len(chunks) > 0 {
		n := min(batch, len(chunks))
		r.batch(s, d, chunks[:n])
		for _, c := range chunks[:n] {
			r.overwrite(c, v)
		}
		chunks = chunks[n:]
	}
}

// batch adds exceptions that are in flight together.
func (r *rig) batch(s *store.Store, d *device.Writable, chunks []uint64) {
	r.Helper()
	var pending []store.Pending
	for _, c := range chunks {
		p, err := s.PrepareException(format.OldChunk(c))
		if err != nil {
			r.Fatalf("chunk %d: %v", c, err)
		}
		if _, err := d.WriteAt(r.read(c), int64(s.Geometry().Offset(p.New))); err != nil {
			r.Fatal(err)
		}
		pending = append(pending, p)
	}
	told := 0
	for _, p := range pending {
		s.CommitException(p, true, func(err error) {
			if told++; err != nil {
				r.Errorf("%v: %v", p, err)
			}
		})
	}
	if told != len(pending) {
		r.Fatalf("told of %d of %d exceptions", told, len(pending))
	}
}

// read reads a chunk of the origin past the cache.
func (r *rig) read(c uint64) []byte {
	r.Helper()
	d, err := device.Open(r.origin)
	if err != nil {
		r.Fatal(err)
	}
	defer d.Close()
	b := make([]byte, r.chunk*kernellab.SectorSize)
	if _, err := d.ReadAt(b, int64(c)*int64(len(b))); err != nil {
		r.Fatal(err)
	}
	return b
}

// overwrite writes version v to a chunk of the origin, past all snapshots.
func (r *rig) overwrite(c, v uint64) {
	r.Helper()
	if failed, err := kernellab.WritePattern(r.origin, r.chunk, []uint64{c}, v); failed > 0 || err != nil {
		r.Fatal(failed, err)
	}
}

// mergeSteps merges with the engine, as often as steps says; -1 stands for all.
func (r *rig) mergeSteps(cow string, steps int) {
	r.Helper()
	s, d, done := r.opened(cow)
	defer done()
	origin, err := device.OpenWritable(r.origin)
	if err != nil {
		r.Fatal(err)
	}
	defer origin.Close()
	for ; steps != 0; steps-- {
		run, err := s.PrepareMerge()
		if err != nil {
			r.Fatal(err)
		}
		if run.Count == 0 {
			return
		}
		b := make([]byte, uint64(run.Count)*r.chunk*kernellab.SectorSize)
		if _, err := d.ReadAt(b, int64(s.Geometry().Offset(run.New))); err != nil {
			r.Fatal(err)
		}
		if _, err := origin.WriteAt(b, int64(run.Old)*int64(s.Geometry().ChunkBytes())); err != nil {
			r.Fatal(err)
		}
		if err := origin.Sync(); err != nil {
			r.Fatal(err)
		}
		if err := s.CommitMerge(run.Count); err != nil {
			r.Fatal(err)
		}
	}
}

// status is what the kernel says of the store on cow.
func (r *rig) status(cow string) string {
	r.Helper()
	s := r.load(cow)
	defer s.Down(r)
	return s.View.Status(r)
}

// engineStatus is what the engine says of it.
func (r *rig) engineStatus(cow string) string {
	r.Helper()
	s, _, done := r.opened(cow)
	defer done()
	return s.Status()
}

// wantView wants the kernel's snapshot to read as the origin did at first.
func (r *rig) wantView(cow string) {
	r.Helper()
	s := r.load(cow)
	defer s.Down(r)
	r.wantVersion0(s.View.Path)
}

// wantVersion0 wants a device to read as the origin did at first.
func (r *rig) wantVersion0(path string) {
	r.Helper()
	got := kernellab.MustRead(r, path)
	want := kernellab.Pattern(0, uint64(len(got))/kernellab.SectorSize, 0)
	if !bytes.Equal(got, want) {
		for at := range got {
			if got[at] != want[at] {
				r.Fatalf("%s: other content from byte %d on", path, at)
			}
		}
	}
}

// from returns n chunk numbers from first on.
func from(first, n uint64) (all []uint64) {
	for i := range n {
		all = append(all, first+i)
	}
	return all
}

// TestKernelGoesOnWithTheEngine lets the kernel and the engine take turns on one
// store, reloading after each, also with exactly k*E exceptions: the status is
// the same, and the snapshot stays what the origin was. Then both merge in
// turns.
func TestKernelGoesOnWithTheEngine(t *testing.T) {
	kernellab.Require(t)
	for _, chunk := range []uint64{1, 8} {
		t.Run(fmt.Sprint("chunk ", chunk), func(t *testing.T) {
			e := chunk * kernellab.SectorSize / format.ExceptionSize
			const areas = 3
			r := newRig(t, chunk, e*areas+100, fmt.Sprintf("device %d\nheader chunk=%d", chunk*(areas*(e+1)+60), chunk))
			next := uint64(0)
			turn := func(engine bool, n uint64, batch int) {
				if engine {
					r.engine(r.cow, 1, from(next, n), batch)
				} else {
					r.kernel(r.cow, 1, from(next, n))
				}
				next += n
				if kernel, engine := r.status(r.cow), r.engineStatus(r.cow); kernel != engine {
					t.Errorf("after %d exceptions: the kernel says %q, the engine %q", next, kernel, engine)
				}
				r.wantView(r.cow)
			}
			turn(true, 1, 1)
			turn(false, 5, 1)
			turn(true, e-6, 7) // E in all
			turn(false, 1, 1)
			turn(true, 3, 3)
			turn(false, e-4, 1) // 2*E in all
			turn(true, 1, 1)
			turn(true, e, 20) // across the end of an area
			turn(false, 20, 1)
			r.mergeSteps(r.cow, 2)
			kernellab.Merge(t, r.origin, r.cow, "P", chunk, nil)
			r.wantVersion0(r.origin)
			if got := r.engineStatus(r.cow); got != r.status(r.cow) {
				t.Errorf("merged: the engine says %q", got)
			}
			next = 0
			turn(true, 3, 2)
			turn(false, 3, 1)
			r.mergeSteps(r.cow, -1)
			r.wantVersion0(r.origin)
		})
	}
}

// torn makes a store of chunks of two sectors whose list ends at end, with an
// area of which a power cut has left only the second sector of a commit that
// was to add n.
func torn(end, n uint64) string {
	spec := fmt.Sprintf("device 400\nheader chunk=2\nfill %d 0\n", end)
	for i := uint64(32); i < end+n; i++ {
		spec += fmt.Sprintf("ex %d %d %d\n", i, 100+i, 2+i)
	}
	return spec
}

// TestKernelHiddenExceptions: behind the terminator there are exceptions that
// no commit has finished. When the gap in front of them fills, the kernel brings
// them back to life; after the engine has added one exception, it cannot.
func TestKernelHiddenExceptions(t *testing.T) {
	kernellab.Require(t)
	const end, lost = 28, 8
	gap := from(end, 32-end)
	want := func(r *rig, n uint64, who string) {
		t.Helper()
		if got := r.status(r.cow); got != fmt.Sprintf("%d/400 4", 2*(2+n)) {
			t.Errorf("%s: status %q, want %d exceptions", who, got, n)
		}
	}

	kernel := newRig(t, 2, 200, torn(end, lost))
	want(kernel, end, "before")
	kernel.kernel(kernel.cow, 1, gap)
	want(kernel, end+lost, "the kernel alone")

	engine := newRig(t, 2, 200, torn(end, lost))
	engine.engine(engine.cow, 1, gap, 1)
	want(engine, 32, "the engine")

	both := newRig(t, 2, 200, torn(end, lost))
	both.engine(both.cow, 1, gap[:1], 1)
	both.kernel(both.cow, 1, gap[1:])
	want(both, 32, "the kernel after the engine")

	// A merge leaves them, the engine's as the kernel's.
	byKernel, byEngine := newRig(t, 2, 200, torn(end, lost)), newRig(t, 2, 200, torn(end, lost))
	kernellab.Merge(t, byKernel.origin, byKernel.cow, "P", 2, nil)
	byEngine.mergeSteps(byEngine.cow, -1)
	cow := kernellab.MustRead(byEngine, byEngine.cow)
	if !bytes.Equal(cow, kernellab.MustRead(byKernel, byKernel.cow)) {
		t.Error("merged by the engine and by the kernel, the stores differ")
	}
	if x, _ := naive.Of(cow).Slot(32); x.New == 0 {
		t.Error("merging has cleared the hidden exceptions")
	}
}

// TestKernelHiddenInTheSameSector: no torn commit leaves exceptions behind a
// terminator in its own sector. The kernel brings those back, too; the engine
// does not add to such a store, and leaves it as it is.
func TestKernelHiddenInTheSameSector(t *testing.T) {
	kernellab.Require(t)
	const spec = "device 400\nheader chunk=2\nfill 5 0\nex 7 100 9\nex 8 101 10"
	r := newRig(t, 2, 200, spec)
	before := kernellab.MustRead(r, r.cow)
	s, _, done := r.opened(r.cow)
	var hidden *store.HiddenError
	if p, err := s.PrepareException(50); !errors.As(err, &hidden) || hidden.First != 7 {
		t.Errorf("the engine: %v, %v", p, err)
	}
	done()
	if !bytes.Equal(kernellab.MustRead(r, r.cow), before) {
		t.Error("the engine has refused and written")
	}
	r.kernel(r.cow, 1, []uint64{50, 51})
	if got := r.status(r.cow); got != "22/400 4" { // 9 exceptions
		t.Errorf("the kernel: status %q", got)
	}
}

// TestKernelFull fills stores with the engine until there is no room. The kernel
// loads them, says that nothing is lost, and loses them with the next write.
func TestKernelFull(t *testing.T) {
	kernellab.Require(t)
	// The second is the device where the last chunk cannot be used: N == k*S + 1.
	for _, sectors := range []uint64{33, 34, 35, 36, 67} {
		r := newRig(t, 1, 200, fmt.Sprintf("device %d\nheader chunk=1", sectors))
		s, d, done := r.opened(r.cow)
		n := uint64(0)
		for ; ; n++ {
			p, err := s.PrepareException(format.OldChunk(n))
			if err != nil {
				if !errors.Is(err, store.ErrNoRoom) {
					t.Error(err)
				}
				break
			}
			if _, err := d.WriteAt(r.read(n), int64(p.New)*512); err != nil {
				t.Fatal(err)
			}
			s.CommitException(p, true, func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
			r.overwrite(n, 1)
		}
		status := s.Status()
		done()
		r.wantView(r.cow)
		up := r.load(r.cow)
		if got := up.View.Status(t); got != status {
			t.Errorf("%d sectors, %d exceptions: the kernel says %q, the engine %q", sectors, n, got, status)
		}
		if _, err := kernellab.WritePattern(up.Origin.Path, 1, []uint64{n}, 1); err != nil {
			t.Fatal(err)
		}
		if got := up.View.Status(t); got != "Invalid" {
			t.Errorf("%d sectors, one more than %d exceptions: %q", sectors, n, got)
		}
		up.Down(t)
	}
}

// TestKernelOverflow: what a write without room does to a store of either type,
// and what the status says of it then.
func TestKernelOverflow(t *testing.T) {
	kernellab.Require(t)
	for _, typ := range []store.Type{store.Persistent, store.PersistentOverflow} {
		for _, toOrigin := range []bool{true, false} {
			const full = "device 12\nheader chunk=1\nfill 10 0"
			r, e := newRig(t, 1, 40, full), newRig(t, 1, 40, full)
			up := kernellab.NewSnapshot(t, r.origin, r.cow, string(typ), 1)
			path := up.View.Path
			if toOrigin {
				path = up.Origin.Path
			}
			if _, err := kernellab.WritePattern(path, 1, []uint64{20}, 1); err != nil {
				t.Fatal(err)
			}
			want := up.View.Status(t)
			up.Down(t)

			d, err := device.OpenWritable(e.cow)
			if err != nil {
				t.Fatal(err)
			}
			s, err := store.Open(d, store.Options{Type: typ})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.PrepareException(20); !errors.Is(err, store.ErrNoRoom) {
				t.Error(err)
			}
			if err := s.Overflow(toOrigin); err != nil {
				t.Error(err)
			}
			if got := s.Status(); got != want {
				t.Errorf("type %s, origin %v: the engine says %q, the kernel %q", typ, toOrigin, got, want)
			}
			d.Close()
			if !bytes.Equal(kernellab.MustRead(r, r.cow), kernellab.MustRead(e, e.cow)) {
				t.Errorf("type %s, origin %v: the stores differ", typ, toOrigin)
			}
		}
	}
}
