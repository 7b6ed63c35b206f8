package xfs_test

import (
	"errors"
	"strings"
	"testing"

	"dmcow/fs"
)

// TestStale has blocks that are whole, but not where they belong: their checksums fit, and what else they have does not.
func TestStale(t *testing.T) {
	good := image(t, "v5")
	f := opened(t, good)
	want, _ := contents(f)
	for _, use := range []fs.Use{fs.Directory, fs.Attributes, fs.SpaceMap, fs.InodeMap} {
		var places []int64
		for p := range fs.WalkOwners(f, whole(f)) {
			for at := p.Start; p.Use == use && at < p.End; at += 1024 {
				places = append(places, at)
			}
		}
		if len(places) < 2 {
			t.Fatalf("%s has %d blocks", use, len(places))
		}
		for n, at := range places {
			bad := append([]byte(nil), good...)
			copy(bad[at:at+1024], good[places[(n+1)%len(places)]:])
			f := opened(t, bad)
			compareDamaged(t, use.String(), f, want)
			everything(t, f)
		}
	}
	for _, path := range []string{"/sizes/10", "/short"} { // an inode over another
		i, err := fs.Resolve(f, path, false)
		if err != nil {
			t.Fatal(err)
		}
		from, err := f.Slot(i.Attr().Ino)
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), good...)
		copy(bad[from.End:from.End+from.Len()], good[from.Start:from.End])
		damage := (*fs.DamageError)(nil)
		if _, err := opened(t, bad).Inode(i.Attr().Ino + 1); !errors.As(err, &damage) {
			t.Errorf("the inode behind %s: %v", path, err)
		}
	}
}

// TestFreeInode: an inode that is free is not in use, whatever its slot has.
func TestFreeInode(t *testing.T) {
	v := image(t, "v4")
	f := opened(t, v)
	i, err := fs.Resolve(f, "/sizes/10", false)
	if err != nil {
		t.Fatal(err)
	}
	used, err := f.Slot(i.Attr().Ino)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for p := range f.Layout(whole(f)) {
		for n := p.First; n < p.First+fs.Ino(p.Count); n++ {
			if _, err := f.Inode(n); err == fs.ErrFree {
				slot, _ := f.Slot(n)
				copy(v[slot.Start:slot.End], v[used.Start:used.End])
				count++
				if _, err := opened(t, v).Inode(n); err != fs.ErrFree {
					t.Errorf("inode %d: %v", n, err)
				}
			}
		}
	}
	if count == 0 {
		t.Error("no inode is free")
	}
}

// TestOwner: a block that another inode had is not one of the inode's, even in its place.
func TestOwner(t *testing.T) {
	v := image(t, "v5")
	f := opened(t, v)
	want, _ := contents(f)
	dir, err := fs.Resolve(f, "/many", false)
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range dir.Extents() {
		if err == nil && e.Use == fs.Directory && e.Offset == 0 {
			v[e.Start+47]++
			sealed(v[e.Start : e.Start+4096]) // as large as its blocks are
		}
	}
	f = opened(t, v)
	compareDamaged(t, "owner", f, want)
	if got, errs := contents(f); len(errs) != 1 || !strings.Contains(errs[0].Error(), "its owner is inode") || len(got) == len(want) {
		t.Errorf("%d paths, %v", len(got), errs)
	}
}
