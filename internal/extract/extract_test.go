package extract_test

import (
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/fs"
	"dmcow/internal/extract"
)

// toy is a file system in memory. What it does not have of the interface is not asked for.
type toy struct {
	fs.FileSystem
	inodes map[fs.Ino]*node
}

func (f toy) Inode(n fs.Ino) (fs.Inode, error) {
	if i := f.inodes[n]; i != nil {
		return i, nil
	}
	return nil, fs.ErrFree
}

type node struct {
	fs.Inode
	attr    fs.Attr
	content string
	entries []fs.Entry
	xattrs  []fs.Xattr
	err     error // of reading its content
}

func (i *node) Attr() fs.Attr           { return i.attr }
func (i *node) Target() (string, error) { return i.content, i.err }

func (i *node) ReadAt(p []byte, at int64) (int, error) {
	if i.err != nil {
		return 0, i.err
	}
	return strings.NewReader(i.content).ReadAt(p, at)
}

func (i *node) Data() iter.Seq2[fs.Extent, error] {
	return func(yield func(fs.Extent, error) bool) {
		yield(fs.Extent{Range: fs.Range{Start: 0, End: int64(len(i.content))}}, nil)
	}
}

func (i *node) Entries() iter.Seq2[fs.Entry, error] {
	return func(yield func(fs.Entry, error) bool) {
		for _, e := range i.entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (i *node) Xattrs() iter.Seq2[fs.Xattr, error] {
	return func(yield func(fs.Xattr, error) bool) {
		for _, x := range i.xattrs {
			if !yield(x, nil) {
				return
			}
		}
	}
}

// newToy is a root directory, 1, with dir, 2, in which file, 3, and loop, the root, are; bad, 4, which cannot be read;
// link, 5; and good, 6, which has the further name again.
func newToy() toy {
	dir := func(n fs.Ino, entries ...fs.Entry) *node {
		return &node{attr: fs.Attr{Ino: n, Type: fs.TypeDirectory, Mode: 0o40755, Links: 2}, entries: entries}
	}
	file := func(n fs.Ino, content string) *node {
		return &node{attr: fs.Attr{Ino: n, Type: fs.TypeFile, Mode: 0o100640, Links: 1, Size: int64(len(content))}, content: content}
	}
	f := toy{inodes: map[fs.Ino]*node{
		1: dir(1, fs.Entry{Name: "dir", Ino: 2}, fs.Entry{Name: "bad", Ino: 4}, fs.Entry{Name: "link", Ino: 5}, fs.Entry{Name: "good", Ino: 6}, fs.Entry{Name: "again", Ino: 6}, fs.Entry{Name: "gone", Ino: 9}),
		2: dir(2, fs.Entry{Name: "file", Ino: 3}, fs.Entry{Name: "loop", Ino: 1}),
		3: file(3, "below"), 4: file(4, "bad"), 6: file(6, "good"),
		5: {attr: fs.Attr{Ino: 5, Type: fs.TypeSymlink, Mode: 0o120777, Links: 1}, content: "/etc/passwd"},
	}}
	f.inodes[4].err = errBad
	f.inodes[6].attr.Links = 2
	return f
}

var errBad = errors.New("it is bad")

// copied copies all of the toy into a directory, and returns what failed.
func copied(t *testing.T, dir string, change func(*extract.Options)) (tally extract.Tally, failed map[string]error, err error) {
	t.Helper()
	failed = map[string]error{}
	f := newToy()
	o := extract.Options{
		FS: f, Recursive: true, Interrupted: func() error { return nil },
		Failed: func(path string, err error) error { failed[path] = err; return nil },
	}
	if change != nil {
		change(&o)
	}
	x, err := extract.Into(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	root, _ := f.Inode(1)
	err = x.CopyContent(root, "/")
	return x.Tally, failed, err
}

func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestCopy(t *testing.T) {
	dir := t.TempDir()
	tally, failed, err := copied(t, dir, nil)
	if err != nil || tally.Files != 2 || tally.Links != 1 || tally.Symlinks != 1 || tally.Directories != 1 || tally.Bytes != 9 {
		t.Errorf("%+v, %v", tally, err)
	}
	if len(failed) != 3 || !errors.Is(failed["/bad"], errBad) || !errors.Is(failed["/dir/loop"], extract.ErrTwice) || !errors.Is(failed["/gone"], fs.ErrFree) {
		t.Errorf("%v", failed)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"again", "dir", "good", "link"}) {
		t.Errorf("%q", got)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "again")); err != nil || string(got) != "good" {
		t.Errorf("%q, %v", got, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "good")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// Nothing is replaced.
	tally, failed, err = copied(t, dir, nil)
	if err != nil || tally.Files != 0 || !errors.Is(failed["/good"], extract.ErrExists) || !errors.Is(failed["/link"], extract.ErrExists) || !errors.Is(failed["/dir/file"], extract.ErrExists) {
		t.Errorf("%+v, %v, %v", tally, failed, err)
	}
	if tally, failed, err = copied(t, dir, func(o *extract.Options) { o.Force = true }); err != nil || tally.Files != 2 || len(failed) != 3 {
		t.Errorf("%+v, %v, %v", tally, failed, err)
	}
	kept := errors.New("it is to be kept")
	_, failed, _ = copied(t, dir, func(o *extract.Options) { o.Force, o.Keep = true, func(*os.File) error { return kept } })
	if !errors.Is(failed["/good"], kept) {
		t.Errorf("%v", failed)
	}
	if got := names(t, dir); !slices.Equal(got, []string{"again", "dir", "good", "link"}) {
		t.Errorf("%q", got)
	}
}

// TestNoWayOut: links that somebody has put into the directory lead nowhere.
func TestNoWayOut(t *testing.T) {
	for _, target := range []string{"OUT", "inside", "../outside", "."} {
		for _, force := range []bool{false, true} {
			top := t.TempDir()
			dir, out := filepath.Join(top, "dest"), filepath.Join(top, "outside")
			for _, d := range []string{dir, out, filepath.Join(dir, "inside")} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			precious := filepath.Join(out, "precious")
			err := errors.Join(os.WriteFile(precious, []byte("precious"), 0o600), os.Symlink(strings.ReplaceAll(target, "OUT", out), filepath.Join(dir, "dir")), os.Symlink(precious, filepath.Join(dir, "good")))
			if err != nil {
				t.Fatal(err)
			}
			_, failed, err := copied(t, dir, func(o *extract.Options) { o.Force = force })
			if err != nil || !errors.Is(failed["/dir"], extract.ErrInTheWay) || (failed["/good"] == nil) != force {
				t.Errorf("%s: %v, %v", target, failed, err)
			}
			if got := names(t, out); !slices.Equal(got, []string{"precious"}) {
				t.Errorf("%s: %q", target, got)
			}
			if got := names(t, filepath.Join(dir, "inside")); got != nil {
				t.Errorf("%s: %q", target, got)
			}
			if got, err := os.ReadFile(precious); err != nil || string(got) != "precious" {
				t.Errorf("%s: %q, %v", target, got, err)
			}
		}
	}
}

// TestInterrupted: whatever it is interrupted at, there are whole files only.
func TestInterrupted(t *testing.T) {
	stop := errors.New("stop")
	for after := 0; ; after++ {
		dir := t.TempDir()
		asked := 0
		_, _, err := copied(t, dir, func(o *extract.Options) {
			o.Interrupted = func() error {
				if asked++; asked > after {
					return stop
				}
				return nil
			}
		})
		if err != nil && !errors.Is(err, stop) {
			t.Fatal(err)
		}
		for _, name := range names(t, dir) {
			if !slices.Contains([]string{"again", "dir", "good", "link"}, name) {
				t.Errorf("after %d: %s is left", after, name)
			}
			if got, err := os.ReadFile(filepath.Join(dir, name)); name == "good" && (err != nil || string(got) != "good") {
				t.Errorf("after %d: %q, %v", after, got, err)
			}
		}
		if err == nil {
			if after < 5 {
				t.Errorf("it asked %d times only", after)
			}
			return
		}
	}
}

func TestWriteTo(t *testing.T) {
	var b strings.Builder
	f := newToy()
	never := func() error { return nil }
	if err := extract.WriteTo(&b, f.inodes[6], never); err != nil || b.String() != "good" {
		t.Error(b.String(), err)
	}
	if err := extract.WriteTo(&b, f.inodes[4], never); !errors.Is(err, errBad) {
		t.Error(err)
	}
	f.inodes[6].attr.Size = 10
	if err := extract.WriteTo(&b, f.inodes[6], never); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if err := extract.WriteTo(&b, f.inodes[6], func() error { return errBad }); !errors.Is(err, errBad) {
		t.Error(err)
	}
}
