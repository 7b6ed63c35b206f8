package delta

import (
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
)

// Chunk is an exception of a delta, with its data.
type Chunk struct {
	format.Exception
	Slot
	// Data is the new content as far as the device goes: shorter than a chunk only at the device's end.
	Data []byte
}

// Window is a number of chunks that are read together: [Head.WindowChunks] of them, the delta's last window has
// the rest. It is read by [Reader.Next], verified by [Window.Check], and then [Reader.Add] has to be told of it. It
// may be used again.
type Window struct {
	// Memory for the data may be the caller's, of [Head.WindowBytes]; else Next makes it.
	Memory []byte
	First  uint64 // the number of its first exception in the list
	Chunks []Chunk

	geometry format.Geometry
	sums     []Sum // of chunks of the stream, in order
	at       []int // where in sums the sum of each of Chunks stands
}

// windowBytes is how much data a window has at most, in bytes, but for a window of one chunk.
const windowBytes = 2 << 20

// WindowChunks is how many chunks a window has.
func (h Head) WindowChunks() int { return int(max(1, windowBytes/h.Geometry.ChunkBytes())) }

// WindowBytes is the memory that a window takes for its data.
func (h Head) WindowBytes() int {
	return int(min(uint64(h.WindowChunks()), h.Count)) * int(h.Geometry.ChunkBytes())
}

// Check wants the data of all chunks to be what their digests say. Several windows may be checked at once. The
// error is a [*DamagedError].
func (w *Window) Check() error {
	inParallel(len(w.Chunks), func(s *Summer, first, end int) {
		for i := first; i < end; i++ {
			w.sums[w.at[i]] = s.Sum(w.Chunks[i].Old, w.Chunks[i].Data)
		}
	})
	for i, c := range w.Chunks {
		rest := c.Data[len(c.Data):w.geometry.ChunkBytes()]
		if w.sums[w.at[i]].Digest() != c.After || !raw.IsZero(rest) {
			return &DamagedError{w.geometry.Offset(c.New), fmt.Sprintf("the data for chunk %d of the device is not what its digest says", c.Old)}
		}
	}
	return nil
}
