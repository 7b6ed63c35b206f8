package draft

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/memory"

	"golang.org/x/sys/unix"
)

// draftDirs are directories on file systems of different kinds.
func draftDirs(t *testing.T) []string {
	t.Helper()
	dirs := []string{t.TempDir()}
	if dir, err := os.MkdirTemp("/dev/shm", "draft"); err == nil { // where nothing is written directly, or nobody waits for a disk
		t.Cleanup(func() { os.RemoveAll(dir) })
		dirs = append(dirs, dir)
	}
	return dirs
}

// TestDraft: a file has its name when it is kept, and not before; what was there is replaced as a
// whole; of a file that is given up nothing is left.
func TestDraft(t *testing.T) {
	for _, dir := range draftDirs(t) {
		for _, size := range []int{0, 1, 4095, 4096, 4097, 3*4096 + 100, 1<<20 + 512} {
			for _, old := range []string{"", "what was there"} {
				path := filepath.Join(dir, "file")
				if old != "" {
					if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				before := devicetest.Names(t, dir)
				want := bytes.Repeat([]byte("draft-"), size/6+1)[:size]
				given, err := New(path, int64(size), 0o600)
				if err != nil {
					t.Fatal(err)
				}
				fill(t, given, want)
				if err := given.Close(); err != nil {
					t.Error(err)
				}
				if !slices.Equal(devicetest.Names(t, dir), before) {
					t.Errorf("%d bytes, given up: there is %q", size, devicetest.Names(t, dir))
				}
				kept, err := New(path, int64(size), 0o600)
				if err != nil {
					t.Fatal(err)
				}
				fill(t, kept, want)
				if now, _ := os.ReadFile(path); string(now) != old {
					t.Errorf("%d bytes, not yet kept: it holds %q", size, now)
				}
				if err := kept.Keep(); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes: %v, %d are there", size, err, len(got))
				}
				if all := devicetest.Names(t, dir); len(all) != 1 {
					t.Errorf("there is %q", all)
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// fill writes content to a draft, in two pieces where it is long, with what comes last first.
func fill(t *testing.T, d *Draft, content []byte) {
	t.Helper()
	cut := len(content) / 2 / blockSize * blockSize
	for _, part := range []struct{ start, end int }{{cut, len(content)}, {0, cut}} {
		if failed, err := d.WriteMany([][]byte{bytes.Clone(content[part.start:part.end])}, []int64{int64(part.start)}); err != nil {
			t.Fatal(failed, err)
		}
	}
}

// TestDraftHoles: what is not written reads as zeros, and takes no room.
func TestDraftHoles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	d, err := New(path, 64<<20+77, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.WriteMany([][]byte{bytes.Repeat([]byte{1}, 4096), bytes.Repeat([]byte{2}, 77)}, []int64{8 << 20, 64 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := d.Keep(); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Size != 64<<20+77 || st.Blocks*512 > 1<<20 {
		t.Errorf("%v: %d bytes, %d blocks", err, st.Size, st.Blocks)
	}
	got, err := os.ReadFile(path)
	if err != nil || got[8<<20] != 1 || got[8<<20+4096] != 0 || got[64<<20+76] != 2 {
		t.Error("it holds something else", err)
	}
}

// TestDraftNames: a symbolic link stays, and the file that it leads to is replaced; where there is
// no directory, and in place of one, there is no draft.
func TestDraftNames(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o666), os.Symlink("file", link)); err != nil {
		t.Fatal(err)
	}
	d, err := New(link, 3, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, d, []byte("new"))
	if err := d.Keep(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "new" {
		t.Errorf("%q", got)
	}
	if target, err := os.Readlink(link); target != "file" {
		t.Error(target, err)
	}
	if _, err := New(filepath.Join(dir, "no", "file"), 3, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	d, err = New(dir, 3, 0o600) // the name is taken when it comes to that
	if err == nil {
		err = d.Keep()
	}
	if err == nil || len(devicetest.Names(t, dir)) != 2 {
		t.Errorf("%v, %q", err, devicetest.Names(t, dir))
	}
}

// TestDraftWithName: where a file without a name cannot be had, it has another one until it is
// kept.
func TestDraftWithName(t *testing.T) {
	dir := t.TempDir()
	d := &Draft{path: filepath.Join(dir, "file*"), size: 5, mode: 0o600}
	if err := d.openNamed(); err != nil {
		t.Fatal(err)
	}
	if all := devicetest.Names(t, dir); len(all) != 1 || all[0] == "file*" {
		t.Errorf("there is %q", all)
	}
	if _, err := d.file.WriteString("12345"); err != nil {
		t.Fatal(err)
	}
	if err := d.Keep(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(d.path); string(got) != "12345" || len(devicetest.Names(t, dir)) != 1 {
		t.Errorf("%q, %v; there is %q", got, err, devicetest.Names(t, dir))
	}
	if err := d.openNamed(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if all := devicetest.Names(t, dir); len(all) != 1 {
		t.Errorf("given up, there is %q", all)
	}
}

// mode is what everybody may do with a file.
func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode()
}

// keep makes a draft of some bytes and keeps it.
func keep(t *testing.T, path string, perm fs.FileMode) {
	t.Helper()
	d, err := New(path, 3, perm)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, d, []byte("new"))
	if err := d.Keep(); err != nil {
		t.Fatal(err)
	}
}

// TestDraftMode: a file has the permissions that it was to have, less those that the process
// gives to nobody, or those of the file that it replaces.
func TestDraftMode(t *testing.T) {
	defer unix.Umask(unix.Umask(0o022))
	for _, dir := range draftDirs(t) {
		path := filepath.Join(dir, "file")
		for perm, want := range map[fs.FileMode]fs.FileMode{0o600: 0o600, 0o666: 0o644} {
			keep(t, path, perm)
			if got := mode(t, path); got != want {
				t.Errorf("%v, and was to have %v", got, perm)
			}
			for _, old := range []fs.FileMode{0o640, 0o666, 0o400} {
				if err := os.Chmod(path, old); err != nil {
					t.Fatal(err)
				}
				keep(t, path, perm)
				if got := mode(t, path); got != old {
					t.Errorf("%v, and it replaces one of %v", got, old)
				}
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDraftOwner: a file has the owner of the one that it replaces.
func TestDraftOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	keep(t, path, 0o600)
	if err := errors.Join(os.Chmod(path, 0o660), os.Chown(path, 1234, 4321)); err != nil {
		t.Skip(err)
	}
	keep(t, path, 0o600)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Uid != 1234 || st.Gid != 4321 || st.Mode&0o7777 != 0o660 {
		t.Errorf("%v: %d, %d, %o", err, st.Uid, st.Gid, st.Mode)
	}
}

// TestDraftGroup: a group that did not have the old file gets no more than everybody.
func TestDraftGroup(t *testing.T) {
	for mode, want := range map[fs.FileMode]fs.FileMode{0o640: 0o600, 0o664: 0o644, 0o666: 0o666, 0o671: 0o611, 0o604: 0o604, 0o700: 0o700} {
		if got := ofAnotherGroup(mode); got != want {
			t.Errorf("%v: %v, want %v", mode, got, want)
		}
	}
}

// TestDraftWritable: what is on its way can be read and written like an image file of its size,
// whatever that is, and what was written is what is kept.
func TestDraftWritable(t *testing.T) {
	for _, dir := range draftDirs(t) {
		for _, size := range []int{512, 1000, 4096 + 512, 1 << 20, 3*4096 + 1} {
			path := filepath.Join(dir, "file")
			content := bytes.Repeat([]byte("draft-"), size/6+1)[:size]
			d, err := New(path, int64(size), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			fill(t, d, content)
			w, err := d.Writable()
			if err != nil {
				t.Fatal(err)
			}
			if w.Size() != int64(size) || w.LogicalBlockSize() != device.SectorSize || w.Direct() || w.IsBlock() {
				t.Errorf("%d bytes: %d, in blocks of %d", size, w.Size(), w.LogicalBlockSize())
			}
			got := make([]byte, size)
			if _, err := w.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes: other content, or %v", size, err)
			}
			at := size / 512 / 2 * 512
			section, err := w.Section(int64(at), 512)
			if err != nil {
				t.Fatal(err)
			}
			copy(content[at:], bytes.Repeat([]byte{7}, 512))
			if err := section.WriteDurable(content[at:at+512], 0); err != nil {
				t.Fatal(err)
			}
			if holders := w.Holders(); holders != nil {
				t.Errorf("held by %q", holders)
			}
			if err := d.Keep(); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes: %d are kept, %v", size, len(got), err)
			}
			if all := devicetest.Names(t, dir); len(all) != 1 || os.Remove(path) != nil {
				t.Errorf("there is %q", all)
			}
		}
	}
}

// TestDraftKeepNew: a file that has been made meanwhile is not replaced, and the draft is gone.
func TestDraftKeepNew(t *testing.T) {
	for _, open := range []func(*Draft) error{(*Draft).open, (*Draft).openNamed} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		for _, want := range []error{nil, fs.ErrExist} {
			d := &Draft{path: path, mode: 0o600}
			if err := open(d); err != nil {
				t.Fatal(err)
			}
			if err := d.KeepNew(); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			if all := devicetest.Names(t, dir); len(all) != 1 {
				t.Errorf("there is %q", all)
			}
			if err := os.WriteFile(path, []byte("there"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := os.ReadFile(path); string(got) != "there" {
			t.Errorf("it holds %q", got)
		}
	}
}

// TestDraftFailedSync: what could not be made durable is not kept, also if it was tried before.
func TestDraftFailedSync(t *testing.T) {
	dir := t.TempDir()
	d, err := New(filepath.Join(dir, "file"), 512, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	w, err := d.Writable()
	if err != nil {
		t.Fatal(err)
	}
	// A pipe in the file's place cannot be synced.
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	fd := int(d.file.Fd())
	file, err := unix.Dup(fd)
	if err == nil {
		err = unix.Dup3(pipe[0], fd, unix.O_CLOEXEC)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(); !errors.Is(err, unix.EINVAL) {
		t.Fatal(err)
	}
	if err := unix.Dup3(file, fd, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := d.Keep(); !errors.Is(err, unix.EINVAL) || len(devicetest.Names(t, dir)) != 0 {
		t.Errorf("%v, there is %q", err, devicetest.Names(t, dir))
	}
}

// TestFull: where the file system has no room left, a draft says so, and leaves nothing.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	const size = 256 << 10
	d, err := New(filepath.Join(dir, "file"), size, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var p [][]byte
	var at []int64
	for offset := int64(0); offset < size; offset += blockSize {
		p, at = append(p, memory.Aligned(blockSize)), append(at, offset)
	}
	if _, err := d.WriteMany(p, at); !errors.Is(err, unix.ENOSPC) {
		t.Error(err)
	}
	if err := d.Close(); err != nil || len(devicetest.Names(t, dir)) != 0 {
		t.Errorf("%v, there is %q", err, devicetest.Names(t, dir))
	}
}
