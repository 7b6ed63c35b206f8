package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dmcow/internal/kernellab"
)

// TestKernelReadsDeltas: the kernel makes a snapshot and writes to its origin. What send makes of it, the kernel loads
// over a copy of one side, and shows the other; merged by the kernel, the copy is that. Also where data lags behind its
// exceptions by more than a stripe, and where the last chunk is a short one.
func TestKernelReadsDeltas(t *testing.T) {
	kernellab.Require(t)
	for _, c := range []struct {
		chunk   uint64 // of the kernel's store, in sectors
		delta   string // chunk size of the delta
		sectors uint64
		written []uint64
	}{
		{8, "4K", 8192, every(2, 900)},
		{8, "512", 8192, every(3, 300)},
		{1, "512", 4001, every(2, 1900)},
		{32, "4K", 8192 + 5, every(5, 50)},
		{8, "64K", 8192 + 24, every(7, 140)},
		{8, "4K", 8192, nil},
	} {
		t.Run(fmt.Sprint(c.chunk, " as ", c.delta), func(t *testing.T) {
			k := &kernelSender{T: t, dir: t.TempDir(), delta: c.delta}
			k.make(c.chunk, c.sectors, c.written)
			k.loads("forward", k.monday, k.now)
			k.loads("back", k.now, k.monday, "--back")
			zeros := filepath.Join(k.dir, "zeros")
			kernellab.Must(t, os.WriteFile(zeros, nil, 0o600))
			kernellab.Must(t, os.Truncate(zeros, int64(c.sectors)*kernellab.SectorSize))
			k.loads("full", zeros, k.monday, "--full")
		})
	}
}

// every is n chunks, of which each is so far from the next.
func every(step, n uint64) (chunks []uint64) {
	for i := range n {
		chunks = append(chunks, i*step)
	}
	return chunks
}

// kernelSender is a snapshot of the kernel's with its origin, and what both are.
type kernelSender struct {
	*testing.T
	dir, delta  string
	origin, cow string
	monday, now string // files
}

func (k *kernelSender) make(chunk, sectors uint64, written []uint64) {
	base := filepath.Join(k.dir, "base")
	kernellab.Must(k, os.WriteFile(base, kernellab.Pattern(0, sectors, 1), 0o600))
	k.origin, k.cow = kernellab.Loop(k, base), blankLoop(k.T, 2*sectors+2000)
	k.monday, k.now = filepath.Join(k.dir, "monday"), filepath.Join(k.dir, "now")
	k.copy(k.origin, k.monday)
	s := kernellab.NewSnapshot(k, k.origin, k.cow, "P", chunk)
	var fits []uint64
	for _, c := range written {
		if (c+1)*chunk <= sectors {
			fits = append(fits, c)
		}
	}
	_, err := kernellab.WritePattern(s.Origin.Path, chunk, fits, 2)
	kernellab.Must(k, err)
	s.Down(k)
	k.copy(k.origin, k.now)
}

func (k *kernelSender) copy(from, to string) {
	kernellab.Must(k, os.WriteFile(to, kernellab.MustRead(k, from), 0o600))
}

// loads wants the kernel to read a delta over a copy as something.
func (k *kernelSender) loads(name, base, want string, args ...string) {
	k.Helper()
	file, over := filepath.Join(k.dir, name), filepath.Join(k.dir, name+"-copy")
	expect(k.T, 0, append([]string{"send", k.cow, "--origin", k.origin, "--chunk-size", k.delta, file}, args...)...)
	k.copy(base, over)
	origin, cow := kernellab.Loop(k, over), kernellab.Loop(k, file)
	s := kernellab.NewSnapshot(k, origin, cow, "P", 8)
	digest := kernellab.MustDigest(k, want)
	if kernellab.MustDigest(k, s.View.Path) != digest {
		k.Errorf("%s: the kernel's view is something else", name)
	}
	s.Down(k)
	kernellab.Merge(k, origin, cow, "P", 8, nil)
	if kernellab.MustDigest(k, origin) != digest {
		k.Errorf("%s: the kernel has merged it to something else", name)
	}
}
