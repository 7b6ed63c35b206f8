package xfs_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"dmcow/fs"
	"dmcow/fs/xfs"
)

// changed is the image with a change of the superblock, whose checksum is mended.
func changed(t *testing.T, name string, change func(sb []byte)) (*xfs.FS, error) {
	t.Helper()
	v := image(t, name)
	change(v[:512])
	if name != "v4" {
		sealed(v[:512])
	}
	return xfs.Open(inMemory(v))
}

// TestUnknownFeatures: what changes where things lie is refused by its name; what a reader need not know is not.
func TestUnknownFeatures(t *testing.T) {
	for _, c := range []struct {
		image string
		at    int
		bits  uint32
		want  []string // nil: it is read
	}{
		{"v5", 216, 0x100, []string{"metadir"}},
		{"v5", 216, 0x200 | 0x80000000, []string{"zoned", "incompatible feature 0x80000000"}},
		{"v5", 216, 0x40 | 0x80, nil}, // exchange, parent
		{"v5", 212, 0x40000000, nil},
		{"v5", 208, 0x1, nil},
		{"v5", 220, 0x1, nil},
		{"v4", 200, 0x10, []string{"parent"}},
		{"v4", 200, 0x8000, []string{"feature 0x8000"}},
		{"v4", 100, 0x0200_0000, []string{"shared"}},
	} {
		f, err := changed(t, c.image, func(sb []byte) {
			binary.BigEndian.PutUint32(sb[c.at:], binary.BigEndian.Uint32(sb[c.at:])|c.bits)
		})
		unsupported := (*fs.UnsupportedError)(nil)
		switch {
		case c.want == nil && err != nil:
			t.Errorf("%+v: %v", c, err)
		case c.want == nil:
			if _, errs := contents(f); len(errs) > 0 {
				t.Errorf("%+v: %v", c, errs)
			}
		case !errors.As(err, &unsupported) || !slices.Equal(unsupported.Features, c.want):
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestNotes: what a reader should know is told.
func TestNotes(t *testing.T) {
	for _, c := range []struct {
		at   int
		to   byte
		want string
	}{{219, 0x1a, "xfs_repair"}, {126, 1, "did not finish"}, {23, 9, "realtime"}} {
		f, err := changed(t, "v5", func(sb []byte) { sb[c.at] |= c.to })
		if err != nil {
			t.Error(err)
			continue
		}
		if notes := f.Info().Notes; len(notes) != 1 || !strings.Contains(notes[0], c.want) {
			t.Errorf("%q, expected %q", notes, c.want)
		}
	}
}

// TestNothing: what is not XFS is said not to be.
func TestNothing(t *testing.T) {
	for _, size := range []int{0, 100, 512, 1 << 20} {
		if _, err := xfs.Open(inMemory(make([]byte, size))); err != fs.ErrNone {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestRealtime: a file on the realtime device is refused with a word; its attributes are read.
func TestRealtime(t *testing.T) {
	v := image(t, "v5")
	f := opened(t, v)
	i, err := fs.Resolve(f, "/sizes/10", false)
	if err != nil {
		t.Fatal(err)
	}
	slot, err := f.Slot(i.Attr().Ino)
	if err != nil {
		t.Fatal(err)
	}
	v[slot.Start+91] |= 1
	sealed(v[slot.Start:slot.End])
	if i, err = opened(t, v).Inode(i.Attr().Ino); err != nil {
		t.Fatal(err)
	}
	if n, err := i.ReadAt(make([]byte, 10), 0); n > 0 || err != xfs.ErrRealtime {
		t.Errorf("%d bytes, %v", n, err)
	}
	for e, err := range i.Data() {
		if err != xfs.ErrRealtime {
			t.Errorf("%+v, %v", e, err)
		}
	}
	for e, err := range i.Extents() {
		if err != nil || e.Use != fs.Attributes {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if len(xattrs(t, i)) == 0 {
		t.Error("it has no attributes")
	}
}

// TestLog changes the log of a clean file system: what is not clean is told.
func TestLog(t *testing.T) {
	for _, name := range imageNames() {
		t.Run(name, func(t *testing.T) {
			v := image(t, name)
			f := opened(t, v)
			log := fs.Range{}
			for p := range f.Layout(fs.Ranges{{Start: 0, End: f.Info().Size}}) {
				if p.Use == fs.Journal {
					log = p.Range
				}
			}
			last, newest := int64(-1), uint64(0) // record; the kernel writes old ones, too, to clear the space before it
			for at := log.Start; at < log.End; at += 512 {
				if n := binary.BigEndian.Uint64(v[at+16:]); binary.BigEndian.Uint32(v[at:]) == 0xfeedbabe && n > newest {
					last, newest = at, n
				}
			}
			if last < 0 {
				t.Fatal("there is no record")
			}
			for what, change := range map[string]int64{"the flags of its operation": last + 512 + 9, "its tail": last + 24 + 7, "its file system": last + 310} {
				old := v[change]
				v[change] ^= 0x20
				if what == "its tail" && !images[name].frozen {
					v[change] = old // it does not matter there
					continue
				}
				info := opened(t, v).Info()
				if info.Recovery != fs.Needed || len(info.Notes) != 1 || !strings.Contains(info.Notes[0], "as far as written back") {
					t.Errorf("%s: %+v", what, info)
				}
				v[change] = old
			}
		})
	}
}
