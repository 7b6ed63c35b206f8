package inuse

import (
	"cmp"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Span is a part of a block device or a file, in bytes.
type Span struct {
	On         Place
	Start, End int64
}

// all is the span of the whole of a place, whatever its size.
func (p Place) all() Span { return Span{p, 0, math.MaxInt64} }

// meet reports whether some of the spans of one list share bytes with some of the
// other.
func meet(a, b []Span) bool {
	a, b = inOrder(a), inOrder(b)
	for len(a) > 0 && len(b) > 0 {
		switch first, second := a[0], b[0]; {
		case first.On.is(second.On) && first.Start < second.End && second.Start < first.End:
			return true
		case cmp.Or(first.On.compare(second.On), cmp.Compare(first.End, second.End)) < 0: // it ends first
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}

// inOrder are the spans of each place by where they begin, joined where they touch.
func inOrder(all []Span) (joined []Span) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(x, y Span) int {
		return cmp.Or(x.On.compare(y.On), cmp.Compare(x.Start, y.Start))
	})
	for _, s := range all {
		if n := len(joined) - 1; n >= 0 && joined[n].On.is(s.On) && s.Start <= joined[n].End {
			joined[n].End = max(joined[n].End, s.End)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// lowest is where the bytes of a span are kept in the end: on files, and on
// block devices of which it is not known how they lie on what is below. The
// devices above are those that led to the span.
func (s Span) lowest(above ...Number) []Span {
	// A device that leads to itself is as low as it gets.
	if s.On.File != nil || slices.Contains(above, s.On.Number) {
		return []Span{s}
	}
	var all []Span
	for _, p := range s.On.Number.pieces() {
		for _, under := range p.under(s) {
			all = append(all, under.lowest(append(above, s.On.Number)...)...)
		}
	}
	return all
}

// Piece is a part of a block device, in bytes, and the stripes that it is kept
// on, which take its chunks in turn. Mostly there is one.
type Piece struct {
	Start, Length int64
	Chunk         int64
	Stripes       []Stripe
}

// Stripe is where a stripe begins, in bytes.
type Stripe struct {
	On    Place
	Start int64
}

func newPiece(start, length int64, on Place, from int64) Piece {
	return Piece{start, length, length, []Stripe{{On: on, Start: from}}}
}

// under is where the bytes are kept that a span of the piece's device has in the
// piece.
func (p Piece) under(s Span) (all []Span) {
	start, end := max(s.Start-p.Start, 0), min(s.End-p.Start, p.Length)
	if start >= end {
		return nil
	}
	for i, stripe := range p.Stripes {
		u := Span{stripe.On, stripe.Start + p.Share(start, i), stripe.Start + p.Share(end, i)}
		if u.Start < u.End {
			all = append(all, u)
		}
	}
	return all
}

// Share is how many of the piece's first n bytes are on number i of its stripes.
// Whatever n is, these are the stripe's first ones.
func (p Piece) Share(n int64, i int) int64 {
	width := p.Chunk * int64(len(p.Stripes))
	return n/width*p.Chunk + min(max(n%width-p.Chunk*int64(i), 0), p.Chunk)
}

// pieces are what a block device is made of. What is kept in a way that is not known is
// a piece that is kept on the device itself.
func (n Number) pieces() []Piece {
	if s, ok := n.shown(); ok {
		return []Piece{newPiece(0, s.End-s.Start, s.On, s.Start)}
	}
	var all []Piece
	for _, r := range n.table() {
		p, ok := r.piece()
		if !ok {
			p = newPiece(r.start, r.length, Place{Number: n}, r.start)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		all = []Piece{newPiece(0, math.MaxInt64, Place{Number: n}, 0)}
	}
	return all
}

// piece is where the row's target keeps its part of the device; ok is false
// where that is not known.
func (r row) piece() (p Piece, ok bool) {
	p = Piece{Start: r.start, Length: r.length, Chunk: r.length}
	switch {
	case r.Type == "linear": // DEVICE OFFSET
		p.Stripes, ok = parseStripes(r.Args)
	case r.Type == "striped" && len(r.Args) > 2: // COUNT CHUNK [DEVICE OFFSET]...
		p.Chunk = parseSectors(r.Args[1])
		p.Stripes, ok = parseStripes(r.Args[2:])
	case r.Type == "snapshot-origin" && len(r.Args) > 0: // DEVICE, sector by sector
		p.Stripes, ok = parseStripes([]string{r.Args[0], "0"})
		if ok {
			p.Stripes[0].Start = r.start
		}
	}
	return p, ok && p.Chunk > 0
}

// parseStripes reads pairs of a device's number and an offset in sectors.
func parseStripes(args []string) (all []Stripe, ok bool) {
	for pair := range slices.Chunk(args, 2) {
		number, ok := ParseNumber(pair[0])
		if !ok || len(pair) < 2 {
			return nil, false
		}
		all = append(all, Stripe{On: Place{Number: number}, Start: parseSectors(pair[1])})
	}
	return all, len(all) > 0
}

// shown is what a partition or a loop device shows of what it is on.
func (n Number) shown() (s Span, ok bool) {
	if s, ok = n.partition(); ok {
		return s, true
	}
	return n.loop()
}

// partition is what a partition shows of its disk.
func (n Number) partition() (s Span, ok bool) {
	dir, err := filepath.EvalSymlinks(n.sysfs(""))
	if err != nil || readLine(filepath.Join(dir, "partition")) == "" {
		return s, false // without sysfs, nothing is known
	}
	s.On.Number, ok = ParseNumber(readLine(filepath.Join(dir, "../dev")))
	s.Start = parseSectors(readLine(filepath.Join(dir, "start")))
	s.End = s.Start + parseSectors(readLine(filepath.Join(dir, "size")))
	return s, ok
}

// loop is what a loop device shows of a file or of a block device.
func (n Number) loop() (s Span, ok bool) {
	content, err := os.ReadFile(n.sysfs("loop/backing_file"))
	if err != nil {
		return s, false
	}
	info, err := os.Stat(strings.TrimSuffix(string(content), "\n"))
	if err != nil {
		return s, false // its name is gone
	}
	s = Place{File: info}.all()
	if !info.Mode().IsRegular() {
		s = Place{Number: NumberOf(info)}.all()
	}
	s.Start, _ = strconv.ParseInt(readLine(n.sysfs("loop/offset")), 10, 64)
	if size, _ := strconv.ParseInt(readLine(n.sysfs("loop/sizelimit")), 10, 64); size > 0 {
		s.End = s.Start + size
	}
	return s, true
}

// parseSectors is a number of sectors in bytes, 0 where it is none.
func parseSectors(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n * sectorSize
}
