package compare_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/fs"
	"dmcow/fs/compare"
	"dmcow/fs/ext"
)

// volume is an image in memory that counts what is read.
type volume struct {
	*bytes.Reader
	read int64
}

func (v *volume) ReadAt(p []byte, at int64) (int, error) {
	n, err := v.Reader.ReadAt(p, at)
	v.read += int64(n)
	return n, err
}

func inMemory(p []byte) *volume { return &volume{Reader: bytes.NewReader(p)} }

func open(t testing.TB, image []byte) fs.FileSystem {
	t.Helper()
	f, err := ext.Open(inMemory(image), ext.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// changed are the chunks in which two images differ.
func changed(a, b []byte, chunk int64) (all fs.Ranges) {
	size := int64(max(len(a), len(b)))
	part := func(p []byte, at int64) []byte { return p[min(at, int64(len(p))):min(at+chunk, int64(len(p)))] }
	for at := int64(0); at < size; at += chunk {
		if !bytes.Equal(part(a, at), part(b, at)) {
			all = append(all, fs.Range{Start: at, End: min(at+chunk, size)})
		}
	}
	return all
}

// pair compares two images.
func pair(t testing.TB, a, b []byte, chunk int64, o compare.Options) (*compare.Result, [2]fs.FileSystem) {
	t.Helper()
	o.Sides = [2]fs.FileSystem{open(t, a), open(t, b)}
	o.Changed = changed(a, b, chunk)
	if o.Trouble == nil {
		o.Trouble = func(s compare.Side, err error) error { t.Error(s, err); return nil }
	}
	r, err := compare.Compare(o)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, n := range r.Rest {
		sum += n
	}
	var bytes int64
	for _, c := range o.Changed.(fs.Ranges) {
		bytes += c.Len()
	}
	if r.Bytes != bytes || sum+r.OfFiles != bytes || r.OfFiles < 0 {
		t.Errorf("%d bytes differ; %d, of which files have %d, and others %d", bytes, r.Bytes, r.OfFiles, sum)
	}
	return r, o.Sides
}

// need skips a test without e2fsprogs; in CI they must be there.
func need(t testing.TB) {
	t.Helper()
	if path := os.Getenv("PATH"); !strings.Contains(path, "/usr/sbin") {
		t.Setenv("PATH", path+":/usr/sbin:/sbin")
	}
	for _, program := range []string{"mke2fs", "debugfs", "e2fsck"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err, ": install e2fsprogs")
		}
	}
}

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

// debugfs runs commands on an image, and returns what it says.
func debugfs(t testing.TB, image string, commands ...string) string {
	t.Helper()
	list := filepath.Join(t.TempDir(), "commands")
	if err := os.WriteFile(list, []byte(strings.Join(commands, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("debugfs", "-w", "-f", list, image).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		for _, word := range []string{"No ", "rror", "not ", "ould", "lready", "orrupt", "nvalid"} {
			if !strings.HasPrefix(line, "debugfs") && strings.Contains(line, word) {
				t.Fatalf("debugfs: %s", line)
			}
		}
	}
	return string(out)
}

// side is one side of a walk: all that a file has, by its path.
type side map[string]state

type state struct {
	attr    fs.Attr
	content string
	xattrs  string
	links   string // paths of the same inode
}

// walk reads all of a file system.
func walk(t testing.TB, f fs.FileSystem) side {
	t.Helper()
	all := side{}
	names := map[fs.Ino][]string{}
	for s, err := range fs.Walk(f, f.Root()) {
		if err != nil {
			t.Fatal(err)
		}
		i, err := f.Inode(s.Ino)
		if err != nil {
			t.Fatal(s.Path, err)
		}
		x := state{attr: i.Attr()}
		switch x.attr.Type {
		case fs.TypeFile:
			content, err := io.ReadAll(io.NewSectionReader(i, 0, x.attr.Size))
			if err != nil {
				t.Fatal(s.Path, err)
			}
			x.content = string(content)
		case fs.TypeSymlink:
			if x.content, err = i.Target(); err != nil {
				t.Fatal(s.Path, err)
			}
		}
		for a, err := range i.Xattrs() {
			if err != nil {
				t.Fatal(s.Path, err)
			}
			x.xattrs += a.Name + "=" + string(a.Value) + "\n"
		}
		all["/"+s.Path] = x
		names[s.Ino] = append(names[s.Ino], "/"+s.Path)
	}
	for path, x := range all {
		x.links = strings.Join(slices.Sorted(slices.Values(names[x.attr.Ino])), "\n")
		all[path] = x
	}
	return all
}
