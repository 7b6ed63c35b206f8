package device

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"dmcow/internal/memory"

	"golang.org/x/sys/unix"
)

// TestFull: where the file system has no room left, each way to write says so.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	const size = 256 << 10
	block := memory.Aligned(4096)
	var pieces [][]byte
	var at []int64
	for offset := int64(0); offset < size; offset += 4096 {
		pieces, at = append(pieces, block), append(at, offset)
	}
	for name, write := range map[string]func(w *Writable) error{
		"at once": func(w *Writable) error {
			_, err := w.WriteAt(make([]byte, size), 0)
			return err
		},
		"durably": func(w *Writable) error { return w.WriteDurable(make([]byte, size), 0) },
		"many": func(w *Writable) error {
			failed, err := w.WriteMany(pieces, at)
			if failed == 0 {
				t.Error("there was room for the first")
			}
			return err
		},
		"joined": func(w *Writable) error {
			j, err := JoinWritable("joined", []Part{{Length: size, Chunk: 4096, Stripes: []Stripe{
				{On: &w.Device}, {On: &w.Device, Start: size / 2}}}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = j.WriteMany(pieces, at)
			return err
		},
	} {
		w, _, err := CreateWritable(filepath.Join(dir, "file"))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Grow(size); err != nil {
			t.Fatal(err)
		}
		want := "no space left on device"
		if name == "joined" { // from what may be several
			want = w.Path() + ": " + want
		}
		if err := write(w); !errors.Is(err, syscall.ENOSPC) || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Abandon(); err != nil {
			t.Error(err)
		}
	}
}
