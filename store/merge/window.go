package merge

import (
	"cmp"
	"slices"

	"dmcow/format"
)

// window is a part of a batch whose data is in memory, one piece after the other, in
// the order of the origin.
type window struct {
	all   []piece
	data  []byte
	other []byte // as large, for what data is compared with; may be nil
	err   error  // of reading it

	// What vectors returned last. They are used again: new ones for each window would
	// take more time than their use.
	bufs    [][]byte
	offsets []int64
}

// piece is a chunk, or a part of one that is larger than a window, as far as it
// lies on the origin.
type piece struct {
	format.Exception
	state
	skip   format.Bytes // where it begins in its chunk
	length format.Bytes
	at     format.Bytes // where it begins in the window
}

// state is what is to be done with a piece.
type state int

const (
	wanted    state = iota // its data is in the window, and is to be written
	shared                 // is to share its room with the COW device; was not read
	identical              // the origin has it already
	failed                 // could not be read
)

func (p piece) of(buf []byte) []byte { return buf[p.at : p.at+p.length] }

type cutter struct {
	*Prospect
	all  []format.Exception // what is left
	skip format.Bytes       // of the first one's chunk
}

func (m *Prospect) lengthOf(x format.Exception) format.Bytes {
	return min(m.geometry.ChunkBytes(), m.size-format.Bytes(x.Old)*m.geometry.ChunkBytes())
}

// source is where a piece stands on the COW device, target on the origin.
func (m *Prospect) source(p piece) format.Bytes { return m.geometry.Offset(p.New) + p.skip }
func (m *Prospect) target(p piece) format.Bytes {
	return format.Bytes(p.Old)*m.geometry.ChunkBytes() + p.skip
}

// fill cuts the next pieces for a window, and reports whether there were any.
func (c *cutter) fill(w *window) bool {
	w.all = w.all[:0]
	at, size := format.Bytes(0), format.Bytes(len(w.data))
	for len(c.all) > 0 {
		x := c.all[0]
		length := min(c.lengthOf(x)-c.skip, size)
		if at+length > size {
			break
		}
		w.all = append(w.all, piece{Exception: x, skip: c.skip, length: length, at: at})
		at += length
		if c.skip += length; c.skip == c.lengthOf(x) {
			c.all, c.skip = c.all[1:], 0
		}
	}
	return len(w.all) > 0
}

// sort brings pieces into the order of the origin. None of them is a part of a chunk.
func (w *window) sort() {
	slices.SortFunc(w.all, func(a, b piece) int { return cmp.Compare(a.Old, b.Old) })
	at := format.Bytes(0)
	for i := range w.all {
		w.all[i].at = at
		at += w.all[i].length
	}
}

// runs calls use for the pieces in a state, those together that follow each other in
// the window and by all of the given offsets, until it returns an error.
func (w *window) runs(s state, use func(first piece, length format.Bytes) error, offsets ...func(piece) format.Bytes) error {
	for i := 0; i < len(w.all); {
		first := w.all[i]
		length := first.length
		for i++; i < len(w.all) && first.state == s; i++ {
			p := w.all[i]
			follows := p.state == s && p.at == first.at+length
			for _, offset := range offsets {
				follows = follows && offset(p) == offset(first)+length
			}
			if !follows {
				break
			}
			length += p.length
		}
		if first.state != s {
			continue
		}
		if err := use(first, length); err != nil {
			return err
		}
	}
	return nil
}

// vectors are the wanted pieces' parts of buf with their offsets on a device, joined
// where they follow each other. They are good until the next call.
func (w *window) vectors(buf []byte, offset func(piece) format.Bytes) (bufs [][]byte, offsets []int64) {
	w.bufs, w.offsets = w.bufs[:0], w.offsets[:0]
	_ = w.runs(wanted, func(first piece, length format.Bytes) error {
		w.bufs = append(w.bufs, buf[first.at:first.at+length])
		w.offsets = append(w.offsets, int64(offset(first)))
		return nil
	}, offset)
	return w.bufs, w.offsets
}
