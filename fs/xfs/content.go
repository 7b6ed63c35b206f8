package xfs

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"

	"dmcow/fs"
	"dmcow/internal/raw"
)

var errNegative = errors.New("the offset is negative")

// ErrRealtime says that a file cannot be read.
var ErrRealtime = errors.New("its content is on the realtime device, which is not read")

// checkReadable checks that the content is to be had.
func (i *inode) checkReadable() error {
	switch {
	case i.attr.Type != fs.TypeFile:
		return fs.ErrNotFile
	case i.isRealtime():
		return ErrRealtime
	}
	return nil
}

// ReadAt reads the content of a regular file.
func (i *inode) ReadAt(p []byte, offset int64) (int, error) {
	if err := i.checkReadable(); err != nil {
		return 0, err
	}
	if offset < 0 {
		return 0, errNegative
	}
	var end error
	if left := max(i.attr.Size-offset, 0); int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	if len(p) == 0 {
		return 0, end
	}
	clear(p)
	if n, err := i.readRuns(p, offset); err != nil {
		return n, err
	}
	return len(p), end
}

// readRuns reads what is not a hole. n bytes before an error are good.
func (i *inode) readRuns(p []byte, offset int64) (n int, err error) {
	size := uint64(i.f.blockSize)
	start, end := uint64(offset), uint64(offset)+uint64(len(p))
	for r, err := range i.runs(&i.data, start/size, false) {
		first := i.f.bytesOf(r.logical)
		lo, hi := max(first, start), min(i.f.bytesOf(r.logical+r.count), end)
		switch {
		case first >= end:
			return len(p), nil
		case hi <= lo:
		case err != nil:
			return int(lo - start), err
		case r.use == fs.Data:
			at := int64(r.physical*size + lo - first)
			if err := raw.ReadFull(&i.f.dev, p[lo-start:hi-start], at); err != nil {
				return int(lo - start), &fs.ReadError{What: i.name(), At: at, Err: err}
			}
		}
	}
	return len(p), nil
}

// bytesOf is where a logical block begins, or the highest offset.
func (s *super) bytesOf(block uint64) uint64 {
	if block > math.MaxInt64/uint64(s.blockSize) {
		return math.MaxInt64
	}
	return block * uint64(s.blockSize)
}

// Data are the parts of the content that are not holes.
func (i *inode) Data() iter.Seq2[fs.Extent, error] {
	return func(yield func(fs.Extent, error) bool) {
		if err := i.checkReadable(); err != nil {
			yield(fs.Extent{Range: fs.Range{End: i.attr.Size}}, err)
			return
		}
		for r, err := range i.runs(&i.data, 0, false) {
			e := i.extent(r)
			if e.Offset >= i.attr.Size {
				return
			}
			e.End = e.Start + min(e.Len(), i.attr.Size-e.Offset)
			if err == nil && r.use != fs.Data {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Extents are all blocks that the inode owns.
func (i *inode) Extents() iter.Seq2[fs.Extent, error] {
	return func(yield func(fs.Extent, error) bool) {
		for _, k := range []*fork{&i.data, &i.xattr} {
			for r, err := range i.runs(k, 0, true) {
				if !yield(i.extent(r), err) {
					return
				}
			}
		}
	}
}

func (i *inode) extent(r run) fs.Extent {
	offset := int64(i.f.bytesOf(r.logical))
	start := int64(r.physical) * i.f.blockSize
	e := fs.Extent{Range: fs.Range{Start: start, End: start + int64(i.f.bytesOf(r.logical+r.count)) - offset}, Use: r.use, Offset: offset}
	if e.Use == fs.Data {
		e.Use = i.use()
		e.Shared = i.flags2&flag2Reflink != 0
	}
	return e
}

// use is what the content of the inode is.
func (i *inode) use() fs.Use {
	switch {
	case i.isSpecial():
		return fs.Other
	case i.attr.Type == fs.TypeDirectory:
		return fs.Directory
	case i.attr.Type == fs.TypeSymlink:
		return fs.Symlink
	}
	return fs.Data
}

// isSpecial reports whether the inode belongs to the file system itself: those of quotas and of the realtime device.
func (i *inode) isSpecial() bool {
	for _, n := range i.f.special {
		if n != 0 && uint64(i.number) == n {
			return true
		}
	}
	return false
}

// maxTarget is how long the target of a symbolic link can be.
const maxTarget = 1024

// Target is where a symbolic link leads.
func (i *inode) Target() (string, error) {
	if i.attr.Type != fs.TypeSymlink {
		return "", fs.ErrNotSymlink
	}
	if i.attr.Size == 0 || i.attr.Size > maxTarget || i.data.form == formLocal && i.attr.Size > int64(len(i.data.room)) {
		return "", i.damaged(i.at, "its target has %d bytes", i.attr.Size)
	}
	target := []byte(i.data.room[:min(i.attr.Size, int64(len(i.data.room)))])
	if i.data.form != formLocal {
		var err error
		if target, err = i.remoteTarget(); err != nil {
			return "", err
		}
	}
	if strings.IndexByte(string(target), 0) >= 0 {
		return "", i.damaged(i.at, "its target has a zero byte")
	}
	return string(target), nil
}

// remoteTarget is a target that does not fit the inode: each extent has a part, in version 5 with a header of its own.
func (i *inode) remoteTarget() (target []byte, err error) {
	left := int(i.attr.Size)
	for r, err := range i.runs(&i.data, 0, false) {
		if err != nil {
			return nil, err
		}
		if left == 0 {
			break
		}
		if int64(r.count) > (maxTarget+56*3)/i.f.blockSize+1 {
			return nil, i.damaged(i.at, "its target has %d blocks", r.count)
		}
		at := int64(r.physical) * i.f.blockSize
		what := "target of " + i.name()
		b, err := i.f.dev.read(at, int(int64(r.count)*i.f.blockSize), what)
		if err != nil {
			return nil, err
		}
		if i.f.version5 {
			if why := i.checkTarget(b, at, len(target)); why != "" {
				return nil, &fs.DamageError{What: what, At: at, Why: why}
			}
			b = b[56:]
		}
		n := min(left, len(b))
		target = append(target, b[:n]...)
		left -= n
	}
	if left > 0 {
		return nil, i.damaged(i.at, "%d bytes of its target are missing", left)
	}
	return target, nil
}

func (i *inode) checkTarget(b record, at int64, offset int) string {
	if why := i.f.checkSeal(b, at, seal{crc: 12, uuid: 16, block: 40, owner: 32, belongs: uint64(i.number)}); why != "" {
		return why
	}
	if b.u32(0) != 0x58534c4d || int64(b.u32(4)) != int64(offset) || int64(b.u32(8)) != min(i.attr.Size-int64(offset), int64(len(b)-56)) {
		return fmt.Sprintf("it begins with 0x%08x, and has %d bytes from %d on", b.u32(0), b.u32(8), b.u32(4))
	}
	return ""
}
