package device

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// another program is nobody by name.
var another = []string{}

// wantClaim wants a claim of the device to be whole or not, or to be refused because of these.
func wantClaim(t *testing.T, u *used, whole bool, by ...string) {
	t.Helper()
	got, err := u.Claim()
	if got != whole || (err != nil) != (by != nil) {
		t.Errorf("claimed whole: %v, %v", got, err)
	}
	if err != nil {
		busyBy(t, err, by...)
	}
}

// TestClaim: what is claimed is nobody else's, until it is closed.
func TestClaim(t *testing.T) {
	for _, part := range [][]int64{nil, {4096, 8192}} {
		loop := ext4(t)
		u := have(t, "read", loop, part...)
		wantClaim(t, u, true)
		if f, err := os.OpenFile(loop, os.O_RDONLY|unix.O_EXCL, 0); err == nil {
			f.Close()
			t.Error("opened exclusively")
		}
		dir := t.TempDir()
		if unix.Mount(loop, dir, "ext4", unix.MS_RDONLY, "") == nil {
			_ = unix.Unmount(dir, unix.MNT_DETACH)
			t.Error("mounted")
		}
		u.close()
		mountOn(t, loop, dir, "ext4", 0)
	}
	image, _ := numbered(t, 4096)
	wantClaim(t, have(t, "read", image), true)
}

// TestClaimed: who can only read is in nobody's way; who could write is.
func TestClaimed(t *testing.T) {
	loop := ext4(t)
	u := have(t, "read", loop)
	dir := t.TempDir()
	end := mountOn(t, loop, dir, "ext4", unix.MS_RDONLY)
	wantClaim(t, u, false)
	end()
	end = mountOn(t, loop, dir, "ext4", 0)
	wantClaim(t, u, false, "a file system mounted on "+dir)
	end()

	f, err := os.OpenFile(loop, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantClaim(t, u, false, another...)
	f.Close()

	_, _, endOther := occupy(t, "claim", loop)
	wantClaim(t, u, false)
	endOther()
	u.close()
	_, writer, endOther := occupy(t, "write", loop)
	u = have(t, "read", loop)
	wantClaim(t, u, false, writer)
	endOther()
	u.close()

	w := have(t, "write", loop)
	wantClaim(t, w, true)
	wantClaim(t, have(t, "read", loop), false) // the process has it itself
	w.close()
}

// TestClaimedParts: of a device of which others have other parts, some can be read and
// written; and who writes a part that is read, or reads one that is written, is refused.
func TestClaimedParts(t *testing.T) {
	path, _ := numbered(t, 64<<10)
	loop := loopOver(t, path)
	_, reader, end := occupy(t, "claim", loop, 4096, 8192)
	wantClaim(t, have(t, "read", loop, 8192, 16384), false)
	have(t, "write", loop, 8192, 16384).close()
	_, err := use(t, "write", loop, 4096, 16384)
	busyBy(t, err, reader)
	end()
	_, writer, end := occupy(t, "write", loop, 4096, 8192)
	wantClaim(t, have(t, "read", loop, 8192, 16384), false)
	wantClaim(t, have(t, "read", loop, 4096, 16384), false, writer)
	end()

	f, err := os.OpenFile(loop, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = use(t, "write", loop, 4096, 8192)
	busyBy(t, err)
	wantClaim(t, have(t, "read", loop, 4096, 8192), false, another...)
}

// TestClaimPastCache: the claim stays when the device is closed that reads past the cache.
func TestClaimPastCache(t *testing.T) {
	path, _ := numbered(t, 64<<10)
	u := have(t, "claim", loopOver(t, path))
	past, err := u.PastCache()
	if err != nil {
		t.Fatal(err)
	}
	past.Close()
	if f, err := os.OpenFile(u.Path(), unix.O_EXCL, 0); err == nil {
		f.Close()
		t.Error("claimed no more")
	}
}
