package xfs_test

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/fs"
	"dmcow/fs/xfs"
	"dmcow/internal/device/devicetest"
)

// images are small file systems in testdata, for hosts without xfsprogs: how each is made. The kernel writes to it, and
// reads it again (TestKernelImages).
var images = map[string]struct {
	size           uint64 // MiB
	options        []string
	frozen, shared bool
}{
	"v5":     {34, []string{"-b", "size=1024", "-m", "rmapbt=1", "-d", "agcount=2"}, false, true},
	"v4":     {34, []string{"-b", "size=512", "-m", "crc=0", "-d", "agcount=2"}, false, false},
	"frozen": {18, []string{"-d", "agcount=1", "-b", "size=4096"}, true, true},
}

// image is one of them.
func image(t testing.TB, name string) []byte {
	t.Helper()
	return devicetest.Unzip(t, filepath.Join("testdata", name+".gz"))
}

func imageNames() []string { return slices.Sorted(maps.Keys(images)) }

func opened(t testing.TB, content []byte) *xfs.FS {
	t.Helper()
	f, err := xfs.Open(inMemory(content))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestImages compares each with what the kernel read when it was made.
func TestImages(t *testing.T) {
	for _, name := range imageNames() {
		t.Run(name, func(t *testing.T) {
			f := opened(t, image(t, name))
			info := f.Info()
			if info.Recovery != fs.Clean || len(info.Notes) > 0 != images[name].frozen {
				t.Errorf("%+v", info)
			}
			var lines []string
			for step, err := range fs.Walk(f, f.Root()) {
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
			everything(t, f)
			if !images[name].frozen {
				compareLayout(t, f)
			}
			orphans := 0
			for _, err := range f.Orphans() {
				if orphans++; err != nil {
					t.Error(err)
				}
			}
			if orphans > 0 != images[name].frozen {
				t.Errorf("%d orphans", orphans)
			}
		})
	}
}

// describe is what the kernel says of a file, too.
func describe(t *testing.T, f *xfs.FS, step fs.Step) string {
	t.Helper()
	i, err := f.Inode(step.Ino)
	if err != nil {
		t.Fatal(step.Path, err)
	}
	a := i.Attr()
	what := ""
	switch a.Type {
	case fs.TypeFile:
		content, err := io.ReadAll(io.NewSectionReader(i, 0, 1<<40))
		if err != nil {
			t.Error(step.Path, err)
		}
		what = digest(content)
	case fs.TypeSymlink:
		target, err := i.Target()
		if err != nil {
			t.Error(step.Path, err)
		}
		what = digest([]byte(target))
	}
	return fmt.Sprintf("%q %o %d %d %d %d %d.%d %d:%d %s%s", step.Path, a.Mode, a.UID, a.Links, a.Size, a.Blocks, a.Modified.Sec, a.Modified.Nsec,
		a.Major, a.Minor, what, attributeLine(xattrs(t, i)))
}
