package cmd

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestKernelMountFull: a store without room refuses a write, and is as good as before.
func TestKernelMountFull(t *testing.T) {
	requireFUSE(t)
	w := newWritableMount(t, "areas-33", 0)
	origin := fileDigest(t, w.origin)
	m := w.mount()
	f, err := os.OpenFile(m.file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := bytes.Repeat([]byte("full"), len(w.now)/4) // more than there is room for
	n, err := syscall.Pwrite(int(f.Fd()), all, 0)     // package os does not tell of a short write
	if err != nil || n == 0 || n == len(all) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if _, err := f.WriteAt(all[n:], int64(n)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the rest: %v", err)
	}
	w.write(all[:n], 0)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	w.synced()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(m.dir, &fs); err != nil || fs.Bfree != 0 {
		t.Errorf("%v, %d free", err, fs.Bfree)
	}
	if _, err := f.WriteAt([]byte("again"), 0); err != nil { // which needs no room
		t.Error(err)
	}
	w.write([]byte("again"), 0)
	if _, err := f.WriteAt([]byte("x"), int64(len(w.now))); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("behind the end: %v", err)
	}
	f.Close()
	w.synced()
	m.takeAway()
	m.endsWith(8) // it had no room for a write
	if u := usageOf(t, w.cow); u.State != "valid" || *u.FreeChunks != 0 {
		t.Errorf("%s, %d chunks left", u.State, *u.FreeChunks)
	}
	w.sound(origin)
	w.asTheKernelReads()
}

// TestKernelMountOnFullFileSystem: where the file system that has the COW image is full, a write is
// told so, costs no chunk, and succeeds once there is room again.
func TestKernelMountOnFullFileSystem(t *testing.T) {
	requireFUSE(t)
	w := newWritableMount(t, "areas-33", 1<<20)
	small := t.TempDir()
	if err := syscall.Mount("small", small, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("a small file system cannot be mounted: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(small, syscall.MNT_DETACH) })
	content, err := os.ReadFile(w.cow)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(content))
	used := bytes.TrimRight(content, "\x00")
	w.cow = filepath.Join(small, "cow")
	if err := errors.Join(os.WriteFile(w.cow, used, 0o600), os.Truncate(w.cow, size)); err != nil {
		t.Fatal(err)
	}
	before := *usageOf(t, w.cow).FreeChunks
	m := w.mount()
	filler, err := os.Create(filepath.Join(small, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = filler.Write(block)
	}
	filler.Close()
	f, err := os.OpenFile(m.file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	sectors := bytes.Repeat([]byte("here"), 40*sector/4)
	written := 0
	for range 5 { // each would cost some chunks
		for at := written; at < len(sectors); at += sector {
			n, err := syscall.Pwrite(int(f.Fd()), sectors[at:at+sector], int64(at))
			if err == nil && n == sector {
				w.write(sectors[at:at+sector], at)
				written = at + sector
				continue
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("byte %d: %d, %v", at, n, err)
			}
			break
		}
	}
	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	if written == len(sectors) {
		t.Fatal("there was room for all")
	}
	for at := written; at < len(sectors); at += sector {
		if _, err := f.WriteAt(sectors[at:at+sector], int64(at)); err != nil {
			t.Fatal(err)
		}
		w.write(sectors[at:at+sector], at)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	w.synced()
	m.takeAway()
	m.endsWith(8)
	u := usageOf(t, w.cow)
	if taken := before - *u.FreeChunks; taken > uint64(len(sectors)/sector)+1 || *u.LeakedChunks != 0 {
		t.Errorf("it has taken %d chunks, and %d are lost", taken, *u.LeakedChunks)
	}
	w.sound(fileDigest(t, w.origin))
}
