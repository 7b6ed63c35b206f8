package cmd

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
)

// unmerged is what a snapshot's devices hold before they are merged.
type unmerged struct {
	chunk       uint64 // sectors
	origin, cow []byte
}

// store is the COW device, read without the program's code.
func (u unmerged) store() naive.Store {
	return naive.Store{Image: u.cow, Chunk: int(u.chunk) * kernellab.SectorSize}
}

// mergedTo is what both devices hold after it, as digests.
type mergedTo struct{ origin, cow string }

// loops makes block devices of copies.
func (u unmerged) loops(t *testing.T, options ...kernellab.LoopOption) (origin, cow string) {
	t.Helper()
	return kernellab.LoopOf(t, u.origin, options...), kernellab.LoopOf(t, u.cow, options...)
}

// files makes image files of copies.
func (u unmerged) files(t *testing.T) (origin, cow string) {
	t.Helper()
	dir := t.TempDir()
	origin, cow = filepath.Join(dir, "origin"), filepath.Join(dir, "cow")
	u.reset(t, origin, cow)
	return origin, cow
}

// put writes content to a file or a block device, from its beginning on, durably.
func put(t *testing.T, path string, content []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reset makes both devices what they were before a merge.
func (u unmerged) reset(t *testing.T, origin, cow string) {
	t.Helper()
	put(t, origin, u.origin)
	put(t, cow, u.cow)
}

// byKernel makes block devices of copies, and finds out what the kernel makes of them.
func (u unmerged) byKernel(t *testing.T) (origin, cow string, want mergedTo) {
	t.Helper()
	origin, cow = u.loops(t)
	kernelMerges(t, origin, cow, u.chunk)
	want = mergedOf(t, origin, cow)
	u.reset(t, origin, cow)
	return origin, cow, want
}

// kernelMerges has the kernel merge all.
func kernelMerges(t *testing.T, origin, cow string, chunk uint64) {
	t.Helper()
	_, last := kernellab.Merge(t, origin, cow, "P", chunk, nil)
	if _, err := fmt.Sscanf(last, "%d/%d %d", new(int), new(int), new(int)); err != nil {
		t.Fatalf("the kernel's merge has ended with %q", last)
	}
}

func mergedOf(t *testing.T, origin, cow string) mergedTo {
	t.Helper()
	return mergedTo{kernellab.MustDigest(t, origin), kernellab.MustDigest(t, cow)}
}

// want wants both devices to hold what the kernel has left there.
func (want mergedTo) want(t *testing.T, origin, cow string) {
	t.Helper()
	want.equal(t, mergedOf(t, origin, cow))
}

func (want mergedTo) equal(t *testing.T, got mergedTo) {
	t.Helper()
	if got.origin != want.origin {
		t.Error("the origin is not what the kernel makes of it")
	}
	if got.cow != want.cow {
		t.Error("the COW device is not what the kernel makes of it")
	}
}

// viewOf is the digest of the snapshot that the kernel shows, which cannot change
// the devices.
func viewOf(t *testing.T, origin, cow string, chunk uint64) string {
	t.Helper()
	view := kernellab.Create(t, "view", fmt.Sprintf("0 %d snapshot %s %s P %d", kernellab.Size(t, origin), origin, cow, chunk), true)
	defer view.Remove(t)
	return kernellab.MustDigest(t, view.Path)
}

// loaded is a store of the corpus.
func loaded(t *testing.T, s corpus.Store) unmerged {
	t.Helper()
	return unmerged{s.ChunkSectors, s.Origin(t), s.COW(t)}
}

// scattered is a store of n exceptions in runs of up to so many chunks, in no order,
// with chunks lost between them. The origin's last chunk is one of them; the
// origin's size is in sectors.
func scattered(t *testing.T, rng *rand.Rand, chunk, origin uint64, n, longest int) unmerged {
	t.Helper()
	type run struct {
		old uint64
		new []uint64
	}
	last := (origin - 1) / chunk
	runs := []run{{last, make([]uint64, 1)}}
	for old, left := uint64(0), n-1; left > 0; {
		count := min(1+rng.IntN(longest), left)
		runs = append(runs, run{old, make([]uint64, count)})
		old += uint64(count) + rng.Uint64N(2)
		if left -= count; old > last {
			t.Fatalf("%d exceptions are too many for %d sectors", n, origin)
		}
	}
	shuffle := func() { rng.Shuffle(len(runs), func(i, k int) { runs[i], runs[k] = runs[k], runs[i] }) }
	stride := chunk*kernellab.SectorSize/format.ExceptionSize + 1
	shuffle()
	next := uint64(2)
	for _, r := range runs {
		next += rng.Uint64N(2)
		for i := range r.new {
			if next%stride == 1 {
				next++
			}
			r.new[i] = next
			next++
		}
	}
	shuffle()
	end := 1 + uint64(n)/(stride-1)*stride // the area in which the list ends
	var spec strings.Builder
	fmt.Fprintf(&spec, "device %d\nheader chunk=%d\n", (max(next, end+1)+1)*chunk, chunk)
	slot := 0
	for _, r := range runs {
		for i, c := range r.new {
			fmt.Fprintf(&spec, "ex %d %d %d\n", slot, r.old+uint64(i), c)
			slot++
		}
	}
	spec.WriteString("data 9\n")
	return unmerged{chunk, kernellab.Pattern(0, origin, 0), storespec.MustCompile(t, spec.String())}
}

// kernelMade is a store that the kernel makes of n writes to random chunks, to the
// origin and to the snapshot.
func kernelMade(t *testing.T, rng *rand.Rand, chunk, origin uint64, n int) unmerged {
	t.Helper()
	dev, cow := kernellab.LoopOf(t, kernellab.Pattern(0, origin, 0)), blankLoop(t, (uint64(n)+uint64(n)/32+4)*chunk)
	s := kernellab.NewSnapshot(t, dev, cow, "P", chunk)
	var chunks []uint64
	for _, c := range rng.Perm(int((origin + chunk - 1) / chunk))[:n] {
		chunks = append(chunks, uint64(c))
	}
	for version, path := range []string{s.Origin.Path, s.View.Path, s.Origin.Path} {
		part := chunks[n*version/4 : n*(version+2)/4]
		if failed, err := kernellab.WritePattern(path, chunk, part, uint64(version)+1); failed > 0 || err != nil {
			t.Fatal(failed, err)
		}
	}
	s.Down(t)
	return unmerged{chunk, kernellab.MustRead(t, dev), kernellab.MustRead(t, cow)}
}

// created is a store that dmcow create makes.
func created(t *testing.T, rng *rand.Rand, chunk, origin uint64, places int) unmerged {
	t.Helper()
	base, image := differing(rng, int(origin), places)
	dir := t.TempDir()
	from, on, cow := filepath.Join(dir, "image"), filepath.Join(dir, "base"), filepath.Join(dir, "cow")
	put(t, from, image)
	put(t, on, base)
	expect(t, 0, "create", "--yes", "--chunk-size", fmt.Sprintf("%ds", chunk), cow, "--origin", on, "--from", from)
	return unmerged{chunk, base, kernellab.MustRead(t, cow)}
}

// ways are those in which a store is merged.
var ways = []struct {
	name   string
	blocks int // of the block devices, in bytes; image files where it is 0
	flags  []string
}{
	{"blocks of 512 bytes", 512, nil},
	{"blocks of 512 bytes, little memory", 512, []string{"--memory=1M", "--verify"}},
	{"blocks of 4096 bytes", 4096, []string{"--memory=1M"}},
	{"blocks of 4096 bytes, different chunks only", 4096, []string{"--skip-identical"}},
	{"image files", 0, []string{"--verify"}},
	{"image files, little memory, holes", 0, []string{"--memory=1M", "--sparse"}},
}

// mergesAsTheKernel merges it in all ways: both devices end as they do after the
// kernel's merge.
func (u unmerged) mergesAsTheKernel(t *testing.T) {
	origin, cow, want := u.byKernel(t)
	blocks := 512
	for _, w := range ways {
		if w.blocks > 512 && (u.chunk < 8 || (len(u.origin)|len(u.cow))%w.blocks != 0) {
			continue
		}
		switch {
		case w.blocks == 0:
			origin, cow = u.files(t)
		case w.blocks != blocks:
			blocks = w.blocks
			origin, cow = u.loops(t, kernellab.BlockSize(blocks))
		default:
			u.reset(t, origin, cow)
		}
		expect(t, 0, append([]string{"merge", "--yes", cow, "--into", origin}, w.flags...)...)
		if got := mergedOf(t, origin, cow); got != want {
			t.Errorf("%s: the origin is as the kernel leaves it: %v; the COW device: %v", w.name, got.origin == want.origin, got.cow == want.cow)
		}
	}
}

// TestKernelMergeOfEachStore: of every store that the kernel made and holds valid,
// both devices end as they do after the kernel's merge, to the last byte.
func TestKernelMergeOfEachStore(t *testing.T) {
	kernellab.Require(t)
	n := 0
	for name, s := range corpus.Load(t) {
		if s.Status == "Invalid" {
			continue
		}
		n++
		t.Run(name, loaded(t, s).mergesAsTheKernel)
	}
	if n < 10 {
		t.Errorf("%d stores", n)
	}
}

// TestKernelMergeOfAnyStore does the same with random ones.
func TestKernelMergeOfAnyStore(t *testing.T) {
	kernellab.Require(t)
	rng := rand.New(rand.NewPCG(15, 1))
	for _, c := range []struct {
		chunk, origin uint64 // sectors
		n, longest    int
	}{
		{1, 60000, 36000, 60}, // three batches of a small memory
		{1, 700, 400, 3},
		{8, 1500*8 - 3, 900, 20},
		{8, 1500 * 8, 600, 1},
		{32, 1500*32 - 8, 1200, 100},
		{1024, 30*1024 - 5, 20, 5},
	} {
		t.Run(fmt.Sprint("scattered, chunk ", c.chunk, ", ", c.n), func(t *testing.T) {
			scattered(t, rng, c.chunk, c.origin, c.n, c.longest).mergesAsTheKernel(t)
		})
		if c.n > 1000 {
			continue
		}
		t.Run(fmt.Sprint("kernel-made, chunk ", c.chunk, ", ", c.n), func(t *testing.T) {
			kernelMade(t, rng, c.chunk, c.origin, c.n).mergesAsTheKernel(t)
		})
		t.Run(fmt.Sprint("created, chunk ", c.chunk, ", ", c.n), func(t *testing.T) {
			created(t, rng, c.chunk, c.origin, c.n/3).mergesAsTheKernel(t)
		})
	}
}

// TestKernelMergeUndone: the kernel merges the undo log of a merge into the origin,
// which becomes what it was; and so does dmcow.
func TestKernelMergeUndone(t *testing.T) {
	kernellab.Require(t)
	rng := rand.New(rand.NewPCG(15, 3))
	for _, c := range []struct {
		chunk, origin uint64
		n, longest    int
	}{
		{1, 5000, 3000, 60},
		{8, 1500*8 - 3, 900, 20},
		{32, 1500*32 - 8, 1200, 100},
		{1024, 30*1024 - 5, 20, 5},
	} {
		t.Run(fmt.Sprint("chunk ", c.chunk), func(t *testing.T) {
			u := scattered(t, rng, c.chunk, c.origin, c.n, c.longest)
			before := corpus.Digest(u.origin)
			origin, cow, want := u.byKernel(t)
			for _, byKernel := range []bool{true, false} {
				put(t, cow, u.cow)
				undo := filepath.Join(t.TempDir(), "undo")
				expect(t, 0, "merge", "--yes", "--memory=1M", cow, "--into", origin, "--undo", undo)
				want.want(t, origin, cow)
				undoes(t, byKernel, undo, origin, before, c.chunk)
			}
		})
	}
}

// undoes has the kernel or dmcow merge an undo log into the origin, which is to be
// what it was before.
func undoes(t *testing.T, byKernel bool, undo, origin, before string, chunk uint64) {
	t.Helper()
	if byKernel {
		log := kernellab.Loop(t, undo)
		kernelMerges(t, origin, log, min(chunk, 128)) // no log has larger chunks
		kernellab.Detach(t, log)
	} else {
		expect(t, 0, "merge", "--yes", undo, "--into", origin)
	}
	if kernellab.MustDigest(t, origin) != before {
		t.Errorf("the origin is not what it was; taken back by the kernel: %v", byKernel)
	}
}
