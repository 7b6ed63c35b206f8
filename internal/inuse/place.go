package inuse

import (
	"iter"
	"os"
	"slices"
	"syscall"
)

// Place is what a device, or a part of one, is kept on: a block device or a
// file.
type Place struct {
	Number Number // of a block device
	File   os.FileInfo
}

func (p Place) is(other Place) bool {
	if p.File == nil || other.File == nil {
		return p.File == nil && other.File == nil && p.Number == other.Number
	}
	return os.SameFile(p.File, other.File)
}

func (p Place) compare(other Place) int { return slices.Compare(p.key(), other.key()) }

func (p Place) key() []uint64 {
	if p.File == nil {
		return []uint64{uint64(p.Number.Major), uint64(p.Number.Minor), 0, 0}
	}
	st, ok := p.File.Sys().(*syscall.Stat_t)
	if !ok {
		return make([]uint64, 4)
	}
	return []uint64{0, 0, uint64(st.Dev), st.Ino}
}

// within reports whether p is whole or all of it is kept on what.
func within(p, what Place) bool {
	for layer := range p.layers() {
		if layer.is(what) {
			return true
		}
	}
	return false
}

// layers are p itself, what it is kept on, and so on down.
func (p Place) layers() iter.Seq[Place] {
	return func(yield func(Place) bool) {
		seen := map[Number]bool{}
		for queue := []Place{p}; len(queue) > 0; {
			p, queue = queue[0], queue[1:]
			if p.File == nil && seen[p.Number] {
				continue
			}
			if !yield(p) {
				return
			}
			if p.File == nil {
				seen[p.Number] = true
				queue = append(queue, p.Number.below()...)
			}
		}
	}
}

func (n Number) below() []Place {
	var all []Place
	if s, ok := n.shown(); ok {
		all = append(all, s.On)
	}
	for _, slave := range numbersBeside(n.sysfs("slaves/*/dev")) {
		all = append(all, Place{Number: slave})
	}
	return all
}
