package inuse

import (
	"math"
	"os"
	"slices"
)

// A Set is the files and block devices that a device is on.
type Set struct {
	Media  []Medium
	Joined bool    // it has parts of them, and is not to be taken for the rest
	Pieces []Piece // what it is joined from
	Holds  []*Hold
}

// A Medium is an open file or block device of a set.
type Medium struct {
	File  *os.File
	On    Place
	Spans []Span // of a set that is joined, what it has of it; nil for all
}

// stretches are what the set has of it, in order.
func (m Medium) stretches() []Span {
	if m.Spans == nil {
		return []Span{{Start: 0, End: lockEnd}}
	}
	return inOrder(m.Spans)
}

// Holders names who uses the files and block devices, with or without the devices of device-mapper that
// nobody has open and through which nothing was written.
func (s Set) Holders(idle bool) (by []string) { return s.HoldersAmong(nil, idle) }

// HoldersAmong is Holders for who asks of many sets, and looked at what shows others' bytes before the first; nil
// is the moment.
func (s Set) HoldersAmong(all *Showing, idle bool) (by []string) {
	switch {
	case s.Joined:
		if all == nil {
			all = LookAtShowing()
		}
		by = s.showing(all, idle)
	case s.isBlock():
		by = titles(slices.DeleteFunc(holderNames(s.Media[0].On.Number), leftOut(idle)))
	default:
		by = s.imageWriters()
	}
	return sorted(append(by, s.lockHolders()...))
}

// Writers names who could write them, likewise.
func (s Set) Writers(idle bool) (by []string) {
	switch {
	case s.Joined:
		return s.Holders(idle)
	case s.isBlock():
		by = s.Media[0].On.Number.writersBut(leftOut(idle))
	default:
		by = s.imageWriters()
	}
	return sorted(append(by, s.lockHolders()...))
}

// leftOut reports which devices are not named, by the kernel's names.
func leftOut(idle bool) func(name string) bool {
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

// lowest is where the set's bytes are kept in the end: all bytes of its medium, or of what it
// is joined from.
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

// Showing are the devices of this machine that may show bytes of others: those of device-mapper, and loop devices.
type Showing struct {
	mappings []Mapping
	loops    []Number
	lowest   map[Number][]Span // where their bytes are kept in the end
}

// LookAtShowing looks at them.
func LookAtShowing() *Showing {
	a := &Showing{mappings: Mappings(), loops: numbersBeside("/sys/block/loop*/loop"), lowest: map[Number][]Span{}}
	for _, m := range a.mappings {
		a.lowest[m.Number] = Place{Number: m.Number}.all().lowest()
	}
	for _, n := range a.loops {
		a.lowest[n] = Place{Number: n}.all().lowest()
	}
	return a
}

// showing names the device-mapper devices that have bytes of a joined set, or may
// have some: they are on one of its media, or on what that is kept on, in a way that
// is not known, or their table cannot be read. With them it names the users of loop devices that show some, beside
// it. A loop device that nobody uses does not count.
func (s Set) showing(all *Showing, idle bool) (by []string) {
	own, out := s.lowest(), leftOut(idle)
	for _, m := range all.mappings {
		if s.has(m.Number) || out(m.Number.kernelName()) {
			continue
		}
		if meet(own, all.lowest[m.Number]) || slices.ContainsFunc(s.Media, func(on Medium) bool { return m.hides(on.On) }) {
			by = append(by, title(m.Number.kernelName()))
		}
	}
	for _, n := range all.loops {
		if !s.has(n) && meet(own, all.lowest[n]) {
			for _, user := range n.Strangers() {
				by = append(by, n.kernelName()+" ("+user+")")
			}
		}
	}
	return by
}

// has reports whether one of the set's media is kept on a block device, or is that.
func (s Set) has(n Number) bool {
	return slices.ContainsFunc(s.Media, func(m Medium) bool { return within(m.On, Place{Number: n}) })
}

// imageWriters names the loop devices over an image file that can be written, and swap.
func (s Set) imageWriters() (by []string) {
	for _, m := range s.Media {
		by = slices.Concat(by, writable(loopsOn(m.File, m.On.File)), swaps(isFile(m.On.File)))
	}
	return by
}

func (s Set) isBlock() bool {
	return slices.ContainsFunc(s.Media, func(m Medium) bool { return m.On.Number != Number{} })
}

// CheckClaimed is the error of a set where somebody has one of the media exclusively, and
// could write what is read.
func (s Set) CheckClaimed(m Medium) error {
	n := m.On.Number
	by := s.Writers(true)
	if s.Joined {
		by = sorted(slices.Concat(by, n.writersBut(isMapping)))
	}
	if len(by) > 0 || len(n.Users()) == 0 && !IsMarked(m.File) {
		return &BusyError{By: by}
	}
	return nil
}
