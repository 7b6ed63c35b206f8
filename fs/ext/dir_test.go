package ext_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	extfs "dmcow/fs"
)

// TestDamagedEntries damages the entries of a directory that has no checksums: what is wrong is told, with its place, and
// costs that entry, or where its size cannot be right, those behind it in the block.
func TestDamagedEntries(t *testing.T) {
	good := image(t, "ext2")
	f := opened(t, good)
	few := at(t, f, "/few")
	var block extfs.Range
	for e := range few.Extents() {
		if e.Use == extfs.Directory {
			block = e.Range
		}
	}
	var all []string
	var places []int64 // of the entries, with the two that each directory begins with
	for at := block.Start; at < block.End; at += int64(good[at+4]) | int64(good[at+5])<<8 {
		places = append(places, at)
	}
	for e := range few.Entries() {
		all = append(all, e.Name)
	}
	if len(all) != 4 || len(places) != 6 || f.Info().Inodes != 0xa0 {
		t.Fatalf("%q, %v", all, places)
	}
	first, second, last := places[2], places[3], places[5]
	for _, c := range []struct {
		name  string
		at    int64
		bytes string
		want  []string // nil for all
		error string   // "" for none
		place int64
	}{
		{"nothing", first, "", nil, "", 0},
		{"a size that is too small", second + 4, "\x04\x00", all[:1], "an entry has 4 bytes", second},
		{"a size that is odd", second + 4, "\x15\x00", all[:1], "an entry has 21 bytes", second},
		{"a size beyond the block", second + 4, "\x00\x04", all[:1], "an entry has 1024 bytes", second},
		{"the last one beyond the block", last + 5, "\x7f", all[:3], "an entry has", last},
		{"a name that is too long", second + 6, "\xff", all[:1], "its name 255", second},
		{"an inode that there is not", second, "\xff\xff\xff\x00", slices.Concat(all[:1], all[2:]), "an entry has inode 16777215", second},
		{"the last inode", second, "\xa0\x00\x00\x00", nil, "", 0},
		{"the one behind the last", second, "\xa1\x00\x00\x00", slices.Concat(all[:1], all[2:]), "an entry has inode", second},
		{"an unused entry", second, "\x00\x00\x00\x00", slices.Concat(all[:1], all[2:]), "", 0},
		{"a slash", second + 8, "/", slices.Concat(all[:1], all[2:]), "cannot be one", second},
		{"a zero byte", second + 9, "\x00", slices.Concat(all[:1], all[2:]), "cannot be one", second},
		{"no name", second + 6, "\x00", slices.Concat(all[:1], all[2:]), "a name is empty", second},
		{"a second dot", second + 6, "\x01\x02.", slices.Concat(all[:1], all[2:]), `"." again`, second},
		{"a second pair of dots", second + 6, "\x02\x02..", slices.Concat(all[:1], all[2:]), `".." again`, second},
		{"a type that there is not", second + 7, "\x08", nil, "", 0},
		{"no dot", block.Start + 8, "x", nil, `it begins with "x", expected "."`, block.Start},
		{"a dot elsewhere", block.Start, "\x02", nil, `its "." is inode 2`, block.Start},
		{"no pair of dots", places[1] + 9, "x", nil, `it begins with ".x", expected ".."`, places[1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := slices.Clone(good)
			copy(bad[c.at:], c.bytes)
			var got []string
			var errs []error
			for e, err := range at(t, opened(t, bad), "/few").Entries() {
				if err != nil {
					errs = append(errs, err)
				} else {
					got = append(got, e.Name)
				}
			}
			want := c.want
			if want == nil {
				want = all
			}
			// A directory whose own two entries are damaged has its others all the same, and perhaps those two.
			if !slices.Equal(got, want) && !(c.want == nil && c.error != "" && slices.Equal(got[max(0, len(got)-4):], all)) {
				t.Errorf("%q, expected %q", got, want)
			}
			damage := (*extfs.DamageError)(nil)
			switch {
			case c.error == "" && len(errs) == 0:
			case c.error == "" || len(errs) == 0:
				t.Errorf("%v, expected %q", errs, c.error)
			case !errors.As(errs[0], &damage) || !strings.Contains(damage.Why, c.error) || damage.At != c.place:
				t.Errorf("%v, expected %q at byte %d", errs, c.error, c.place)
			}
		})
	}
}

// TestParent: what ".." says.
func TestParent(t *testing.T) {
	for _, name := range imageNames() {
		f := opened(t, image(t, name))
		few, deeper := at(t, f, "/few"), at(t, f, "/few/deeper")
		if n, err := few.Parent(); n != f.Root() || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if n, err := deeper.Parent(); n != few.Attr().Ino || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if _, err := at(t, f, "/sizes/10").Parent(); !errors.Is(err, extfs.ErrNotDirectory) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
