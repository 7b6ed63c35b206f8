package fs

import (
	"errors"
	"iter"

	"dmcow/internal/bitmap"
)

// OwnerFinder is a file system that finds the owners of allocated blocks in a way of its own, without going through all inodes.
type OwnerFinder interface {
	Owners(Set) iter.Seq2[Piece, error]
}

// Owners tells who owns each byte of the set: what Layout tells, and in place of Allocated the pieces with their inodes,
// in no order; last, what no inode owns. What has several owners comes again with each further one (Piece.Again), so that
// the pieces without these sum up to the set. Memory is a bit for each 512 bytes of the set that are allocated.
func Owners(f FileSystem, set Set) iter.Seq2[Piece, error] {
	if own, ok := f.(OwnerFinder); ok {
		return own.Owners(set)
	}
	return WalkOwners(f, set)
}

// WalkOwners is Owners for a file system that has no way of its own, or cannot use it now: it goes through all inodes.
func WalkOwners(f FileSystem, set Set) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		o := owners{f: f, yield: yield}
		_ = o.layout(set) && o.inodes() && o.rest()
	}
}

// granule is the least that can have an owner of its own: a sector.
const granule = 512

type owners struct {
	f     FileSystem
	yield func(Piece, error) bool
	open  Ranges       // allocated bytes of the set
	owned bitmap.Paged // of these, the granules that have an owner
	all   int64        // bytes of the trees of all inodes
}

func (o *owners) layout(set Set) bool {
	for p, err := range o.f.Layout(set) {
		if err == nil && p.Use == Allocated {
			if last := len(o.open) - 1; last >= 0 && o.open[last].End == p.Start {
				o.open[last].End = p.End
			} else {
				o.open = append(o.open, p.Range)
			}
			continue
		}
		if !o.yield(p, err) {
			return false
		}
	}
	return true
}

var errTooMuch = errors.New("the trees of all inodes have more blocks than the file system: not all inodes were looked at")

func (o *owners) inodes() bool {
	if len(o.open) == 0 {
		return true
	}
	size := o.f.Info().Size
	for i, err := range o.f.Inodes(0) {
		if err != nil {
			if !o.yield(Piece{}, err) {
				return false
			}
			continue
		}
		n := i.Attr().Ino
		for e, err := range i.Extents() {
			if err != nil {
				if !o.yield(Piece{Ino: n}, err) {
					return false
				}
				continue
			}
			if e.Use == Tree {
				o.all += e.Len()
			}
			if !Parts(o.open, e.Range, func(r Range) bool { return o.own(n, e, r) }) {
				return false
			}
		}
		if o.all > size {
			return o.yield(Piece{}, errTooMuch)
		}
	}
	return true
}

// own tells of a part of an extent, in pieces of which each has or has not had an owner.
func (o *owners) own(n Ino, e Extent, r Range) bool {
	for r.Len() > 0 {
		again := o.has(r.Start)
		end := min((r.Start/granule+1)*granule, r.End)
		for end < r.End && o.has(end) == again {
			end = min(end+granule, r.End)
		}
		p := Piece{Range: Range{r.Start, end}, Use: e.Use, Ino: n, Offset: e.Offset + r.Start - e.Start, Again: again}
		if !o.yield(p, nil) {
			return false
		}
		if !again {
			first := uint64(r.Start) / granule
			o.owned.Add(first, (uint64(end)+granule-1)/granule-first)
		}
		r.Start = end
	}
	return true
}

func (o *owners) has(at int64) bool { return o.owned.Has(uint64(at) / granule) }

func (o *owners) rest() bool {
	for _, r := range o.open {
		for r.Len() > 0 {
			owned := o.has(r.Start)
			end := min((r.Start/granule+1)*granule, r.End)
			for end < r.End && o.has(end) == owned {
				end = min(end+granule, r.End)
			}
			if !owned && !o.yield(Piece{Range: Range{r.Start, end}, Use: Unowned}, nil) {
				return false
			}
			r.Start = end
		}
	}
	return true
}

// InodesIn are the inodes whose slots have bytes in the set, used or free, in the order of the volume.
func InodesIn(f FileSystem, set Set) iter.Seq2[Ino, error] {
	return func(yield func(Ino, error) bool) {
		var last Ino
		for p, err := range f.Layout(set) {
			if err != nil {
				if !yield(0, err) {
					return
				}
				continue
			}
			for n := p.First; n < p.First+Ino(p.Count); n++ {
				if n != last && !yield(n, nil) {
					return
				}
				last = n
			}
		}
	}
}
