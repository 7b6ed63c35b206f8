package repair

import (
	"crypto/sha256"
	"errors"
	"io"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/look"
)

// pieceSize is how much data is read or written at a time, in bytes.
const pieceSize = 1 << 20

// digest is the SHA-256 of what a chunk of a device holds.
func digest(d look.Device, g format.Geometry, c format.NewChunk) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	err = eachPiece(d, g, c, func(piece []byte, _ format.Bytes) error {
		_, err := h.Write(piece)
		return err
	})
	h.Sum(sum[:0])
	return sum, err
}

// eachPiece hands out what a chunk of a device holds, piece by piece, with the offsets
// of the pieces in the chunk.
func eachPiece(d io.ReaderAt, g format.Geometry, c format.NewChunk, use func([]byte, format.Bytes) error) error {
	piece := make([]byte, min(pieceSize, g.ChunkBytes()))
	for at := format.Bytes(0); at < g.ChunkBytes(); at += format.Bytes(len(piece)) {
		if err := raw.ReadWhere(d, piece, int64(g.Offset(c)+at)); err != nil {
			return err
		}
		if err := use(piece, at); err != nil {
			return err
		}
	}
	return nil
}

// isCut reports whether a walk ended where the list leads past the device's end.
func isCut(err error) bool { return errors.Is(err, format.ErrBeyondDevice) }
