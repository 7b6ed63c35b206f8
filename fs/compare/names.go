package compare

import (
	"cmp"
	"iter"
	"slices"

	"dmcow/fs"
)

func pull[A, B any](s iter.Seq2[A, B]) (next func() (A, B, bool), stop func()) { return iter.Pull2(s) }

// findNames finds the names of what differs: in directories that differ, on each side; then in others, where both sides have
// the same.
func (c *comparison) findNames() {
	at := [2]map[fs.Ino]*found{{}, {}}
	for n := range c.found {
		x := &c.found[n]
		for s := range c.Sides {
			if x.file.Size[s] >= 0 {
				at[s][x.file.Ino] = x
			}
		}
	}
	if !c.inDirectories(at) || !c.inTree(at[New]) || !c.inOldTree(at[Old]) {
		return
	}
	paths := [2]*fs.Paths{fs.NewPaths(c.Sides[Old]), fs.NewPaths(c.Sides[New])}
	for n := range c.found {
		x := &c.found[n]
		if !c.named(x, paths) {
			return
		}
		if x.file.Kind != 0 {
			c.result.Files = append(c.result.Files, x.file)
		}
	}
	c.found = nil
	slices.SortFunc(c.result.Files, func(a, b File) int {
		return cmp.Or(cmp.Compare(a.Path(), b.Path()), cmp.Compare(a.Ino, b.Ino), cmp.Compare(b.Kind, a.Kind))
	})
}

// inDirectories reads those that differ.
func (c *comparison) inDirectories(at [2]map[fs.Ino]*found) bool {
	for s, f := range c.Sides {
		for first, count := range c.dirs.Runs() {
			for dir := first; dir < first+count; dir++ {
				if x := at[s][fs.Ino(dir)]; x == nil || x.file.Type != fs.TypeDirectory {
					continue
				}
				d, err := f.Inode(fs.Ino(dir))
				if err != nil {
					if !c.trouble(Side(s), err) {
						return false
					}
					continue
				}
				for e, err := range d.Entries() {
					if err != nil {
						if !c.trouble(Side(s), err) {
							return false
						}
						continue
					}
					if x := at[s][e.Ino]; x != nil && c.isPlace(x, Side(s), fs.Ino(dir)) {
						x.links[s] = append(x.links[s], place{fs.Ino(dir), e.Name})
					}
				}
			}
		}
	}
	return true
}

// isPlace reports whether a directory may have the name of a file: of a directory, only its parent may.
func (c *comparison) isPlace(x *found, s Side, dir fs.Ino) bool {
	return x.file.Type != fs.TypeDirectory || x.up[s] == dir
}

// inTree finds on the new side what the directories that differ do not have. What the others have is there on the old side,
// too.
func (c *comparison) inTree(at map[fs.Ino]*found) bool {
	wanted := map[fs.Ino]uint32{}
	for n, x := range at {
		if x.file.Type != fs.TypeDirectory && x.counts[New] > uint32(len(x.links[New])) {
			wanted[n] = x.counts[New]
		}
	}
	for l, err := range fs.Names(c.Sides[New], wanted, c.changedDirectories(at)) {
		if err != nil {
			if !c.trouble(New, err) {
				return false
			}
			continue
		}
		if c.dirs.Has(uint64(l.Parent)) {
			continue
		}
		x := at[l.Ino]
		for s := range c.Sides {
			if x.file.Size[s] >= 0 {
				x.links[s] = append(x.links[s], place{l.Parent, l.Name})
			}
		}
	}
	return true
}

// inOldTree finds what has no name on the old side yet: the directory that had it looks as if it had not been written to, as
// tools leave it that work on a file system that is not mounted.
func (c *comparison) inOldTree(at map[fs.Ino]*found) bool {
	wanted := map[fs.Ino]uint32{}
	for n, x := range at {
		if x.file.Type != fs.TypeDirectory && len(x.links[Old]) == 0 {
			wanted[n] = x.counts[Old]
		}
	}
	for l, err := range fs.Names(c.Sides[Old], wanted, func(func(fs.Ino) bool) {}) {
		if err == nil {
			at[l.Ino].links[Old] = append(at[l.Ino].links[Old], place{l.Parent, l.Name})
		} else if !c.trouble(Old, err) {
			return false
		}
	}
	return true
}

// changedDirectories are those of the new side.
func (c *comparison) changedDirectories(at map[fs.Ino]*found) iter.Seq[fs.Ino] {
	return func(yield func(fs.Ino) bool) {
		for first, count := range c.dirs.Runs() {
			for n := first; n < first+count; n++ {
				if x := at[fs.Ino(n)]; x != nil && x.file.Type == fs.TypeDirectory && !yield(fs.Ino(n)) {
					return
				}
			}
		}
	}
}

// named gives a file its paths, and finds out whether they differ. It reports whether to go on.
func (c *comparison) named(x *found, paths [2]*fs.Paths) bool {
	for s, all := range x.links {
		if x.file.Size[s] < 0 {
			continue
		}
		if x.file.Type == fs.TypeDirectory {
			all = nil
			if p, err := paths[s].Path(x.file.Ino); err == nil {
				x.file.Paths[s] = []string{p}
			} else if !c.trouble(Side(s), err) {
				return false
			}
		}
		for _, l := range all {
			p, err := paths[s].Path(l.dir)
			if err != nil {
				if !c.trouble(Side(s), err) {
					return false
				}
				continue
			}
			x.file.Paths[s] = append(x.file.Paths[s], join(p, l.name))
		}
		slices.Sort(x.file.Paths[s])
	}
	x.rename()
	return true
}

func join(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}

// rename finds out whether a file that both sides have has other names. A file in a directory that was renamed has not.
func (x *found) rename() {
	k := &x.file.Kind
	if x.file.Size[Old] < 0 || x.file.Size[New] < 0 || slices.Equal(x.file.Paths[Old], x.file.Paths[New]) {
		return
	}
	gone, come := without(x.links[Old], x.links[New]), without(x.links[New], x.links[Old])
	switch {
	case *k != 0 && *k < Renamed || !gone && !come:
	case gone && come:
		*k = Renamed
	default:
		*k = Linked
	}
}

// without reports whether one of the places is not among the others.
func without(all, others []place) bool {
	return slices.ContainsFunc(all, func(p place) bool { return !slices.Contains(others, p) })
}
