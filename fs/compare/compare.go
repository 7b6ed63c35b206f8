package compare

import (
	"errors"
	"slices"

	"dmcow/fs"
	"dmcow/internal/bitmap"
)

// Side is one of two file systems.
type Side int

// The sides.
const (
	Old Side = iota
	New
)

// Options say what to compare.
type Options struct {
	Sides [2]fs.FileSystem // Old and New
	// Changed are the bytes of the volumes that may differ. Of the volume that is longer, what is behind the other's end
	// belongs to them.
	Changed fs.Set
	// All compares all inodes, not only those whose slots have bytes in Changed. That is done in any case where inodes do not
	// lie in the same places on both sides.
	All bool
	// Accessed also tells of files of which nothing but the time of access differs.
	Accessed bool
	// Trouble is told of what is damaged or cannot be read. It ends the comparison with an error.
	Trouble func(Side, error) error
}

// Result is what a comparison has come to.
type Result struct {
	Files    []File // in the order of their paths
	Accessed uint64 // files of which nothing but the time of access differs
	Bytes    int64  // in Changed
	OfFiles  int64  // of these, what belongs to the files that are no directories
	// Rest is what the others are used for, on the new side. Allocated is what files have that do not differ: it was written
	// with what was there before, or shares what was written with its neighbours.
	Rest [fs.Other + 1]int64
}

// Compare compares two sides. The error is one of Trouble.
func Compare(o Options) (*Result, error) {
	c := &comparison{Options: o, set: o.Changed, result: &Result{}}
	for _, f := range o.Sides {
		c.set = union{c.set, replayed(f)}
	}
	if c.candidates(); c.err == nil {
		c.inodes()
	}
	if c.err == nil {
		c.findNames()
	}
	if c.err == nil {
		c.rest()
	}
	return c.result, c.err
}

type comparison struct {
	Options
	set    fs.Set // Changed, and what either side reads from its journal
	result *Result
	err    error // ends it

	inode   bitmap.Paged // inodes that may differ
	dirs    bitmap.Paged // directories that differ
	covered bitmap.Paged // granules of 512 bytes that files or directories have
	windows [2]window
	parts   []fs.Range // of one file
	found   []found
}

func (c *comparison) trouble(s Side, err error) bool {
	if err != nil && c.err == nil {
		c.err = c.Trouble(s, err)
	}
	return c.err == nil
}

// candidates are the inodes that may differ.
func (c *comparison) candidates() {
	all := c.All || !c.aligned()
	for s, f := range c.Sides {
		for n, err := range fs.InodesIn(f, c.set) {
			if err == nil {
				c.inode.Add(uint64(n), 1)
			} else if !c.trouble(Side(s), err) {
				return
			}
		}
		if !all {
			continue
		}
		for i, err := range f.Inodes(0) {
			if err == nil {
				c.inode.Add(uint64(i.Attr().Ino), 1)
			} else if !c.trouble(Side(s), err) {
				return
			}
		}
	}
}

// samples are how many slots are looked at to know whether all are in the same places.
const samples = 4096

// aligned reports whether inodes lie in the same places on both sides: they do, unless the file system was made anew, or
// resized, or its inodes.
func (c *comparison) aligned() bool {
	a, b := c.Sides[Old].Info(), c.Sides[New].Info()
	if a.Type != b.Type || a.UUID != b.UUID || a.BlockSize != b.BlockSize || a.Size != b.Size || a.Inodes != b.Inodes {
		return false
	}
	if c.Sides[Old].Root() != c.Sides[New].Root() {
		return false
	}
	same := func(n fs.Ino) bool {
		x, errX := c.Sides[Old].Slot(n)
		y, errY := c.Sides[New].Slot(n)
		return x == y || errX != nil || errY != nil
	}
	for k := range uint64(samples) {
		if !same(fs.Ino(a.Inodes / samples * k)) {
			return false
		}
	}
	return same(c.Sides[Old].Root()) && same(fs.Ino(a.Inodes))
}

// inodes compares those that may differ.
func (c *comparison) inodes() {
	for first, count := range c.inode.Runs() {
		for n := first; n < first+count; n++ {
			if c.slotsEqual(fs.Ino(n)) {
				continue
			}
			var both [2]fs.Inode
			var err error
			for s := range c.Sides {
				if both[s], err = c.read(Side(s), fs.Ino(n)); err != nil {
					if !c.trouble(Side(s), err) {
						return
					}
					break
				}
			}
			if err == nil && !c.compare(both) {
				return
			}
		}
	}
}

// read is an inode that is in use, nil for another.
func (c *comparison) read(s Side, n fs.Ino) (fs.Inode, error) {
	i, err := c.Sides[s].Inode(n)
	switch {
	case errors.Is(err, fs.ErrFree):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if a := i.Attr(); a.Links == 0 || a.Flags&flagHidden != 0 {
		return nil, nil
	}
	return i, nil
}

// flagHidden is of inodes of ext4 that hold an attribute of another one.
const flagHidden = 0x200000

// slotsEqual reports whether the slots of an inode have the same bytes.
func (c *comparison) slotsEqual(n fs.Ino) bool {
	var p [2][]byte
	for s, f := range c.Sides {
		r, err := f.Slot(n)
		if err != nil {
			return false
		}
		if p[s] = c.windows[s].bytes(f, r); p[s] == nil {
			return false
		}
	}
	return slices.Equal(p[Old], p[New])
}

// window is a part of the volume that was read before: slots lie beside each other.
type window struct {
	at  int64
	buf []byte
}

const windowSize = 16 << 10

// bytes are those of a range, nil if they cannot be read.
func (w *window) bytes(f fs.FileSystem, r fs.Range) []byte {
	if r.Start < w.at || r.End > w.at+int64(len(w.buf)) || w.buf == nil {
		w.at = r.Start / windowSize * windowSize
		w.buf = slices.Grow(w.buf[:0], windowSize)[:windowSize]
		n, _ := f.ReadAt(w.buf, w.at)
		w.buf = w.buf[:n]
	}
	if r.End > w.at+int64(len(w.buf)) {
		p := make([]byte, r.Len()) // what cannot be read lies near
		if n, _ := f.ReadAt(p, r.Start); n < len(p) {
			return nil
		}
		return p
	}
	return w.buf[r.Start-w.at : r.End-w.at]
}
