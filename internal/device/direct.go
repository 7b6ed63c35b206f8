package device

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"unsafe"

	"dmcow/internal/inuse"
	"dmcow/internal/memory"
	"dmcow/internal/raw"

	"golang.org/x/sys/unix"
)

// openBlock opens a block device with O_DIRECT, or through the page cache
// where its driver does not know direct I/O. The function open is given the
// flag for that.
func (m *medium) openBlock(info fs.FileInfo, open func(flags int) (*os.File, error)) error {
	m.is.Number = inuse.NumberOf(info)
	f, err := open(unix.O_DIRECT)
	m.direct = err == nil
	if errors.Is(err, unix.EINVAL) {
		f, err = open(0)
	}
	if err != nil {
		return err
	}
	block, err := unix.IoctlGetUint32(int(f.Fd()), unix.BLKSSZGET)
	if err != nil {
		f.Close()
		return err
	}
	m.file, m.block = f, int64(block)
	return nil
}

// read reads p from an offset in the file, in aligned pieces where the file is
// read directly.
func (m *medium) read(p []byte, offset int64) (int, error) {
	if m.gone != nil {
		return 0, m.gone
	}
	if m.content != nil {
		return m.content.ReadAt(p, offset)
	}
	if m.forget {
		m.dropCache(offset, int64(len(p)))
	}
	if !m.direct {
		return m.file.ReadAt(p, offset)
	}
	if m.aligned(p, offset) {
		return readBlocks(m.file, p, offset, m.block)
	}
	buf := bounce.Get().(*[]byte)
	defer bounce.Put(buf)
	done := 0
	for done < len(p) {
		at := offset + int64(done)
		skip := at % m.block
		want := min(raw.RoundUp(skip+int64(len(p)-done), m.block), bounceSize)
		n, err := readBlocks(m.file, (*buf)[:want], at-skip, m.block)
		if int64(n) <= skip {
			return done, err
		}
		got := copy(p[done:], (*buf)[skip:n])
		done += got
		if err != nil && done < len(p) {
			return done, err
		}
	}
	return done, nil
}

// readBlocks reads p, which is fit for direct I/O, from a file. An error fails a
// direct read as a whole: only reading again, block by block, shows how far it
// would go.
func readBlocks(file io.ReaderAt, p []byte, offset, block int64) (int, error) {
	n, err := file.ReadAt(p, offset)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	if int64(n)%block != 0 {
		return n, io.EOF // in the file's last block; it was to read on from there that failed
	}
	for n < len(p) {
		next := p[n:min(n+int(block), len(p))]
		got, err := file.ReadAt(next, offset+int64(n))
		n += got
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (m *medium) aligned(p []byte, offset int64) bool {
	address := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	return offset%m.block == 0 && int64(len(p))%m.block == 0 && address%uintptr(m.block) == 0
}

// bounceSize is how much is read or written at a time for a caller whose buffer
// is not aligned, in bytes.
const bounceSize = memory.Alignment

var bounce = sync.Pool{New: func() any {
	b := memory.Aligned(bounceSize)
	return &b
}}
