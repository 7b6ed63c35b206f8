package compare_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/fs"
	"dmcow/fs/compare"
)

// editor changes a tree by commands of debugfs, as a kernel would: what it changes gets another time of change.
type editor struct {
	rng      *rand.Rand
	dir      string
	commands []string
	now      int
	files    map[string]int // sizes, by path
	dirs     map[string]bool
	links    map[string]string // further names, by path: the first one
	n        int

	generations bool
}

func (e *editor) say(format string, args ...any) {
	e.commands = append(e.commands, fmt.Sprintf(format, args...))
}

// touch gives an inode another time of change, and with content also one of modification.
func (e *editor) touch(path string, content bool) {
	e.now++
	e.say("sif %s ctime @%d", path, e.now)
	if content {
		e.say("sif %s mtime @%d", path, e.now)
	}
}

func (e *editor) name() string {
	return []string{"f%d", "name-%d", "ein_langer_name_mit_vielen_zeichen_%d"}[e.rng.IntN(3)]
}

func pick[V any](e *editor, all map[string]V) string {
	keys := slices.Sorted(maps.Keys(all))
	return keys[e.rng.IntN(len(keys))]
}

func (e *editor) fresh() string {
	dir := pick(e, e.dirs)
	e.n++
	return strings.TrimSuffix(dir, "/") + "/" + fmt.Sprintf(e.name(), e.n)
}

// write makes a file of a size and of its own content.
func (e *editor) write(t testing.TB, path string, size int) {
	t.Helper()
	e.now++
	from := filepath.Join(e.dir, fmt.Sprint("content", e.now))
	if err := os.WriteFile(from, []byte(strings.Repeat(fmt.Sprintf("%08d", e.now), size/8+1))[:size], 0o600); err != nil {
		t.Fatal(err)
	}
	e.say("write %s %s", from, path)
	for _, field := range []string{"crtime", "ctime", "mtime", "atime"} {
		e.say("sif %s %s @%d", path, field, e.now)
	}
	e.again(path)
	e.entry(path)
	e.files[path] = size
}

// again gives an inode another generation, where nothing else tells it from one that had its number before. Checksums have it, too.
func (e *editor) again(path string) {
	if e.generations {
		e.say("sif %s generation %d", path, e.now)
	}
}

// entry notes that a directory has another entry, as debugfs does not.
func (e *editor) entry(path string) { e.touch(filepath.Dir(path), true) }

// link makes another name. debugfs does not make room for it.
func (e *editor) link(path, to string) {
	e.say("expand_dir %s", filepath.Dir(to))
	e.say("ln %s %s", path, to)
	e.entry(to)
}

func (e *editor) step(t testing.TB) {
	t.Helper()
	if len(e.files) == 0 {
		e.write(t, e.fresh(), 3000)
		return
	}
	path := pick(e, e.files)
	switch e.rng.IntN(12) {
	case 0, 1:
		e.write(t, e.fresh(), e.rng.IntN(60000))
	case 2:
		path = e.fresh()
		e.now++
		e.say("mkdir %s", path)
		for _, field := range []string{"crtime", "ctime", "mtime"} {
			e.say("sif %s %s @%d", path, field, e.now)
		}
		e.again(path)
		e.entry(path)
		e.dirs[path] = true
	case 3, 4:
		if e.isLinked(path) {
			return
		}
		e.say("rm %s", path)
		e.entry(path)
		delete(e.files, path)
	case 5: // another file by the name of one
		if e.isLinked(path) {
			return
		}
		e.say("rm %s", path)
		e.entry(path)
		e.write(t, path, e.rng.IntN(20000))
	case 6:
		to := e.fresh()
		if e.isLinked(path) {
			return
		}
		e.link(path, to)
		e.say("unlink %s", path)
		e.entry(path)
		e.touch(to, false)
		e.files[to] = e.files[path]
		delete(e.files, path)
	case 7:
		if e.isLinked(path) {
			return
		}
		to := e.fresh()
		e.link(path, to)
		e.say("sif %s links_count 2", path)
		e.touch(path, false)
		e.links[to] = path
	case 8:
		e.say("sif %s mode 0100%03o", path, e.rng.IntN(0o1000))
		e.touch(path, false)
	case 9:
		e.say("sif %s uid %d", path, e.rng.IntN(100000))
		e.touch(path, false)
	case 10:
		e.say("ea_set %s user.a%d value%d", path, e.rng.IntN(3), e.n)
		e.touch(path, false)
	case 11:
		e.say("sif %s size %d", path, e.rng.IntN(e.files[path]+1))
		e.touch(path, true)
	}
}

func (e *editor) isLinked(path string) bool {
	return slices.Contains(slices.Collect(maps.Values(e.links)), path)
}

// expected are the kinds of what differs, by path on the side that has it, the new one first.
func expected(a, b side) map[string]string {
	want := map[string]string{}
	byIno := func(s side) map[fs.Ino]state {
		all := map[fs.Ino]state{}
		for _, x := range s {
			all[x.attr.Ino] = x
		}
		return all
	}
	x, y := byIno(a), byIno(b)
	same := func(p, q state) bool {
		return p.attr.Type == q.attr.Type && p.attr.Generation == q.attr.Generation && p.attr.Created == q.attr.Created
	}
	for n, p := range x {
		if q, ok := y[n]; !ok || !same(p, q) {
			want[fmt.Sprint("deleted ", cut(p.links))] = ""
		}
	}
	for n, q := range y {
		first, _, _ := strings.Cut(q.links, "\n")
		p, ok := x[n]
		switch dir := q.attr.Type == fs.TypeDirectory; {
		case !ok || !same(p, q):
			want["created "+first] = ""
		case !dir && (p.content != q.content || p.attr.Size != q.attr.Size):
			want["changed "+first] = p.links
		case p.links != q.links && !dir:
			k := "renamed "
			if within(p.links, q.links) || within(q.links, p.links) {
				k = "linked "
			}
			want[k+first] = p.links
		case !dir && (p.attr.Mode != q.attr.Mode || p.attr.UID != q.attr.UID || p.xattrs != q.xattrs || p.attr.Changed != q.attr.Changed):
			want["attributes "+first] = p.links
		}
	}
	return want
}

// TestRandomEdits compares what is found with a walk through the whole of both sides.
func TestRandomEdits(t *testing.T) {
	need(t)
	for seed, options := range []string{
		"-t ext4 -b 1024", "-t ext4 -b 4096", "-t ext2 -b 1024", "-t ext3 -b 1024 -I 128", "-t ext4 -b 1024 -O inline_data",
		"-t ext4 -b 1024 -O bigalloc -C 4096", "-t ext4 -b 4096 -O ^metadata_csum,^64bit,meta_bg,^resize_inode", "-t ext4 -b 2048 -g 8192",
	} {
		t.Run(options, func(t *testing.T) {
			e := &editor{rng: rand.New(rand.NewPCG(7, uint64(seed))), dir: t.TempDir(), now: 1_500_000_000, files: map[string]int{}, dirs: map[string]bool{"/": true}, links: map[string]string{}}
			e.generations = strings.Contains(options, "-I 128")
			image := filepath.Join(e.dir, "image")
			run(t, "mke2fs", slices.Concat([]string{"-q", "-F"}, strings.Fields(options), []string{image, "24M"})...)
			for range 150 {
				e.step(t)
			}
			debugfs(t, image, e.commands...)
			for round := range 5 {
				before := read(t, image)
				e.commands = nil
				for range []int{1, 5, 20, 60, 150}[round] {
					e.step(t)
				}
				debugfs(t, image, e.commands...)
				compareWithWalk(t, before, read(t, image), 4096)
				compareWithWalk(t, read(t, image), before, 1024)
			}
		})
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func compareWithWalk(t *testing.T, a, b []byte, chunk int64) {
	t.Helper()
	r, sides := pair(t, a, b, chunk, compare.Options{})
	old, now := walk(t, sides[0]), walk(t, sides[1])
	want := expected(old, now)
	for _, f := range r.Files {
		key := f.Kind.String() + " " + f.Path()
		links, ok := want[key]
		delete(want, key)
		if !ok && f.Kind == compare.Changed && f.Bytes > 0 {
			for _, other := range []string{"attributes ", "renamed ", "linked "} { // its neighbour in a chunk
				if l, there := want[other+f.Path()]; there {
					links, ok = l, true
					delete(want, other+f.Path())
				}
			}
		}
		if !ok {
			t.Errorf("%s %v, inode %d, %d bytes: not expected", key, f.Paths, f.Ino, f.Bytes)
		}
		if old := strings.Join(f.Paths[0], "\n"); links != "" && old != links {
			t.Errorf("%s: was %q, expected %q", key, old, links)
		}
		for s, all := range []side{old, now} {
			if size := f.Size[s]; size >= 0 && all[f.Paths[s][0]].attr.Size != size {
				t.Errorf("%s: %d bytes on side %d", key, size, s)
			}
		}
	}
	for key := range want {
		t.Errorf("%s: not found", key)
	}
}

// within reports whether all lines are among others.
func within(lines, others string) bool {
	all := strings.Split(others, "\n")
	return !slices.ContainsFunc(strings.Split(lines, "\n"), func(l string) bool { return !slices.Contains(all, l) })
}

func cut(links string) string {
	first, _, _ := strings.Cut(links, "\n")
	return first
}
