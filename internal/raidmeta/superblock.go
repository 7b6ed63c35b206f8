// Package raidmeta reads what dm-raid keeps of an array on a device beside each image: a superblock, and a bitmap
// of the regions that are being written. It judges by them which images the kernel would read.
//
// # Superblock
//
// At byte 0 of the metadata device (struct dm_raid_superblock in drivers/md/dm-raid.c). Integers are
// little-endian; offsets in the array are in sectors, and all ones stand for its end.
//
//	byte   0  u32  0x64526d44, "DmRd"
//	       4  u32  compatible features; 1: what is below from byte 60 on is there
//	       8  u32  number of images
//	      12  u32  which of them this one is
//	      16  u64  events: grows with each change
//	      24  u64  images that have failed, a bit each
//	      32  u64  how far this image is rebuilt
//	      40  u64  how far the array is in sync
//	      48  u32  level, 52 u32 layout, 56 u32 sectors of a chunk, as md has them
//	      60  u32  flags; 1: the array is being reshaped
//	      96  u64  where the data begins on the image
//	     120  u64  failed images from 64 on, three times
//	     144  u32  incompatible features, of which there are none
//
// # Bitmap
//
// At byte 4096 (bitmap_super_t in drivers/md/md-bitmap.h):
//
//	byte   0  u32  0x6d746962, "bitm"
//	      40  u64  sectors that the bits stand for
//	      52  u32  bytes that one bit stands for
//	     256  the bits; 1: it may be that the images differ there
package raidmeta

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	magic       = 0x64526d44
	size        = 148
	extended    = 1
	reshapes    = 1
	sectorSize  = 512
	mostDevices = 253
)

// End is an offset that stands for the end of the array.
const End = 1<<64 - 1

// ErrNone is the error of a device that has no superblock: it is new, or LVM has wiped it.
var ErrNone = errors.New("it has no superblock of dm-raid")

// Superblock is one image's.
type Superblock struct {
	Devices, Position int
	Events            uint64
	Failed            [4]uint64 // a bit for each image
	Rebuilt, Synced   uint64    // how far this image, and how far the array, in sectors
	Level, Layout     int
	Chunk             int64 // in bytes
	Reshaping         bool
	DataOffset        int64 // in bytes, on the image
	Marked            bool  // see [Mark]
}

// Read reads the superblock on a metadata device.
func Read(r io.ReaderAt) (*Superblock, error) {
	b := make([]byte, sectorSize)
	if _, err := r.ReadAt(b, 0); err != nil {
		return nil, err
	}
	return Parse(b)
}

// Parse reads a superblock of 512 bytes.
func Parse(b []byte) (*Superblock, error) {
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	if u32(b) != magic {
		return nil, ErrNone
	}
	features := u32(b[4:])
	s := &Superblock{
		Devices: int(u32(b[8:])), Position: int(int32(u32(b[12:]))), Events: u64(b[16:]), Failed: [4]uint64{u64(b[24:])},
		Rebuilt: u64(b[32:]), Synced: u64(b[40:]),
		Level: int(int32(u32(b[48:]))), Layout: int(int32(u32(b[52:]))), Chunk: int64(u32(b[56:])) * sectorSize,
	}
	s.Marked = string(b[markAt:][:len(mark)]) == mark
	if features&extended != 0 {
		s.Reshaping = u32(b[60:])&reshapes != 0
		for i := range 3 {
			s.Failed[1+i] = u64(b[120+8*i:])
		}
		offset := u64(b[96:])
		if offset > 1<<54 {
			return nil, fmt.Errorf("its superblock of dm-raid has data from sector %d on", offset)
		}
		s.DataOffset = int64(offset) * sectorSize
	}
	switch {
	case features&^extended != 0 || features&extended != 0 && u32(b[144:]) != 0:
		return nil, errors.New("its superblock of dm-raid has features that are not known")
	case s.Devices < 1 || s.Devices > mostDevices || s.Position < 0 || s.Position >= s.Devices:
		return nil, fmt.Errorf("its superblock of dm-raid is the one of image %d of %d", s.Position, s.Devices)
	}
	return s, nil
}

// failed reports whether the superblock has an image as failed.
func (s *Superblock) failed(position int) bool { return s.Failed[position/64]>>(position%64)&1 != 0 }
