package cmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/fuse"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/storespec"
)

// requireFUSE skips a test where nothing can be mounted through FUSE. In the lab it can.
func requireFUSE(t *testing.T) {
	t.Helper()
	err := fuse.Check()
	if err == nil && os.Geteuid() != 0 {
		var f *os.File
		if f, err = os.OpenFile("/dev/fuse", os.O_RDWR, 0); err == nil {
			f.Close()
		}
	}
	switch {
	case err != nil && kernellab.InLab():
		t.Fatal(err)
	case err != nil:
		t.Skip("no FUSE here: ", err)
	}
}

// mounting is a dmcow that has a snapshot mounted.
type mounting struct {
	*testing.T
	*listening
	dir  string
	file string
}

// mountSnapshot mounts a snapshot, with the given arguments, and returns when it is there.
func mountSnapshot(t *testing.T, args ...string) *mounting {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() { _ = fuse.Detach(dir) }) // of a test that failed
	c := exec.Command("dmcow", append([]string{"mount", "-v", "--yes"}, append(args, dir)...)...)
	m := &mounting{T: t, listening: listen(t, c), dir: dir, file: filepath.Join(dir, "snapshot")}
	m.until(t, "mounted on ")
	return m
}

// unmount unmounts as umount(8) does, and waits for dmcow, which ends well.
func (m *mounting) unmount() {
	m.Helper()
	m.takeAway()
	m.end()
}

func (m *mounting) takeAway() {
	m.Helper()
	unmount := func() error { return syscall.Unmount(m.dir, 0) }
	if os.Geteuid() != 0 {
		unmount = exec.Command("fusermount3", "-u", m.dir).Run
	}
	if err := unmount(); err != nil {
		m.Fatal(err)
	}
}

// end waits for dmcow, which ends well, and leaves nothing mounted.
func (m *mounting) end() {
	m.Helper()
	m.endsWith(0)
}

// endsWith waits for dmcow, which ends with an exit status, and leaves nothing mounted.
func (m *mounting) endsWith(status int) {
	m.Helper()
	m.rest(m.T)
	if got := m.ProcessState.ExitCode(); got != status {
		m.Fatalf("exit status %d, expected %d: %s", got, status, &m.said)
	}
	if files, err := os.ReadDir(m.dir); err != nil || len(files) > 0 {
		m.Errorf("%v, %v is still there", err, files)
	}
}

// storeFiles writes a store of the corpus and its origin to files.
func storeFiles(t *testing.T, s corpus.Store) (cow, origin string) {
	t.Helper()
	dir := t.TempDir()
	cow, origin = filepath.Join(dir, "cow"), filepath.Join(dir, "origin")
	if err := errors.Join(os.WriteFile(cow, s.COW(t), 0o666), os.WriteFile(origin, s.Origin(t), 0o666)); err != nil {
		t.Fatal(err)
	}
	return cow, origin
}

func fileDigest(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestKernelMountShows mounts stores that the kernel made: the file is what the kernel shows,
// and neither device changes, nor can it be written.
func TestKernelMountShows(t *testing.T) {
	requireFUSE(t)
	inLab := []string{"odd-origin", "areas-64", "empty-1024", "merge-stopped"} // where each takes half a second
	for name, s := range corpus.Load(t) {
		if s.ViewSHA256 == "" || kernellab.InLab() && !slices.Contains(inLab, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			cow, origin := storeFiles(t, s)
			before := [2]times{statOf(t, cow), statOf(t, origin)}
			m := mountSnapshot(t, cow, "--origin", origin)
			if got := fileDigest(t, m.file); got != s.ViewSHA256 {
				t.Errorf("digest %s, the kernel's is %s", got, s.ViewSHA256)
			}
			info, err := os.Stat(m.file)
			if err != nil || info.Size() != int64(s.OriginSectors*512) || info.Mode().Perm() != 0o444 {
				t.Errorf("%v, %v", info, err)
			}
			if f, err := os.OpenFile(m.file, os.O_RDWR, 0); !errors.Is(err, syscall.EROFS) {
				t.Errorf("opening it for writing: %v, %v", f, err)
			}
			m.unmount()
			if after := [2]times{statOf(t, cow), statOf(t, origin)}; after != before {
				t.Errorf("was %+v, is %+v", before, after)
			}
			if fileDigest(t, cow) != s.COWSHA256 || fileDigest(t, origin) != s.OriginSHA256 {
				t.Error("COW or origin has changed")
			}
		})
	}
}

// TestKernelMountEnds: a signal unmounts; where the file is in use, it can be read to its end
// by those who have it open, and by nobody else.
func TestKernelMountEnds(t *testing.T) {
	requireFUSE(t)
	s := corpus.Load(t)["lvm-ext4"]
	cow, origin := storeFiles(t, s)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(s) {
			continue // under nohup(1), which dmcow heeds
		}
		m := mountSnapshot(t, cow, "--origin", origin)
		if err := m.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		m.end()
	}
	m := mountSnapshot(t, cow, "--origin", origin)
	f, err := os.Open(m.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.until(t, "is unmounted; programs that have the file open can go on")
	if files, err := os.ReadDir(m.dir); err != nil || len(files) > 0 {
		t.Errorf("%v, %v", files, err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil || hex.EncodeToString(h.Sum(nil)) != s.ViewSHA256 {
		t.Errorf("what was open: %v, %x", err, h.Sum(nil))
	}
	f.Close()
	m.end()
}

// TestKernelMountDaemon: the command ends when the snapshot is there, and with its status
// where it is not.
func TestKernelMountDaemon(t *testing.T) {
	requireFUSE(t)
	s := corpus.Load(t)["lvm-ext4"]
	cow, origin := storeFiles(t, s)
	dir := t.TempDir()
	mount := func(args ...string) (string, int) {
		cmd := exec.Command("dmcow", append([]string{"mount", "--daemon"}, args...)...)
		// The process in the background has let go of it: else this would wait for that.
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, status := mount(cow, "--origin", origin, dir); status != 0 || !strings.Contains(out, "the file is "+dir+"/snapshot; umount ends it\n") {
		t.Fatalf("exit status %d: %s", status, out)
	}
	t.Cleanup(func() { _ = fuse.Detach(dir) })
	if got := fileDigest(t, filepath.Join(dir, "snapshot")); got != s.ViewSHA256 {
		t.Errorf("digest %s", got)
	}
	if out, status := mount(cow, "--origin", origin, dir); status != 8 || !strings.Contains(out, "a FUSE file system is mounted on it already") {
		t.Errorf("mounted twice: exit status %d: %s", status, out)
	}
	if out, status := mount(origin, "--origin", cow, t.TempDir()); status != 8 || !strings.Contains(out, "not a COW store") {
		t.Errorf("exit status %d: %s", status, out)
	}
	if err := fuse.Detach(dir); err != nil {
		t.Error(err)
	}
	image := storespec.MustCompile(t, damagedStore)
	devicetest.WriteFile(t, cow, image)
	if out, status := mount(cow, "--origin", origin, dir); status != 4 || !strings.Contains(out, "damaged: duplicate-old-chunk") {
		t.Errorf("exit status %d: %s", status, out)
	}
	if err := fuse.Detach(dir); err != nil {
		t.Error(err)
	}
}

// damagedStore has a chunk with two exceptions, and one whose data is off the device; chunk 15
// lost its own.
const damagedStore = `
device 20000
header chunk=8
fill 40
ex 5 12 7
ex 9 27 90000
data 9
`

// TestKernelMountDamaged: what is certain of a damaged store can be read; what is not, as no chunk
// without an exception is, is an I/O error whose reason is told, once.
func TestKernelMountDamaged(t *testing.T) {
	requireFUSE(t)
	dir := t.TempDir()
	cow, origin := filepath.Join(dir, "cow"), filepath.Join(dir, "origin")
	image := storespec.MustCompile(t, damagedStore)
	if err := errors.Join(os.WriteFile(cow, image, 0o666), os.WriteFile(origin, make([]byte, 1<<20), 0o666)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dmcow", "mount", "--dry-run", cow, "--origin", origin, dir)
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 4 || !bytes.Contains(out, []byte("duplicate-old-chunk")) {
		t.Errorf("dry run: exit status %d: %s", cmd.ProcessState.ExitCode(), out)
	}
	m := mountSnapshot(t, cow, "--origin", origin)
	f, err := os.Open(m.file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const chunk = 4096
	b := make([]byte, chunk)
	for old := int64(0); old < 1<<20/chunk; old++ {
		_, err := f.ReadAt(b, old*chunk)
		listed := old%3 == 0 && old < 120 && old != 15
		if bad := !listed || old == 12 || old == 27; bad != errors.Is(err, syscall.EIO) || !bad && err != nil {
			t.Errorf("chunk %d: %v", old, err)
		}
		if n := int64(2 + old/3); listed && err == nil && !bytes.Equal(b, image[n*chunk:(n+1)*chunk]) {
			t.Errorf("chunk %d is not data chunk %d", old, n)
		}
	}
	f.Close()
	if err := m.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.rest(t)
	if status := m.ProcessState.ExitCode(); status != 4 {
		t.Errorf("exit status %d", status)
	}
	for _, want := range []string{
		"is uncertain: area 0 slot 5: old chunk 12 already has an exception, area 0 slot 4 (duplicate-old-chunk)",
		"chunk 27 of the snapshot (byte 110592) is uncertain: area 0 slot 9: new chunk 90000 is past the end of the device (2500 chunks)",
	} {
		if n := strings.Count(m.said.String(), want); n != 1 {
			t.Errorf("%d times %q in %s", n, want, &m.said)
		}
	}
	out, _ := exec.Command("dmcow", "mount", "--writable", cow, "--origin", origin, m.dir).CombinedOutput()
	if !bytes.Contains(out, []byte("can only be read")) {
		t.Errorf("for writing: %s", out)
	}
	if now, err := os.ReadFile(cow); err != nil || !bytes.Equal(now, image) {
		t.Error("the COW device has changed: ", err)
	}
}

// TestKernelMountVolume: a volume that is not a snapshot is shown as it is, and cannot be written to.
func TestKernelMountVolume(t *testing.T) {
	requireFUSE(t)
	f, disks := lvmImages(t, "striped")
	origin := f.Snapshots[f.Merge].Origin
	want, _, err := readVolume(t, origin, disks)
	if err != nil {
		t.Fatal(err)
	}
	m := mountSnapshot(t, append(pv(disks), origin)...)
	file := filepath.Join(m.dir, "volume")
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, or it is something else", err)
	}
	if w, err := os.OpenFile(file, os.O_WRONLY, 0); !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.EROFS) {
		w.Close()
		t.Error("opened to be written: ", err)
	}
	m.unmount()
	if said := m.said.String(); !strings.Contains(said, "the file is "+file+";") {
		t.Errorf("it does not say where the file is: %s", said)
	}
	expect(t, 8, append([]string{"mount", "--writable", origin, t.TempDir()}, pv(disks)...)...)
}

// TestKernelMountOfMissingDisk: where a disk is missing, and the origin with it, what the store has
// can be read all the same.
func TestKernelMountOfMissingDisk(t *testing.T) {
	requireFUSE(t)
	f, disks := lvmImages(t, "striped")
	want := lvmView(t, f.Merge, f.Snapshots[f.Merge].Origin, disks)
	there := pv([]string{disks[0], disks[2]})
	m := mountSnapshot(t, append(there, f.Merge)...)
	file, err := os.Open(m.file)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const block = 4096
	b, missing := make([]byte, block), 0
	for at := 0; at < len(want); at += block {
		switch _, err := file.ReadAt(b, int64(at)); {
		case errors.Is(err, syscall.EIO):
			missing++
		case err != nil || !bytes.Equal(b, want[at:at+block]):
			t.Errorf("byte %d: %v, or it is something else", at, err)
		}
	}
	if all := len(want) / block; missing == 0 || missing == all {
		t.Errorf("%d of %d blocks cannot be read", missing, all)
	}
	file.Close()
	if err := m.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.rest(t)
	if status := m.ProcessState.ExitCode(); status != 8 {
		t.Errorf("exit status %d", status)
	}
	_, stderr := expect(t, 8, append([]string{"diff", "--content", "--summary", f.Merge}, there...)...)
	if !regexp.MustCompile(`(?m)^dmcow: my-vg.1/the-origin.x: origin at byte \d+: physical volume .* is missing \(it was .*\); \d+ chunks could not be compared, and count as different$`).MatchString(stderr) {
		t.Errorf("diff: %s", stderr)
	}
}

// TestKernelMountWithoutRoot mounts as another user, who has fusermount3 and nothing else, and
// looks at the file system in the snapshot as forensic tools do.
func TestKernelMountWithoutRoot(t *testing.T) {
	requireFUSE(t)
	for _, program := range []string{"fusermount3", "debugfs", "e2fsck"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("to become another user takes root")
	}
	if info, err := os.Stat("/dev/fuse"); err != nil || info.Mode().Perm()&6 != 6 {
		if !kernellab.InLab() {
			t.Skip("/dev/fuse is for root alone")
		}
		if err := os.Chmod("/dev/fuse", 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s := corpus.Load(t)["lvm-ext4"]
	cow, origin := storeFiles(t, s)
	top, err := os.MkdirTemp("/dev/shm", "mount") // in a directory that another user can get to
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	const nobody = 65534
	dir := filepath.Join(top, "mnt")
	if err := errors.Join(os.Chmod(top, 0o755), os.Mkdir(dir, 0o755), os.Chown(dir, nobody, nobody),
		exec.Command("cp", cow, origin, top).Run()); err != nil {
		t.Fatal(err)
	}
	dmcow, err := exec.LookPath("dmcow")
	if err != nil {
		t.Fatal(err)
	}
	script := `set -e
"$1" mount --daemon "$0/cow" --origin "$0/origin" "$0/mnt"
trap 'fusermount3 -u "$0/mnt"' EXIT
sha256sum <"$0/mnt/snapshot"
e2fsck -f -n "$0/mnt/snapshot" >/dev/null 2>&1
debugfs -R 'ls -p /' "$0/mnt/snapshot" 2>/dev/null | grep -q file-00.txt
debugfs -R 'cat /file-00.txt' "$0/mnt/snapshot" 2>/dev/null | head -n 1
`
	// Programs of tests lie where others than root cannot get to.
	if out, err := exec.Command("cp", dmcow, filepath.Join(top, "dmcow")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command("sh", "-c", script, top, filepath.Join(top, "dmcow"))
	cmd.Dir = top
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\n"+s.ViewSHA256) {
		t.Errorf("%v: %s", err, out)
	}
}
