package fs_test

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"dmcow/fs"
)

// toy is a file system in which inode n is the n-th entry, with a slot of 512 bytes.
type toy struct {
	inodes map[fs.Ino]*node
	size   int64
	layout []fs.Piece
	read   map[fs.Ino]int // how often the entries of a directory were read
}

type node struct {
	f       *toy
	ino     fs.Ino
	kind    fs.Type
	target  string
	parent  fs.Ino
	entries []fs.Entry
	extents []fs.Extent
	err     error // of its entries
}

var errToy = errors.New("it is damaged")

func (f *toy) Info() fs.Info { return fs.Info{Size: f.size} }
func (f *toy) Root() fs.Ino  { return 1 }

func (f *toy) Inode(n fs.Ino) (fs.Inode, error) {
	if i, ok := f.inodes[n]; ok {
		return i, nil
	}
	return nil, fs.ErrFree
}

func (f *toy) Inodes(from fs.Ino) iter.Seq2[fs.Inode, error] {
	return func(yield func(fs.Inode, error) bool) {
		for _, n := range slices.Sorted(maps.Keys(f.inodes)) {
			if n >= from && !yield(f.inodes[n], nil) {
				return
			}
		}
	}
}

func (f *toy) Slot(n fs.Ino) (fs.Range, error) {
	return fs.Range{Start: int64(n) * 512, End: int64(n+1) * 512}, nil
}
func (f *toy) ReadAt([]byte, int64) (int, error)   { return 0, io.EOF }
func (f *toy) Replayed() iter.Seq[fs.Range]        { return func(func(fs.Range) bool) {} }
func (f *toy) Orphans() iter.Seq2[fs.Ino, error]   { return func(func(fs.Ino, error) bool) {} }
func (i *node) Attr() fs.Attr                      { return fs.Attr{Ino: i.ino, Type: i.kind} }
func (i *node) ReadAt([]byte, int64) (int, error)  { return 0, io.EOF }
func (i *node) Data() iter.Seq2[fs.Extent, error]  { return func(func(fs.Extent, error) bool) {} }
func (i *node) Xattrs() iter.Seq2[fs.Xattr, error] { return func(func(fs.Xattr, error) bool) {} }
func (i *node) Target() (string, error)            { return i.target, nil }
func (i *node) Parent() (fs.Ino, error)            { return i.parent, nil }
func (f *toy) Layout(s fs.Set) iter.Seq2[fs.Piece, error] {
	return func(yield func(fs.Piece, error) bool) {
		for _, p := range f.layout {
			if !fs.Parts(s, p.Range, func(r fs.Range) bool {
				q := p
				q.Range = r
				return yield(q, nil)
			}) {
				return
			}
		}
	}
}

func (i *node) Extents() iter.Seq2[fs.Extent, error] {
	return func(yield func(fs.Extent, error) bool) {
		for _, e := range i.extents {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (i *node) Entries() iter.Seq2[fs.Entry, error] {
	return func(yield func(fs.Entry, error) bool) {
		i.f.read[i.ino]++
		if i.kind != fs.TypeDirectory {
			yield(fs.Entry{}, fs.ErrNotDirectory)
			return
		}
		if i.err != nil && !yield(fs.Entry{}, i.err) {
			return
		}
		for _, e := range i.entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// newToy makes a file system of lines "PARENT NAME INODE [TARGET]": a name that ends with a slash is a directory's, and one
// with a question mark has no type in its entry.
func newToy(lines string) *toy {
	f := &toy{inodes: map[fs.Ino]*node{}, read: map[fs.Ino]int{}, size: 1 << 20}
	f.inodes[1] = &node{f: f, ino: 1, kind: fs.TypeDirectory, parent: 1}
	for line := range strings.Lines(lines) {
		var parent, ino fs.Ino
		var name, target string
		if n, _ := fmt.Sscan(line, &parent, &name, &ino, &target); n < 3 {
			continue
		}
		kind := fs.TypeFile
		switch {
		case target != "":
			kind = fs.TypeSymlink
		case strings.Contains(name, "/"):
			kind = fs.TypeDirectory
		}
		e := fs.Entry{Name: strings.Trim(name, "/?"), Ino: ino, Type: kind}
		if strings.Contains(name, "?") {
			e.Type = fs.TypeUnknown
		}
		f.inodes[parent].entries = append(f.inodes[parent].entries, e)
		if f.inodes[ino] == nil {
			f.inodes[ino] = &node{f: f, ino: ino, kind: kind, parent: parent, target: target}
		}
	}
	return f
}

const lines = `
1 a/ 2
2 b/ 3
3 file 4
2 hard 4
1 top 5
1 untyped/? 6
6 below 7
1 link 8 a/b
3 up 9 ../../top
6 absolute 10 /a/b/file
1 loop 11 loop
3 x/ 12
12 same 5
`

func TestWalk(t *testing.T) {
	f := newToy(lines + "12 back/ 2\n12 self/ 12\n")
	f.inodes[6].err = errToy
	var got []string
	var errs []error
	for s, err := range fs.Walk(f, 1) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		got = append(got, fmt.Sprint(s.Path, " ", s.Ino, " ", s.Dir))
	}
	slices.Sort(got)
	want := []string{"a 2 1", "a/b 3 2", "a/b/file 4 3", "a/b/up 9 3", "a/b/x 12 3", "a/b/x/back 2 12", "a/b/x/same 5 12", "a/b/x/self 12 12", "a/hard 4 2",
		"link 8 1", "loop 11 1", "top 5 1", "untyped 6 1", "untyped/absolute 10 6", "untyped/below 7 6"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\n%q", got, want)
	}
	if len(errs) != 1 || !errors.Is(errs[0], errToy) {
		t.Error(errs)
	}
	for n, count := range f.read {
		if count != 1 {
			t.Errorf("directory %d was read %d times", n, count)
		}
	}
}

func TestResolve(t *testing.T) {
	f := newToy(lines)
	for _, c := range []struct {
		path   string
		follow bool
		want   fs.Ino
		err    error
	}{
		{"", false, 1, nil}, {"/", true, 1, nil}, {"/a/b/file", false, 4, nil}, {"a//./b/../hard", false, 4, nil}, {"../../a", false, 2, nil},
		{"link", false, 8, nil}, {"link", true, 3, nil}, {"link/", false, 3, nil}, {"link/file", false, 4, nil}, {"a/b/up", true, 5, nil},
		{"untyped/absolute", true, 4, nil}, {"untyped/absolute", false, 10, nil}, {"loop", false, 11, nil}, {"loop", true, 0, fs.ErrLinks},
		{"loop/x", false, 0, fs.ErrLinks}, {"nothing", false, 0, fs.ErrNotExist}, {"a/b/file/x", false, 0, fs.ErrNotDirectory}, {"a/b/x/same", false, 5, nil},
	} {
		i, err := fs.Resolve(f, c.path, c.follow)
		if !errors.Is(err, c.err) || err == nil && i.Attr().Ino != c.want {
			t.Errorf("%q, %v: %v, %v", c.path, c.follow, i, err)
		}
	}
	f.inodes[1].err = errToy
	if _, err := fs.Lookup(f, 1, "nothing"); !errors.Is(err, errToy) {
		t.Error(err)
	}
	if e, err := fs.Lookup(f, 1, "top"); err != nil || e.Ino != 5 {
		t.Error(e, err)
	}
}

func names(f fs.FileSystem, wanted map[fs.Ino]uint32, likely ...fs.Ino) (got []string, errs []error) {
	for l, err := range fs.Names(f, wanted, slices.Values(likely)) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		got = append(got, fmt.Sprint(l.Parent, " ", l.Name, " ", l.Ino))
	}
	slices.Sort(got)
	return got, errs
}

func TestNames(t *testing.T) {
	f := newToy(lines)
	got, errs := names(f, map[fs.Ino]uint32{4: 2, 5: 2, 7: 1, 12: 1})
	if want := []string{"1 top 5", "12 same 5", "2 hard 4", "3 file 4", "3 x 12", "6 below 7"}; !slices.Equal(got, want) || errs != nil {
		t.Errorf("%q, %v", got, errs)
	}
	for n, count := range f.read {
		if count != 1 {
			t.Errorf("directory %d was read %d times", n, count)
		}
	}
	// One that has no other name ends it.
	f = newToy(lines)
	if got, errs := names(f, map[fs.Ino]uint32{7: 1}, 6); !slices.Equal(got, []string{"6 below 7"}) || errs != nil || len(f.read) != 1 {
		t.Errorf("%q, %v, %v", got, errs, f.read)
	}
	// A likely one that is none, one without names, and damage.
	f = newToy(lines)
	f.inodes[3].err = errToy
	wanted := map[fs.Ino]uint32{4: 3, 99: 1}
	got, errs = names(f, wanted, 4, 3, 3, 77)
	if want := []string{"2 hard 4", "3 file 4"}; !slices.Equal(got, want) || len(errs) != 3 || wanted[4] != 1 || wanted[99] != 1 {
		t.Errorf("%q, %v, %v", got, errs, wanted)
	}
	if got, _ := names(f, nil); got != nil {
		t.Errorf("%q", got)
	}
}

// TestManyNames has more directories than are kept in the queue.
func TestManyNames(t *testing.T) {
	var b strings.Builder
	for n := range 5000 {
		fmt.Fprintf(&b, "%d d%d/ %d\n", 1+n/3, n, 2+n)
	}
	b.WriteString("4000 file 9000\n")
	f := newToy(b.String())
	if got, errs := names(f, map[fs.Ino]uint32{9000: 2}); !slices.Equal(got, []string{"4000 file 9000"}) || errs != nil || len(f.read) != 5001 {
		t.Errorf("%q, %v, %d directories were read", got, errs, len(f.read))
	}
	for n, count := range f.read {
		if count != 1 {
			t.Errorf("directory %d was read %d times", n, count)
		}
	}
}

func TestPaths(t *testing.T) {
	f := newToy(lines)
	p := fs.NewPaths(f)
	for n, want := range map[fs.Ino]string{1: "/", 2: "/a", 3: "/a/b", 12: "/a/b/x", 6: "/untyped"} {
		if got, err := p.Path(n); got != want || err != nil {
			t.Errorf("%d: %q, %v", n, got, err)
		}
	}
	for n, count := range f.read {
		if count != 1 {
			t.Errorf("directory %d was read %d times", n, count)
		}
	}
	f.inodes[2].parent, f.inodes[12].parent = 12, 6
	var damage *fs.DamageError
	for _, n := range []fs.Ino{2, 12} {
		if path, err := fs.NewPaths(f).Path(n); !errors.As(err, &damage) {
			t.Errorf("%d: %q, %v", n, path, err)
		}
	}
	f = newToy(lines + "12 back/ 2\n")
	f.inodes[2].parent = 12
	if path, err := fs.NewPaths(f).Path(3); !errors.As(err, &damage) {
		t.Errorf("%q, %v", path, err)
	}
	if damage.At != 3*512 {
		t.Errorf("%+v", damage)
	}
	if _, err := fs.NewPaths(f).Path(50); !errors.Is(err, fs.ErrFree) {
		t.Error(err)
	}
	// What was found counts, whatever is damaged besides; what was not may have been there.
	f = newToy(lines)
	f.inodes[3].err = errToy
	if path, err := fs.NewPaths(f).Path(12); path != "/a/b/x" || err != nil {
		t.Errorf("%q, %v", path, err)
	}
	f.inodes[3].entries = nil
	if path, err := fs.NewPaths(f).Path(12); !errors.Is(err, errToy) {
		t.Errorf("%q, %v", path, err)
	}
}

func TestParts(t *testing.T) {
	set := fs.Ranges{{Start: 10, End: 20}, {Start: 20, End: 25}, {Start: 40, End: 50}}
	var got []fs.Range
	fs.Parts(set, fs.Range{Start: 15, End: 45}, func(r fs.Range) bool { got = append(got, r); return true })
	if want := []fs.Range{{Start: 15, End: 20}, {Start: 20, End: 25}, {Start: 40, End: 45}}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for _, r := range []fs.Range{{Start: 25, End: 40}, {Start: 50, End: 60}, {Start: 0, End: 10}, {Start: 12, End: 12}} {
		fs.Parts(set, r, func(p fs.Range) bool { t.Errorf("%v has %v", r, p); return true })
	}
	count := 0
	if fs.Parts(set, fs.Range{Start: 0, End: 100}, func(fs.Range) bool { count++; return false }) || count != 1 {
		t.Error(count)
	}
}

func TestOwners(t *testing.T) {
	f := newToy(lines)
	f.size = 10240
	f.layout = []fs.Piece{
		{Range: fs.Range{Start: 0, End: 1024}, Use: fs.Superblock},
		{Range: fs.Range{Start: 1024, End: 3072}, Use: fs.InodeTable, First: 2, Count: 4},
		{Range: fs.Range{Start: 3072, End: 6144}, Use: fs.Allocated}, {Range: fs.Range{Start: 6144, End: 8192}, Use: fs.Allocated},
		{Range: fs.Range{Start: 8192, End: 10240}, Use: fs.Free},
	}
	at := func(start, end int64, use fs.Use, offset int64) fs.Extent {
		return fs.Extent{Range: fs.Range{Start: start, End: end}, Use: use, Offset: offset}
	}
	f.inodes[4].extents = []fs.Extent{at(3072, 4096, fs.Data, 0), at(4096, 4608, fs.Tree, 0)}
	f.inodes[5].extents = []fs.Extent{at(3584, 5120, fs.Data, 8192), at(9000, 9500, fs.Data, 0)}
	f.inodes[7].extents = []fs.Extent{at(7168, 7680, fs.Attributes, 0)}
	var got []string
	for p, err := range fs.Owners(f, fs.Ranges{{Start: 512, End: 2048}, {Start: 3100, End: 7400}, {Start: 10000, End: 10240}}) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprint(p.Start, " ", p.End, " ", p.Use, " ", p.Ino, " ", p.Offset, " ", p.Again))
	}
	want := []string{"512 1024 superblock 0 0 false", "1024 2048 inode table 0 0 false", "10000 10240 free space 0 0 false",
		"3100 4096 data 4 28 false", "4096 4608 mapping 4 0 false", "3584 4608 data 5 8192 true", "4608 5120 data 5 9216 false",
		"7168 7400 extended attributes 7 0 false", "5120 7168 unowned 0 0 false"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\n%q", got, want)
	}
	var inodes []fs.Ino
	for n, err := range fs.InodesIn(f, fs.Ranges{{Start: 0, End: 1030}, {Start: 9000, End: 9100}}) {
		if err != nil {
			t.Error(err)
		}
		inodes = append(inodes, n)
	}
	if !slices.Equal(inodes, []fs.Ino{2, 3, 4, 5}) {
		t.Error(inodes)
	}
	// Trees of more bytes than there are belong to nobody.
	f.inodes[4].extents = []fs.Extent{at(4096, 1<<20, fs.Tree, 0)}
	errs := 0
	for _, err := range fs.Owners(f, fs.Ranges{{Start: 0, End: 10240}}) {
		if err != nil {
			errs++
		}
	}
	if errs != 1 {
		t.Error(errs)
	}
}

func TestWords(t *testing.T) {
	if fs.Outside.String() != "outside the file system" || fs.Other.String() != "other" || fs.Use(99).String() != "unknown" {
		t.Error(fs.Outside, fs.Other, fs.Use(99))
	}
	e := &fs.ReadError{What: "inode 3", At: 7, Err: errToy}
	if !errors.Is(e, errToy) || e.Error() != "inode 3, at byte 7: it is damaged" {
		t.Error(e)
	}
	u := &fs.UnsupportedError{Features: []string{"a", "b"}}
	if !strings.HasSuffix(u.Error(), ": a, b") {
		t.Error(u)
	}
	if got := (fs.Time{Sec: 1, Nsec: 5}).Time(); got.Unix() != 1 || got.Nanosecond() != 5 {
		t.Error(got)
	}
}
