package store

import (
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
)

// pieceSize is how much is written or compared at a time where a chunk may be
// a gigabyte, in bytes.
const pieceSize = 1 << 20

// zeros is what writeZeros writes. Nobody changes it.
var zeros [pieceSize]byte

// writeZeros writes zeros, in bytes. Before each piece it calls visit, where that
// is not nil, and stops with the error that it returns.
func writeZeros(d WriteDevice, offset, length format.Bytes, visit func() error) error {
	for length > 0 {
		if visit != nil {
			if err := visit(); err != nil {
				return err
			}
		}
		n := min(length, pieceSize)
		if _, err := d.WriteAt(zeros[:n], int64(offset)); err != nil {
			return err
		}
		offset, length = offset+n, length-n
	}
	return nil
}

// headerBlock is the size of what is written of the header: the sector that
// has its fields, or the logical block where that is larger. A power cut leaves
// it whole.
func headerBlock(d Device) int64 { return max(d.LogicalBlockSize(), format.SectorSize) }

// Drop marks the snapshot invalid, durably: its store is lost to the kernel
// (persistent_drop_snapshot). The Store does nothing more, and what was
// gathered is not written. The error is one of [Invalidate].
func (s *Store) Drop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = ErrInvalid
	return Invalidate(s.device)
}

// Overflow does what the kernel does when a write finds no room for its
// exception: the snapshot is dropped, unless its type is [PersistentOverflow]
// and the write went to the snapshot. Then the store on the device stays as it
// is, and only the status tells: it is for the caller to have all further writes
// to the snapshot fail (snapshot_map and __origin_write in dm-snap.c).
func (s *Store) Overflow(toOrigin bool) error {
	if s.options.Type == PersistentOverflow && !toOrigin {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.overflowed = true
		return nil
	}
	return s.Drop()
}

// Invalidate sets valid in the header to 0, durably, and keeps everything else.
// (The kernel writes zeros over the rest of chunk 0.) It writes nothing when
// valid is 0 already. The error is a [*StateError] where there is no header to
// be changed, or one of reading or writing.
func Invalidate(d WriteDevice) error {
	id, err := Identify(d, FreshGeometry(d))
	switch {
	case err != nil:
		return err
	case id.State == Invalid:
		return nil
	case id.State != Valid:
		return &StateError{State: id.State, Fault: id.Fault}
	}
	h := id.Header
	h.Valid = 0
	return changeHeader(d, h)
}

// changeHeader writes the header's fields, durably, and keeps what stands
// behind them.
func changeHeader(d WriteDevice, h format.Header) error {
	block := make([]byte, headerBlock(d))
	if err := raw.ReadFull(d, block, 0); err != nil {
		return fmt.Errorf("header at byte 0: %w", err)
	}
	h.Encode(block)
	return writeHeader(d, block)
}

// newHeader writes the header of a new store, durably, with zeros behind it.
func newHeader(d WriteDevice, g format.Geometry) error {
	block := make([]byte, headerBlock(d))
	validHeader(g).Encode(block)
	return writeHeader(d, block)
}

// validHeader is the header of a new store.
func validHeader(g format.Geometry) format.Header {
	return format.Header{
		Magic:        format.Magic,
		Valid:        1,
		Version:      format.Version,
		ChunkSectors: uint32(g.ChunkSectors()),
	}
}

func writeHeader(d WriteDevice, block []byte) error {
	if err := d.WriteDurable(block, 0); err != nil {
		return fmt.Errorf("header at byte 0 cannot be written: %w", err)
	}
	return nil
}

// Initialize writes an empty store over whatever the device holds. visit, where
// it is not nil, is called now and then, and ends the work with the error that it
// returns.
//
// Area 0 is durably clear before the header is written, so that a power cut
// leaves an empty store or none. (The kernel writes the header first, and
// flushes nothing: a header over an old area 0 is a store of old exceptions.) A
// header that is there goes before all else: cut off in between, its list would
// be another.
//
// The error is a [*TooSmallError], one of reading or writing, or visit's.
func Initialize(d WriteDevice, g format.Geometry, visit func() error) error {
	return initialize(d, g, visit, nil)
}

// initialize is Initialize with data to be written, and durable, before there is
// a header. Cut off before that, it leaves the mark of an unfinished store.
func initialize(d WriteDevice, g format.Geometry, visit, data func() error) error {
	if err := Fits(d, g); err != nil {
		return err
	}
	begin := clearHeader
	if data != nil {
		begin = markUnfinished
	}
	if err := begin(d); err != nil {
		return err
	}
	block := format.Bytes(headerBlock(d))
	end := g.Offset(g.AreaLocation(0)) + g.ChunkBytes()
	if err := writeZeros(d, block, end-block, visit); err != nil {
		return fmt.Errorf("area 0 cannot be cleared: %w", err)
	}
	if data != nil {
		if err := data(); err != nil {
			return err
		}
	}
	return newHeader(d, g)
}

// Fits reports whether the device is large enough for an empty store. The error
// is a [*TooSmallError].
func Fits(d Device, g format.Geometry) error {
	size := format.Bytes(d.Size())
	if g.Areas(g.Chunks(size)) == 0 {
		return &TooSmallError{Sectors: size.Sectors(), Least: 2 * g.ChunkSectors()}
	}
	return nil
}

// markUnfinished has the device begin, durably, with the mark of an unfinished store:
// then it holds none.
func markUnfinished(d WriteDevice) error {
	block := make([]byte, headerBlock(d))
	copy(block[format.HeaderSize:], unfinished)
	return writeHeader(d, block)
}

// clearHeader makes sure that the device begins with a block of zeros, durably:
// then it holds no store.
func clearHeader(d WriteDevice) error {
	block := make([]byte, headerBlock(d))
	if err := raw.ReadFull(d, block, 0); err != nil {
		return fmt.Errorf("header at byte 0: %w", err)
	}
	if raw.IsZero(block) {
		return nil
	}
	clear(block)
	return writeHeader(d, block)
}
