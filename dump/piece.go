package dump

import (
	"encoding/binary"
	"slices"

	"dmcow/format"
)

// The rows of a store are many and alike, so they are put together from blocks
// of fixed size, which cost a few moves each, where a text of any length would
// cost a call. What a block holds behind its text is overwritten by what
// follows.
type (
	startBlock [48]byte // fits the longest area's number
	block      [16]byte
	endBlock   [24]byte
)

// rowsAtOnce is for how many rows room is made at a time.
const rowsAtOnce = 64

// rowRoom is more than a row and its blocks can take, in bytes.
const rowRoom = 256

type pieceWriter struct {
	*layout
	sel       *Selection
	area      format.AreaIndex
	kind      kind
	start     startBlock // up to the index
	afterIdx  block
	afterOld  block
	end       endBlock
	startSize int
	endSize   int
}

// appendPiece appends a row for each exception of p that sel takes: what
// layout.appendRow would append, byte for byte, in a fraction of the time.
func (l *layout) appendPiece(dst []byte, p format.Piece, sel *Selection) []byte {
	if !sel.takesArea(p.Area) {
		return dst
	}
	end := l.ends[kindOf(p)]
	if len(end) > len(endBlock{}) {
		return l.appendSlowly(dst, p, sel)
	}
	w := pieceWriter{layout: l, sel: sel, area: p.Area, kind: kindOf(p)}
	// The blocks are spaces behind their texts: a column's number is aligned
	// to the right in them.
	w.startSize = len(l.appendStart(w.start[:0], p.Area))
	copy(w.start[w.startSize:], spaces)
	w.endSize = copy(w.end[:], end)
	copy(w.afterIdx[copy(w.afterIdx[:], l.old):], spaces)
	copy(w.afterOld[copy(w.afterOld[:], l.new):], spaces)
	for i := 0; i < p.Len(); {
		n := min(p.Len()-i, rowsAtOnce)
		dst = slices.Grow(dst, n*rowRoom)
		dst = w.rows(dst, p.Raw[i*format.ExceptionSize:][:n*format.ExceptionSize], uint64(p.Index+i))
		i += n
	}
	return dst
}

// appendSlowly is appendPiece for rows that end in more than its blocks take.
func (l *layout) appendSlowly(dst []byte, p format.Piece, sel *Selection) []byte {
	j := joiner{layout: l}
	return j.flush(j.appendPiece(dst, p, sel))
}

func kindOf(p format.Piece) kind {
	if p.Hidden {
		return hidden
	}
	return live
}

// room is what rows of common numbers take at most, in bytes. Asked for at
// once, it spares a buffer from growing by and by.
func (l *layout) room(rows int) int {
	row := len(l.area) + len(l.index) + len(l.old) + len(l.new) + len(l.ends[live])
	row += max(l.narrow, 6) + max(l.narrow, 4) + 2*max(l.wide, 9)
	return rows*row + rowsAtOnce*rowRoom
}

const spaces = "                "

// rows appends rows for the exceptions of raw, the first of which has the
// given index in its area. n is where the row ends so far: blocks reach
// further.
//
// The same lines stand here for both chunk numbers on purpose: a loop over the
// two makes a row a third dearer (BenchmarkPiece: 22 ns for 16).
func (w *pieceWriter) rows(dst, raw []byte, index uint64) []byte {
	everything, start := w.sel.everything(), w.start
	narrow, wide, oldLen, newLen := w.narrow, w.wide, len(w.old), len(w.new)
	for ; len(raw) >= format.ExceptionSize; raw = raw[format.ExceptionSize:] {
		x := format.DecodeException(raw)
		i, old, new := index, uint64(x.Old), uint64(x.New)
		index++
		if !everything && !w.sel.takes(x) {
			continue
		}
		if max(old, new) >= mediumLimit {
			dst = w.longRow(dst, i, x)
			continue
		}
		n := len(dst) + w.startSize
		dst = append(dst, start[:]...)

		text, size := short(i)
		n += max(0, narrow-size)
		dst = binary.LittleEndian.AppendUint64(dst[:n], text)
		n += size
		dst = append(dst[:n], w.afterIdx[:]...)
		n += oldLen

		if old >= shortLimit {
			text, size = short(old / shortLimit)
			n += max(0, wide-8-size)
			dst = binary.LittleEndian.AppendUint64(dst[:n], text)
			n += size
			dst = binary.LittleEndian.AppendUint64(dst[:n], digits8(old%shortLimit))
			n += 8
		} else {
			text, size = short(old)
			n += max(0, wide-size)
			dst = binary.LittleEndian.AppendUint64(dst[:n], text)
			n += size
		}
		dst = append(dst[:n], w.afterOld[:]...)
		n += newLen

		if new >= shortLimit {
			text, size = short(new / shortLimit)
			n += max(0, wide-8-size)
			dst = binary.LittleEndian.AppendUint64(dst[:n], text)
			n += size
			dst = binary.LittleEndian.AppendUint64(dst[:n], digits8(new%shortLimit))
			n += 8
		} else {
			text, size = short(new)
			n += max(0, wide-size)
			dst = binary.LittleEndian.AppendUint64(dst[:n], text)
			n += size
		}
		dst = append(dst[:n], w.end[:]...)
		dst = dst[:n+w.endSize]
	}
	return dst
}

// longRow appends the row of an exception whose numbers fit no block.
func (w *pieceWriter) longRow(dst []byte, index uint64, x format.Exception) []byte {
	at := format.Place{Area: w.area, Index: int(index)}
	return w.appendRow(dst, &entry{Place: at, Exception: x, kind: w.kind})
}
