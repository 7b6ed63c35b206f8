// Package naive reads the COW store of a persistent snapshot in the simplest way: from an image in
// memory, one slot at a time. Tests compare the program with it.
//
// It follows the description in package format, and must not import that package, nor store, nor
// any other one of the program: a mistake in them would then stand on both sides of a comparison,
// and no test would see it.
package naive

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

const (
	sectorBytes = 512
	entryBytes  = 16
)

// Exception says that chunk Old of the origin is saved in chunk New of the COW device.
type Exception struct{ Old, New uint64 }

// Decode reads the 16 bytes of an exception.
func Decode(entry []byte) Exception {
	return Exception{binary.LittleEndian.Uint64(entry), binary.LittleEndian.Uint64(entry[8:])}
}

// Encode writes the 16 bytes of an exception.
func (x Exception) Encode(entry []byte) {
	binary.LittleEndian.PutUint64(entry, x.Old)
	binary.LittleEndian.PutUint64(entry[8:], x.New)
}

// Store is a COW device.
type Store struct {
	Image []byte // all that is on the device
	Chunk int    // the size of a chunk, in bytes
}

// Of returns the store on an image. The size of its chunks is what the header says, whatever else
// the header holds.
func Of(image []byte) Store {
	return Store{image, int(binary.LittleEndian.Uint32(image[12:])) * sectorBytes}
}

// Chunks is the number of whole chunks on the device.
func (s Store) Chunks() uint64 { return uint64(len(s.Image) / s.Chunk) }

// PerArea is the number of slots in an area, which is one chunk.
func (s Store) PerArea() int { return s.Chunk / entryBytes }

// At is where slot n of the list stands, in bytes. Chunk 0 is the header and chunk 1 the first area;
// behind each area lie as many chunks of data as it has slots, and then the next area.
func (s Store) At(n int) int {
	e := s.PerArea()
	return (1+n/e*(e+1))*s.Chunk + n%e*entryBytes
}

// Entry is the 16 bytes of slot n, as a part of the image.
func (s Store) Entry(n int) []byte { return s.Image[s.At(n):][:entryBytes] }

// Slot is what stands in slot n; ok is false if the image ends before the slot does.
func (s Store) Slot(n int) (x Exception, ok bool) {
	if s.At(n)+entryBytes > len(s.Image) {
		return x, false
	}
	return Decode(s.Entry(n)), true
}

// List is every exception before the first slot without a new chunk, which ends the list, or before
// the end of the image.
func (s Store) List() (all []Exception) {
	for {
		x, ok := s.Slot(len(all))
		if !ok || x.New == 0 {
			return all
		}
		all = append(all, x)
	}
}

// IsData reports whether a chunk may hold data: it lies on the device, and is neither the header nor
// an area.
func (s Store) IsData(chunk uint64) bool {
	return chunk >= 2 && chunk < s.Chunks() && chunk%uint64(s.PerArea()+1) != 1
}

// Data is what a chunk of the device holds, as a part of the image; it is nil if the chunk does not
// lie wholly on the image.
func (s Store) Data(chunk uint64) []byte {
	if chunk >= s.Chunks() {
		return nil
	}
	return s.Image[int(chunk)*s.Chunk:][:s.Chunk]
}

// View is what the snapshot shows of an origin: what the list saved, each chunk as its last exception
// has it, and else what the origin holds. An exception of a chunk that is not on the origin, or whose
// data is not on the device, is left out, and the error names the first such one.
func (s Store) View(origin []byte) (view []byte, err error) {
	view = bytes.Clone(origin)
	chunks := uint64(len(view)+s.Chunk-1) / uint64(s.Chunk) // the last one may be short
	for n, x := range s.List() {
		data := s.Data(x.New)
		if x.Old < chunks && data != nil {
			copy(view[int(x.Old)*s.Chunk:], data)
		} else if err == nil {
			err = fmt.Errorf("exception %d, %+v, names a chunk that is not there", n, x)
		}
	}
	return view, err
}
