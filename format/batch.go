package format

import "iter"

// Place is where an exception stands.
type Place struct {
	Area  AreaIndex
	Index int // of the exception in its area
}

// Batch is a stretch of metadata: consecutive slots of one or of several areas, as they stand on disk. It is
// valid until the call that it was handed to returns.
type Batch struct {
	Place         // of the first slot
	slots  int    // in an area
	raw    []byte // the slots that the walk asks for, of ExceptionSize bytes
	live   int    // how many of them stand before the terminator
	behind bool   // all of them stand behind the terminator
}

// Piece is a stretch of slots of one area: all of them live, or all hidden.
type Piece struct {
	Place
	Hidden bool   // behind the terminator, in its area
	Raw    []byte // slots of ExceptionSize bytes, as on disk
}

// Len is the number of slots in the piece.
func (p Piece) Len() int { return len(p.Raw) / ExceptionSize }

// At decodes slot i of the piece.
func (p Piece) At(i int) Exception { return DecodeException(p.Raw[i*ExceptionSize:]) }

// Len is the number of slots in the batch.
func (b Batch) Len() int { return len(b.raw) / ExceptionSize }

// Pieces are the batch's parts in the order of the device: its live exceptions area by area, then what the
// terminator hides, where the walk was asked for that. The terminator itself is in none.
func (b Batch) Pieces() iter.Seq[Piece] {
	return func(yield func(Piece) bool) {
		for i := 0; i < b.live; {
			at := b.at(i)
			n := min(b.slots-at.Index, b.live-i)
			if !yield(Piece{Place: at, Raw: b.cut(i, i+n)}) {
				return
			}
			i += n
		}
		first := b.live + 1
		if b.behind {
			first = 0
		}
		if all := b.Len(); first < all {
			yield(Piece{Place: b.at(first), Hidden: true, Raw: b.cut(first, all)})
		}
	}
}

// Exceptions are the batch's live exceptions, in the list's order, with their
// places.
func (b Batch) Exceptions() iter.Seq2[Place, Exception] {
	return func(yield func(Place, Exception) bool) {
		for i := range b.live {
			if !yield(b.at(i), DecodeException(b.cut(i, i+1))) {
				return
			}
		}
	}
}

func (b Batch) at(i int) Place {
	i += b.Index
	return Place{Area: b.Area + AreaIndex(i/b.slots), Index: i % b.slots}
}

// cut is the batch's slots from i up to j.
func (b Batch) cut(i, j int) []byte { return b.raw[i*ExceptionSize : j*ExceptionSize] }

// find is the place of the first live exception whose new chunk is limit or
// more, nil if there is none.
func (b Batch) find(limit uint64) *Place {
	for i := range b.live {
		if uint64(DecodeException(b.cut(i, i+1)).New) >= limit {
			p := b.at(i)
			return &p
		}
	}
	return nil
}
