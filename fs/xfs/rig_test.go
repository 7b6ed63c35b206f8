package xfs_test

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
	"dmcow/fs/xfs"
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
func mounted(t testing.TB, path string) *xfs.FS {
	t.Helper()
	f, err := xfs.Open(openFile(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// need skips a test without xfsprogs; in CI they must be there.
func need(t testing.TB) {
	t.Helper()
	if path := os.Getenv("PATH"); !strings.Contains(path, "/usr/sbin") {
		t.Setenv("PATH", path+":/usr/sbin:/sbin")
	}
	for _, program := range []string{"mkfs.xfs", "xfs_db", "xfs_repair"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err, ": install xfsprogs")
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

// db has xfs_db look at an image: what the commands say, one behind the other.
func db(t testing.TB, image string, commands ...string) string {
	t.Helper()
	return dbWith(t, image, []string{"-r"}, commands...)
}

func dbWith(t testing.TB, image string, options []string, commands ...string) string {
	t.Helper()
	c := exec.Command("xfs_db", append(options, "-f", image)...)
	c.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\nquit\n")
	var out, bad bytes.Buffer
	c.Stdout, c.Stderr = &out, &bad
	if err := c.Run(); err != nil {
		t.Fatalf("xfs_db: %v\n%s%s", err, &out, &bad)
	}
	return strings.ReplaceAll(out.String(), "xfs_db> ", "")
}

// makeFS makes a file system with all kinds of files.
func makeFS(t testing.TB, size string, options ...string) string {
	t.Helper()
	need(t)
	return makeFrom(t, proto(t), size, options...)
}

func makeFrom(t testing.TB, proto, size string, options ...string) string {
	t.Helper()
	need(t)
	image := filepath.Join(inMemoryDir(t), "image")
	args := append([]string{"-q", "-f", "-d", "file,name=" + image + ",size=" + size}, options...)
	if proto != "" {
		args = append(args, "-p", proto)
	}
	// Small file systems are for tests only.
	run(t, "env", append([]string{"TEST_DIR=1", "TEST_DEV=1", "QA_CHECK_FS=1", "mkfs.xfs"}, args...)...)
	return image
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

// node is a file, directory or symbolic link of a tree that mkfs.xfs copies.
type node struct {
	mode     string // as mkfs.xfs takes it
	uid, gid int
	content  []byte // or where a symbolic link leads
}

// tree is all kinds of files, by their paths.
func tree() map[string]node {
	r := rand.New(rand.NewPCG(1, 2))
	all := map[string]node{}
	write := func(name string, size int) {
		content := make([]byte, size)
		for n := range content {
			content[n] = byte(r.Uint32())
		}
		all[name] = node{fmt.Sprintf("---%03o", 0o400|r.IntN(0o400)), r.IntN(70000), r.IntN(70000), content}
	}
	for n, size := range []int{0, 1, 100, 511, 512, 513, 1023, 4096, 5000, 70000, 300000, 1500000} {
		write(fmt.Sprintf("sizes/%d", size), size)
		write(fmt.Sprintf("deep/%d/%d/%d/file", n%3, n%5, n), n*700)
	}
	for n := range 2000 {
		write(fmt.Sprintf("many/a_name_that_is_not_short,_to_fill_blocks,_of_file_%d", n), n%3)
	}
	for n := range 60 {
		write(fmt.Sprintf("block/entry_%d", n), n%3)
	}
	for n := range 300 {
		write(fmt.Sprintf("leaf/entry_number_%d", n), n%3)
	}
	write("odd/\xff\xfe_not_UTF-8", 10)
	write("odd/"+strings.Repeat("long", 63), 20)
	write("few/one", 2)
	for name, target := range map[string]string{
		"link": "sizes/100", "absolute": "/sizes/513", "up": "deep/../sizes/1", "loop": "loop", "deep": "../deep",
		// Longer ones are not in the inode: mkfs.xfs 6.1 writes these without their headers.
		"slow": strings.Repeat("sizes/../", 5) + "sizes/1", "80": strings.Repeat("x", 80),
	} {
		all["links/"+name] = node{"l--777", 1, 2, []byte(target)}
	}
	all["special/null"] = node{"c--666", 0, 0, []byte("1 3")}
	all["special/disk"] = node{"b--660", 0, 6, []byte("259 70001")}
	all["special/pipe"] = node{"p--600", 0, 0, nil}
	for path := range all {
		for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
			all[dir] = node{mode: "d--751", uid: 5, gid: 6}
		}
	}
	return all
}

// proto is the description of the tree for mkfs.xfs, the same for all tests.
func proto(t testing.TB) string {
	t.Helper()
	trees.Do(func() {
		trees.all = tree()
		if trees.dir, trees.err = os.MkdirTemp("", "dmcow"); trees.err == nil {
			trees.err = writeProto(trees.dir, trees.all)
		}
	})
	if trees.err != nil {
		t.Fatal(trees.err)
	}
	return filepath.Join(trees.dir, "proto")
}

// writeProto writes the description of a tree, and the files' content.
func writeProto(dir string, all map[string]node) error {
	children := map[string][]string{}
	for path := range all {
		children[filepath.Dir(path)] = append(children[filepath.Dir(path)], path)
	}
	var out bytes.Buffer
	out.WriteString("/boot\n0 0\nd--755 0 0\n")
	files := 0
	var write func(dir string) error
	write = func(parent string) error {
		for _, path := range children[parent] {
			n := all[path]
			fmt.Fprintf(&out, "%s %s %d %d ", filepath.Base(path), n.mode, n.uid, n.gid)
			switch n.mode[0] {
			case '-':
				files++
				name := filepath.Join(dir, fmt.Sprint(files))
				if err := os.WriteFile(name, n.content, 0o600); err != nil {
					return err
				}
				fmt.Fprintln(&out, name)
			case 'd':
				out.WriteString("\n")
				if err := write(path); err != nil {
					return err
				}
			default:
				fmt.Fprintf(&out, "%s\n", n.content)
			}
		}
		out.WriteString("$\n")
		return nil
	}
	if err := write("."); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "proto"), out.Bytes(), 0o600)
}

var trees struct {
	sync.Once
	dir string
	all map[string]node
	err error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if trees.dir != "" {
		os.RemoveAll(trees.dir)
	}
	os.Exit(status)
}
