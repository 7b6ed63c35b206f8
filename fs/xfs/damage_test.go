package xfs_test

import (
	"slices"
	"testing"

	"dmcow/fs"
	"dmcow/fs/xfs"
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
