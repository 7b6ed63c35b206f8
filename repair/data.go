package repair

import (
	"crypto/sha256"
	"io"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/look"
)

// partSize is how much data is read or written at a time, in bytes.
const partSize = 1 << 20

func digest(d look.Device, g format.Geometry, c format.NewChunk) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	err = eachPart(d, g, c, func(part []byte, _ format.Bytes) error {
		_, err := h.Write(part)
		return err
	})
	h.Sum(sum[:0])
	return sum, err
}

// eachPart hands out what a chunk of a device holds, part by part, with the offsets
// of the parts in the chunk.
func eachPart(d io.ReaderAt, g format.Geometry, c format.NewChunk, use func([]byte, format.Bytes) error) error {
	part := make([]byte, min(partSize, g.ChunkBytes()))
	for at := format.Bytes(0); at < g.ChunkBytes(); at += format.Bytes(len(part)) {
		if err := raw.ReadWhere(d, part, int64(g.Offset(c)+at)); err != nil {
			return err
		}
		if err := use(part, at); err != nil {
			return err
		}
	}
	return nil
}
