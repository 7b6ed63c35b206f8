package merge

import (
	"fmt"

	"dmcow/format"
	"dmcow/internal/memory"
	"dmcow/store"
)

// pageSize is how much of an area is cleared at a time, in bytes: what a process
// that is killed has written wholly or not at all, in a page cache too.
const pageSize = 4096

type list struct {
	cow      COW
	geometry format.Geometry
	slots    uint64 // exceptions in an area
	buf      []byte // aligned; for reading
	page     []byte // aligned; for changing
}

func newList(cow COW, g format.Geometry) *list {
	page := int(min(max(pageSize, format.Bytes(cow.LogicalBlockSize())), g.ChunkBytes()))
	return &list{cow: cow, geometry: g, slots: uint64(g.ExceptionsPerArea()), buf: memory.Aligned(listBuffer), page: memory.Aligned(page)}
}

// listBuffer is how much metadata is read at a time, in bytes.
const listBuffer = 128 << 10

// read hands out the exceptions from position first up to end, in order. The error
// is a [*format.AreaError], or what use returned.
func (l *list) read(first, end uint64, use func(uint64, format.Exception) error) error {
	for first < end {
		next, err := l.readSome(first, end)
		if err != nil {
			return err
		}
		for i := range next - first {
			if err := use(first+i, format.DecodeException(l.buf[i*format.ExceptionSize:])); err != nil {
				return err
			}
		}
		first = next
	}
	return nil
}

// readSome reads exceptions from position first on into buf, many areas at once,
// and returns the position behind them.
func (l *list) readSome(first, end uint64) (next uint64, err error) {
	end = min(end, first+uint64(len(l.buf)/format.ExceptionSize))
	var bufs [][]byte
	var offsets []int64
	for at := first; at < end; {
		n := min(end, (at/l.slots+1)*l.slots) - at
		bufs = append(bufs, l.buf[(at-first)*format.ExceptionSize:][:n*format.ExceptionSize])
		offsets = append(offsets, int64(l.geometry.SlotOffset(l.geometry.PlaceAt(at))))
		at += n
	}
	if failed, err := l.cow.ReadMany(bufs, offsets); err != nil {
		return 0, l.unreadable(format.Bytes(offsets[failed]), err)
	}
	return end, nil
}

func (l *list) unreadable(offset format.Bytes, err error) error {
	chunk := format.NewChunk(offset / l.geometry.ChunkBytes())
	area := format.AreaIndex(uint64(chunk) / l.geometry.Stride())
	return &format.AreaError{Area: area, Chunk: chunk, Offset: offset, Read: uint64(area) * l.slots, Err: err}
}

// clear clears the exceptions from position first up to end, where the list ends,
// durably. After each of its steps, and after a power cut in any of them, the list ends
// with what is merged and nothing hides behind it, or what hides there equals the origin, in
// whole sectors, as a torn commit leaves it: so that nobody, the kernel either, finds a good
// exception gone or an old one come alive. See the package comment.
func (l *list) clear(first, end uint64) error {
	behind := min(end, (first/l.slots+1)*l.slots) // where the area of the first one ends
	next := min(end, behind+l.slots)              // and the area behind it
	if next < end {
		if err := l.endBefore(next); err != nil {
			return err
		}
		if err := l.clearBackwards(next, end); err != nil {
			return err
		}
	}
	if err := l.clearBackwards(behind, next); err != nil {
		return err
	}
	return l.clearBackwards(first, behind)
}

// endBefore clears the last sector of the area that ends at a position, durably: then the list
// ends there, in one write that is done wholly or not at all.
func (l *list) endBefore(position uint64) error {
	unit := max(uint64(l.cow.LogicalBlockSize()), format.SectorSize) / format.ExceptionSize
	zeros := l.page[:unit*format.ExceptionSize]
	clear(zeros)
	if err := l.write(zeros, position-unit); err != nil {
		return err
	}
	return l.sync()
}

// clearBackwards clears exceptions page by page, the last first, and syncs that.
func (l *list) clearBackwards(first, end uint64) error {
	if first == end {
		return nil
	}
	for end > first {
		page := l.pageOf(end - 1)
		start := max(page, first)
		if end-start < l.perPage() {
			if err := l.load(page); err != nil {
				return err
			}
		}
		clear(l.slotsOf(start, end))
		if err := l.write(l.page, page); err != nil {
			return err
		}
		end = start
	}
	return l.sync()
}

func (l *list) sync() error {
	if err := l.cow.Sync(); err != nil {
		return fmt.Errorf("cannot sync the metadata: %w", err)
	}
	return nil
}

// pageOf is the position of the first exception in the page of the one at a position.
func (l *list) pageOf(position uint64) uint64 { return position - position%l.slots%l.perPage() }

func (l *list) perPage() uint64 { return uint64(len(l.page)) / format.ExceptionSize }

// slotsOf is the part of the page in memory that has the exceptions from position
// first up to end.
func (l *list) slotsOf(first, end uint64) []byte {
	return l.page[(first-l.pageOf(first))*format.ExceptionSize:][:(end-first)*format.ExceptionSize]
}

func (l *list) load(position uint64) error {
	offset := l.geometry.SlotOffset(l.geometry.PlaceAt(position))
	if n, err := l.cow.ReadAt(l.page, int64(offset)); n < len(l.page) {
		return l.unreadable(offset, err)
	}
	return nil
}

func (l *list) write(slots []byte, position uint64) error {
	place := l.geometry.PlaceAt(position)
	if _, err := l.cow.WriteAt(slots, int64(l.geometry.SlotOffset(place))); err != nil {
		return &store.AreaWriteError{Area: place.Area, Chunk: l.geometry.AreaLocation(place.Area), Err: err}
	}
	return nil
}
