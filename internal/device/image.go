package device

import (
	"errors"
	"fmt"
	"slices"

	"dmcow/internal/raw"

	"golang.org/x/sys/unix"
)

// ErrNotShared says that two devices cannot have extents in common.
var ErrNotShared = errors.New("extents cannot be shared")

// PunchHole makes length bytes from offset on a hole of the image file, which
// reads as zeros and takes no room on the disk; where the file system knows no
// holes, zeros are written. What [Writable.WriteAt] wants of a stretch holds
// here too, and it is durable after [Writable.Sync].
func (w *Writable) PunchHole(offset, length int64) error {
	if w.IsBlock() {
		return errors.New("only an image file can have holes")
	}
	if err := w.checkBlocks(length, offset); err != nil || length == 0 {
		return err
	}
	for r := range w.runs(offset, length) {
		for on := range r.everywhere(true) {
			err := on.punchHole(on.start, r.length)
			if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
				return w.writeZeros(offset, length)
			}
			if err != nil {
				return on.named(err, w.medium == nil)
			}
		}
	}
	return nil
}

func (m *medium) punchHole(offset, length int64) error {
	if m.file == nil {
		return unix.EOPNOTSUPP
	}
	return raw.Uninterrupted(func() error {
		return unix.Fallocate(int(m.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length)
	})
}

func (w *Writable) writeZeros(offset, length int64) error {
	zeros := make([]byte, min(length, durableSize))
	for length > 0 {
		n, err := w.WriteAt(zeros[:min(length, durableSize)], offset)
		if err != nil {
			return err
		}
		offset, length = offset+int64(n), length-int64(n)
	}
	return nil
}

// Share makes length bytes from offset on of the image file the same as
// bytes of another from source on, without copying: the file system keeps one extent for
// both, until one of them is written. What [Writable.WriteAt] wants of a stretch
// holds here too.
//
// The error is [ErrNotShared] where the file system cannot do that, or not for
// these files or this stretch: then nothing is changed.
func (w *Writable) Share(from *Device, source, offset, length int64) error {
	if err := from.checkWithin(source, length); err != nil {
		return err
	}
	if err := w.checkBlocks(length, offset); err != nil || length == 0 {
		return err // the kernel takes a length of zero for all that follows
	}
	a, b := from.run(source, length), w.run(offset, length)
	if a.length < length || b.length < length || a.file == nil || b.file == nil || len(b.copies) > 0 {
		return fmt.Errorf("%w: they lie in several stretches", ErrNotShared)
	}
	err := raw.Uninterrupted(func() error {
		return unix.IoctlFileCloneRange(int(b.file.Fd()), &unix.FileCloneRange{
			Src_fd:      int64(a.file.Fd()),
			Src_offset:  uint64(a.at),
			Src_length:  uint64(length),
			Dest_offset: uint64(b.at),
		})
	})
	if cannotShare(err) {
		return fmt.Errorf("%w: %w", ErrNotShared, err)
	}
	return err
}

// cannotShare reports whether the kernel has refused to share extents, before it
// changed anything (ioctl_ficlonerange(2)).
func cannotShare(err error) bool {
	return slices.ContainsFunc([]error{
		unix.EOPNOTSUPP, unix.ENOTTY, unix.ENOSYS, // not known
		unix.EXDEV,  // another file system
		unix.EBADF,  // a file system that cannot
		unix.EINVAL, // no whole blocks of the file system, the same stretch, or no files
	}, func(refused error) bool { return errors.Is(err, refused) })
}
