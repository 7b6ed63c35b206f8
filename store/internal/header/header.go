// Package header writes the header of a store, and the empty area behind it.
package header

import (
	"fmt"
	"io"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/look"
)

// Device is a device whose header and first area are written, as the engine writes to it.
type Device interface {
	look.Device
	io.WriterAt
	WriteDurable(p []byte, offset int64) error
}

// pieceSize is how much is written or compared at a time where a chunk may be
// a gigabyte, in bytes.
const pieceSize = 1 << 20

// zeros is what WriteZeros writes. Nobody changes it.
var zeros [pieceSize]byte

// WriteZeros writes zeros, in bytes. Before each piece it calls visit, where that
// is not nil, and stops with the error that it returns.
func WriteZeros(d io.WriterAt, offset, length format.Bytes, visit func() error) error {
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

// Block is the size of what is written of the header: the sector that
// has its fields, or the logical block where that is larger. A power cut leaves
// it whole.
func Block(d look.Device) int64 { return max(d.LogicalBlockSize(), format.SectorSize) }

// Change writes the header's fields, durably, and keeps what stands
// behind them.
func Change(d Device, h format.Header) error {
	block := make([]byte, Block(d))
	if err := raw.ReadFull(d, block, 0); err != nil {
		return fmt.Errorf("header at byte 0: %w", err)
	}
	h.Encode(block)
	return writeHeader(d, block)
}

// Write writes the header of a new store, durably, with zeros behind it.
func Write(d Device, g format.Geometry) error {
	block := make([]byte, Block(d))
	Valid(g).Encode(block)
	return writeHeader(d, block)
}

// Valid is the header of a new store.
func Valid(g format.Geometry) format.Header {
	return format.Header{
		Magic:        format.Magic,
		Valid:        1,
		Version:      format.Version,
		ChunkSectors: uint32(g.ChunkSectors()),
	}
}

func writeHeader(d Device, block []byte) error {
	if err := d.WriteDurable(block, 0); err != nil {
		return fmt.Errorf("cannot write the header at byte 0: %w", err)
	}
	return nil
}

// Initialize writes an empty store over whatever the device holds. visit, where it is not nil, is called now
// and then, and ends the work with the error that it returns.
//
// Area 0 is durably clear before the header is written, so that a power cut
// leaves an empty store or none. (The kernel writes the header first, and
// flushes nothing: a header over an old area 0 is a store of old exceptions.) A
// header that is there goes before all else: cut off in between, its list would
// be another. What data writes, where it is not nil, is durable before there is a header, too; cut off
// before that, it leaves the mark of an unfinished store.
func Initialize(d Device, g format.Geometry, visit, data func() error) error {
	if err := look.CheckFits(d, g); err != nil {
		return err
	}
	begin := clearHeader
	if data != nil {
		begin = MarkUnfinished
	}
	if err := begin(d); err != nil {
		return err
	}
	block := format.Bytes(Block(d))
	end := g.Offset(g.AreaLocation(0)) + g.ChunkBytes()
	if err := WriteZeros(d, block, end-block, visit); err != nil {
		return fmt.Errorf("cannot clear area 0: %w", err)
	}
	if data != nil {
		if err := data(); err != nil {
			return err
		}
	}
	return Write(d, g)
}

// MarkUnfinished has the device begin, durably, with the mark of an unfinished store:
// then it holds none.
func MarkUnfinished(d Device) error {
	block := make([]byte, Block(d))
	copy(block[format.HeaderSize:], look.UnfinishedMark)
	return writeHeader(d, block)
}

// clearHeader makes sure that the device begins with a block of zeros, durably:
// then it holds no store.
func clearHeader(d Device) error {
	block := make([]byte, Block(d))
	if err := raw.ReadFull(d, block, 0); err != nil {
		return fmt.Errorf("header at byte 0: %w", err)
	}
	if raw.IsZero(block) {
		return nil
	}
	clear(block)
	return writeHeader(d, block)
}
