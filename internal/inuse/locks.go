package inuse

import (
	"math"
	"os"

	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// Who reads and who writes a file or a block device locks bytes of it: with flock(2), a file
// only, and with the locks of fcntl(2) that belong to an open file. They are on the inode, of a
// block device on its node's. No lock is one that all programs mind.
//
//	whole device   to read   flock shared      shared: all but bytes 100 to 200
//	               to write  flock exclusive   exclusive: all
//	parts of it    to read   flock shared      shared: the parts, byte 201
//	               to write  flock shared      exclusive: the parts; shared: bytes 101, 201
//
// The bytes from 100 on are QEMU's (block/file-posix.c): it has a shared lock on 100 of an
// image that it reads, on 101 of one that it writes, and on 201 of one that nobody else may
// write; and it refuses an image where another has a lock on 200 or 201 that is against that,
// or on 101 where nobody else may write. So it keeps off what is locked here, and who locks
// parts and finds 100 locked, or reads and finds 100 and 101 locked, has met QEMU.
const (
	qemuReads  = 100
	qemuWrites = 101
	qemuAlone  = 201
	qemuEnd    = 205

	lockEnd = 1 << 62 // no device has as many bytes; there its claim is marked
)

// A lockRange is bytes of a file, from start up to end, that are locked, or are to be.
type lockRange struct {
	start, end int64
	exclusive  bool
}

// meets reports whether two locks cannot be had together.
func (r lockRange) meets(o lockRange) bool {
	return r.start < o.end && o.start < r.end && (r.exclusive || o.exclusive)
}

func (r lockRange) flock(kind int16) unix.Flock_t {
	return unix.Flock_t{Type: kind, Start: r.start, Len: r.end - r.start}
}

// written reports whether others have exclusive locks on some of the bytes of a file.
func written(f *os.File, start, end int64) bool {
	for start < end {
		lock := lockRange{start: start, end: end}.flock(unix.F_RDLCK)
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
		if err != nil || lock.Type == unix.F_UNLCK {
			return false
		}
		found := rangeOf(lock)
		if !isOurs(inodeOf(f), found) {
			return true
		}
		if written(f, start, found.start) {
			return true
		}
		start = found.end
	}
	return false
}

func rangeOf(lock unix.Flock_t) lockRange {
	r := lockRange{lock.Start, lock.Start + lock.Len, lock.Type == unix.F_WRLCK}
	if lock.Len == 0 {
		r.end = math.MaxInt64
	}
	return r
}

// qemuHas reports whether QEMU has locked that byte of a file. It has a lock on nothing but its
// bytes: where locks of flock are like locks of fcntl, as on NFS, others have one on all of them.
func qemuHas(f *os.File, at int64) bool {
	lock := lockRange{start: at, end: at + 1}.flock(unix.F_WRLCK)
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	found := rangeOf(lock)
	return err == nil && lock.Type == unix.F_RDLCK && found.start >= qemuReads && found.end <= qemuEnd
}

// qemuOf names who has QEMU's lock on a file.
func qemuOf(f *os.File) []string {
	at := lockRange{start: qemuReads, end: qemuReads + 1, exclusive: true}
	by := lockers(f, func(l lock) bool { return !l.flock && l.meets(at) })
	if len(by) == 0 {
		return []string{"QEMU, or another program that holds its lock"}
	}
	return by
}

// Lock takes the locks of one who reads or writes. The error of one who writes is a
// [*BusyError] where others have some that are against them.
func (s Set) Lock(writes bool) (holds []*Hold, err error) {
	for _, m := range s.Media {
		h, err := s.newHold(m, writes)
		if err == nil && h != nil {
			if err = h.take(); err != nil && h.own {
				h.file.Close()
			}
		}
		switch {
		case err != nil && writes:
			for _, h := range holds {
				h.Release()
			}
			return nil, err
		case err == nil && h != nil:
			holds = append(holds, h)
		}
	}
	return holds, nil
}

// newHold is the locks that are to be had on one of the media; nil where there is one for all
// of it already, of one who writes.
func (s Set) newHold(m Medium, writes bool) (*Hold, error) {
	h := &Hold{file: m.File, inode: inodeOf(m.File), writes: writes}
	if m.On.Number == (Number{}) {
		h.flock = unix.LOCK_SH
	}
	switch {
	case !s.Joined && writes:
		h.ranges = []lockRange{{0, lockEnd, true}}
		if h.flock != 0 {
			h.flock = unix.LOCK_EX
		}
		return h, nil
	case !s.Joined:
		h.ranges = []lockRange{{0, qemuReads, false}, {qemuAlone, lockEnd, false}}
		return h, nil
	}
	h.ranges = []lockRange{{qemuAlone, qemuAlone + 1, false}}
	flags := os.O_RDONLY
	if writes {
		h.ranges = append(h.ranges, lockRange{qemuWrites, qemuWrites + 1, false})
		flags = os.O_RDWR
	}
	for _, x := range m.stretches() {
		h.ranges = append(h.ranges, lockRange{x.Start, x.End, writes})
	}
	if isHeld(m.File) {
		return nil, nil
	}
	// Several devices may be joined from the open file: each has its locks by itself.
	var err error
	h.own = true
	h.file, err = Reopen(m.File, flags)
	return h, words.Pathless(err)
}

// lockHolders names those who have locks against reading the set, or had when it was locked.
func (s Set) lockHolders() (by []string) {
	for _, h := range s.Holds {
		by = append(by, h.metBy()...)
	}
	for _, m := range s.Media {
		for _, x := range m.stretches() {
			at := lockRange{start: x.Start, end: x.End}
			if written(m.File, at.start, at.end) {
				by = append(by, orAnother(lockers(m.File, func(l lock) bool { return !l.flock && l.meets(at) }))...)
			}
		}
		if qemuHas(m.File, qemuReads) && qemuHas(m.File, qemuWrites) {
			by = append(by, qemuOf(m.File)...)
		}
	}
	return by
}

// claimed is the byte on which those have a shared lock who have a device exclusively, and
// mind the locks on other bytes of it.
var claimed = lockRange{start: lockEnd, end: lockEnd + 1}

// Mark marks a device that was opened exclusively. Where that cannot be done, it is another
// program's to others.
func Mark(f *os.File) {
	lock := claimed.flock(unix.F_RDLCK)
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
}

// IsMarked reports whether a device is marked by the one who has it exclusively.
func IsMarked(f *os.File) bool {
	lock := claimed.flock(unix.F_WRLCK)
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type == unix.F_RDLCK
}
