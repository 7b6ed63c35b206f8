package device

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/inuse"

	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func openedWritable(t *testing.T, path string) *Writable {
	t.Helper()
	w, err := OpenWritable(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// TestLockOfEitherKind: both kinds of locks are minded, and both are taken.
func TestLockOfEitherKind(t *testing.T) {
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	one := unix.Flock_t{Type: unix.F_RDLCK, Start: 100, Len: 1} // as QEMU's are
	kinds := map[string]func(f *os.File) error{
		"flock":  func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) },
		"OFD":    func(f *os.File) error { return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole) },
		"a byte": func(f *os.File) error { return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &one) },
	}
	for name, take := range kinds {
		path, _ := numbered(t, 1024)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := take(f); err != nil {
			t.Fatal(name, err)
		}
		var busy *inuse.BusyError
		if w, err := OpenWritable(path); !errors.As(err, &busy) {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
		f.Close()
		w := openedWritable(t, path)
		if f, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
		if err := take(f); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("%s, of a file that is held: %v", name, err)
		}
		w.Close()
		if err := take(f); err != nil {
			t.Errorf("%s, of a file that is held no more: %v", name, err)
		}
		f.Close()
	}
}

// TestBusyInWords: the names stand in a sentence.
func TestBusyInWords(t *testing.T) {
	for want, by := range map[string][]string{
		"in use by another program":                   nil,
		"in use by vg-snap (dm-3)":                    {"vg-snap (dm-3)"},
		"in use by loop0, as swap":                    {"loop0", "swap"},
		"in use by a file system mounted on /mnt":     {"a file system mounted on /mnt"},
		"in use as swap, by a file system mounted on": {"swap", "a file system mounted on"},
	} {
		if got := (&inuse.BusyError{By: by}).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestBounds: what is no whole blocks, or not within the device, is not written.
func TestBounds(t *testing.T) {
	path, content := numbered(t, 4096+512)
	whole := openedWritable(t, path)
	w, err := whole.Section(1024, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ offset, length int64 }{
		{-512, 512}, {1024, 512}, {512, 1024}, {0, 1536}, {1, 512}, {0, 511}, {0, 513}, {1 << 62, 512},
	} {
		p := bytes.Repeat([]byte{0xff}, int(c.length))
		if n, err := w.WriteAt(p, c.offset); err == nil || n != 0 {
			t.Errorf("%d bytes at %d: %d, %v", c.length, c.offset, n, err)
		}
		if err := w.WriteDurable(p, c.offset); err == nil {
			t.Errorf("%d bytes at %d, durably: no error", c.length, c.offset)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("written to, or %v", err)
	}
	x := bytes.Repeat([]byte{0xff}, 512)
	if n, err := w.WriteAt(x, 512); n != 512 || err != nil {
		t.Error(n, err)
	}
	copy(content[1536:], x)
	if err := w.WriteDurable(x, 0); err != nil {
		t.Error(err)
	}
	copy(content[1024:], x)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
		t.Errorf("other content, or %v", err)
	}
	if err := w.Sync(); err != nil {
		t.Error(err)
	}
}

// calls puts counted system calls in the place of the kernel's.
func calls(w *Writable, sync error, through func(p []byte) (int, error)) (log *[]string) {
	log = &[]string{}
	w.order.fdatasync = func(int) error {
		*log = append(*log, "fdatasync")
		return sync
	}
	w.order.pwritev2 = func(_ int, iovs [][]byte, offset int64, flags int) (int, error) {
		n, err := through(iovs[0])
		*log = append(*log, fmt.Sprintf("pwritev2 %d at %d flags %#x: %d", len(iovs[0]), offset, flags, n))
		return n, err
	}
	return log
}

// TestFailedSyncStays: the kernel reports a failure to write back once; what
// was lost then is lost, whatever a later fdatasync says.
func TestFailedSyncStays(t *testing.T) {
	path, _ := numbered(t, 1024)
	w := openedWritable(t, path)
	section, err := w.Section(512, 512)
	if err != nil {
		t.Fatal(err)
	}
	log := calls(w, unix.EIO, nil)
	if err := section.Sync(); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
	calls(w, nil, nil)
	block := make([]byte, 512)
	if err := w.Sync(); !errors.Is(err, unix.EIO) {
		t.Errorf("a later sync: %v", err)
	}
	if err := w.WriteDurable(block, 0); !errors.Is(err, unix.EIO) {
		t.Errorf("a later durable write: %v", err)
	}
	if len(*log) != 1 {
		t.Error(*log)
	}
}

// TestWriteThrough: a durable write to a device that is written directly is one
// flush and one write, which goes on where a signal has cut it, and is a write
// between two flushes where the driver does not know better.
func TestWriteThrough(t *testing.T) {
	const dsync = "flags 0x2"
	tests := []struct {
		name    string
		through func(calls int, p []byte) (int, error)
		want    []string
		err     error
	}{
		{"at once", func(_ int, p []byte) (int, error) { return len(p), nil },
			[]string{"fdatasync", "pwritev2 1024 at 512 " + dsync + ": 1024"}, nil},
		{"cut", func(n int, p []byte) (int, error) { return min(len(p), 512), [2]error{unix.EINTR, nil}[min(n, 1)] },
			[]string{"fdatasync", "pwritev2 1024 at 512 " + dsync + ": 512", "pwritev2 1024 at 512 " + dsync + ": 512",
				"pwritev2 512 at 1024 " + dsync + ": 512"}, nil},
		{"nothing written", func(int, []byte) (int, error) { return 0, nil },
			[]string{"fdatasync", "pwritev2 1024 at 512 " + dsync + ": 0"}, io.ErrShortWrite},
		{"failed", func(int, []byte) (int, error) { return 0, unix.EIO },
			[]string{"fdatasync", "pwritev2 1024 at 512 " + dsync + ": 0"}, unix.EIO},
		{"not known", func(int, []byte) (int, error) { return 0, unix.EOPNOTSUPP },
			[]string{"fdatasync", "pwritev2 1024 at 512 " + dsync + ": 0", "fdatasync"}, nil},
	}
	for _, c := range tests {
		path, _ := numbered(t, 2048)
		w := openedWritable(t, path)
		w.direct = true
		n := 0
		log := calls(w, nil, func(p []byte) (int, error) {
			n++
			return c.through(n-1, p)
		})
		if err := w.WriteDurable(make([]byte, 1024), 512); !errors.Is(err, c.err) || !slices.Equal(*log, c.want) {
			t.Errorf("%s: %v, %q", c.name, err, *log)
		}
		if err := w.Sync(); !errors.Is(err, c.err) {
			t.Errorf("%s, then a sync: %v", c.name, err)
		}
	}
}

// TestGrow: an image file grows and is never cut; a section does not grow.
func TestGrow(t *testing.T) {
	path, content := numbered(t, 1024)
	w := openedWritable(t, path)
	section, err := w.Section(0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := section.Grow(4096); err == nil {
		t.Error("a section grew")
	}
	if err := w.Grow(512); err == nil {
		t.Error("cut")
	}
	if err := w.Grow(4096); err != nil || w.Size() != 4096 || section.Size() != 1024 {
		t.Errorf("%d, %d, %v", w.Size(), section.Size(), err)
	}
	if _, err := w.WriteAt(content[:512], 3584); err != nil {
		t.Error(err)
	}
	want := slices.Concat(content, make([]byte, 3072-512), content[:512])
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestCreateWritable makes what is not there, leaves alone what is, and follows
// no link to nothing.
func TestCreateWritable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new")
	w, created, err := CreateWritable(path)
	if err != nil || !created || w.Size() != 0 {
		t.Fatalf("%v, created %v", err, created)
	}
	var busy *inuse.BusyError
	if _, _, err := CreateWritable(path); !errors.As(err, &busy) {
		t.Errorf("one that is held: %v", err)
	}
	w.Close()
	there, content := numbered(t, 512)
	w, created, err = CreateWritable(there)
	if err != nil || created || w.Size() != 512 {
		t.Fatalf("%v, created %v", err, created)
	}
	w.Close()
	if got, err := os.ReadFile(there); err != nil || !bytes.Equal(got, content) {
		t.Errorf("changed, or %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := CreateWritable(link); err == nil || err.Error() != "is a broken symbolic link" {
		t.Errorf("a link to nothing: %v", err)
	}
	if _, _, err := CreateWritable(filepath.Join(t.TempDir(), "no", "directory")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in no directory: %v", err)
	}
}

// TestAbandon: a file that was made is removed, as it was or as something was written to it;
// one that was there stays, and so does one that has taken its name.
func TestAbandon(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new")
	w, created, err := CreateWritable(path)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	if err := w.Grow(512); err != nil {
		t.Fatal(err)
	}
	if err := w.Abandon(); err != nil || len(devicetest.Names(t, dir)) != 0 {
		t.Errorf("%v, there is %q", err, devicetest.Names(t, dir))
	}
	if _, err := w.WriteAt(make([]byte, 512), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("written when it was closed: %v", err)
	}
	if w, _, err = CreateWritable(path); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := w.Abandon(); err != nil || len(devicetest.Names(t, dir)) != 1 {
		t.Errorf("another file of its name: %v, there is %q", err, devicetest.Names(t, dir))
	}
	if w, created, err = CreateWritable(path); err != nil || created {
		t.Fatal(created, err)
	}
	if err := w.Abandon(); err != nil || len(devicetest.Names(t, dir)) != 1 {
		t.Errorf("it was there: %v, there is %q", err, devicetest.Names(t, dir))
	}
}

// TestOpenWritableRefuses what is neither a block device nor a file.
func TestOpenWritableRefuses(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		t.TempDir():  "not a block device or an image file",
		fifo:         "not a block device or an image file",
		"/dev/zero":  "not a block device or an image file",
		"/nonsuch/x": "no such file or directory",
	} {
		if _, err := OpenWritable(path); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestNextData finds the data between holes, of a section too.
func TestNextData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse")
	const k = 64 << 10 // at least a block of any file system
	w, _, err := CreateWritable(path)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Grow(16 * k); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int64{4 * k, 5 * k, 12 * k} {
		if _, err := w.WriteAt(make([]byte, k), at); err != nil {
			t.Fatal(err)
		}
	}
	if start, _, err := w.NextData(0); err != nil || start == 0 {
		t.Skipf("the file system of %s does not tell holes", path)
	}
	section, err := w.Section(5*k, 7*k+512)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		d                  *Writable
		offset, start, end int64
	}{
		{w, 0, 4 * k, 6 * k},
		{w, 4 * k, 4 * k, 6 * k},
		{w, 5*k + 1, 5*k + 1, 6 * k},
		{w, 6 * k, 12 * k, 13 * k},
		{w, 13 * k, 16 * k, 16 * k},
		{w, 16 * k, 16 * k, 16 * k},
		{section, 0, 0, k},
		{section, k, 7 * k, 7*k + 512},
		{section, 7*k + 512, 7*k + 512, 7*k + 512},
	} {
		start, end, err := c.d.NextData(c.offset)
		if start != c.start || end != c.end || err != nil {
			t.Errorf("from %d: %d to %d, %v; want %d to %d", c.offset, start, end, err, c.start, c.end)
		}
	}
}

// TestOverlaps: a file is the same by any name.
func TestOverlaps(t *testing.T) {
	path, _ := numbered(t, 1024)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Link(path, link); err != nil {
		t.Skip(err)
	}
	other, _ := numbered(t, 1024)
	a, b, c := openedWritable(t, path), opened(t, link), opened(t, other)
	section, err := a.Section(512, 512)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Overlaps(b) || !b.Overlaps(&section.Device) || a.Overlaps(c) || a.Overlaps(Nothing()) {
		t.Error("told apart wrongly")
	}
}

// TestCutIsNoHole: what is missing at the end of a file that was cut short
// meanwhile is no hole.
func TestCutIsNoHole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse")
	devicetest.WriteFile(t, path, nil)
	if err := os.Truncate(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	d := opened(t, path)
	if start, end, err := d.NextData(0); start != 1<<20 || end != 1<<20 || err != nil {
		t.Errorf("%d to %d, %v: want a hole to the end", start, end, err)
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	if start, end, err := d.NextData(0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d to %d, %v: want an error", start, end, err)
	}
}
