package damaged

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"

	"dmcow/internal/naive"
)

// Damage is one change of an image.
type Damage struct {
	Name  string
	Image []byte
}

// Matrix is an image of a store with so many exceptions, and chunks of so many sectors,
// whose origin has so many, with each field of the header, and of exceptions in all kinds
// of places, set to each interesting value.
func Matrix(image []byte, chunk, exceptions int, origin uint64) iter.Seq[Damage] {
	return func(yield func(Damage) bool) {
		ended := false
		matrix(image, chunk, exceptions, origin, func(name string, change func([]byte)) {
			if ended {
				return
			}
			c := bytes.Clone(image)
			if change(c); !bytes.Equal(c, image) {
				ended = !yield(Damage{name, c})
			}
		})
	}
}

func matrix(image []byte, chunk, exceptions int, origin uint64, put func(string, func([]byte))) {
	for f, name := range []string{"magic", "valid", "version", "chunk size"} {
		was := binary.LittleEndian.Uint32(image[4*f:])
		values := []uint32{0, 1, 2, 3, math.MaxUint32, was - 1, was + 1, bits.ReverseBytes32(was)}
		for bit := range 32 {
			values = append(values, was^1<<bit)
		}
		for _, v := range values {
			put(fmt.Sprintf("%s %#x", name, v), func(c []byte) { binary.LittleEndian.PutUint32(c[4*f:], v) })
		}
	}
	for _, at := range []int{16, 511, chunk*512 - 1} {
		put(fmt.Sprint("padding byte ", at), func(c []byte) { c[at] ^= 0x40 })
	}
	s := naive.Store{Image: image, Chunk: chunk * 512}
	e := s.PerArea()
	for _, slot := range []int{0, e / 2, e - 1, e, e + e/2, 2*e - 1, 2 * e, exceptions / 2, exceptions - 1, exceptions, exceptions + 1} {
		if slot < 0 {
			continue
		}
		at := s.At(slot)
		if at+16 > len(image) {
			continue
		}
		for f, name := range []string{"old", "new"} {
			was := binary.LittleEndian.Uint64(image[at+8*f:])
			for _, v := range values64(was, uint64(len(image)/512/chunk), uint64(e), origin) {
				put(fmt.Sprintf("slot %d: %s %#x", slot, name, v), func(c []byte) { binary.LittleEndian.PutUint64(c[at+8*f:], v) })
			}
		}
		put(fmt.Sprint("slot ", slot, ": zero"), func(c []byte) { clear(c[at : at+16]) })
		put(fmt.Sprint("slot ", slot, ": ones"), func(c []byte) { copy(c[at:], bytes.Repeat([]byte{0xff}, 16)) })
		put(fmt.Sprint("slot ", slot, ": sector zero"), func(c []byte) { clear(c[at/512*512:][:512]) })
		put(fmt.Sprint("slot ", slot, ": sector of text"), func(c []byte) {
			copy(c[at/512*512:][:512], bytes.Repeat([]byte("lorem ipsum dolor "), 29))
		})
		put(fmt.Sprint("slot ", slot, ": a header"), func(c []byte) { copy(c[at:], image[:16]) })
	}
}

// values64 are interesting values for a chunk number that is was, on a device of n
// chunks whose areas hold e exceptions, with an origin of so many.
func values64(was, n, e, origin uint64) []uint64 {
	values := []uint64{0, 1, 2, 3, was - 1, was + 1, was + 100, bits.ReverseBytes64(was), n - 1, n, n + 1, 2 * n,
		1 + (e + 1), 1 + 2*(e+1), 1 << 32, 1<<56 - 1, math.MaxUint64, origin - 1, origin}
	for bit := range 64 {
		values = append(values, was^1<<bit)
	}
	return values
}
