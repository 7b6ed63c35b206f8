package inuse

import (
	"math"
	"os"
	"path/filepath"
	"slices"
)

// A Set is the files and block devices that a device is on.
type Set struct {
	Media  []Part
	Joined bool    // it has parts of them, and is not to be taken for the rest
	Pieces []Piece // what it is joined from
	Holds  []*Hold
}

// A Part is an open file or block device of a set.
type Part struct {
	File  *os.File
	On    Place
	Spans []Span // of a set that is joined, what it has of it; nil for all
}

// stretches are what the set has of it, in order.
func (p Part) stretches() []Span {
	if p.Spans == nil {
		return []Span{{Start: 0, End: lockEnd}}
	}
	return inOrder(p.Spans)
}

// Holders names who uses the files and block devices, with or without the devices of device-mapper that
// nobody has open and through which nothing was written.
func (s Set) Holders(idle bool) []string { return s.holdersBut(left(idle)) }

// Writers names who could write them, likewise.
func (s Set) Writers(idle bool) []string { return s.writersBut(left(idle)) }

// left are the devices that are left out.
func left(idle bool) func(name string) bool {
	if idle {
		return nobody
	}
	return isIdle
}

// Overlaps reports whether writing to one of two sets may change the other.
func (s Set) Overlaps(other Set) bool {
	return s.IsOn(other) || other.IsOn(s) || meet(s.lowest(), other.lowest())
}

// IsOn reports whether a set is kept on the other: both are one file or block device.
func (s Set) IsOn(other Set) bool {
	return !s.Joined && !other.Joined && len(s.Media) > 0 && len(other.Media) > 0 && within(s.Media[0].On, other.Media[0].On)
}

// lowest is where the set's bytes are kept in the end: all of those of its medium, or
// of what it is joined from.
func (s Set) lowest() (all []Span) {
	if !s.Joined {
		for _, m := range s.Media {
			all = append(all, m.On.all().lowest()...)
		}
		return all
	}
	for _, p := range s.Pieces {
		for _, under := range p.under(Span{Start: 0, End: math.MaxInt64}) {
			all = append(all, under.lowest()...)
		}
	}
	return all
}

// mappingsBut names the device-mapper devices that have bytes of a joined set, or may
// have some: those that are on one of its media, or on what that is kept on, in a way that
// is not known, or whose table cannot be read. Those that are left out, by the kernel's names,
// are not among them.
func (s Set) mappingsBut(out func(name string) bool) (by []string) {
	own := s.lowest()
	for _, m := range Mappings() {
		if s.has(m.Number) || out(m.Number.kernelName()) {
			continue
		}
		if meet(own, Place{Number: m.Number}.all().lowest()) || slices.ContainsFunc(s.Media, func(p Part) bool { return m.hides(p.On) }) {
			by = append(by, holder(m.Number.kernelName()))
		}
	}
	by = append(by, s.loops(own)...)
	slices.Sort(by)
	return by
}

// loops names those who use loop devices that show bytes of a joined set, beside it. A
// loop device that nobody uses is no use of them.
func (s Set) loops(own []Span) (by []string) {
	dirs, _ := filepath.Glob("/sys/block/loop*/loop")
	for _, dir := range dirs {
		n, ok := ParseNumber(readLine(filepath.Join(dir, "../dev")))
		if ok && !s.has(n) && meet(own, Place{Number: n}.all().lowest()) {
			for _, user := range n.Strangers() {
				by = append(by, n.kernelName()+" ("+user+")")
			}
		}
	}
	return by
}

// has reports whether one of the set's media is kept on a block device, or is that.
func (s Set) has(n Number) bool {
	return slices.ContainsFunc(s.Media, func(p Part) bool { return within(p.On, Place{Number: n}) })
}

// holdersBut are the holders, but for the devices that are left out, by the kernel's names.
func (s Set) holdersBut(out func(name string) bool) (by []string) {
	switch {
	case s.Joined:
		by = s.mappingsBut(out)
	case s.isBlock():
		for _, name := range slices.DeleteFunc(s.Media[0].On.Number.holderNames(), out) {
			by = append(by, holder(name))
		}
	default:
		by = s.imageWriters()
	}
	return sorted(append(by, s.lockHolders()...))
}

// writersBut are the writers, but for the devices that are left out, by the kernel's names.
func (s Set) writersBut(out func(name string) bool) (by []string) {
	switch {
	case s.Joined:
		return s.holdersBut(out)
	case s.isBlock():
		by = s.Media[0].On.Number.writersBut(out)
	default:
		by = s.imageWriters()
	}
	return sorted(append(by, s.lockHolders()...))
}

// imageWriters names the loop devices over an image file that can be written, and swap.
func (s Set) imageWriters() (by []string) {
	for _, m := range s.Media {
		by = slices.Concat(by, thatWrite(loopsOn(m.File, m.On.File)), swaps(isFile(m.On.File)))
	}
	return by
}

// isBlock reports whether the set is on a block device.
func (s Set) isBlock() bool {
	return slices.ContainsFunc(s.Media, func(p Part) bool { return p.On.Number != Number{} })
}

// CheckClaimed is the error of a set where somebody has one of the media exclusively, and
// could write what is read.
func (s Set) CheckClaimed(m Part) error {
	n := m.On.Number
	by := s.writersBut(nobody)
	if s.Joined {
		by = sorted(slices.Concat(by, n.writersBut(isMapping)))
	}
	if len(by) > 0 || len(n.Users()) == 0 && !IsMarked(m.File) {
		return &BusyError{By: by}
	}
	return nil
}
