package xfs

import (
	"errors"
	"fmt"
	"iter"

	"dmcow/fs"
)

// FS is a file system: an [fs.FileSystem], and an [fs.OwnerFinder].
type FS struct {
	*super
	dev      blocks
	recovery fs.Recovery
}

var (
	_ fs.FileSystem  = (*FS)(nil)
	_ fs.OwnerFinder = (*FS)(nil)
)

// Open reads the superblock, or one of its copies, and looks whether the log is clean. The error is fs.ErrNone, an
// [*fs.UnsupportedError], a [*fs.DamageError], or one of reading.
func Open(v fs.Volume) (*FS, error) {
	s, err := findSuper(v)
	if err != nil {
		return nil, err
	}
	f := &FS{super: s, dev: blocks{Volume: v}}
	if f.root == nullInode {
		if err := f.findRoot(); err != nil {
			return nil, err
		}
	}
	if f.realtime > 0 {
		f.note("Files on the realtime device cannot be read: it is another one.")
	}
	f.lookAtLog()
	return f, nil
}

// findSuper is the superblock, or the first copy of it that is good.
func findSuper(v fs.Volume) (*super, error) {
	s, r, err := readSuper(v, 0)
	var unsupported *fs.UnsupportedError
	if err == nil || errors.As(err, &unsupported) {
		return s, err
	}
	for _, at := range copies(r, v.Size()) {
		c, _, errCopy := readSuper(v, at)
		if errCopy != nil || c.groupAt(1) == 0 || at%c.groupAt(1) != 0 || uint64(at/c.groupAt(1)) >= c.allGroups {
			continue
		}
		c.notes = append(c.notes, fmt.Sprintf("The copy of the superblock at byte %d is used, because the first is damaged: %v. What it counts may be old.", at, err))
		return c, nil
	}
	return nil, err
}

// copies are the places where the second or third group may begin, which have copies of the superblock: where the first
// one says, and where mkfs.xfs lets them begin.
func copies(r record, size int64) (all []int64) {
	add := func(at int64) {
		for _, at := range []int64{at, 2 * at} {
			if at > 0 && at < size {
				all = append(all, at)
			}
		}
	}
	if r != nil {
		add(int64(r.u32(84)) * min(int64(r.u32(4)), maxBlock))
	}
	for block := int64(minBlock); block <= maxBlock; block *= 2 {
		for _, groups := range []int64{4, 2, 3, 1, 8, 16, 32} {
			add((size/block + groups - 1) / groups * block)
		}
	}
	add(1 << 40)
	return all
}

// findRoot finds the root directory as mkfs.xfs makes it: it is the first inode. Most copies of the superblock do not
// say which it is.
func (f *FS) findRoot() error {
	for c, err := range f.chunks(0, 0) {
		if err != nil {
			return err
		}
		f.root = f.number(0, c.first)
		i, err := f.inode(f.root)
		if err == nil && i.attr.Type != fs.TypeDirectory {
			err = fs.ErrNotDirectory
		}
		if err != nil {
			return f.damaged("it does not say which inode is the root directory, and inode %d is not: %v", f.root, err)
		}
		return nil
	}
	return f.damaged("it does not say which inode is the root directory, and there are none")
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
func (f *FS) Root() fs.Ino { return f.root }

// ReadAt reads the volume.
func (f *FS) ReadAt(p []byte, offset int64) (int, error) { return f.dev.ReadAt(p, offset) }

// Replayed are no ranges: the log is not replayed.
func (f *FS) Replayed() iter.Seq[fs.Range] { return func(func(fs.Range) bool) {} }
