package xfs_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dmcow/fs"
	"dmcow/fs/xfs"
	"dmcow/internal/device/devicetest"
)

// everything asks a file system for all that it can be asked for.
func everything(t testing.TB, f *xfs.FS) (pieces []fs.Piece) {
	t.Helper()
	size := f.Info().Size
	for i, err := range f.Inodes(0) {
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
	last := int64(0)
	for p, err := range f.Layout(fs.Ranges{{Start: 0, End: size}}) {
		if err == nil && (p.Start != last || p.Len() <= 0) {
			t.Errorf("%+v is behind byte %d", p, last)
		}
		if err == nil {
			last = p.End
		}
	}
	for _, owners := range []func(func(fs.Piece, error) bool){fs.Owners(f, fs.Ranges{{Start: 0, End: size}}), fs.WalkOwners(f, fs.Ranges{{Start: 0, End: size}})} {
		sum := int64(0)
		pieces = nil
		for p, err := range owners {
			if err == nil && !p.Again {
				sum += p.Len()
				pieces = append(pieces, p)
			}
		}
		if last != size || sum != size {
			t.Errorf("the pieces end with byte %d, and have %d bytes, of %d", last, sum, size)
		}
	}
	for range f.Orphans() {
	}
	for range f.Replayed() {
	}
	wanted := map[fs.Ino]uint32{f.Root() + 3: 1, f.Root() + 4: 1, f.Root() + 5: 2}
	for range fs.Names(f, wanted, slices.Values([]fs.Ino{f.Root(), 12})) {
	}
	return pieces
}

// contents is all of a file system, and which errors there are on the way.
func contents(f *xfs.FS) (all map[string]string, errs []error) {
	all = map[string]string{}
	add := func(err error) {
		if err != nil && !errors.Is(err, io.EOF) {
			errs = append(errs, err)
		}
	}
	for step, err := range fs.Walk(f, f.Root()) {
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
		case fs.TypeFile:
			content := make([]byte, min(i.Attr().Size, 1<<20))
			n, err := i.ReadAt(content, 0)
			add(err)
			if n < len(content) {
				continue
			}
			what += fmt.Sprintf(" %x", content)
		case fs.TypeSymlink:
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
func compareDamaged(t *testing.T, where string, f *xfs.FS, want map[string]string) {
	t.Helper()
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

// TestDamagedSuperblock damages each byte of the superblock. With checksums, a copy is used, and nothing is wrong;
// without, nothing is promised but an end.
func TestDamagedSuperblock(t *testing.T) {
	for _, name := range imageNames() {
		t.Run(name, func(t *testing.T) {
			bad := image(t, name)
			f := opened(t, bad)
			want, _ := contents(f)
			checked, copies := name != "v4", name != "frozen" // which has one group
			r := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			for n := range 512 {
				old := bad[n]
				bad[n] ^= byte(1 + r.IntN(255))
				where := fmt.Sprintf("byte %d of the superblock is 0x%02x, was 0x%02x", n, bad[n], old)
				f, err := xfs.Open(inMemory(bad))
				switch damage := (*fs.DamageError)(nil); {
				case err == nil && checked:
					if n%8 == 0 {
						compareDamaged(t, where, f, want)
					}
					if n%64 == 0 {
						everything(t, f)
					}
					if len(f.Info().Notes) == 0 {
						t.Errorf("%s: that a copy is used is not told", where)
					}
				case err == nil:
					if n < 264 && n%8 == 0 {
						everything(t, f)
					}
				case checked && copies:
					t.Errorf("%s: %v", where, err)
				case checked && !errors.As(err, &damage) && !errors.Is(err, fs.ErrNone):
					t.Errorf("%s: %v", where, err)
				}
				bad[n] = old
			}
		})
	}
}

// metadata are the places of an image that checksums cover.
func metadata(t *testing.T, f *xfs.FS, content []byte) (places []fs.Range) {
	t.Helper()
	for _, p := range everything(t, f) {
		switch p.Use {
		case fs.Groups, fs.SpaceMap, fs.InodeMap, fs.InodeTable, fs.Directory, fs.Tree, fs.Attributes, fs.Symlink:
			// What is zero was never written; of such metadata there is much.
			for at := p.Start; at < p.End; at += 64 {
				if strings.Trim(string(content[at:at+64]), "\x00") != "" {
					places = append(places, fs.Range{Start: at, End: at + 64})
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
	for _, name := range imageNames() {
		t.Run(name, func(t *testing.T) {
			good := image(t, name)
			f := opened(t, good)
			want, errs := contents(f)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			places := metadata(t, f, good)
			r := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			for n := range rounds {
				p := places[r.IntN(len(places))]
				at := p.Start + r.Int64N(p.Len())
				old := good[at]
				good[at] ^= byte(1 + r.IntN(255))
				where := fmt.Sprintf("byte %d is 0x%02x, was 0x%02x", at, good[at], old)
				if f, err := xfs.Open(inMemory(good)); err != nil {
					t.Errorf("%s: %v", where, err)
				} else {
					if n%4 == 0 || name == "v4" {
						everything(t, f)
					}
					if name != "v4" {
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
	for _, name := range imageNames() {
		t.Run(name, func(t *testing.T) {
			good := image(t, name)
			f := opened(t, good)
			want, _ := contents(f)
			size := f.Info().BlockSize
			for p := range f.Layout(fs.Ranges{{Start: 4 * size, End: int64(len(good))}}) {
				if p.Use == fs.Free || p.Use == fs.Journal {
					continue
				}
				for at := p.Start; at < p.End; at += size * 5 {
					where := fmt.Sprintf("byte %d", at)
					f, err := xfs.Open(&bad{Volume: inMemory(good), at: at, end: at + size})
					if err != nil {
						t.Errorf("%s: %v", where, err)
						continue
					}
					compareDamaged(t, where, f, want)
				}
			}
		})
	}
}

// bad is a volume of which a part cannot be read.
type bad struct {
	fs.Volume
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
	good := image(t, "v5")
	want, _ := contents(opened(t, good))
	r := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
	for range 30 {
		n := r.IntN(len(good))
		f, err := xfs.Open(inMemory(good[:n]))
		if err != nil {
			if n >= 4096 {
				t.Error(n, err)
			}
			continue
		}
		compareDamaged(t, fmt.Sprint(n), f, want)
		everything(t, f)
		if len(f.Info().Notes) == 0 {
			t.Errorf("that the volume has %d bytes of %d is not told", n, len(good))
		}
	}
}
