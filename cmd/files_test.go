package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/pvimage"
)

// hostile are names that may be in a directory, and do something elsewhere.
var hostile = []string{"\xff\xfe", "new\nline", "\x1b[31mred", "-rf", " ", "\"quoted\"", "a'b", "...", "..\\up", ".dmcow-x", "ümlaut", "back\\slash", "$(id)", "a,b;c", "\u202egpj"}

// hostileImage is an ext4 image with such names, made of the directory that is returned too.
func hostileImage(t *testing.T, blocks string) (image, tree string) {
	t.Helper()
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		if mke2fs = "/usr/sbin/mke2fs"; os.Getenv("CI") != "true" {
			if _, err := os.Stat(mke2fs); err != nil {
				t.Skip("install e2fsprogs")
			}
		}
	}
	dir := t.TempDir()
	tree, image = filepath.Join(dir, "tree"), filepath.Join(dir, "image")
	make := func(path string, content string) {
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{tree, filepath.Join(tree, "sub"), filepath.Join(tree, "sub", "\xfd\n")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		for n, name := range hostile {
			make(filepath.Join(d, name), strings.Repeat(name, 100*n))
		}
	}
	for target, name := range map[string]string{"/etc/passwd": "absolute", "../../../../up": "up", "sub": "inside", "\xff\n": "odd"} {
		if err := os.Symlink(target, filepath.Join(tree, name)); err != nil {
			t.Fatal(err)
		}
	}
	holes, err := os.Create(filepath.Join(tree, "holes"))
	if err == nil {
		_, err = holes.WriteAt([]byte("middle"), 1<<20)
	}
	if err == nil {
		err = holes.Truncate(3 << 20)
	}
	if err == nil {
		err = os.Link(holes.Name(), filepath.Join(tree, "sub", "again"))
	}
	if err != nil {
		t.Fatal(err)
	}
	holes.Close()
	old := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	for _, name := range []string{"sub/\xff\xfe", "sub"} {
		if err := os.Chtimes(filepath.Join(tree, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(tree, "-rf"), 0o4711); err != nil {
		t.Fatal(err)
	}
	if err := unix.Lsetxattr(filepath.Join(tree, "a'b"), "user.note", []byte("\x00value"), 0); err != nil && err != unix.ENOTSUP {
		t.Fatal(err)
	}
	if out, err := exec.Command(mke2fs, "-q", "-F", "-t", "ext4", "-b", blocks, "-d", tree, image, "16M").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return image, tree
}

// told runs a command line, and returns what it writes to standard output.
func told(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, bad bytes.Buffer
	if got := Main(args, &out, &bad); got != want {
		t.Fatalf("%q: exit status %d, expected %d; standard error: %s", args, got, want, &bad)
	}
	return out.String()
}

// state is all that get copies of a file.
func state(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%o %d %d %d ", st.Mode, st.Uid, st.Gid, st.Mtim.Sec) // mke2fs takes no more of it
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprint(st.Size, st.Nlink, string(content))
		value := make([]byte, 100)
		if n, err := unix.Lgetxattr(path, "user.note", value); err == nil {
			text += string(value[:n])
		}
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		text += target
	}
	return text
}

// TestHostileNames: a tree whose names do something to terminals, shells and parsers is listed and copied as it is.
func TestHostileNames(t *testing.T) {
	image, tree := hostileImage(t, "4096")
	dir := t.TempDir()
	cow, dest := filepath.Join(dir, "cow"), filepath.Join(dir, "dest")
	told(t, 0, "create", "--yes", cow, "--origin", image, "--from", image)
	told(t, 0, "get", cow, "--origin", image, "-r", "/", dest)
	listed := map[string]bool{}
	var list struct {
		Entries []struct {
			Path  string
			Bytes *[]byte `json:"path_base64"`
		}
	}
	if err := json.Unmarshal([]byte(told(t, 0, "ls", cow, "--origin", image, "-r", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Entries {
		if e.Bytes != nil {
			e.Path = string(*e.Bytes)
		}
		listed[e.Path] = true
	}
	for _, side := range []string{tree, dest} {
		if err := filepath.WalkDir(side, func(path string, d iofs.DirEntry, err error) error {
			below := strings.TrimPrefix(path, side)
			if err != nil || below == "" || strings.HasPrefix(below, "/lost+found") {
				return err
			}
			if was, is := state(t, tree+below), state(t, dest+below); was != is {
				t.Errorf("%q: was %.60q, is %.60q", below, was, is)
			}
			if !listed[below] {
				t.Errorf("%q is not listed", below)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	var was, is unix.Stat_t
	if err := unix.Stat(tree+"/holes", &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(dest+"/holes", &is); err != nil || is.Blocks > was.Blocks || is.Nlink != 2 {
		t.Errorf("%d blocks of %d, %d links, %v", is.Blocks, was.Blocks, is.Nlink, err)
	}
	for _, line := range [][]string{{"ls", "-r", cow, "--origin", image}, {"files", "--all", cow, "--origin", image}} {
		out := told(t, 0, line...)
		if i := strings.IndexFunc(out, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == 0x202e || r == 0xfffd }); i >= 0 {
			t.Errorf("%q: %.50q", line, out[i:])
		}
	}
	var out, bad bytes.Buffer // links lead on within the file system
	if got := Main([]string{"ls", cow, "--origin", image, "/absolute"}, &out, &bad); got != 8 || !strings.Contains(bad.String(), "no such file") {
		t.Errorf("exit status %d, %s", got, &bad)
	}
}

// TestHostileDifferences: files tells of such names so that they can be found again.
func TestHostileDifferences(t *testing.T) {
	image, _ := hostileImage(t, "1024")
	dir := t.TempDir()
	cow, now := filepath.Join(dir, "cow"), filepath.Join(dir, "now")
	content, err := os.ReadFile(image)
	if err == nil {
		err = os.WriteFile(now, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	debugfs, err := exec.LookPath("debugfs")
	if err != nil {
		debugfs = "/usr/sbin/debugfs"
	}
	for _, command := range []string{"rm \"/sub/\xff\xfe\"", "rm /$(id)", "sif /ümlaut mode 0100600", "sif /ümlaut ctime 20300101", "sif /sub mtime 20300101", "sif / mtime 20300101"} {
		if out, err := exec.Command(debugfs, "-w", "-R", command, now).CombinedOutput(); err != nil || bytes.Contains(out, []byte("not")) {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	told(t, 0, "create", "--yes", cow, "--origin", now, "--from", image)
	var found struct {
		Files []struct {
			Change, Path string
			Bytes        *[]byte `json:"path_base64"`
		}
	}
	if err := json.Unmarshal([]byte(told(t, 0, "files", cow, "--origin", now, "-o", "json")), &found); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found.Files {
		if f.Bytes != nil {
			f.Path = string(*f.Bytes)
		}
		got = append(got, f.Change+" "+f.Path)
	}
	slices.Sort(got)
	if want := []string{"attributes /ümlaut", "deleted /$(id)", "deleted /sub/\xff\xfe"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if out := told(t, 0, "files", cow, "--origin", now); !strings.Contains(out, `deleted  "/sub/\xff\xfe"`) || !strings.Contains(out, "mode  ") {
		t.Errorf("%q", out)
	}
	if out := told(t, 0, "files", cow, "--origin", now, "-o", "csv"); !strings.Contains(out, "/sub/\xff\xfe,") {
		t.Errorf("%q", out)
	}
}

// fileReaders are command lines that only read files of the snapshot %COW and its origin %ORIGIN. %NEW is a directory
// that is empty.
var fileReaders = [][]string{
	{"files", "%COW", "--origin", "%ORIGIN"},
	{"files", "%COW", "--origin", "%ORIGIN", "--content", "--all", "--accessed", "--output", "json"},
	{"files", "%COW", "--origin", "%ORIGIN", "--live", "--top", "3"},
	{"ls", "-r", "%COW", "--origin", "%ORIGIN"},
	{"ls", "-r", "%COW", "--origin", "%ORIGIN", "--origin-side"},
	{"get", "%COW", "--origin", "%ORIGIN", "file-00.txt", "-"},
	{"get", "-r", "%COW", "--origin", "%ORIGIN", "/", "%NEW"},
	{"get", "-r", "--yes", "--force", "%COW", "--origin", "%ORIGIN", "--origin-side", "/", "%NEW"},
}

// TestFileReadersLeaveNoTrace is TestReadersLeaveNoTrace for a snapshot that has files.
func TestFileReadersLeaveNoTrace(t *testing.T) {
	t.Setenv("PATH", "")
	dir := t.TempDir()
	names := map[string]string{}
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	content := map[string][]byte{}
	for word, name := range map[string]string{"%COW": "lvm-ext4.cow.gz", "%ORIGIN": "lvm-ext4.origin.gz"} {
		path := filepath.Join(dir, name)
		content[path] = devicetest.Unzip(t, "../testdata/kernel/"+name)
		if err := os.WriteFile(path, content[path], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, old, old.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		names[word] = path
	}
	for _, args := range fileReaders {
		fresh := t.TempDir()
		r := strings.NewReplacer("%COW", names["%COW"], "%ORIGIN", names["%ORIGIN"], "%NEW", fresh)
		var line []string
		for _, a := range args {
			line = append(line, r.Replace(a))
		}
		before, events := map[string]times{}, map[string]func() uint32{}
		for path := range content {
			before[path], events[path] = statOf(t, path), watch(t, path)
		}
		if got := Main(line, io.Discard, io.Discard); got != 0 {
			t.Errorf("%q: exit status %d", args, got)
		}
		for path, was := range content {
			if got := events[path](); got&unix.IN_OPEN == 0 || got&^(unix.IN_OPEN|unix.IN_ACCESS|unix.IN_CLOSE_NOWRITE) != 0 {
				t.Errorf("%q: inotify events %#x", args, got)
			}
			if after := statOf(t, path); after != before[path] {
				t.Errorf("%q: was %+v, is %+v", args, before[path], after)
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, was) {
				t.Errorf("%q: the image is another (%v)", args, err)
			}
		}
	}
}

// fileGroup is a disk with the volume group vg0, in which vg0/snap is a snapshot of vg0/origin that has files.
func fileGroup(t testing.TB) []byte {
	t.Helper()
	const start, extent = 64 << 10, 4096
	origin, store := devicetest.Unzip(t, "../testdata/kernel/lvm-ext4.origin.gz"), devicetest.Unzip(t, "../testdata/kernel/lvm-ext4.cow.gz")
	first, second := len(origin)/extent, len(store)/extent
	var text strings.Builder
	fmt.Fprintf(&text, "vg0 {\nid = \"VVVVVV-0000-0000-0000-0000-0000-000000\"\nseqno = 5\nextent_size = 8\nphysical_volumes {\n"+
		"pv0 { id = \"AAAAAA-0000-0000-0000-0000-0000-000000\" device = \"/dev/sda\" pe_start = %d pe_count = %d }\n}\nlogical_volumes {\n", start/512, first+second)
	segment := func(number int, name string, extents int, rest string) {
		fmt.Fprintf(&text, "%s { id = \"LLLLLL-0000-0000-0000-0000-0000-00000%d\" segment_count = 1\nsegment1 { start_extent = 0 extent_count = %d %s } }\n",
			name, number, extents, rest)
	}
	segment(0, "origin", first, `type = "striped" stripe_count = 1 stripes = ["pv0", 0]`)
	segment(1, "snap-cow", second, fmt.Sprintf(`type = "striped" stripe_count = 1 stripes = ["pv0", %d]`, first))
	segment(2, "snapshot0", first, `type = "snapshot" chunk_size = 8 origin = "origin" cow_store = "snap-cow"`)
	text.WriteString("}\n}\n")
	v := pvimage.Volume{UUID: "AAAAAA-0000-0000-0000-0000-0000-000000", Size: int64(start + len(origin) + len(store)), Label: 1}
	v.Areas = []pvimage.Area{{Offset: 4096, Size: 32 << 10, Start: 512, Text: strings.ReplaceAll(text.String(), "snap-cow", "snap")}}
	image := v.Image()
	copy(image[start:], origin)
	copy(image[start+len(origin):], store)
	return image
}

// TestFilesOfVolumes: of VG/LV, the origin is known; any other volume has files, too.
func TestFilesOfVolumes(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, fileGroup(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := told(t, 0, "files", "vg0/snap", "--pv", disk); !strings.Contains(out, "38 files differ: 13 created, 6 deleted, 19 changed\n") {
		t.Error(out)
	}
	if out := told(t, 0, "ls", "vg0/origin", "/new", "--pv", disk); strings.Count(out, "\n") != 12 {
		t.Error(out)
	}
	then, now := told(t, 0, "get", "vg0/snap", "file-07.txt", "-", "--pv", disk), told(t, 0, "get", "vg0/origin", "file-07.txt", "-", "--pv", disk)
	if len(then) != 45600 || len(now) != 47120 || now != told(t, 0, "get", "vg0/snap", "--origin-side", "file-07.txt", "-", "--pv", disk) {
		t.Error(len(then), len(now))
	}
	told(t, 8, "files", "vg0/origin", "--pv", disk)
	told(t, 16, "ls", "vg0/origin", "--origin", disk, "--pv", disk)
}
