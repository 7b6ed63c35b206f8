package device

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	"dmcow/internal/inuse"
	"dmcow/internal/raw"

	"golang.org/x/sys/unix"
)

// PastCache opens the device, or section, once more, to read what is on the
// disk and not what the page cache has of it. What was written must be durable
// before. The caller closes it, too, and before d.
//
// An image file is read directly where its file system can do that; the logical
// block is what that takes then. What the cache has of it is dropped before it is
// read, as far as the kernel does that, unless the kernel itself says that direct
// reads are direct: before Linux 6.1 it does not, and ext4 with data=journal, or
// btrfs where it compressed, take the flag and read through the cache.
func (d *Device) PastCache() (*Device, error) {
	return d.again((*medium).pastCache)
}

func (m *medium) pastCache() (*medium, error) {
	if m.is.File != nil {
		if past := m.openDirect(); past != nil {
			return past, nil
		}
	}
	return m.droppingCache()
}

// openDirect opens an image file once more, for direct reads. It returns nil
// where its file system has none.
func (m *medium) openDirect() *medium {
	// Another file may have the path by now.
	f, atime, err := inuse.Open(fmt.Sprintf("/proc/self/fd/%d", m.file.Fd()), unix.O_DIRECT)
	if err != nil {
		return nil
	}
	block, told := alignment(int(f.Fd()))
	if block == 0 || bounceSize%block != 0 {
		f.Close()
		return nil
	}
	past := *m
	past.file, past.aio, past.atime = f, newAIO(), atime
	past.direct, past.forget, past.block = true, !told, block
	// Some file systems let it be opened, and refuse every read.
	if _, err := past.read(make([]byte, 1), 0); errors.Is(err, unix.EINVAL) {
		f.Close()
		return nil
	}
	return &past
}

// droppingCache is the medium once more; if it is not read directly, what the
// cache has is dropped.
func (m *medium) droppingCache() (*medium, error) {
	fd, err := unix.FcntlInt(m.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	past := *m
	past.file, past.aio = os.NewFile(uintptr(fd), m.file.Name()), newAIO()
	past.forget = !m.direct
	return &past, nil
}

// cacheSamples is how many places show whether a file is in the page cache. They are
// random: the areas of a store, at even distances, are there already.
const cacheSamples = 64

// Cached reports whether most of an image file, as a few places show, is in the page
// cache. It is true where that cannot be told, and false for what is read directly.
func (d *Device) Cached() bool {
	if direct := d.Direct(); direct || d.size == 0 {
		return !direct
	}
	found, b := 0, make([]byte, 1)
	for range cacheSamples {
		r := d.run(rand.Int64N(d.size), 1)
		if r.file == nil {
			if r.gone == nil {
				found++ // it cannot be told
			}
			continue
		}
		_, err := unix.Preadv2(int(r.file.Fd()), [][]byte{b}, r.at, unix.RWF_NOWAIT)
		if !errors.Is(err, unix.EAGAIN) {
			found++
		}
	}
	return found >= cacheSamples/2
}

// alignment is what offset, length and memory of a direct read from a file must
// be multiples of, in bytes; it is zero where there is no such read. Where the
// kernel has not told, it is a block of the file system, which is enough.
func alignment(fd int) (block int64, told bool) {
	var x unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &x)
	if err == nil && x.Mask&unix.STATX_DIOALIGN != 0 {
		return int64(max(x.Dio_mem_align, x.Dio_offset_align)), true
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, false
	}
	return min(max(int64(st.Blksize), SectorSize), bounceSize), false
}

// dropCache drops what the page cache has of a stretch of the file, in bytes. The
// kernel drops whole pages only.
func (m *medium) dropCache(offset, length int64) {
	page := int64(os.Getpagesize())
	start := offset / page * page
	_ = unix.Fadvise(int(m.file.Fd()), start, raw.RoundUp(offset+length, page)-start, unix.FADV_DONTNEED)
}
