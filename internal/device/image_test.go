package device

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"dmcow/internal/memory"

	"golang.org/x/sys/unix"
)

// TestPastCache: whether the image file is read directly, or through a cache
// that is dropped, it reads the same, up to its end in the middle of a block.
func TestPastCache(t *testing.T) {
	path, content := numbered(t, 3*4096+777)
	w := openedWritable(t, path)
	past, err := w.PastCache()
	if err != nil {
		t.Fatal(err)
	}
	dropped, err := w.again((*medium).droppingCache)
	if err != nil {
		t.Fatal(err)
	}
	copy(content[4096:], bytes.Repeat([]byte("new"), 512))
	if _, err := w.WriteAt(content[4096:][:1536], 4096); err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Device{past, dropped} {
		if d.Path() != path || d.Direct() == d.forget || d.aio == w.aio {
			t.Errorf("%+v", d)
		}
		checkReads(t, d, content)
		checkManyReads(t, d, content)
		section, err := d.Section(700, 9000)
		if err != nil {
			t.Fatal(err)
		}
		checkReads(t, section, content[700:][:9000])
		checkManyReads(t, section, content[700:][:9000])
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		checkReads(t, &w.Device, content) // is still open
	}
}

// unalignedEnd is a file of so many bytes that, as older kernels have it, refuses
// a direct read from its end where that is in the middle of a block.
type unalignedEnd int

func (f unalignedEnd) ReadAt(p []byte, offset int64) (int, error) {
	n := min(len(p), int(f)-int(offset))
	switch {
	case offset%512 != 0:
		return 0, unix.EINVAL
	case n < len(p):
		return n, unix.EINVAL // which package os came upon when it went on
	}
	return n, nil
}

// TestDirectReadOfTheLastBlock ends with the file.
func TestDirectReadOfTheLastBlock(t *testing.T) {
	if n, err := readBlocks(unalignedEnd(1000), make([]byte, 1536), 0, 512); n != 1000 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// checkManyReads reads all of d, which holds content, in pieces.
func checkManyReads(t *testing.T, d *Device, content []byte) {
	t.Helper()
	random := rand.New(rand.NewPCG(4, 4))
	got := memory.Aligned(len(content))
	for _, size := range []int{512, 4096, 1000} {
		clear(got)
		p, at := pieces(got, size, random)
		if _, err := d.ReadMany(p, at); err != nil || !bytes.Equal(got, content) {
			t.Errorf("pieces of %d bytes: %v, same is %v", size, err, bytes.Equal(got, content))
		}
	}
}

// TestCached: what was just written is in the page cache, what was dropped from it is
// not, and direct reads have none.
func TestCached(t *testing.T) {
	path, _ := numbered(t, 1<<20)
	w := openedWritable(t, path)
	section, err := w.Section(512<<10, 512<<10)
	if err != nil {
		t.Fatal(err)
	}
	if !w.Cached() || !section.Cached() {
		t.Error("what was written is not cached")
	}
	// On some file systems the page cache is all there is. Elsewhere, the kernel does
	// not drop each page at the first call.
	dropped := !w.onDisk(t)
	for range 100 {
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
		w.dropCache(0, w.Size())
		dropped = dropped || !section.Cached()
	}
	if !dropped {
		t.Error("what was dropped is cached")
	}
	w.direct = true
	if w.Cached() {
		t.Error("direct reads are cached")
	}
}

// TestFailedSyncForgets: after a sync that failed, the page cache is not believed.
func TestFailedSyncForgets(t *testing.T) {
	path, _ := numbered(t, 1<<20)
	w := openedWritable(t, path)
	w.order.fdatasync = func(fd int) error {
		if err := unix.Fdatasync(fd); err != nil {
			t.Error(err)
		}
		return unix.EIO
	}
	dropped := !w.onDisk(t)
	for range 100 { // as in TestCached
		w.order.failed = nil
		if err := w.Sync(); err != unix.EIO {
			t.Fatal(err)
		}
		dropped = dropped || !w.Cached()
	}
	if !dropped {
		t.Error("what was not written to the disk is cached")
	}
}

// onDisk reports whether a file is kept elsewhere than in the page cache.
func (w *Writable) onDisk(t *testing.T) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(w.file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Type != unix.TMPFS_MAGIC
}

// TestPastCacheOfASection begins and ends where the section does.
func TestPastCacheOfASection(t *testing.T) {
	path, content := numbered(t, 10000)
	section, err := opened(t, path).Section(333, 7777)
	if err != nil {
		t.Fatal(err)
	}
	past, err := section.PastCache()
	if err != nil {
		t.Fatal(err)
	}
	defer past.Close()
	checkReads(t, past, content[333:][:7777])
	nothing, err := Nothing().PastCache()
	if err != nil || nothing.Size() != 0 {
		t.Errorf("nothing: %v", err)
	}
}

// TestPunchHole makes zeros of a stretch, and of what is beside it nothing, where
// the file system knows holes and where it does not.
func TestPunchHole(t *testing.T) {
	for name, punch := range map[string]func(w *Writable, offset, length int64) error{
		"a hole": (*Writable).PunchHole,
		"zeros":  (*Writable).writeZeros,
	} {
		const offset, length, base = 512, durableSize + 70*1024, 1024
		path, content := numbered(t, 2<<20)
		whole := openedWritable(t, path)
		w, err := whole.Section(base, -1)
		if err != nil {
			t.Fatal(err)
		}
		if err := punch(w, offset, length); err != nil {
			t.Fatal(name, err)
		}
		clear(content[base+offset:][:length])
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: other content, or %v", name, err)
		}
	}
}

// TestStretches: what is no whole blocks within the file is neither made a hole
// nor shared, and nothing is no error.
func TestStretches(t *testing.T) {
	path, content := numbered(t, 8192)
	other, _ := numbered(t, 4096)
	w, from := openedWritable(t, path), opened(t, other)
	for _, c := range []struct{ offset, length int64 }{
		{-512, 512}, {8192, 512}, {0, 8192 + 512}, {1, 512}, {0, 511}, {512, -512}, {1 << 62, 512},
	} {
		if err := w.PunchHole(c.offset, c.length); err == nil {
			t.Errorf("%+v: a hole", c)
		}
		if err := w.Share(from, 0, c.offset, c.length); err == nil || errors.Is(err, ErrNotShared) {
			t.Errorf("%+v: shared, %v", c, err)
		}
	}
	for _, source := range []int64{-512, 4096, 3584 + 1} {
		if err := w.Share(from, source, 0, 512); err == nil || errors.Is(err, ErrNotShared) {
			t.Errorf("from byte %d: %v", source, err)
		}
	}
	if err := errors.Join(w.PunchHole(512, 0), w.Share(from, 0, 512, 0), w.Share(Nothing(), 0, 512, 0)); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("changed, or %v", err)
	}
}

// TestNotShared: half a block of a file system cannot be shared, whatever the
// file system, and is left as it is.
func TestNotShared(t *testing.T) {
	path, content := numbered(t, 8192)
	other, _ := numbered(t, 4096)
	w := openedWritable(t, path)
	if err := w.Share(opened(t, other), 512, 1024, 512); !errors.Is(err, ErrNotShared) {
		t.Errorf("%v", err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("changed, or %v", err)
	}
	for _, err := range []error{unix.EOPNOTSUPP, unix.ENOTTY, unix.ENOSYS, unix.EXDEV, unix.EBADF, unix.EINVAL} {
		if !cannotShare(err) {
			t.Errorf("%v: is taken for another error", err)
		}
	}
	if cannotShare(unix.ENOSPC) || cannotShare(unix.EIO) || cannotShare(nil) {
		t.Error("other errors are taken for that")
	}
}
