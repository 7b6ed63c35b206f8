package ext_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	extfs "dmcow/fs"
	"dmcow/fs/ext"
	"dmcow/internal/device/devicetest"
)

// contents is all of a file system, and how many errors there are on the way.
func contents(f *ext.FS) (all map[string]string, errs []error) {
	all = map[string]string{}
	add := func(err error) {
		if err != nil && !errors.Is(err, io.EOF) {
			errs = append(errs, err)
		}
	}
	for step, err := range extfs.Walk(f, f.Root()) {
		if err != nil {
			add(err)
			continue
		}
		i, err := f.Inode(step.Ino)
		if err != nil {
			add(fmt.Errorf("%s: %w", step.Path, err))
			continue
		}
		what := fmt.Sprintf("%+v", i.Attr())
		switch i.Attr().Type {
		case extfs.TypeFile:
			content := make([]byte, min(i.Attr().Size, 1<<20))
			n, err := i.ReadAt(content, 0)
			add(err)
			if n < len(content) {
				continue
			}
			what += fmt.Sprintf(" %x", content)
		case extfs.TypeSymlink:
			target, err := i.Target()
			add(err)
			if err != nil {
				continue
			}
			what += target
		}
		bad := false
		for x, err := range i.Xattrs() {
			add(err)
			bad = bad || err != nil
			what += fmt.Sprintf(" %s=%x", x.Name, x.Value)
		}
		if !bad {
			all[step.Path] = what
		}
	}
	return all, errs
}

// compareDamaged checks that nothing is other than in the undamaged file system, and that what is missing is told.
func compareDamaged(t *testing.T, where string, f *ext.FS, want map[string]string) {
	t.Helper()
	if info := f.Info(); info.Recovery == extfs.Needed && len(info.Notes) > 0 {
		return // damage in the journal's own inode: the rest is as it was before
	}
	got, errs := contents(f)
	for path, g := range got {
		if want[path] != g {
			t.Errorf("%s: %q is %.300s, expected %.300s", where, path, g, want[path])
		}
	}
	if len(got) < len(want) && len(errs) == 0 {
		t.Errorf("%s: %d of %d paths are missing, and no error says why", where, len(want)-len(got), len(want))
	}
}

// everything asks a file system for all that it can be asked for.
func everything(t testing.TB, f *ext.FS) (pieces []extfs.Piece) {
	t.Helper()
	size := f.Info().Size
	inodes := 0
	for i, err := range f.Inodes(0) {
		inodes++
		if err != nil {
			continue
		}
		if slot, err := f.Slot(i.Attr().Ino); err == nil {
			_, _ = f.ReadAt(make([]byte, slot.Len()), slot.Start)
		}
		for range i.Xattrs() {
		}
		for range i.Entries() {
		}
		for e, err := range i.Data() {
			if err == nil && (e.Start < 0 || e.End > size || e.Len() <= 0) {
				t.Errorf("inode %d has data in %+v", i.Attr().Ino, e)
			}
		}
		_, _ = i.Parent()
		_, _ = i.Target()
		_, _ = i.ReadAt(make([]byte, 1<<16), max(0, i.Attr().Size-1<<15))
	}
	if inodes > int(f.Info().Inodes)*2 {
		t.Errorf("%d inodes, of %d", inodes, f.Info().Inodes)
	}
	last := int64(0)
	for p, err := range f.Layout(extfs.Ranges{{Start: 0, End: size}}) {
		if err == nil && (p.Start != last || p.Len() <= 0) {
			t.Errorf("%+v is behind byte %d", p, last)
		}
		if err == nil {
			last = p.End
		}
	}
	sum := int64(0)
	for p, err := range extfs.Owners(f, extfs.Ranges{{Start: 0, End: size}}) {
		if err == nil && !p.Again {
			sum += p.Len()
			pieces = append(pieces, p)
		}
	}
	if last != size || sum != size {
		t.Errorf("the pieces end with byte %d, and have %d bytes, of %d", last, sum, size)
	}
	for range f.Orphans() {
	}
	for range f.Replayed() {
	}
	wanted := map[extfs.Ino]uint32{11: 1, 12: 1, 15: 2}
	for range extfs.Names(f, wanted, slices.Values([]extfs.Ino{2, 12})) {
	}
	return pieces
}

// TestDamagedSuperblock damages each byte of the superblock. With checksums, a copy is used, and nothing is wrong;
// without, nothing is promised but an end.
func TestDamagedSuperblock(t *testing.T) {
	for name := range images {
		t.Run(name, func(t *testing.T) {
			good := image(t, name)
			f := opened(t, good)
			want, _ := contents(f)
			checked := slices.Contains(f.Info().Features, "metadata_csum")
			copies := name == "ext4" // the others have one group
			r := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			for n := range 1024 {
				bad := good // patched, and mended
				old := bad[1024+n]
				bad[1024+n] ^= byte(1 + r.IntN(255))
				where := fmt.Sprintf("byte %d of the superblock is 0x%02x, was 0x%02x", n, bad[1024+n], old)
				f, err := ext.Open(inMemory(bad), ext.Options{})
				switch damage := (*extfs.DamageError)(nil); {
				case err == nil && checked:
					compareDamaged(t, where, f, want)
					if n%16 == 0 {
						everything(t, f)
					}
					if copies && len(f.Info().Notes) == 0 {
						t.Errorf("%s: that a copy is used is not told", where)
					}
				case err == nil:
					everything(t, f)
				case copies:
					t.Errorf("%s: %v", where, err)
				case checked && !errors.As(err, &damage) && !errors.Is(err, extfs.ErrNone):
					t.Errorf("%s: %v", where, err)
				}
				bad[1024+n] = old
			}
		})
	}
}

func opened(t testing.TB, content []byte) *ext.FS {
	t.Helper()
	f, err := ext.Open(inMemory(content), ext.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// metadata are the places of an image that checksums cover.
func metadata(t *testing.T, f *ext.FS, content []byte) (places []extfs.Range) {
	t.Helper()
	for _, p := range everything(t, f) {
		switch p.Use {
		case extfs.Groups, extfs.SpaceMap, extfs.InodeMap, extfs.InodeTable, extfs.Directory, extfs.Tree, extfs.Attributes:
			// What is zero was never written; of such metadata there is much.
			for at := p.Start; at < p.End; at += 64 {
				if strings.Trim(string(content[at:at+64]), "\x00") != "" {
					places = append(places, extfs.Range{Start: at, End: at + 64})
				}
			}
		}
	}
	return places
}

// TestDamage damages metadata at random places.
func TestDamage(t *testing.T) { damageRandomly(t, 100) }

// TestLongDamage does that more often.
func TestLongDamage(t *testing.T) {
	devicetest.Long(t)
	damageRandomly(t, 5000)
}

func damageRandomly(t *testing.T, rounds int) {
	t.Helper()
	for name := range images {
		t.Run(name, func(t *testing.T) {
			good := image(t, name)
			f := opened(t, good)
			want, errs := contents(f)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			checked := slices.Contains(f.Info().Features, "metadata_csum")
			places := metadata(t, f, good)
			r := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			for range rounds {
				p := places[r.IntN(len(places))]
				at := p.Start + r.Int64N(p.Len())
				old := good[at]
				good[at] ^= byte(1 + r.IntN(255))
				where := fmt.Sprintf("byte %d is 0x%02x, was 0x%02x", at, good[at], old)
				if f, err := ext.Open(inMemory(good), ext.Options{}); err != nil {
					t.Errorf("%s: %v", where, err)
				} else {
					everything(t, f)
					if checked {
						compareDamaged(t, where, f, want)
					}
				}
				good[at] = old
			}
		})
	}
}

// TestUnreadable has a block that cannot be read: it costs no more than it has.
func TestUnreadable(t *testing.T) {
	for _, name := range []string{"ext2", "ext4", "inline"} {
		t.Run(name, func(t *testing.T) {
			good := image(t, name)
			f := opened(t, good)
			want, _ := contents(f)
			size := f.Info().BlockSize
			used := extfs.Ranges{}
			for p := range f.Layout(extfs.Ranges{{Start: 2 * size, End: int64(len(good))}}) {
				if p.Use != extfs.Free && p.Use != extfs.Journal {
					used = append(used, p.Range)
				}
			}
			for at := 2 * size; at < int64(len(good)); at += size {
				if next, ok := used.Next(at); !ok || next.Start > at {
					continue
				}
				v := &bad{Volume: inMemory(good), at: at, end: at + size}
				f, err := ext.Open(v, ext.Options{})
				if err != nil {
					t.Errorf("byte %d: %v", at, err)
					continue
				}
				got, errs := contents(f)
				for path, g := range got {
					if want[path] != g {
						t.Errorf("byte %d: %q is another", at, path)
					}
				}
				if len(got) < len(want) && len(errs) == 0 {
					t.Errorf("byte %d: %d of %d paths are missing", at, len(want)-len(got), len(want))
				}
			}
		})
	}
}

// bad is a volume of which a part cannot be read.
type bad struct {
	extfs.Volume
	at, end int64
}

var errBad = errors.New("a bad sector")

func (b *bad) ReadAt(p []byte, offset int64) (int, error) {
	if offset < b.end && offset+int64(len(p)) > b.at {
		return 0, errBad
	}
	return b.Volume.ReadAt(p, offset)
}

// TestTruncated has volumes that end too early.
func TestTruncated(t *testing.T) {
	good := image(t, "ext4")
	want, _ := contents(opened(t, good))
	r := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
	for range 100 {
		n := r.IntN(len(good))
		f, err := ext.Open(inMemory(good[:n]), ext.Options{})
		if err != nil {
			if n >= 2048 {
				t.Error(n, err)
			}
			continue
		}
		compareDamaged(t, fmt.Sprint(n), f, want)
		if len(f.Info().Notes) == 0 {
			t.Errorf("that the volume has %d bytes of %d is not told", n, len(good))
		}
	}
}

// TestDamagedDescriptors: where all first descriptors are damaged, their copies lead to the inodes.
func TestDamagedDescriptors(t *testing.T) {
	for _, k := range kinds {
		switch k.name {
		case "ext4-1k", "meta-bg", "sparse-super2", "no-flex", "no-csum", "no-64bit":
		default:
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			m := makeFS(t, k.size, k.options...)
			content := readFile(t, m.image)
			size := 32
			if slices.Contains(opened(t, content).Info().Features, "64bit") {
				size = 64
			}
			damaged := 0
			for p := range opened(t, content).Layout(extfs.Ranges{{Start: 0, End: 1 << 20}}) {
				if p.Use != extfs.Groups {
					continue
				}
				for at := p.Start; at < p.End; at += int64(size) {
					if binary.LittleEndian.Uint32(content[at:]) != 0 {
						content[at+8] ^= 0x40 // where the inode table is
						damaged++
					}
				}
			}
			path := writeFile(t, content)
			f := mounted(t, path)
			compareTree(t, f, m.dir)
			errs := 0
			for _, err := range f.Inodes(0) {
				damage := (*extfs.DamageError)(nil)
				if err != nil && !errors.As(err, &damage) {
					t.Error(err)
				}
				if err != nil {
					errs++
				}
			}
			if damaged < 2 || errs != damaged {
				t.Errorf("%d descriptors were damaged, and %d errors told", damaged, errs)
			}
			for p, err := range f.Layout(whole(f)) {
				if err == nil && p.Use == extfs.Free {
					t.Errorf("%+v cannot be known", p)
				}
			}
		})
	}
}

// TestDamagedBitmaps: an inode that a damaged bitmap says is free is found all the same, space of its group counts as
// allocated, and the damage is told.
func TestDamagedBitmaps(t *testing.T) {
	content := image(t, "ext4")
	f := opened(t, content)
	want, _ := contents(f)
	inodes := map[extfs.Ino]bool{}
	for i := range f.Inodes(0) {
		inodes[i.Attr().Ino] = true
	}
	free := int64(0)
	for p := range f.Layout(whole(f)) {
		if p.Use == extfs.Free {
			free += p.Len()
		}
	}
	for p := range f.Layout(whole(f)) {
		if p.Use != extfs.SpaceMap && p.Use != extfs.InodeMap {
			continue
		}
		for at := p.Start; at < p.Start+8; at++ {
			content[at] ^= 0x81
			f := opened(t, content)
			got, errs := contents(f)
			if len(got) != len(want) || len(errs) > 0 {
				t.Errorf("byte %d: %d paths, of %d: %v", at, len(got), len(want), errs)
			}
			told, found, stillFree := 0, 0, int64(0)
			for i, err := range f.Inodes(0) {
				if err != nil {
					told++
				} else if found++; !inodes[i.Attr().Ino] {
					t.Errorf("byte %d: inode %d was free", at, i.Attr().Ino)
				}
			}
			for p, err := range f.Layout(whole(f)) {
				if err != nil {
					told++
				} else if p.Use == extfs.Free {
					stillFree += p.Len()
				}
			}
			if told != 1 || found != len(inodes) || (stillFree < free) != (p.Use == extfs.SpaceMap) {
				t.Errorf("byte %d, %v: %d errors, %d of %d inodes, %d of %d bytes are free", at, p.Use, told, found, len(inodes), stillFree, free)
			}
			content[at] ^= 0x81
		}
	}
}
