// Package label has what tells a store that dmcow wrote for a purpose from a snapshot: an undo log, a delta. A
// label stands in data chunks that no exception names, the first of them at the very beginning of the data. To
// the kernel they are lost space, as a failed copy leaves it.
//
//	byte  0        16            24      28        32           40            64
//	     +--------+-------------+-------+---------+------------+-------------+- - - -
//	     | magic  | device size | flags | version | exceptions | the owner's | the owner's
//	     +--------+-------------+-------+---------+------------+-------------+- - - -
//	               in bytes
//
// All fields are little-endian. The size is of the device that the store is about. Flags, version, and which
// exceptions are counted, are the owner's matter.
package label

import (
	"encoding/binary"
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/look"
)

const (
	// Size is how many bytes of a label are the same for all, in that they fit any chunk.
	Size = 64
	// Own is where in these the owner's own begin.
	Own = 40

	magicSize = 16
	sizeAt    = 16
	flagsAt   = 24
	versionAt = 28
	countAt   = 32
)

// ErrNone says that there is no label where one was looked for, or another one.
var ErrNone = errors.New("there is no label")

// Head is what all labels begin with.
type Head struct {
	Magic   string       // at most 16 bytes
	Size    format.Bytes // of the device that the store is about
	Flags   uint32
	Version uint32
	Count   uint64 // exceptions
}

// Encode writes the head to the beginning of b, and leaves the owner's own as they are.
func (h Head) Encode(b []byte) {
	clear(b[:magicSize])
	copy(b[:magicSize], h.Magic)
	binary.LittleEndian.PutUint64(b[sizeAt:], uint64(h.Size))
	binary.LittleEndian.PutUint32(b[versionAt:], h.Version)
	SetFlags(b, h.Flags)
	SetCount(b, h.Count)
}

// Decode reads the head of a label with this magic. The error is [ErrNone].
func Decode(b []byte, magic string) (Head, error) {
	var want [magicSize]byte
	copy(want[:], magic)
	if len(b) < Size || [magicSize]byte(b) != want {
		return Head{}, ErrNone
	}
	return Head{
		Magic:   magic,
		Size:    format.Bytes(binary.LittleEndian.Uint64(b[sizeAt:])),
		Flags:   binary.LittleEndian.Uint32(b[flagsAt:]),
		Version: binary.LittleEndian.Uint32(b[versionAt:]),
		Count:   Count(b),
	}, nil
}

// SetFlags changes the flags of a label.
func SetFlags(b []byte, flags uint32) { binary.LittleEndian.PutUint32(b[flagsAt:], flags) }

// SetCount changes how many exceptions a label tells of, and Count is how many these are.
func SetCount(b []byte, count uint64) { binary.LittleEndian.PutUint64(b[countAt:], count) }
func Count(b []byte) uint64           { return binary.LittleEndian.Uint64(b[countAt:]) }

// Read reads the head of the label that begins in a chunk of a store. The error is [ErrNone], or one of reading.
func Read(d look.Device, g format.Geometry, at format.NewChunk, magic string) (Head, error) {
	if uint64(at) >= g.Chunks(format.Bytes(d.Size())) {
		return Head{}, ErrNone
	}
	var b [Size]byte
	if err := raw.ReadFull(d, b[:], g.Offset(at)); err != nil {
		return Head{}, fmt.Errorf("label at byte %d: %w", g.Offset(at), err)
	}
	return Decode(b[:], magic)
}

// First is the head of the label at the beginning of a store's data. The error is [ErrNone], or one of reading.
func First(d look.Device, g format.Geometry, magic string) (Head, error) {
	return Read(d, g, format.FirstData, magic)
}
