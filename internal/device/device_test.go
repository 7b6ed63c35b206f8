package device

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dmcow/internal/device/devicetest"
)

// numbered is a file of n bytes, each of which tells its place.
func numbered(t *testing.T, n int) (path string, content []byte) {
	t.Helper()
	for i := range n {
		content = append(content, byte(i), byte(i>>8))
	}
	content = content[:n]
	path = filepath.Join(t.TempDir(), "image")
	devicetest.WriteFile(t, path, content)
	return path, content
}

func opened(t *testing.T, path string) *Device {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// TestImageFile: an image file is read through the cache, has no number and
// nobody holds it.
func TestImageFile(t *testing.T) {
	path, content := numbered(t, 1000)
	d := opened(t, path)
	if d.Size() != 1000 || d.LogicalBlockSize() != SectorSize || d.Direct() || d.IsBlock() || d.Path() != path {
		t.Errorf("%+v", d)
	}
	if h := d.Holders(); h != nil {
		t.Errorf("held by %v", h)
	}
	if _, ok := d.Target(); ok {
		t.Error("is a device-mapper device")
	}
	d.Prefetch(0, 1000) // may do nothing, but no harm
	got := make([]byte, 1000)
	if n, err := d.ReadAt(got, 0); n != 1000 || err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestSections reads sections, and sections of sections, around their ends.
func TestSections(t *testing.T) {
	path, content := numbered(t, 1000)
	d := opened(t, path)
	for _, c := range []struct{ offset, size, want int64 }{
		{0, -1, 1000}, {0, 1000, 1000}, {1000, -1, 0}, {1000, 0, 0}, {300, 200, 200}, {999, 1, 1},
	} {
		s, err := d.Section(c.offset, c.size)
		if err != nil || s.Size() != c.want {
			t.Fatalf("%+v: %v", c, err)
		}
		checkReads(t, s, content[c.offset:c.offset+c.want])
		if c.want > 10 {
			inner, err := s.Section(7, c.want-10)
			if err != nil {
				t.Fatal(err)
			}
			checkReads(t, inner, content[c.offset+7:c.offset+c.want-3])
		}
	}
	for _, c := range []struct{ offset, size int64 }{{1001, -1}, {0, 1001}, {-1, 5}, {1000, 1}, {5, 1<<63 - 1}} {
		if s, err := d.Section(c.offset, c.size); err == nil {
			t.Errorf("%+v: %d bytes", c, s.Size())
		}
	}
}

// checkReads reads pieces of d, which holds content and no more.
func checkReads(t *testing.T, d *Device, content []byte) {
	t.Helper()
	all := int64(len(content))
	for _, offset := range []int64{0, 1, all / 2, all - 1, all, all + 1, all + 100} {
		if offset < 0 {
			continue
		}
		for _, length := range []int64{0, 1, 5, all, all + 1} {
			p := make([]byte, length)
			n, err := d.ReadAt(p, offset)
			if want := content[min(offset, all):min(offset+length, all)]; !bytes.Equal(p[:n], want) {
				t.Errorf("%d bytes at %d of %d: got %d", length, offset, all, n)
			}
			if short := int64(n) < length; short != (err == io.EOF) && offset <= all || err != nil && err != io.EOF {
				t.Errorf("%d bytes at %d of %d: got %d, %v", length, offset, all, n, err)
			}
		}
	}
}

// TestRefused: what is neither a block device nor a file is not even opened,
// which a FIFO would never come back from.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                         "is a directory, not a block device or an image file",
		fifo:                        "is a pipe, not a block device",
		"/dev/null":                 "is a character device, not a block device",
		filepath.Join(dir, "none"):  "no such file or directory",
		filepath.Join(fifo, "none"): "not a directory",
	} {
		d, err := Open(path)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, %v", path, d, err)
		}
	}
}
