package device

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"

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

// Lock takes the locks of one who reads, as [Open] does, until the device is closed: while it
// is read, no other program that minds them begins to write it. Of a joined device they are
// on the parts that it is joined from. Where the file system knows none, or others have some
// that are against them, reading goes on: [Device.Holders] names those, then.
//
// It is to be called once, before sections are made of the device.
func (d *Device) Lock() { _ = d.lock(false) } // who reads is not refused

// lock takes the locks of one who reads or writes. The error of one who writes is a
// [*BusyError] where others have some that are against them.
func (d *Device) lock(writes bool) error {
	for m := range d.media() {
		if m.gone != nil {
			continue
		}
		h, err := d.newHold(m, writes)
		if err == nil && h != nil {
			if err = h.take(); err != nil && h.own {
				h.file.Close()
			}
		}
		switch {
		case err != nil && writes:
			d.unlock()
			return err
		case err == nil && h != nil:
			d.holds = append(d.holds, h)
		}
	}
	return nil
}

// unlock gives up what lock took.
func (d *Device) unlock() {
	for _, h := range d.holds {
		h.release()
	}
}

// newHold is the locks that are to be had on one of the media; nil where there is one for all
// of it already, of one who writes.
func (d *Device) newHold(m *medium, writes bool) (*hold, error) {
	h := &hold{file: m.file, inode: inodeOf(m.file), writes: writes}
	if m.is.number == (Number{}) {
		h.flock = unix.LOCK_SH
	}
	switch {
	case !d.joined && writes:
		h.ranges = []lockRange{{0, lockEnd, true}}
		if h.flock != 0 {
			h.flock = unix.LOCK_EX
		}
		return h, nil
	case !d.joined:
		h.ranges = []lockRange{{0, qemuReads, false}, {qemuAlone, lockEnd, false}}
		return h, nil
	}
	h.ranges = []lockRange{{qemuAlone, qemuAlone + 1, false}}
	if writes {
		h.ranges = append(h.ranges, lockRange{qemuWrites, qemuWrites + 1, false})
	}
	for _, s := range d.partsOn(m) {
		h.ranges = append(h.ranges, lockRange{s.start, s.end, writes})
	}
	if isHeld(m.file) {
		return nil, nil
	}
	// Several devices may be joined from the open file: each has its locks by itself.
	var err error
	h.own = true
	if writes {
		h.file, err = reopen(m.file, os.O_RDWR)
	} else {
		h.file, err = reopen(m.file, os.O_RDONLY)
	}
	return h, cause(err)
}

// lockHolders names those who have locks against reading the device, or had when it was locked.
func (d *Device) lockHolders() (by []string) {
	for _, h := range d.holds {
		by = append(by, h.metBy()...)
	}
	for m := range d.media() {
		if m.gone != nil {
			continue
		}
		for _, s := range d.partsOn(m) {
			at := lockRange{start: s.start, end: s.end}
			if written(m.file, at.start, at.end) {
				by = append(by, orAnother(lockers(m.file, func(l lock) bool { return !l.flock && l.meets(at) }))...)
			}
		}
		if qemuHas(m.file, qemuReads) && qemuHas(m.file, qemuWrites) {
			by = append(by, qemuOf(m.file)...)
		}
	}
	return by
}

// partsOn are the stretches of a medium that are the device's.
func (d *Device) partsOn(m *medium) (all []span) {
	if !d.joined {
		return []span{{start: 0, end: lockEnd}}
	}
	for _, p := range d.pieces {
		for i, s := range p.stripes {
			if s.medium == m {
				all = append(all, span{start: s.start, end: s.start + p.share(p.length, i, len(p.stripes))})
			}
		}
	}
	return inOrder(all)
}

// reopen opens an open file once more.
func reopen(f *os.File, flags int) (*os.File, error) {
	other, _, err := open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), flags)
	if !errors.Is(err, fs.ErrNotExist) {
		return other, err
	}
	if other, _, err = open(f.Name(), flags); err == nil && inodeOf(other) != inodeOf(f) {
		other.Close()
		err = errors.New("its name is another's by now, and /proc is not mounted")
	}
	return other, err
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

// rangeOf are the bytes that a lock is on.
func rangeOf(lock unix.Flock_t) lockRange {
	r := lockRange{lock.Start, lock.Start + lock.Len, lock.Type == unix.F_WRLCK}
	if lock.Len == 0 {
		r.end = math.MaxInt64
	}
	return r
}

// qemuHas reports whether QEMU has locked that byte of a file. It has a lock on nothing but its
// bytes: where locks of flock are as those of fcntl, as on NFS, others have one on all of them.
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
