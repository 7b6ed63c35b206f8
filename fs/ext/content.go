package ext

import (
	"errors"
	"io"
	"iter"
	"math"

	"dmcow/fs"
	"dmcow/internal/raw"
)

var errNegative = errors.New("the offset is negative")

// checkReadable checks that the content is to be had.
func (i *inode) checkReadable(t fs.Type, not error) error {
	if i.attr.Type != t {
		return not
	}
	if i.flags&flagEncrypted != 0 {
		return fs.ErrEncrypted
	}
	return nil
}

// ReadAt reads the content of a regular file.
func (i *inode) ReadAt(p []byte, offset int64) (int, error) {
	if err := i.checkReadable(fs.TypeFile, fs.ErrNotFile); err != nil {
		return 0, err
	}
	return i.readAt(p, offset)
}

func (i *inode) readAt(p []byte, offset int64) (int, error) {
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
	if i.flags&flagInline != 0 {
		content, _, err := i.inline()
		if err != nil {
			return 0, err
		}
		return copy(p, content[offset:]), end
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
	for r, err := range i.runs(start/size, false) {
		lo, hi := max(r.logical*size, start), min((r.logical+r.count)*size, end)
		switch {
		case r.logical*size >= end:
			return len(p), nil
		case hi <= lo:
		case err != nil:
			return int(lo - start), err
		case r.use == fs.Data:
			at := int64(r.physical*size + lo - r.logical*size)
			if err := raw.ReadFull(&i.f.dev, p[lo-start:hi-start], at); err != nil {
				return int(lo - start), &fs.ReadError{What: i.name(), At: at, Err: err}
			}
		}
	}
	return len(p), nil
}

// Data are the parts of the content that are not holes.
func (i *inode) Data() iter.Seq2[fs.Extent, error] {
	return func(yield func(fs.Extent, error) bool) {
		if i.attr.Type != fs.TypeFile {
			yield(fs.Extent{}, fs.ErrNotFile)
			return
		}
		if i.flags&flagInline != 0 {
			_, parts, err := i.inline()
			if err != nil {
				yield(fs.Extent{Range: fs.Range{End: i.attr.Size}}, err)
				return
			}
			for _, e := range parts {
				if !yield(e, nil) {
					return
				}
			}
			return
		}
		size := i.f.blockSize
		for r, err := range i.runs(0, false) {
			if r.logical > uint64(math.MaxInt64/size) || int64(r.logical)*size >= i.attr.Size {
				return
			}
			e := fs.Extent{Offset: int64(r.logical) * size, Use: r.use}
			length := min(int64(r.count)*size, i.attr.Size-e.Offset)
			e.Range = fs.Range{Start: int64(r.physical) * size, End: int64(r.physical)*size + length}
			if err == nil && r.use != fs.Data {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// inlineBytes is how much content the inode has where others have their trees. The rest is an attribute.
const inlineBytes = 60

// inline is the content that is in the inode itself, and where it lies.
func (i *inode) inline() ([]byte, []fs.Extent, error) {
	if i.attr.Size <= inlineBytes {
		return i.slot[0x28 : 0x28+i.attr.Size], i.inlineParts(fs.Range{Start: i.at + 0x28, End: i.at + 0x28 + i.attr.Size}), nil
	}
	value, in, err := i.inlineRest()
	if err != nil {
		return nil, nil, err
	}
	left := i.attr.Size - inlineBytes
	if left > int64(len(value)) {
		return nil, nil, i.damaged(i.at, "its size is %d, and it has %d bytes in itself", i.attr.Size, inlineBytes+len(value))
	}
	content := append(append([]byte(nil), i.slot[0x28:0x28+inlineBytes]...), value[:left]...)
	parts := i.inlineParts(fs.Range{Start: i.at + 0x28, End: i.at + 0x28 + inlineBytes}, fs.Range{Start: i.at + in, End: i.at + in + left})
	return content, parts, nil
}

func (i *inode) inlineParts(ranges ...fs.Range) (all []fs.Extent) {
	offset := int64(0)
	for _, r := range ranges {
		if r.Len() > 0 {
			all = append(all, fs.Extent{Range: r, Use: fs.Data, Offset: offset, Inline: true})
		}
		offset += r.Len()
	}
	return all
}

// isFast reports whether a symbolic link has its target where others have their trees.
func (i *inode) isFast() bool {
	return i.attr.Size < inlineBytes && i.flags&(flagExtents|flagInline) == 0
}

// Target is where a symbolic link leads.
func (i *inode) Target() (string, error) {
	if err := i.checkReadable(fs.TypeSymlink, fs.ErrNotSymlink); err != nil {
		return "", err
	}
	if i.attr.Size == 0 || i.attr.Size > min(i.f.blockSize, 4096) {
		return "", i.damaged(i.at, "its target has %d bytes", i.attr.Size)
	}
	target := make([]byte, i.attr.Size)
	if i.isFast() {
		copy(target, i.slot[0x28:])
	} else if n, err := i.readAt(target, 0); n < len(target) {
		return "", err
	}
	for _, b := range target {
		if b == 0 {
			return "", i.damaged(i.at, "its target has a zero byte")
		}
	}
	return string(target), nil
}

// Extents are all blocks that the inode owns.
func (i *inode) Extents() iter.Seq2[fs.Extent, error] {
	return func(yield func(fs.Extent, error) bool) {
		o := owned{i: i, yield: yield}
		for r, err := range i.runs(0, true) {
			if !o.add(r, err) {
				return
			}
		}
		block := i.attributeBlock()
		if !o.slack(math.MaxUint64) || block == 0 {
			return
		}
		b, err := i.readAttributeBlock(block)
		if err != nil && !yield(fs.Extent{}, err) {
			return
		}
		if block < i.f.firstData || block >= i.f.blocks {
			return
		}
		e := i.extent(run{physical: block, count: 1, use: fs.Attributes})
		e.Shared = err == nil && b.u32(4) > 1
		if yield(e, nil) {
			_ = o.around(block)
		}
	}
}

func (i *inode) extent(r run) fs.Extent {
	size := i.f.blockSize
	e := fs.Extent{Range: fs.Range{Start: int64(r.physical) * size, End: int64(r.physical+r.count) * size}, Use: r.use, Offset: int64(r.logical) * size}
	if r.use != fs.Data {
		return e
	}
	switch {
	case i.number == i.f.journal:
		e.Use = fs.Journal
	case i.f.Reserved(i.number):
		e.Use = fs.Other
	case i.flags&flagEAInode != 0:
		e.Use = fs.Attributes
	case i.attr.Type == fs.TypeDirectory:
		e.Use = fs.Directory
	case i.attr.Type == fs.TypeSymlink:
		e.Use = fs.Symlink
	}
	e.Shared = i.f.ro&roSharedBlocks != 0
	return e
}

// owned tells of an inode's blocks. Where space is allocated in clusters, the inode owns whole ones: what it has not
// used of them was never written.
type owned struct {
	i     *inode
	yield func(fs.Extent, error) bool
	end   uint64 // of the run before, 0 for none
}

func (o *owned) add(r run, err error) bool {
	if err != nil {
		e := fs.Extent{Offset: int64(r.logical) * o.i.f.blockSize, Range: fs.Range{End: int64(r.count) * o.i.f.blockSize}}
		return o.yield(e, err)
	}
	if r.use == fs.Tree {
		return o.yield(o.i.extent(r), nil) && o.around(r.physical)
	}
	if !o.slack(r.physical) {
		return false
	}
	o.end = r.physical + r.count
	return o.yield(o.i.extent(r), nil)
}

// slack tells of the unused blocks between the last run and the next one, in their clusters.
func (o *owned) slack(next uint64) bool {
	cluster := o.i.f.cluster
	if cluster == 1 {
		return true
	}
	start := next / cluster * cluster
	if o.end > 0 {
		end := (o.end + cluster - 1) / cluster * cluster
		if next >= o.end && next < end {
			start, end = next, next
			if !o.unused(o.end, next) {
				return false
			}
		} else if !o.unused(o.end, end) {
			return false
		}
	}
	return next == math.MaxUint64 || o.unused(start, next)
}

// around tells of the rest of a cluster of which a block is used for metadata.
func (o *owned) around(block uint64) bool {
	start := block / o.i.f.cluster * o.i.f.cluster
	return o.unused(start, block) && o.unused(block+1, start+o.i.f.cluster)
}

func (o *owned) unused(start, end uint64) bool {
	end = min(end, o.i.f.blocks)
	return start >= end || o.yield(o.i.extent(run{physical: start, count: end - start, use: fs.Unwritten}), nil)
}
