package create

import (
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store"
	"dmcow/store/internal/header"
)

// builder writes a store from its beginning to its end, in large pieces: data
// chunks and areas as they come, and the header last.
type builder struct {
	device   store.WriteDevice
	geometry format.Geometry
	grow     func(format.Bytes) error
	blank    format.Bytes // from this block on there is nothing but zeros, which grow made
	count    uint64       // exceptions

	data   []byte       // to be written next
	dataAt format.Bytes // where it goes on the device
	left   format.Bytes // of the chunk that is being appended
	slots  []byte       // a piece of the current area
}

// slotsSize is how much of an area is written at a time at most, in bytes.
const slotsSize = 64 << 10

func newBuilder(d store.WriteDevice, g format.Geometry, grow func(format.Bytes) error) *builder {
	return &builder{
		device:   d,
		geometry: g,
		grow:     grow,
		blank:    raw.RoundUp(format.Bytes(d.Size()), format.Bytes(d.LogicalBlockSize())),
		data:     make([]byte, 0, mostWindow),
		slots:    make([]byte, min(g.ChunkBytes(), slotsSize)),
	}
}

// begin takes away what header there is, durably, and leaves the mark of an
// unfinished store.
func (b *builder) begin() error {
	if err := b.reach(b.geometry.Offset(format.FirstData)); err != nil {
		return err
	}
	return header.MarkUnfinished(b.device)
}

func (b *builder) reach(end format.Bytes) error {
	switch {
	case end <= format.Bytes(b.device.Size()):
		return nil
	case b.grow == nil:
		return store.ErrNoRoom
	}
	return b.grow(end)
}

// add adds an exception with its data: a chunk or, at the image's end, the
// beginning of one.
func (b *builder) add(old format.OldChunk, data []byte) error {
	if err := b.start(old); err != nil {
		return err
	}
	if err := b.append(data); err != nil {
		return err
	}
	return b.pad()
}

// start adds an exception, whose data is then to be appended and padded.
func (b *builder) start(old format.OldChunk) error {
	x := format.Exception{Old: old, New: b.geometry.DataChunk(b.count)}
	at := b.geometry.Offset(x.New)
	if at != b.dataAt+format.Bytes(len(b.data)) {
		if err := b.flush(); err != nil {
			return err
		}
		b.dataAt = at
	}
	b.left = b.geometry.ChunkBytes()
	x.Encode(b.slots[b.inPiece():])
	b.count++
	if b.inPiece() == 0 {
		return b.writeSlots(b.geometry.PlaceAt(b.count - uint64(len(b.slots)/format.ExceptionSize)))
	}
	return nil
}

// inPiece is where the next exception goes in slots.
func (b *builder) inPiece() int {
	return int(b.count % uint64(len(b.slots)/format.ExceptionSize) * format.ExceptionSize)
}

func (b *builder) append(p []byte) error {
	b.left -= format.Bytes(len(p))
	for len(p) > 0 {
		n := min(len(p), cap(b.data)-len(b.data))
		b.data = append(b.data, p[:n]...)
		p = p[n:]
		if len(b.data) == cap(b.data) {
			if err := b.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// zeros are what fills a chunk. Nobody changes them.
var zeros [slotsSize]byte

func (b *builder) pad() error {
	for b.left > 0 {
		if err := b.append(zeros[:min(b.left, slotsSize)]); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) flush() error {
	if len(b.data) == 0 {
		return nil
	}
	if err := b.reach(b.dataAt + format.Bytes(len(b.data))); err != nil {
		return err
	}
	if _, err := b.device.WriteAt(b.data, int64(b.dataAt)); err != nil {
		return fmt.Errorf("byte %d: %w", b.dataAt, err)
	}
	b.dataAt += format.Bytes(len(b.data))
	b.data = b.data[:0]
	return nil
}

// writeSlots writes the piece of an area that begins with the exception at p.
func (b *builder) writeSlots(p format.Place) error {
	if err := b.reach(b.geometry.Offset(b.geometry.AreaLocation(p.Area) + 1)); err != nil {
		return err
	}
	if _, err := b.device.WriteAt(b.slots, int64(b.geometry.SlotOffset(p))); err != nil {
		return &store.AreaWriteError{Area: p.Area, Chunk: b.geometry.AreaLocation(p.Area), Err: err}
	}
	return nil
}

// finish ends the list, and writes the header when all else is durable.
func (b *builder) finish() error {
	if err := b.flush(); err != nil {
		return err
	}
	end := b.geometry.PlaceAt(b.count)
	if err := b.reach(b.geometry.Offset(b.geometry.AreaLocation(end.Area) + 1)); err != nil {
		return err
	}
	if used := b.inPiece(); used > 0 {
		clear(b.slots[used:])
		end.Index -= used / format.ExceptionSize
		if err := b.writeSlots(end); err != nil {
			return err
		}
		end.Index += len(b.slots) / format.ExceptionSize
	}
	rest := b.geometry.Offset(b.geometry.AreaLocation(end.Area)+1) - b.geometry.SlotOffset(end)
	if err := b.clear(b.geometry.SlotOffset(end), rest); err != nil {
		return err
	}
	block := format.Bytes(header.Block(b.device))
	if err := b.clear(block, b.geometry.ChunkBytes()-block); err != nil {
		return err
	}
	return header.Write(b.device, b.geometry)
}

// clear writes zeros, in bytes, where there may be something else.
func (b *builder) clear(offset, length format.Bytes) error {
	if offset >= b.blank {
		return nil
	}
	if err := header.WriteZeros(b.device, offset, min(length, b.blank-offset), nil); err != nil {
		return fmt.Errorf("byte %d: %w", offset, err)
	}
	return nil
}
