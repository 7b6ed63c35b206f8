package ext

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// Options say how to open a file system.
type Options struct {
	// AsWritten leaves the journal alone: what is read is what the volume has, as far as it was written back.
	AsWritten bool
}

// FS is a file system: an [fs.FileSystem].
type FS struct {
	*super
	dev      blocks
	recovery fs.Recovery
	statics  func() *statics // what lies where, found when it is first asked for
}

var _ fs.FileSystem = (*FS)(nil)

// Open reads the superblock, or one of its copies, and replays the journal where that has to be done. The error is
// fs.ErrNone, an [*fs.UnsupportedError], a [*fs.DamageError], or one of reading.
func Open(v fs.Volume, o Options) (*FS, error) {
	s, copied, err := findSuper(v)
	if err != nil {
		return nil, err
	}
	f := &FS{super: s}
	f.dev = blocks{v: v, size: s.blockSize, count: s.blocks}
	f.statics = sync.OnceValue(f.findStatics)
	switch needed := s.incompat&incompatRecover != 0; {
	case o.AsWritten && needed:
		f.recovery = fs.Needed
	case !o.AsWritten && (needed || copied): // a copy does not know
		f.recover(needed)
	}
	return f, nil
}

// findSuper is the superblock, or the first copy of it that is good.
func findSuper(v fs.Volume) (s *super, copied bool, err error) {
	s, r, err := readSuper(v, superAt)
	var unsupported *fs.UnsupportedError
	if errors.As(err, &unsupported) {
		return nil, false, err
	}
	// Without the flag that says that there are checksums, none tells that the superblock is damaged. What else knows is
	// the kind of checksums, which file systems without them do not have, and a copy.
	doubt := err == nil && !s.hasCsum() && r[0x175] != 0
	if err == nil && !doubt {
		return s, false, nil
	}
	for _, at := range copies(r, v.Size()) {
		c, _, errCopy := readSuper(v, at)
		if errCopy != nil || c.at != int64(c.superBlock(c.group))*c.blockSize || c.group == 0 || doubt && !c.hasCsum() {
			continue
		}
		why := "it has no checksum, and a copy has"
		if err != nil {
			why = err.Error()
		}
		c.notes = append(c.notes, fmt.Sprintf("The copy of the superblock in group %d is used, at byte %d, because the first is damaged: %s.", c.group, c.at, why))
		return c, true, nil
	}
	return s, false, err
}

// copies are the places where copies of a superblock may be: those of the groups with usual sizes, and, where the first
// superblock has something to say, those that it has.
func copies(r record, size int64) (all []int64) {
	add := func(block, perGroup int64) {
		first := int64(0)
		if block == 1024 {
			first = 1
		}
		for _, group := range []int64{1, 3} {
			if at := (first + group*perGroup) * block; at > superAt && at < size {
				all = append(all, at)
			}
		}
	}
	for block := int64(1024); block <= 65536; block *= 2 {
		add(block, min(8*block, 65528))
	}
	if r != nil && r.u32(0x18) <= 6 {
		block, perGroup := int64(1024)<<r.u32(0x18), int64(r.u32(0x20))
		add(block, perGroup)
		for _, g := range []int{0x24c, 0x250} {
			if at := (int64(r.u32(0x14)) + int64(r.u32(g))*perGroup) * block; at > superAt && at < size {
				all = append(all, at)
			}
		}
	}
	return all
}

// reread takes the superblock as the journal has it.
func (f *FS) reread() {
	r := make(record, superSize)
	if f.at != superAt || raw.ReadFull(&f.dev, r, superAt) != nil {
		return
	}
	if s, err := parseSuper(r, int64(f.length), superAt); err == nil && s.blockSize == f.blockSize && s.blocks == f.blocks {
		s.notes = f.notes
		f.super = s
	}
}

func (f *FS) note(format string, args ...any) {
	f.notes = append(f.notes, fmt.Sprintf(format, args...))
}

// Info is what is known of the file system as a whole.
func (f *FS) Info() fs.Info {
	i := f.info()
	i.Recovery = f.recovery
	return i
}

// Root is the inode of the root directory.
func (f *FS) Root() fs.Ino { return 2 }

// ReadAt reads the volume as it is after recovery.
func (f *FS) ReadAt(p []byte, offset int64) (int, error) { return f.dev.ReadAt(p, offset) }

// Replayed are the ranges of the volume that are read from the journal.
func (f *FS) Replayed() iter.Seq[fs.Range] {
	return func(yield func(fs.Range) bool) {
		all := make([]uint64, 0, len(f.dev.overlay))
		for b := range f.dev.overlay {
			all = append(all, b)
		}
		slices.Sort(all)
		for n := 0; n < len(all); {
			first := n
			for n++; n < len(all) && all[n] == all[n-1]+1; n++ {
			}
			if !yield(fs.Range{Start: int64(all[first]) * f.blockSize, End: int64(all[n-1]+1) * f.blockSize}) {
				return
			}
		}
	}
}
