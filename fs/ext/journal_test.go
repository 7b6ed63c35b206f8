package ext_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	extfs "dmcow/fs"
	"dmcow/fs/ext"
)

// history is a file system before and after some changes, and what the journal is to have of them.
type history struct {
	before, after []byte
	size          int // of a block
	changed       []int
}

// makeHistory makes a file system, and changes it.
func makeHistory(t *testing.T, options ...string) history {
	t.Helper()
	image := small(t, "16M", options...)
	one, _ := random(t, 10, 20000)
	debugfs(t, image, true, "mkdir d", "write "+one+" d/one", "write "+one+" gone")
	h := history{before: readFile(t, image), size: int(mounted(t, image).Info().BlockSize)}
	two, _ := random(t, 11, 300000)
	magic := filepath.Join(t.TempDir(), "magic")
	content := bytes.Repeat(append([]byte{0xc0, 0x3b, 0x39, 0x98}, make([]byte, 508)...), 8) // of the journal's own blocks
	if err := os.WriteFile(magic, content, 0o600); err != nil {
		t.Fatal(err)
	}
	debugfs(t, image, true, "write "+two+" d/two", "write "+magic+" magic", "rm gone", "mkdir e", "symlink e/link "+strings.Repeat("x", 100))
	h.after = readFile(t, image)
	for n := range len(h.after) / h.size {
		if !bytes.Equal(h.block(h.before, n), h.block(h.after, n)) {
			h.changed = append(h.changed, n)
		}
	}
	return h
}

func (h history) block(image []byte, n int) []byte { return image[n*h.size : (n+1)*h.size] }

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(inMemoryDir(t), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// write is the command to put blocks into the journal as one transaction.
func (h history) write(t *testing.T, image []byte, blocks []int, options string) string {
	t.Helper()
	var content []byte
	var list []string
	for _, n := range blocks {
		content = append(content, h.block(image, n)...)
		list = append(list, fmt.Sprint(n))
	}
	return fmt.Sprintf("jw %s -b %s %s", options, strings.Join(list, ","), writeFile(t, content))
}

// tree is all of a file system: each path with attributes and content.
func treeOf(t *testing.T, f *ext.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	for step, err := range extfs.Walk(f, f.Root()) {
		if err != nil {
			t.Error(err)
			continue
		}
		i, err := f.Inode(step.Ino)
		if err != nil {
			t.Error(step.Path, err)
			continue
		}
		content := make([]byte, i.Attr().Size)
		switch i.Attr().Type {
		case extfs.TypeFile:
			if n, err := i.ReadAt(content, 0); n < len(content) {
				t.Error(step.Path, err)
			}
		case extfs.TypeSymlink:
			target, err := i.Target()
			if err != nil {
				t.Error(step.Path, err)
			}
			content = []byte(target)
		}
		all[step.Path] = fmt.Sprintf("%+v %x", i.Attr(), content)
	}
	return all
}

func compareTrees(t *testing.T, got, want map[string]string) {
	t.Helper()
	for path, w := range want {
		if got[path] != w {
			t.Errorf("%s is %.300s, expected %.300s", path, got[path], w)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s is there", path)
		}
	}
}

var journals = []struct {
	name    string
	options []string
	jo      string
}{
	{"none", []string{"-t", "ext3", "-b", "1024"}, "jo"},
	{"version-1", []string{"-t", "ext4", "-b", "1024", "-O", "^metadata_csum"}, "jo -c"},
	{"version-2", []string{"-t", "ext4", "-b", "1024", "-O", "^64bit"}, "jo -c -v 2"},
	{"version-2-64bit", []string{"-t", "ext4", "-b", "1024", "-O", "64bit"}, "jo -c -v 2"},
	{"version-3", []string{"-t", "ext4", "-b", "1024"}, "jo -c -v 3"},
	{"version-3-32bit", []string{"-t", "ext4", "-b", "1024", "-O", "^64bit"}, "jo -c -v 3"},
	{"4k", []string{"-t", "ext4", "-b", "4096", "-O", "fast_commit"}, "jo -c -v 3"},
}

// TestJournal puts all changes into the journal, in three transactions of which the middle one writes nonsense that the
// last one overwrites or revokes. What is read is what comes of it, as with debugfs' replay.
func TestJournal(t *testing.T) {
	for _, j := range journals {
		t.Run(j.name, func(t *testing.T) {
			h := makeHistory(t, j.options...)
			nonsense := bytes.Repeat([]byte("nonsense"), len(h.before)/8)
			half := len(h.changed) / 2
			free := []int{len(h.before)/h.size - 5, len(h.before)/h.size - 6}
			revoked := "-r " + strings.Trim(strings.ReplaceAll(fmt.Sprint(free), " ", ","), "[]")
			if j.name == "version-1" { // debugfs has revoked blocks in this checksum, and the kernel does not
				free, revoked = nil, ""
			}
			image := writeFile(t, h.before)
			debugfs(t, image, true, j.jo,
				h.write(t, h.after, h.changed[:half], ""),
				h.write(t, nonsense, append(slices.Clone(h.changed[half:]), free...), ""),
				h.write(t, h.after, h.changed[half:], revoked), "jc")
			compareReplayed(t, h, image)
			f := mounted(t, image)
			all := 0
			for r := range f.Replayed() {
				all += int(r.Len()) / h.size
			}
			if all != len(h.changed) {
				t.Errorf("%d blocks were replayed, expected %d", all, len(h.changed))
			}
		})
	}
}

// compareReplayed compares what is read with the tree after the changes, and with debugfs' replay of a copy.
func compareReplayed(t *testing.T, h history, image string) {
	t.Helper()
	f := mounted(t, image)
	if info := f.Info(); info.Recovery != extfs.Replayed || len(info.Notes) > 0 {
		t.Errorf("%+v", info)
	}
	want := treeOf(t, mounted(t, writeFile(t, h.after)))
	compareTrees(t, treeOf(t, f), want)
	replayed := writeFile(t, readFile(t, image))
	debugfs(t, replayed, true, "jr")
	g := mounted(t, replayed)
	if g.Info().Recovery != extfs.Clean {
		t.Errorf("debugfs did not replay: %+v", g.Info())
	}
	compareTrees(t, treeOf(t, f), treeOf(t, g))
	whole := make([]byte, len(h.after))
	if n, err := f.ReadAt(whole, 0); n < len(whole) {
		t.Fatal(err)
	}
	journal := extfs.Piece{}
	for n := 1; n < len(h.after)/h.size; n++ {
		for p := range f.Layout(extfs.Ranges{{Start: int64(n * h.size), End: int64((n + 1) * h.size)}}) {
			journal = p
		}
		if got, want := h.block(whole, n), h.block(readOnce(t, replayed), n); n > 1 && !bytes.Equal(got, want) && journal.Use != extfs.Journal {
			t.Errorf("block %d (%v) is another than after debugfs' replay", n, journal.Use)
		}
	}
	as, err := ext.Open(openFile(t, image), ext.Options{AsWritten: true})
	if err != nil || as.Info().Recovery != extfs.Needed {
		t.Fatal(err)
	}
	compareTrees(t, treeOf(t, as), treeOf(t, mounted(t, writeFile(t, h.before))))
}

var once = map[string][]byte{}

func readOnce(t *testing.T, path string) []byte {
	if once[path] == nil {
		clear(once)
		once[path] = readFile(t, path)
	}
	return once[path]
}

// TestJournalUncommitted: a transaction without its commit block is not replayed.
func TestJournalUncommitted(t *testing.T) {
	for _, j := range journals {
		t.Run(j.name, func(t *testing.T) {
			h := makeHistory(t, j.options...)
			nonsense := bytes.Repeat([]byte("nonsense"), len(h.before)/8)
			image := writeFile(t, h.before)
			debugfs(t, image, true, j.jo, h.write(t, h.after, h.changed, ""), h.write(t, nonsense, h.changed, "-c"), "jc")
			compareReplayed(t, h, image)
		})
	}
}

// TestJournalDamage damages the journal's blocks one after the other: nothing of a damaged one is read, and it is said.
func TestJournalDamage(t *testing.T) {
	for _, j := range journals[1:] {
		t.Run(j.name, func(t *testing.T) {
			h := makeHistory(t, j.options...)
			half := len(h.changed) / 2
			image := writeFile(t, h.before)
			debugfs(t, image, true, j.jo, h.write(t, h.after, h.changed[:half], ""), h.write(t, h.after, h.changed[half:], ""), "jc")
			good := readFile(t, image)
			var places []int64 // of the journal's blocks
			for e := range at8(t, mounted(t, image)).Data() {
				for at := e.Start; at < e.End; at += int64(h.size) {
					places = append(places, at)
				}
			}
			known := map[string]bool{}
			for _, side := range [][]byte{h.before, h.after} {
				for n := range len(side) / h.size {
					known[string(h.block(side, n))] = true
				}
			}
			for n := range len(h.changed) + 8 {
				// What a block's header no longer says ends the journal, as it ends where nothing more was written.
				at := int(places[n]) + 12 + n*7%800
				good[at] ^= 0x40
				f, err := ext.Open(inMemory(good), ext.Options{})
				if err != nil {
					t.Fatal(err)
				}
				info := f.Info()
				switch {
				case info.Recovery == extfs.Replayed && n > 0 && n < len(h.changed)+4 && j.name != "version-1":
					t.Errorf("damage in block %d of the journal was not seen", n)
				case info.Recovery != extfs.Replayed && len(info.Notes) == 0:
					t.Errorf("damage in block %d of the journal was not told: %+v", n, info)
				}
				for r := range f.Replayed() {
					p := make([]byte, h.size)
					for at := r.Start; at < r.End; at += int64(h.size) {
						if _, err := f.ReadAt(p, at); err != nil || !known[string(p)] {
							t.Errorf("damage in block %d of the journal came into block %d, %v", n, at/int64(h.size), err)
						}
					}
				}
				good[at] ^= 0x40
			}
		})
	}
}

func at8(t *testing.T, f *ext.FS) extfs.Inode {
	t.Helper()
	i, err := f.Inode(8)
	if err != nil {
		t.Fatal(err)
	}
	return i
}
