package device

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/inuse"
	"dmcow/internal/kernellab"
)

// TestOccupy tests nothing: it opens a device for the tests of those who find it in use. It is
// told "read", "claim" or "write", the path, and where it is not to be all of it, from which
// byte to which.
func TestOccupy(t *testing.T) {
	how := strings.Fields(os.Getenv("DEVICE_TEST_OCCUPY"))
	if len(how) < 2 {
		t.Skip("run by other tests")
	}
	var part []int64
	for _, s := range how[2:] {
		var n int64
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
		part = append(part, n)
	}
	if d, err := use(t, how[0], how[1], part...); err != nil {
		fmt.Println("occupied: not", err)
	} else {
		fmt.Printf("occupied: by %q\n", d.Holders())
	}
	_, _ = io.ReadAll(os.Stdin)
}

// use opens a device, or joins one from some bytes of one.
func use(t *testing.T, how, path string, part ...int64) (*used, error) {
	t.Helper()
	var u used
	var err error
	switch {
	case how != "write" && part == nil:
		u.Device, err = Open(path)
	case how != "write":
		if u.under, err = OpenUnlocked(path); err == nil {
			u.Device = all(t, []Part{{Length: part[1] - part[0], Stripes: []Stripe{{On: u.under, Start: part[0]}}}})
			u.Lock()
		}
	default:
		err = u.write(path, part)
	}
	if how == "claim" {
		_, err = u.Claim()
	}
	if err == nil {
		t.Cleanup(u.close)
	}
	return &u, err
}

// used is a device, or some bytes of the one under it.
type used struct {
	*Device
	under *Device
}

func (u *used) write(path string, part []int64) error {
	open := OpenShared
	if part == nil {
		open = OpenWritable
	}
	w, err := open(path)
	if err != nil {
		return err
	}
	if u.Device = &w.Device; part == nil {
		return nil
	}
	u.under = &w.Device
	w, err = JoinWritable("joined", []Part{{Length: part[1] - part[0], Stripes: []Stripe{{On: u.under, Start: part[0]}}}})
	if err != nil {
		u.under.Close()
		return err
	}
	u.Device = &w.Device
	return nil
}

func (u *used) close() {
	u.Close()
	if u.under != nil {
		u.under.Close()
	}
}

// occupy has another process open a device. It returns what that says of it, what it is called
// in messages, and what ends it.
func occupy(t *testing.T, how ...any) (says, name string, end func()) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestOccupy$", "-test.v")
	c.Env = append(os.Environ(), "DEVICE_TEST_OCCUPY="+strings.TrimSpace(fmt.Sprintln(how...)))
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		in.Close()
		_, _ = io.ReadAll(out)
		_ = c.Wait()
	}
	t.Cleanup(end)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if says, ok := strings.CutPrefix(lines.Text(), "occupied: "); ok {
			return says, fmt.Sprintf("%s (process %d)", line(t, "/proc/self/comm"), c.Process.Pid), end
		}
	}
	t.Fatal("nothing was opened")
	return "", "", nil
}

// line is a file of one line.
func line(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// hasLoops reports whether loop devices can be had.
func hasLoops() bool {
	_, err := os.Stat("/dev/loop-control")
	return err == nil && os.Geteuid() == 0
}

// loopOver is a loop device over a file. The test is skipped where none can be had.
func loopOver(t *testing.T, path string, options ...kernellab.LoopOption) string {
	t.Helper()
	if !hasLoops() {
		t.Skip("takes root and loop devices")
	}
	return kernellab.Loop(t, path, options...)
}

// places are an image file and, where it can be had, a block device of so many bytes.
func places(t *testing.T, size int) []string {
	t.Helper()
	file, _ := numbered(t, size)
	if !hasLoops() {
		return []string{file}
	}
	under, _ := numbered(t, size)
	return []string{file, loopOver(t, under)}
}

// busyBy wants the error to name these users.
func busyBy(t *testing.T, err error, by ...string) {
	t.Helper()
	var busy *inuse.BusyError
	if !errors.As(err, &busy) || !slices.Equal(busy.By, by) {
		t.Errorf("%v, want it used by %q", err, by)
	}
}

// heldBy wants the device to be held by these.
func heldBy(t *testing.T, d *Device, by ...string) {
	t.Helper()
	if got := d.Holders(); !slices.Equal(got, by) {
		t.Errorf("held by %q, want %q", got, by)
	}
}

// have wants a device to be had, and tells who holds it.
func have(t *testing.T, how, path string, part ...int64) *used {
	t.Helper()
	u, err := use(t, how, path, part...)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// others wants another process to have a device, or to be refused it.
func others(t *testing.T, want string, how ...any) {
	t.Helper()
	says, _, end := occupy(t, how...)
	if end(); !strings.HasPrefix(says, want) {
		t.Errorf("%v: %s, want %s", how, says, want)
	}
}

const (
	free = "by []"          // had, and nobody else writes
	busy = "not in use by " // not had
)

// TestReadersKeepWritersOff: of a device that another process reads, the process is named to
// one who would write it; others may read it too. So it is with parts that are joined, but
// only for what they have in common.
func TestReadersKeepWritersOff(t *testing.T) {
	const size = 64 << 10
	for _, path := range places(t, size) {
		for _, part := range [][]any{nil, {4096, 8192}} {
			_, reader, end := occupy(t, append([]any{"read", path}, part...)...)
			_, err := OpenWritable(path)
			busyBy(t, err, reader)
			u := have(t, "read", path)
			heldBy(t, u.Device)
			others(t, free, "read", path)
			u.close()
			_, err = use(t, "write", path, 8192-512, size)
			busyBy(t, err, reader)
			if part != nil {
				have(t, "write", path, 8192, size).close()
			}
			end()
			have(t, "write", path, 4096, 8192).close()
		}
	}
}

// TestWritersAreKnownToReaders: a device that another process writes can be read, and the
// process is named, for as long as the device is open. So it is with parts that are joined.
func TestWritersAreKnownToReaders(t *testing.T) {
	const size = 64 << 10
	for _, path := range places(t, size) {
		for _, part := range [][]any{nil, {4096, 8192}} {
			says, writer, end := occupy(t, append([]any{"write", path}, part...)...)
			if says != free {
				t.Fatal(says)
			}
			readers := []*used{have(t, "read", path), have(t, "read", path, 8192-512, 8192)}
			for _, r := range readers {
				heldBy(t, r.Device, writer)
			}
			other := have(t, "read", path, 8192, size)
			if part != nil {
				heldBy(t, other.Device)
			}
			unlocked, err := OpenUnlocked(path)
			if err != nil {
				t.Fatal(err)
			}
			heldBy(t, unlocked, writer)
			if _, err = use(t, "write", path, 8192-512, size); !errors.As(err, new(*inuse.BusyError)) {
				t.Error(err)
			}
			end()
			for _, r := range readers {
				heldBy(t, r.Device, writer) // what was read before may have been changed
				r.close()
			}
			heldBy(t, unlocked)
			unlocked.Close()
			other.close()
		}
	}
}

// TestOwnLocks: a process is not in its own way. One who reads makes way for one who writes,
// and has the locks again when that one has ended, or was refused.
func TestOwnLocks(t *testing.T) {
	const size = 64 << 10
	for _, path := range places(t, size) {
		_, reader, end := occupy(t, "read", path, 0, 512)
		early := have(t, "read", path)
		_, err := OpenWritable(path)
		busyBy(t, err, reader)
		end()
		others(t, busy, "write", path)
		w := have(t, "write", path)
		late, part := have(t, "read", path), have(t, "read", path, 512, 1024)
		for _, u := range []*used{early, late, part, w} {
			heldBy(t, u.Device)
		}
		early.close()
		w.close()
		for _, u := range []*used{late, part} {
			others(t, busy, "write", path)
			u.close()
		}
		others(t, free, "write", path)
	}
}

// TestOwnParts: who reads a part, and writes some of it, has both, and nobody twice.
func TestOwnParts(t *testing.T) {
	path := places(t, 64<<10)[0]
	reads := have(t, "read", path, 4096, 12288)
	writes := have(t, "write", path, 8192, 16384)
	heldBy(t, reads.Device)
	if _, err := use(t, "write", path, 16384-512, 16384); !errors.As(err, new(*inuse.BusyError)) {
		t.Errorf("written twice: %v", err)
	}
	others(t, free, "write", path, 4096, 8192) // who reads has made way
	writes.close()
	others(t, busy, "write", path, 4096, 8192)
	reads.close()
	others(t, free, "write", path)
}

// TestLocksPastCache: the locks stay when the device is closed that reads past the cache.
func TestLocksPastCache(t *testing.T) {
	for _, path := range places(t, 8192) {
		for _, open := range []func(*medium) (*medium, error){(*medium).pastCache, (*medium).droppingCache} {
			d := have(t, "read", path)
			past, err := d.again(open)
			if err != nil {
				t.Fatal(err)
			}
			past.Close()
			others(t, busy, "write", path)
			if past, err = d.again(open); err != nil {
				t.Fatal(err)
			}
			d.close()
			others(t, free, "write", path)
			past.Close()
		}
	}
}

// The bytes that QEMU locks (block/file-posix.c).
const (
	byteReads  = 100
	byteWrites = 101
	byteAlone  = 201
)

// qemu has the locks of a QEMU that reads an image, or writes it, and lets nobody else write it.
func qemu(t *testing.T, path string, writes bool) (end func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	bytes := []int64{byteReads, byteAlone}
	if writes {
		bytes = append(bytes, byteWrites)
	}
	for _, at := range bytes {
		lock := unix.Flock_t{Type: unix.F_RDLCK, Start: at, Len: 1}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
			t.Fatal(err)
		}
	}
	return func() { f.Close() }
}

// wantMeets wants a QEMU that begins to read an image, or to write it, to meet these locks.
func wantMeets(t *testing.T, path string, writes bool, want ...int64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	looks := []int64{byteReads + 100, byteWrites}
	if writes {
		looks = append(looks, byteAlone)
	}
	var met []int64
	for _, at := range looks {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
			t.Fatal(err)
		}
		if lock.Type != unix.F_UNLCK {
			met = append(met, at)
		}
	}
	if !slices.Equal(met, want) {
		t.Errorf("QEMU meets %d, want %d", met, want)
	}
}

// TestQEMU: who reads is told of a QEMU that writes, and is in nobody's way then; who writes is
// refused where QEMU has the image. QEMU may read what is read, and write nothing that is open.
func TestQEMU(t *testing.T) {
	const program = "QEMU, or another program that holds its lock"
	for _, path := range places(t, 64<<10) {
		for _, part := range [][]int64{nil, {8192, 16384}} {
			end := qemu(t, path, true)
			u := have(t, "read", path, part...)
			heldBy(t, u.Device, program)
			wantMeets(t, path, false, byteWrites) // nobody but itself
			_, err := use(t, "write", path, part...)
			busyBy(t, err, program)
			end()
			wantMeets(t, path, true) // who reads has no lock
			u.close()

			end = qemu(t, path, false)
			u = have(t, "read", path, part...)
			heldBy(t, u.Device)
			_, err = use(t, "write", path, part...)
			busyBy(t, err, program)
			end()
			wantMeets(t, path, false)
			wantMeets(t, path, true, byteAlone)
			u.close()

			u = have(t, "write", path, part...)
			heldBy(t, u.Device)
			if part != nil {
				heldBy(t, have(t, "read", path, 32768, 40960).Device)
				wantMeets(t, path, false, byteWrites)
				wantMeets(t, path, true, byteWrites, byteAlone)
			}
			u.close()
		}
	}
}

// TestOtherFileSystem: who has locked a file is known where a file has another device number
// than its file system.
func TestOtherFileSystem(t *testing.T) {
	if _, err := exec.LookPath("mkfs.btrfs"); err != nil {
		t.Skip("no mkfs.btrfs")
	}
	loop := loopOver(t, kernellab.File(t, "btrfs", 256<<11))
	kernellab.Run(t, "mkfs.btrfs", "-q", loop)
	dir := t.TempDir()
	if err := unix.Mount(loop, dir, "btrfs", 0, ""); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "image")
	devicetest.WriteFile(t, path, make([]byte, 4096))
	_, reader, end := occupy(t, "read", path)
	_, err := OpenWritable(path)
	busyBy(t, err, reader)
	end()
}
