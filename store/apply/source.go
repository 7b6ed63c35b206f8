package apply

import (
	"dmcow/format"
	"dmcow/internal/memory"
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
	Buffer []byte // for a source's own use, from Memory
	delta  delta.Window
	memory memory.Buffers
}

// Memory is memory for large transfers, until Free.
func (w *Window) Memory(n int) []byte { return w.memory.New(n) }

// Free gives its memory back: whoever has a window made does that.
func (w *Window) Free() { w.memory.Free() }

// Source is a stream.
type Source interface {
	// Next reads the next window. It is io.EOF behind the last.
	Next(*Window) error
	// Check verifies a window. It is called before anything is done by the window, for several windows at once.
	Check(*Window) error
	// Add is called with each window that was checked, in order.
	Add(*Window)
	// End wants the stream to end as it should, when all of its windows were added.
	End() error
}

// Of is the stream of a delta.
func Of(r *delta.Reader) Source { return ofDelta{r} }

type ofDelta struct{ *delta.Reader }

func (r ofDelta) Next(w *Window) error {
	if w.Buffer == nil {
		w.Buffer = w.Memory(max(1, r.Head().WindowBytes()))
		w.delta.Memory = w.Buffer
	}
	if err := r.Reader.Next(&w.delta); err != nil {
		return err
	}
	w.Pieces = w.Pieces[:0]
	chunk := r.Head().Geometry.ChunkBytes()
	for _, c := range w.delta.Chunks {
		w.Pieces = append(w.Pieces, Piece{Offset: format.Bytes(c.Old) * chunk, Data: c.Data, Old: c.Old, Slot: c.Slot})
	}
	return nil
}

func (r ofDelta) Check(w *Window) error { return w.delta.Check() }
func (r ofDelta) Add(w *Window)         { r.Reader.Add(&w.delta) }
