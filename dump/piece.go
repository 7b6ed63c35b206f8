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
// given index in its area. There is room for them.
func (w *pieceWriter) rows(dst, raw []byte, index uint64) []byte {
	everything := w.sel.everything()
	for ; len(raw) >= format.ExceptionSize; raw = raw[format.ExceptionSize:] {
		x := format.DecodeException(raw)
		i := index
		index++
		if !everything && !w.sel.takes(x) {
			continue
		}
		row := (*[rowRoom]byte)(dst[len(dst):cap(dst)])
		switch most := max(i, uint64(x.Old), uint64(x.New)); {
		case most < shortLimit:
			dst = dst[:len(dst)+w.shortRow(row, i, uint64(x.Old), uint64(x.New))]
		case most < mediumLimit:
			dst = dst[:len(dst)+w.mediumRow(row, i, uint64(x.Old), uint64(x.New))]
		default:
			dst = w.longRow(dst, i, x)
		}
	}
	return dst
}

// within has the compiler know that a place in a row is within it, which spares a comparison
// each: no row is longer.
const within = rowRoom/2 - 1

// shortRow writes a row of short numbers and returns its length. n is where it ends so far: blocks
// reach further.
//
// The same lines stand here for each number on purpose: a call for each makes a row a third
// dearer (BenchmarkPiece: 23 ns for 17).
func (w *pieceWriter) shortRow(row *[rowRoom]byte, index, old, new uint64) (n int) {
	*(*startBlock)(row[:]) = w.start
	n = w.startSize

	text, size := short(index)
	n += max(0, w.narrow-size)
	binary.LittleEndian.PutUint64(row[n&within:], text)
	n += size
	*(*block)(row[n&within:]) = w.afterIdx
	n += len(w.old)

	text, size = short(old)
	n += max(0, w.wide-size)
	binary.LittleEndian.PutUint64(row[n&within:], text)
	n += size
	*(*block)(row[n&within:]) = w.afterOld
	n += len(w.new)

	text, size = short(new)
	n += max(0, w.wide-size)
	binary.LittleEndian.PutUint64(row[n&within:], text)
	n += size
	*(*endBlock)(row[n&within:]) = w.end
	return n + w.endSize
}

// mediumRow is shortRow for numbers of which one is medium.
func (w *pieceWriter) mediumRow(row *[rowRoom]byte, index, old, new uint64) (n int) {
	*(*startBlock)(row[:]) = w.start
	n = put(row, w.startSize, w.narrow, index)
	*(*block)(row[n&within:]) = w.afterIdx
	n = put(row, n+len(w.old), w.wide, old)
	*(*block)(row[n&within:]) = w.afterOld
	n = put(row, n+len(w.new), w.wide, new)
	*(*endBlock)(row[n&within:]) = w.end
	return n + w.endSize
}

// put writes a number, short or medium, right-aligned in a column of width, and returns where it ends.
func put(row *[rowRoom]byte, at, width int, v uint64) int {
	if v >= shortLimit {
		text, size := short(v / shortLimit)
		at += max(0, width-8-size)
		binary.LittleEndian.PutUint64(row[at&within:], text)
		at += size
		binary.LittleEndian.PutUint64(row[at&within:], digits8(v%shortLimit))
		return at + 8
	}
	text, size := short(v)
	at += max(0, width-size)
	binary.LittleEndian.PutUint64(row[at&within:], text)
	return at + size
}

// longRow appends the row of an exception whose numbers fit no block.
func (w *pieceWriter) longRow(dst []byte, index uint64, x format.Exception) []byte {
	at := format.Place{Area: w.area, Index: int(index)}
	return w.appendRow(dst, &entry{Place: at, Exception: x, kind: w.kind})
}
