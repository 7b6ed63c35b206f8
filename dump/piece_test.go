package dump

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"dmcow/format"
)

var formats = []Format{Human, CSV, JSON}

// slowRows is what appendPiece is to append, a row at a time.
func slowRows(l *layout, p format.Piece, sel *Selection) []byte {
	var rows []byte
	for i := range p.Len() {
		x := p.At(i)
		if sel.takesArea(p.Area) && sel.takes(x) {
			place := format.Place{Area: p.Area, Index: p.Index + i}
			rows = l.appendRow(rows, &entry{Place: place, Exception: x, kind: kindOf(p)})
		}
	}
	return rows
}

func checkPiece(t *testing.T, f Format, sel Selection, p format.Piece) {
	t.Helper()
	l := newLayout(f, sel)
	want := append([]byte("before"), slowRows(l, p, &sel)...)
	got := l.appendPiece([]byte("before"), p, &sel)
	if !bytes.Equal(got, want) {
		t.Fatalf("%s, %+v, area %d from index %d:\n%q\nwant\n%q", f, sel, p.Area, p.Index, got, want)
	}
	if bytes.IndexByte(got, 0) >= 0 {
		t.Fatalf("%s: a row has a zero byte", f)
	}
}

// selections are the ways to choose among rows that appendPiece knows.
func selections(area format.AreaIndex) []Selection {
	other := area + 1
	return []Selection{
		{},
		{Hidden: true},
		{Area: &area},
		{Area: &other},
		{Old: &Range{0, 1 << 40}},
		{New: &Range{5, 1<<64 - 2}},
		{Area: &area, Old: &Range{9, 1e9}, New: &Range{2, 1e17}, Hidden: true},
	}
}

// piece holds the given new and old chunks.
func piece(place format.Place, hidden bool, numbers []uint64) format.Piece {
	p := format.Piece{Place: place, Hidden: hidden}
	for i := 0; i+1 < len(numbers); i += 2 {
		x := format.Exception{Old: format.OldChunk(numbers[i]), New: format.NewChunk(numbers[i+1])}
		if !hidden {
			x.New = max(x.New, 1) // no terminator is among the live
		}
		p.Raw = append(p.Raw, make([]byte, format.ExceptionSize)...)
		x.Encode(p.Raw[len(p.Raw)-format.ExceptionSize:])
	}
	return p
}

// TestPiece: fast rows are slow rows, whatever the numbers.
func TestPiece(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	edges := numbers()[:200] // the critical ones, and some of the common
	mixed := make([]uint64, 2*300)
	for i := range mixed {
		mixed[i] = edges[random.IntN(len(edges))]
		if random.IntN(2) == 0 {
			mixed[i] = random.Uint64() >> random.IntN(64)
		}
	}
	for _, place := range []format.Place{
		{}, {Area: 99_999_999, Index: 9}, {Area: 1e8, Index: 67_108_563}, {Area: 1<<64 - 2, Index: 99_990},
	} {
		for _, sel := range selections(place.Area) {
			for _, f := range formats {
				for _, list := range [][]uint64{nil, mixed[:2], mixed[:128], mixed[:130], mixed, edges} {
					checkPiece(t, f, sel, piece(place, false, list))
					if sel.Hidden {
						checkPiece(t, f, sel, piece(place, true, list))
					}
				}
			}
		}
	}
}

func FuzzPiece(f *testing.F) {
	f.Add([]byte("0123456789abcdef\x01\x00\x00\x00\x00\x00\x00\x00"), uint64(3), uint32(2), uint8(0), uint8(1))
	f.Add(bytes.Repeat([]byte{0xff, 0xe0, 0xf5, 0x05, 0, 0, 0, 0}, 10), uint64(1e8), uint32(99), uint8(1), uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, area uint64, index uint32, which, choice uint8) {
		var list []uint64
		for ; len(raw) >= 8; raw = raw[8:] {
			list = append(list, binary.LittleEndian.Uint64(raw))
		}
		all := selections(format.AreaIndex(area))
		sel := all[int(choice)%len(all)]
		place := format.Place{Area: format.AreaIndex(area), Index: int(index % (1 << 26))} // areas hold no more
		checkPiece(t, formats[int(which)%len(formats)], sel, piece(place, sel.Hidden && which > 100, list))
	})
}

// TestRow has one row of each kind in full.
func TestRow(t *testing.T) {
	e := entry{Place: format.Place{Area: 1, Index: 22}, Exception: format.Exception{Old: 333, New: 4444}, chunks: 5, kind: hidden}
	for _, c := range []struct {
		format Format
		sel    Selection
		want   string
	}{
		{CSV, Selection{}, "1,22,333,4444\n"}, // a piece that is hidden has rows only where they are asked for
		{CSV, Selection{Hidden: true}, "1,22,333,4444,hidden\n"},
		{CSV, Selection{Hidden: true, Ranges: true}, "1,22,333,4444,5,hidden\n"},
		{JSON, Selection{Hidden: true}, ",\n  {\"area\": 1, \"index\": 22, \"old_chunk\": 333, \"new_chunk\": 4444, \"state\": \"hidden\"}"},
		{CSV, Selection{Stale: true}, "1,22,333,4444,hidden,\n"},
		{JSON, Selection{Stale: true}, ",\n  {\"area\": 1, \"index\": 22, \"old_chunk\": 333, \"new_chunk\": 4444, \"state\": \"hidden\", \"grade\": null}"},
		{Human, Selection{Hidden: true}, "       1        22             333            4444  hidden\n"},
	} {
		if got := string(newLayout(c.format, c.sel).appendRow(nil, &e)); got != c.want {
			t.Errorf("%s, %+v: %q, want %q", c.format, c.sel, got, c.want)
		}
	}
}
