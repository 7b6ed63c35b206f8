package writecache_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/writecache"
)

// TestKernelWritecache: a volume is read as the kernel shows it: while its cache has what the origin lacks, and
// when it was flushed.
func TestKernelWritecache(t *testing.T) {
	for _, size := range []int{512, 4096} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { cacheOfKernel(t, size) })
	}
}

func cacheOfKernel(t *testing.T, size int) {
	kernellab.Require(t)
	const sectors = 16 << 10
	origin := kernellab.LoopOf(t, kernellab.Pattern(0, sectors, 1))
	data := kernellab.Loop(t, kernellab.File(t, "data", 8<<10))
	d := kernellab.Create(t, "cached", fmt.Sprintf("0 %d writecache s %s %s %d 0", sectors, origin, data, size), false)
	write := func(version uint64, chunks ...uint64) {
		t.Helper()
		if failed, err := kernellab.WritePattern(d.Path, 8, chunks, version); failed > 0 || err != nil {
			t.Fatal(failed, err)
		}
		f, err := os.OpenFile(d.Path, os.O_RDWR, 0)
		kernellab.Must(t, err)
		kernellab.Must(t, f.Sync())
		f.Close()
	}
	write(2, 0, 1, 2, 70, 71, 2047, 9)
	write(3, 1, 71, 300)
	write(4, 71)
	compare := func(when string, clean bool, want []byte) {
		t.Helper()
		c, err := writecache.Open(bytes.NewReader(kernellab.MustRead(t, data)))
		kernellab.Must(t, err)
		onOrigin := kernellab.MustRead(t, origin)
		if (c.Dirty() == 0) != clean || bytes.Equal(onOrigin, want) != clean || c.BlockSize != int64(size) {
			t.Fatalf("%s: %d dirty blocks of %d bytes, and the origin alone is right: %t", when, c.Dirty(), c.BlockSize, bytes.Equal(onOrigin, want))
		}
		got := make([]byte, len(want))
		if _, err := c.Volume(bytes.NewReader(onOrigin)).ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: it is not what the kernel shows, with %d dirty blocks, %v", when, c.Dirty(), err)
		}
	}
	want := kernellab.MustRead(t, d.Path)
	compare("active", false, want)
	d.Message(t, "flush")
	compare("flushed", true, want)
	write(5, 5, 6, 900)
	want = kernellab.MustRead(t, d.Path)
	d.Remove(t)
	compare("removed", false, want)
}
