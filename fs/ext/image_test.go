package ext_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	extfs "dmcow/fs"
	"dmcow/fs/ext"
	"dmcow/internal/device/devicetest"
)

// images are small file systems in testdata, for hosts without e2fsprogs: how each is made, and what debugfs does then.
var images = map[string]struct {
	size    string
	options []string
	journal bool // some of it is only in the journal
}{
	"ext2":   {"2M", []string{"-t", "ext2", "-b", "1024", "-N", "160"}, false},
	"ext4":   {"9M", []string{"-t", "ext4", "-b", "1024", "-N", "160", "-J", "size=1", "-O", "ea_inode"}, false},
	"inline": {"3M", []string{"-t", "ext4", "-b", "4096", "-N", "160", "-O", "inline_data,^has_journal", "-I", "512"}, false},
	"crash":  {"4M", []string{"-t", "ext4", "-b", "1024", "-N", "160", "-J", "size=1"}, true},
}

// image is one of them.
func image(t testing.TB, name string) []byte {
	t.Helper()
	return devicetest.Unzip(t, filepath.Join("testdata", name+".gz"))
}

// TestImages compares each with what debugfs read when it was made (DMCOW_UPDATE=1 does that).
func TestImages(t *testing.T) {
	for name := range images {
		t.Run(name, func(t *testing.T) {
			if os.Getenv("DMCOW_UPDATE") != "" {
				makeImage(t, name)
			}
			f, err := ext.Open(inMemory(image(t, name)), ext.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Info().Recovery == extfs.Replayed; got != images[name].journal {
				t.Errorf("%+v", f.Info())
			}
			var lines []string
			for step, err := range extfs.Walk(f, f.Root()) {
				if err != nil {
					t.Error(err)
					continue
				}
				lines = append(lines, describe(t, f, step))
			}
			slices.Sort(lines)
			want := strings.Split(strings.TrimSpace(string(readFile(t, filepath.Join("testdata", name+".txt")))), "\n")
			for n := range max(len(lines), len(want)) {
				if n >= len(lines) || n >= len(want) || lines[n] != want[n] {
					t.Fatalf("of %d lines and %d, these differ:\n%q\n%q", len(lines), len(want), lines[n:min(n+1, len(lines))], want[n:min(n+1, len(want))])
				}
			}
		})
	}
}

func describe(t *testing.T, f *ext.FS, step extfs.Step) string {
	t.Helper()
	i, err := f.Inode(step.Ino)
	if err != nil {
		t.Fatal(step.Path, err)
	}
	a := i.Attr()
	what := ""
	switch a.Type {
	case extfs.TypeFile:
		h := sha256.New()
		n, err := io.Copy(h, io.NewSectionReader(i, 0, 1<<40))
		if err != nil {
			t.Error(step.Path, err)
		}
		what = fmt.Sprintf("%d %x", n, h.Sum(nil)[:8])
	case extfs.TypeSymlink:
		what, _ = i.Target()
		a.Modified.Sec = 0 // which debugfs does not keep
	}
	return fmt.Sprintf("%q %o %d %s", step.Path, a.Mode, a.Modified.Sec, what)
}

// makeImage makes an image, and lists what debugfs copies out of it.
func makeImage(t *testing.T, name string) {
	t.Helper()
	spec := images[name]
	path := small(t, spec.size, spec.options...)
	debugfs(t, path, true, smallTree(t)...)
	if !spec.journal {
		tidy(t, path)
	}
	content := readFile(t, path)
	if spec.journal {
		content = crash(t, content)
	}
	if err := os.WriteFile(filepath.Join("testdata", name+".gz"), devicetest.Zip(t, content), 0o644); err != nil {
		t.Fatal(err)
	}
	replayed := writeFile(t, content)
	if spec.journal {
		debugfs(t, replayed, true, "jr")
	}
	out := t.TempDir()
	debugfs(t, replayed, false, "rdump / "+out)
	var lines []string
	err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(out, path)
		if err != nil || rel == "." {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		kind, what, modified := uint32(0o100000), "", info.ModTime().Unix()
		switch {
		case d.IsDir():
			kind = 0o40000
		case d.Type()&fs.ModeSymlink != 0:
			kind, modified = 0o120000, 0
			what, err = os.Readlink(path)
		default:
			content := readFile(t, path)
			if len(content) == 60 { // 1.47.0 writes all of the space that an inode has for its content
				content = content[:number(t, debugfs(t, replayed, false, "stat /"+rel)[0], `Size: (\d+)\n`, 10)]
			}
			sum := sha256.Sum256(content)
			what = fmt.Sprintf("%d %x", len(content), sum[:8])
		}
		lines = append(lines, fmt.Sprintf("%q %o %d %s", rel, kind|uint32(info.Mode().Perm()), modified, what))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	if err := os.WriteFile(filepath.Join("testdata", name+".txt"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// smallTree are commands that make some of everything, in little space.
func smallTree(t *testing.T) (commands []string) {
	t.Helper()
	add := func(format string, args ...any) { commands = append(commands, fmt.Sprintf(format, args...)) }
	text := func(size int) string {
		b := make([]byte, 0, size+32)
		for n := 0; len(b) < size; n++ {
			b = fmt.Appendf(b, "line %d of a file of %d bytes\n", n, size)
		}
		return writeFile(t, b[:size])
	}
	add("mkdir sizes")
	for _, size := range []int{10, 60, 61, 200, 1024, 5000, 20000, 200000} {
		add("write %s sizes/%d", text(size), size)
	}
	add("punch sizes/20000 3 5")
	for n := 1; n < 195; n += 2 {
		add("punch sizes/200000 %d %d", n, n)
	}
	add("mkdir many")
	for n := range 60 {
		add("write %s many/%s-%02d", text(n+1), strings.Repeat("long-name", 9), n)
	}
	add("mkdir few")
	add("mkdir few/deeper")
	add("symlink few/short sizes/10")
	add("symlink few/long %s", strings.Repeat("deeper/../", 9)+"short")
	add("ln sizes/5000 few/hard")
	for n := range 5 {
		add("ea_set -f %s few user.attribute%d", text(10+n*200), n)
	}
	return commands
}

// crash leaves some changes in the journal alone.
func crash(t *testing.T, before []byte) []byte {
	t.Helper()
	path := writeFile(t, before)
	debugfs(t, path, true, "mkdir late", "write "+writeFile(t, []byte("written late\n"))+" late/file", "rm sizes/61")
	h := history{before: before, after: readFile(t, path), size: 1024}
	for n := range len(h.after) / h.size {
		if string(h.block(h.before, n)) != string(h.block(h.after, n)) {
			h.changed = append(h.changed, n)
		}
	}
	path = writeFile(t, before)
	debugfs(t, path, true, "jo -c", h.write(t, h.after, h.changed, ""), "jc")
	return readFile(t, path)
}

// names are those of the images.
func imageNames() []string { return slices.Sorted(maps.Keys(images)) }
