package snapshot

import (
	"cmp"
	"slices"

	"dmcow/fs"
	"dmcow/fs/compare"
)

// Owned is who owns the chunks of a store: each byte has one owner on each side.
type Owned struct {
	Files []OwnedFile // those with the most bytes first
	Rest  [2]map[fs.Use]int64
	Bytes int64 // in all chunks of the store
}

// OwnedFile is what a file has of them.
type OwnedFile struct {
	Path  string // empty if no directory has it
	Ino   [2]fs.Ino
	Bytes [2]int64 // on the snapshot, and on the origin
}

// Owned finds the owners, for which it reads all inodes. The error is a [*Refusal].
func (x *Sides) Owned() (*Owned, error) {
	o := &Owned{Rest: [2]map[fs.Use]int64{{}, {}}, Bytes: x.stored}
	byPath := map[string]*OwnedFile{}
	nameless := map[fs.Ino]*OwnedFile{}
	for s, t := range []*Tree{compare.Old: x.Old, compare.New: x.New} {
		found, err := t.owners(x.Stored, o.Rest[s])
		if err != nil {
			return nil, err
		}
		o.Rest[s][fs.Outside] += x.stored - bytesIn(x.Stored)
		paths, err := t.paths(found)
		if err != nil {
			return nil, err
		}
		for n, bytes := range found {
			var f *OwnedFile
			if p := paths[n]; p != "" {
				f = entryOf(byPath, p)
				f.Path = p
			} else {
				f = entryOf(nameless, n)
			}
			f.Ino[s], f.Bytes[s] = n, bytes
		}
	}
	for _, f := range nameless {
		o.Files = append(o.Files, *f)
	}
	for _, f := range byPath {
		o.Files = append(o.Files, *f)
	}
	slices.SortFunc(o.Files, func(a, b OwnedFile) int {
		return cmp.Or(cmp.Compare(max(b.Bytes[0], b.Bytes[1]), max(a.Bytes[0], a.Bytes[1])), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Ino[0]+a.Ino[1], b.Ino[0]+b.Ino[1]))
	})
	return o, x.checkQuiet()
}

// entryOf is what a map has, or gets, for a key.
func entryOf[K comparable](all map[K]*OwnedFile, key K) *OwnedFile {
	f := all[key]
	if f == nil {
		f = new(OwnedFile)
		all[key] = f
	}
	return f
}

func bytesIn(all fs.Ranges) (n int64) {
	for _, r := range all {
		n += r.Len()
	}
	return n
}

// owners sums up what files have, and what has other uses.
func (t *Tree) owners(set fs.Set, rest map[fs.Use]int64) (map[fs.Ino]int64, error) {
	found := map[fs.Ino]int64{}
	for p, err := range fs.Owners(t.FS, set) {
		if err != nil {
			if err := t.Trouble(err); err != nil {
				return nil, err
			}
			continue
		}
		switch {
		case p.Again:
		case p.Ino != 0 && p.Use != fs.Directory && p.Use != fs.Other && p.Use != fs.Journal:
			found[p.Ino] += p.Len()
		default:
			rest[p.Use] += p.Len()
		}
	}
	return found, nil
}

// paths are those of files, one of each.
func (t *Tree) paths(files map[fs.Ino]int64) (map[fs.Ino]string, error) {
	wanted := map[fs.Ino]uint32{}
	for n := range files {
		wanted[n] = 1
	}
	all, dirs := map[fs.Ino]string{}, fs.NewPaths(t.FS)
	for l, err := range fs.Names(t.FS, wanted, func(func(fs.Ino) bool) {}) {
		var dir string
		if err == nil {
			dir, err = dirs.Path(l.Parent)
		}
		if err != nil {
			if err := t.Trouble(err); err != nil {
				return nil, err
			}
			continue
		}
		if dir != "/" {
			dir += "/"
		}
		all[l.Ino] = dir + l.Name
	}
	return all, nil
}
