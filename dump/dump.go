// Package dump writes the header, the exceptions and the usage of a store as
// text for people and for programs. It knows nothing of terminals.
package dump

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"unicode"

	"dmcow/format"
)

// Store is a store to dump.
type Store struct {
	Device string         // its name, for the output
	Header *format.Header // nil for a blank device
	// Walk leads through the exceptions. With a zero Geometry there are none.
	Walk format.Walk
	// Earlier is the geometry of an earlier life of the device, for what is stale of it
	// where there are no exceptions.
	Earlier format.Geometry
	// Verdict is asked, when the walk has ended, for the store's state, in the
	// words of usage, and for what is wrong with it.
	Verdict func(format.End, error) (state string, faults []string)
}

// Exceptions writes the exceptions of a store that sel selects, one a row, as
// it reads them: memory does not grow with their number. Visit is called after
// each stretch of them with the area that it began in; its error ends the dump.
//
// Where the walk fails, what was read before is written all the same, and the
// output is whole in its format; then the walk's error is returned. Other
// errors are those of w and of visit.
func Exceptions(w io.Writer, s Store, f Format, sel Selection, visit func(format.AreaIndex) error) (format.End, error) {
	d := &dumper{out: w, layout: newLayout(f, sel), sel: sel, visit: visit}
	if err := d.open(s, f); err != nil {
		return format.End{}, err
	}
	end, err := d.walk(s)
	if d.broken || f != JSON {
		return end, err
	}
	return end, cmp.Or(d.close(s, end, err), err)
}

type dumper struct {
	out    io.Writer
	layout *layout
	sel    Selection
	visit  func(format.AreaIndex) error
	stale  *stale // nil where it was not asked for
	rows   bool   // some were written
	broken bool   // out does not take any more
}

func (d *dumper) open(s Store, f Format) error {
	if f != JSON {
		return d.write([]byte(d.layout.title))
	}
	header := "null"
	if h := s.Header; h != nil {
		header = fmt.Sprintf(`{"magic": %s, "valid": %d, "version": %d, "chunk_sectors": %d}`,
			quote(magicText(h.Magic)), h.Valid, h.Version, h.ChunkSectors)
	}
	return d.write(fmt.Appendf(nil, "{\"device\": %s, \"size_sectors\": %d,\n \"header\": %s,\n \"exceptions\": [",
		quote(s.Device), s.Walk.Size.Sectors(), header))
}

// magicText is a magic as the four characters that stand on disk, if they are
// letters and digits ("SnAp"), else as a hexadecimal number.
func magicText(magic uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, magic)
	for _, c := range b {
		if c >= 0x80 || !unicode.IsLetter(rune(c)) && !unicode.IsDigit(rune(c)) {
			return fmt.Sprintf("0x%08x", magic)
		}
	}
	return string(b)
}

// close writes what stands behind the rows in JSON.
func (d *dumper) close(s Store, end format.End, err error) error {
	state, faults := s.Verdict(end, err)
	text := fmt.Appendf(nil, "],\n \"state\": %s", quote(state))
	if len(faults) > 0 {
		text = fmt.Appendf(text, ",\n \"faults\": %s", quote(faults))
	}
	if err != nil {
		text = fmt.Appendf(text, ",\n \"error\": %s", quote(err.Error()))
	}
	return d.write(append(text, "}\n"...))
}

// walk writes the rows. Those of a batch are made while others are being read;
// runs go from batch to batch, so they are joined in order.
func (d *dumper) walk(s Store) (format.End, error) {
	w, blank := s.Walk, s.Walk.Geometry.IsZero()
	if blank {
		w.Geometry = s.Earlier
	}
	if d.sel.Stale && !w.Geometry.IsZero() {
		d.stale = newStale(w)
	}
	switch {
	case blank && d.stale != nil:
		return format.End{}, d.walkStale(w, 0)
	case blank:
		return format.End{}, nil
	}
	w.Hidden = d.sel.Hidden
	walk := d.walkRows
	if d.sel.Ranges {
		walk = d.walkRuns
	}
	end, err := walk(w)
	if err != nil || d.stale == nil {
		return end, err
	}
	d.stale.next = end.NextFree
	return end, d.walkStale(w, end.Area+1)
}

func (d *dumper) walkRows(w format.Walk) (format.End, error) {
	prepare := func(buf *[]byte, b format.Batch) {
		*buf = slices.Grow((*buf)[:0], d.layout.room(b.Len()))
		for p := range b.Pieces() {
			*buf = d.layout.appendPiece(*buf, p, &d.sel)
		}
	}
	deliver := func(buf *[]byte, b format.Batch) error {
		if d.stale != nil {
			d.stale.note(b)
		}
		return d.deliver(*buf, b.Area)
	}
	return format.Each(w, prepare, deliver)
}

func (d *dumper) walkRuns(w format.Walk) (format.End, error) {
	j := joiner{layout: d.layout}
	var buf []byte
	end, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
		buf = buf[:0]
		if d.stale != nil {
			d.stale.note(b)
		}
		for p := range b.Pieces() {
			buf = j.appendPiece(buf, p, &d.sel)
		}
		return d.deliver(buf, b.Area)
	})
	return end, d.finish(j.flush(buf[:0]), err)
}

// walkStale writes what earlier lives of the device have left, from an area on.
func (d *dumper) walkStale(w format.Walk, first format.AreaIndex) error {
	last := ^format.AreaIndex(0)
	if d.sel.Area != nil {
		first, last = max(first, *d.sel.Area), *d.sel.Area+1
	}
	j := joiner{layout: d.layout}
	var buf []byte
	err := d.stale.each(w, first, last, func(at format.Place, x format.Exception, k kind) {
		if d.sel.takes(x) {
			buf = j.add(buf, at, x, k)
		}
	}, func(k format.AreaIndex) error {
		rows := buf
		buf = buf[:0]
		return d.deliver(rows, k)
	})
	return d.finish(j.flush(buf), err)
}

// finish writes the last rows of a walk that has ended with err.
func (d *dumper) finish(rows []byte, err error) error {
	if d.broken {
		return err
	}
	return cmp.Or(d.writeRows(rows), err)
}

func (d *dumper) deliver(rows []byte, area format.AreaIndex) error {
	if err := d.writeRows(rows); err != nil {
		return err
	}
	return d.visit(area)
}

// writeRows writes rows. In JSON each starts with the comma that parts it from
// the one before, which the first has none of.
func (d *dumper) writeRows(rows []byte) error {
	if len(rows) == 0 {
		return nil
	}
	if !d.rows {
		d.rows = true
		rows = bytes.TrimPrefix(rows, []byte(","))
	}
	return d.write(rows)
}

func (d *dumper) write(p []byte) error {
	_, err := d.out.Write(p)
	d.broken = err != nil
	return err
}

// quote is v in JSON.
func quote(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers can be encoded
	}
	return b
}
