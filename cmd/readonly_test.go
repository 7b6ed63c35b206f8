package cmd

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// readers are command lines that only read %COW, which stands for the device
// that is tested. %BLANK is a device of zeros, %NEW a file that there is not.
var readers = [][]string{
	{"dump", "%COW"},
	{"dump", "--output", "csv", "--hidden", "--ranges", "%COW"},
	{"dump", "--output", "json", "%COW"},
	{"dump", "--yes", "-v", "%COW"},
	{"dump", "--stale", "--output", "csv", "%COW"},
	{"repair", "--dry-run", "%COW"},
	{"repair", "--dry-run", "--truncate-list", "--drop", "--warnings", "%COW"},
	{"repair", "--yes", "--truncate-list", "--copy-to", "%NEW", "%COW"},
	{"repair", "--yes", "--truncate-list", "--copy-to", "-", "%COW"},
	{"check", "--origin", "%BLANK", "%COW"},
	{"create", "-", "--origin", "%BLANK", "--from", "%COW"},
	{"revalidate", "--dry-run", "--assume-origin-unchanged", "%COW"},
	{"usage", "%COW"},
	{"usage", "--output", "json", "%COW"},
	{"usage", "--output", "prometheus", "%COW"},
	{"usage", "--table", "--origin-size", "1M", "%COW"},
	{"usage", "--warn", "80", "--crit", "90", "%COW"},
	{"usage", "--offset", "8s", "%COW"},
	{"initialize", "--dry-run", "%COW"},
	{"initialize", "--dry-run", "--force", "%COW"},
	{"invalidate", "--dry-run", "%COW"},
	{"merge", "--dry-run", "--into", "%BLANK", "--undo", "%NEW", "%COW"},
	{"merge", "--dry-run", "--into", "%COW", "%COW"},
	{"merge-step", "--dry-run", "--steps", "50", "--into", "%BLANK", "%COW"},
	{"export", "--origin", "%BLANK", "%COW"},
	{"export", "--origin", "%BLANK", "--invalid-ok", "--hash", "sha256", "%COW", "%NEW"},
	{"export", "--origin", "%COW", "%COW", "%NEW"},
	{"export", "--yes", "--force", "--origin", "%BLANK", "%COW", "%COW"},
	{"send", "--origin", "%BLANK", "%COW"},
	{"send", "--origin", "%BLANK", "--dry-run", "%COW", "%NEW"},
	{"send", "--origin", "%BLANK", "--full", "%COW", "%NEW"},
	{"send", "--origin", "%BLANK", "--to", "%COW", "%COW", "--back"},
	{"send", "--yes", "--force", "--origin", "%BLANK", "%COW", "%COW"},
	{"diff", "--origin", "%BLANK", "--output", "csv", "%COW"},
	{"diff", "--origin", "%BLANK", "--content", "--map", "--svg", "%NEW", "%COW"},
	{"diff", "--origin", "%BLANK", "--against", "%COW", "%COW"},
	{"mount", "--dry-run", "--origin", "%BLANK", "%COW", "/"},
	{"mount", "--dry-run", "--writable", "--origin", "%BLANK", "%COW", "/"},
	{"files", "--origin", "%BLANK", "%COW"},
	{"ls", "--origin", "%BLANK", "%COW"},
	{"get", "-r", "--origin", "%BLANK", "%COW", "/", "%NEW"},
	{"create", "--dry-run", "--force", "--origin", "%BLANK", "--from", "%BLANK", "%COW"},
	{"create", "--yes", "--origin", "%COW", "--from", "%COW", "%NEW"},
	{"create", "--yes", "--origin", "%BLANK", "--from", "%COW", "%NEW"},
}

var evidence = map[string]string{
	"sound":   "device 200\nheader chunk=1\nfill 40",
	"invalid": "device 200\nheader chunk=1 valid=0\nfill 40",
	"damaged": "device 34\nheader chunk=1\nfill 32",
	"blank":   "device 2048",
}

// TestReadersLeaveNoTrace shows that a command that reads, and a dry run of one
// that writes, neither changes the image or its times nor opens it for writing.
func TestReadersLeaveNoTrace(t *testing.T) {
	// The blkid program, which a dry run asks for signatures, does not keep the
	// access time.
	t.Setenv("PATH", "")
	for name, spec := range evidence {
		for _, args := range readers {
			image := storespec.MustCompile(t, spec)
			path := filepath.Join(t.TempDir(), "cow")
			devicetest.WriteFile(t, path, image)
			// An access time before the last change is one that reading renews.
			old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
			if err := os.Chtimes(path, old, old.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			before := statOf(t, path)
			events := watch(t, path)
			blank := filepath.Join(t.TempDir(), "blank")
			devicetest.WriteFile(t, blank, make([]byte, 1<<20))
			names := strings.NewReplacer("%COW", path, "%BLANK", blank, "%NEW", path+".new")
			var line []string
			for _, a := range args {
				line = append(line, names.Replace(a))
			}
			Main(line, io.Discard, io.Discard)
			want := uint32(unix.IN_OPEN)
			if (args[0] == "export" || args[0] == "send") && slices.Equal(args[len(args)-2:], []string{"%COW", "%COW"}) {
				want = 0 // refused by the names alone
			}
			if got := events(); got&unix.IN_OPEN != want || got&^(unix.IN_OPEN|unix.IN_ACCESS|unix.IN_CLOSE_NOWRITE) != 0 {
				t.Errorf("%s, %q: inotify events %#x", name, args, got)
			}
			if after := statOf(t, path); after != before {
				t.Errorf("%s, %q: was %+v, is %+v", name, args, before, after)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, image) {
				t.Errorf("%s, %q: the image is another (%v)", name, args, err)
			}
		}
	}
}

// volumeReaders are command lines that only read the volume group vg0 on %PV.
var volumeReaders = [][]string{
	{"list", "--pv", "%PV"},
	{"list", "--output", "json", "--pv", "%PV"},
	{"dump", "vg0/snap", "--pv", "%PV"},
	{"usage", "vg0/snap", "--pv", "%PV"},
	{"usage", "--table", "vg0/snap", "--pv", "%PV"},
	{"check", "vg0/snap", "--pv", "%PV", "--origin", "vg0/origin"},
	{"merge", "--dry-run", "vg0/snap", "--pv", "%PV"},
	{"merge-step", "--dry-run", "vg0/snap", "--pv", "%PV"},
	{"export", "vg0/snap", "--pv", "%PV"},
	{"send", "vg0/snap", "--pv", "%PV"},
	{"diff", "vg0/snap", "--content", "--pv", "%PV"},
	{"mount", "--dry-run", "vg0/snap", "/", "--pv", "%PV"},
	{"mount", "--dry-run", "--writable", "vg0/snap", "/", "--pv", "%PV"},
	{"invalidate", "--dry-run", "vg0/snap", "--pv", "%PV"},
	{"repair", "--dry-run", "vg0/snap", "--pv", "%PV"},
	{"revalidate", "--dry-run", "vg0/snap", "--pv", "%PV"},
}

// TestVolumeReadersLeaveNoTrace is TestReadersLeaveNoTrace for a disk that has a volume
// group.
func TestVolumeReadersLeaveNoTrace(t *testing.T) {
	_, disks := lvmImages(t, "linear")
	image, err := os.ReadFile(disks[0])
	if err != nil {
		t.Fatal(err)
	}
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(disks[0], old, old.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	before := statOf(t, disks[0])
	for _, args := range volumeReaders {
		events := watch(t, disks[0])
		var line []string
		for _, a := range args {
			line = append(line, strings.ReplaceAll(a, "%PV", disks[0]))
		}
		expect(t, 0, line...)
		if got := events(); got&unix.IN_OPEN == 0 || got&^(unix.IN_OPEN|unix.IN_ACCESS|unix.IN_CLOSE_NOWRITE) != 0 {
			t.Errorf("%q: inotify events %#x", args, got)
		}
		if after := statOf(t, disks[0]); after != before {
			t.Errorf("%q: was %+v, is %+v", args, before, after)
		}
	}
	if now, err := os.ReadFile(disks[0]); err != nil || !bytes.Equal(now, image) {
		t.Errorf("the image is another (%v)", err)
	}
}

// times are what a file says of its past.
type times struct{ size, atime, mtime, ctime int64 }

func statOf(t *testing.T, path string) times {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return times{st.Size, unix.TimespecToNsec(st.Atim), unix.TimespecToNsec(st.Mtim), unix.TimespecToNsec(st.Ctim)}
}

// watch has the kernel note what is done to a file; the function that it
// returns tells what was, as inotify's bits.
func watch(t *testing.T, path string) func() uint32 {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_ALL_EVENTS); err != nil {
		t.Fatal(err)
	}
	return func() (seen uint32) {
		defer unix.Close(fd) // there are not many to be had at once
		buf := make([]byte, 64<<10)
		n, err := unix.Read(fd, buf)
		if err != nil && err != unix.EAGAIN { // which says that nothing was
			t.Fatalf("inotify: %v", err)
		}
		for e := buf[:max(n, 0)]; len(e) >= unix.SizeofInotifyEvent; {
			seen |= binary.NativeEndian.Uint32(e[4:])
			e = e[unix.SizeofInotifyEvent+binary.NativeEndian.Uint32(e[12:]):]
		}
		return seen
	}
}
