package ext_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dmcow/fs"
	"dmcow/fs/ext"
)

// volume is an image in memory.
type volume struct{ *bytes.Reader }

func (v volume) Size() int64 { return v.Reader.Size() }

func inMemory(p []byte) fs.Volume { return volume{bytes.NewReader(p)} }

// file is an image in a file.
type file struct {
	*os.File
	size int64
}

func (f file) Size() int64 { return f.size }

func openFile(t testing.TB, path string) fs.Volume {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return file{f, info.Size()}
}

// mounted is the file system in an image.
func mounted(t testing.TB, path string) *ext.FS {
	t.Helper()
	f, err := ext.Open(openFile(t, path), ext.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// need skips a test without e2fsprogs; in CI they must be there.
func need(t testing.TB) {
	t.Helper()
	if path := os.Getenv("PATH"); !strings.Contains(path, "/usr/sbin") {
		t.Setenv("PATH", path+":/usr/sbin:/sbin")
	}
	for _, program := range []string{"mke2fs", "debugfs", "e2fsck", "tune2fs"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err, ": install e2fsprogs")
		}
	}
}

// run runs a program, and returns what it says.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	var out, bad bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &out, &bad
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(c.Args, " "), err, &out, &bad)
	}
	return out.String()
}

// debugfs runs commands on an image, and returns what each says.
func debugfs(t testing.TB, image string, write bool, commands ...string) []string {
	t.Helper()
	list := filepath.Join(t.TempDir(), "commands")
	if err := os.WriteFile(list, []byte(strings.Join(commands, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-f", list, image}
	if write {
		args = append([]string{"-w"}, args...)
	}
	var all []string
	for part := range strings.SplitSeq("\n"+run(t, "debugfs", args...), "\ndebugfs: ") {
		_, answer, _ := strings.Cut(part, "\n")
		all = append(all, answer)
	}
	if all = all[1:]; len(all) != len(commands) {
		t.Fatalf("%d answers to %d commands", len(all), len(commands))
	}
	return all
}

// tidy has e2fsck optimise directories, which gives them an index, and mend what debugfs leaves.
func tidy(t testing.TB, image string) {
	t.Helper()
	out, err := exec.Command("e2fsck", "-fyD", image).CombinedOutput()
	if e := (*exec.ExitError)(nil); err != nil && (!asExit(err, &e) || e.ExitCode() > 1) {
		t.Fatalf("e2fsck: %v\n%s", err, out)
	}
}

func asExit(err error, e **exec.ExitError) bool {
	var ok bool
	*e, ok = err.(*exec.ExitError)
	return ok
}

// made is a file system of a certain kind, with a tree that was copied from dir and changed by debugfs.
type made struct {
	image, dir string
}

// makeFS makes a file system with all kinds of files.
func makeFS(t testing.TB, size string, options ...string) made {
	t.Helper()
	need(t)
	m := made{image: filepath.Join(inMemoryDir(t), "image"), dir: tree(t)}
	run(t, "mke2fs", append(append([]string{"-q", "-F"}, options...), "-d", m.dir, m.image, size)...)
	return m
}

// inMemoryDir is a directory for images, in memory if there is one: the programs wait for what they write.
func inMemoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dmcow")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// tree is a directory with all kinds of files, the same for all tests.
func tree(t testing.TB) string {
	t.Helper()
	trees.Do(func() {
		trees.dir, trees.err = os.MkdirTemp("", "dmcow")
		if trees.err == nil {
			makeTree(t, trees.dir)
		}
	})
	if trees.err != nil {
		t.Fatal(trees.err)
	}
	return trees.dir
}

var trees struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if trees.dir != "" {
		os.RemoveAll(trees.dir)
	}
	os.Exit(status)
}

// makeTree makes files of many sizes, some with holes, many in one directory, with odd names.
func makeTree(t testing.TB, dir string) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	write := func(name string, size int) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		content := make([]byte, size)
		for n := range content {
			content[n] = byte(r.Uint32())
		}
		if err := os.WriteFile(path, content, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for n, size := range []int{0, 1, 59, 60, 61, 100, 130, 150, 1023, 1024, 1025, 4096, 5000, 70000, 300000, 1500000} {
		write(fmt.Sprintf("sizes/%d", size), size)
		write(fmt.Sprintf("deep/%d/%d/%d/file", n%3, n%5, n), n*700)
	}
	for n := range 700 {
		write(fmt.Sprintf("many/a name that is not short, to fill blocks, of file %d", n), n%3)
	}
	write("odd/\xff\xfe not UTF-8", 10)
	write("odd/"+strings.Repeat("long", 63), 20)
	write("few/one", 2)
	write("few/two", 5)
	sparse(t, filepath.Join(dir, "sizes", "holes"), 400, 7)
	sparse(t, filepath.Join(dir, "sizes", "far"), 3, 1000)
	for name, target := range map[string]string{
		"link": "sizes/100", "absolute": "/sizes/59", "up": "deep/../sizes/60", "loop": "loop", "dir/deep": "../deep",
		"slow": strings.Repeat("sizes/../", 20) + "sizes/61", "59": strings.Repeat("x", 59), "60": strings.Repeat("y", 60),
	} {
		path := filepath.Join(dir, "links", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "sizes", "5000"), filepath.Join(dir, "few", "hard")); err != nil {
		t.Fatal(err)
	}
}

// sparse makes a file in which a piece is written, then several are not, so many times.
func sparse(t testing.TB, path string, pieces, gap int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := range pieces {
		if _, err := f.WriteAt(fmt.Appendf(nil, "piece %d", n), n*4096*(1+gap)); err != nil {
			t.Fatal(err)
		}
	}
}
