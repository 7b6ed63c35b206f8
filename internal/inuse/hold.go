package inuse

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"dmcow/internal/raw"

	"golang.org/x/sys/unix"
)

// A Hold is the locks that one who reads or writes has on a file.
type Hold struct {
	file   *os.File
	own    bool // it is open for the locks alone
	inode  inode
	flock  int // LOCK_SH or LOCK_EX; 0 for none
	ranges []lockRange
	writes bool

	// Of one who reads:
	aside bool     // the locks were given up for one who writes, in this process
	by    []string // who had locks that were against them, when they were to be taken
}

// An inode tells a file from all others.
type inode struct{ dev, ino uint64 }

func inodeOf(f *os.File) (id inode) {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) == nil {
		id = inode{uint64(st.Dev), st.Ino}
	}
	return id
}

// held are all holds of this process. The kernel takes it for several who are in each other's
// way: so one who reads makes way for one who writes, as long as that does.
var held struct {
	sync.Mutex
	all []*Hold
}

func (h *Hold) meets(o *Hold) bool {
	return h.inode == o.inode &&
		slices.ContainsFunc(h.ranges, func(r lockRange) bool { return slices.ContainsFunc(o.ranges, r.meets) })
}

// against are the holds of this process, of those who write or of others, that cannot be had
// together with this one. The caller holds the registry's lock.
func (h *Hold) against(writes bool) (all []*Hold) {
	for _, o := range held.all {
		if o != h && o.writes == writes && h.meets(o) {
			all = append(all, o)
		}
	}
	return all
}

// take takes the locks. The error of one who writes is a [*BusyError] where another one has
// some that are against them; one who reads notes who it is.
func (h *Hold) take() error {
	held.Lock()
	defer held.Unlock()
	if !h.writes {
		if h.aside = len(h.against(true)) > 0; !h.aside {
			h.lockToRead()
		}
		held.all = append(held.all, h)
		return nil
	}
	readers := h.against(false)
	for _, r := range readers {
		r.aside = true
		r.unlock()
	}
	err := h.lock()
	if err == nil && h.flock != unix.LOCK_EX && qemuHas(h.file, qemuReads) {
		err = &BusyError{By: qemuOf(h.file)}
	}
	if err != nil {
		h.unlock()
		takeAgain(readers)
		return err
	}
	held.all = append(held.all, h)
	return nil
}

// lockToRead takes the locks of one who reads, as far as they can be had. QEMU, where it is
// writing already, is not to be kept from what else it does with the image.
func (h *Hold) lockToRead() {
	err := h.lock()
	var busy *BusyError
	if errors.As(err, &busy) {
		h.by = orAnother(busy.By)
	}
	if qemuHas(h.file, qemuReads) && qemuHas(h.file, qemuWrites) {
		h.unlock()
		h.by = append(h.by, qemuOf(h.file)...)
	}
}

// lock takes the locks. A file system that does not know a kind of lock knows nobody who
// holds one.
func (h *Hold) lock() error {
	var takes []func() error
	if h.flock != 0 {
		takes = append(takes, func() error { return unix.Flock(int(h.file.Fd()), h.flock|unix.LOCK_NB) })
	}
	for _, r := range h.ranges {
		lock := r.flock(unix.F_RDLCK)
		if r.exclusive {
			lock.Type = unix.F_WRLCK
		}
		takes = append(takes, func() error { return unix.FcntlFlock(h.file.Fd(), unix.F_OFD_SETLK, &lock) })
	}
	for _, take := range takes {
		err := raw.Uninterrupted(take)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
			by := lockers(h.file, h.isAgainst)
			if len(by) == 0 && qemuHas(h.file, qemuReads) {
				by = qemuOf(h.file)
			}
			return &BusyError{By: by}
		case err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL):
			return fmt.Errorf("cannot be locked: %w", err)
		}
	}
	return nil
}

func (h *Hold) unlock() {
	if h.flock != 0 {
		_ = unix.Flock(int(h.file.Fd()), unix.LOCK_UN)
	}
	for _, r := range h.ranges {
		lock := r.flock(unix.F_UNLCK)
		_ = unix.FcntlFlock(h.file.Fd(), unix.F_OFD_SETLK, &lock)
	}
}

// Release ends the hold. It may be called again.
func (h *Hold) Release() {
	held.Lock()
	defer held.Unlock()
	i := slices.Index(held.all, h)
	if i < 0 {
		return
	}
	held.all = slices.Delete(held.all, i, i+1)
	h.unlock() // the file may be open elsewhere, too
	if h.own {
		h.file.Close()
	}
	if h.writes {
		takeAgain(h.against(false))
	}
}

// takeAgain takes the locks again of those who read and had made way. The caller holds the
// registry's lock.
func takeAgain(readers []*Hold) {
	for _, r := range readers {
		if r.aside && len(r.against(true)) == 0 {
			r.aside = false
			r.lockToRead()
		}
	}
}

// metBy names who had locks that were against the ones of this hold, of one who reads.
func (h *Hold) metBy() []string {
	held.Lock()
	defer held.Unlock()
	return h.by
}

// isOurs reports whether one who writes in this process has the exclusive lock.
func isOurs(id inode, r lockRange) bool {
	held.Lock()
	defer held.Unlock()
	return slices.ContainsFunc(held.all, func(h *Hold) bool {
		return h.inode == id && slices.ContainsFunc(h.ranges, func(own lockRange) bool {
			return own.exclusive && own.start <= r.start && r.end <= own.end
		})
	})
}

// isHeld reports whether one who writes has all of an open file.
func isHeld(f *os.File) bool {
	held.Lock()
	defer held.Unlock()
	return slices.ContainsFunc(held.all, func(h *Hold) bool { return h.writes && h.file == f })
}
