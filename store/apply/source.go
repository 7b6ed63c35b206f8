package apply

import (
	"dmcow/format"
	"dmcow/store/delta"
)

// Piece is what a stream has for a stretch of the target: whole sectors.
type Piece struct {
	Offset format.Bytes
	Data   []byte // what is put there
	Old    format.OldChunk
	delta.Slot
}

func (p *Piece) length() format.Bytes { return format.Bytes(len(p.Data)) }
func (p *Piece) end() format.Bytes    { return p.Offset + p.length() }

// Window is so many pieces that come together, in the order of the target. They are good until it is read into again.
type Window struct {
	Pieces []Piece
	delta  delta.Window
	Buffer []byte // for a source's own use
}

// Source is a stream.
type Source interface {
	// Next reads the next window, and verifies it. It is io.EOF where the stream has ended as it should.
	Next(*Window) error
}

// Of is the stream of a delta.
func Of(r *delta.Reader) Source { return ofDelta{r} }

type ofDelta struct{ *delta.Reader }

func (r ofDelta) Next(w *Window) error {
	if err := r.Window(&w.delta); err != nil {
		return err
	}
	w.Pieces = w.Pieces[:0]
	chunk := r.Head().Geometry.ChunkBytes()
	for _, c := range w.delta.Chunks {
		w.Pieces = append(w.Pieces, Piece{Offset: format.Bytes(c.Exception.Old) * chunk, Data: c.Data, Old: c.Exception.Old, Slot: c.Slot})
	}
	return nil
}
