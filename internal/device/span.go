package device

import (
	"cmp"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// span is a part of a block device or a file, in bytes.
type span struct {
	on         place
	start, end int64
}

// all is the span of the whole of a place, whatever its size.
func (p place) all() span { return span{p, 0, math.MaxInt64} }

// meet reports whether some of the spans of one list share bytes with some of the
// other.
func meet(a, b []span) bool {
	a, b = inOrder(a), inOrder(b)
	for len(a) > 0 && len(b) > 0 {
		switch first, second := a[0], b[0]; {
		case first.on.is(second.on) && first.start < second.end && second.start < first.end:
			return true
		case compareEnds(first, second) < 0:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}

// inOrder are the spans of each place by where they begin, joined where they touch.
func inOrder(all []span) (joined []span) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(x, y span) int {
		return cmp.Or(x.on.compare(y.on), cmp.Compare(x.start, y.start))
	})
	for _, s := range all {
		if n := len(joined) - 1; n >= 0 && joined[n].on.is(s.on) && s.start <= joined[n].end {
			joined[n].end = max(joined[n].end, s.end)
			continue
		}
		joined = append(joined, s)
	}
	return joined
}

// compareEnds tells which of two spans ends first, in the order of places.
func compareEnds(x, y span) int { return cmp.Or(x.on.compare(y.on), cmp.Compare(x.end, y.end)) }

// lowest is where the bytes of a span are kept in the end: on files, and on
// block devices of which it is not known how they lie on what is below. The
// devices above are those that led to the span.
func (s span) lowest(above ...Number) []span {
	// A device that leads to itself is as low as it gets.
	if s.on.file != nil || slices.Contains(above, s.on.number) {
		return []span{s}
	}
	var all []span
	for _, p := range s.on.number.pieces() {
		for _, under := range p.under(s) {
			all = append(all, under.lowest(append(above, s.on.number)...)...)
		}
	}
	return all
}

// piece is a part of a block device, in bytes, and the stripes that it is kept
// on, which take its chunks in turn. Mostly there is one.
type piece struct {
	start, length int64
	chunk         int64
	stripes       []stripe
}

// stripe is where a stripe begins, in bytes.
type stripe struct {
	on     place
	start  int64
	medium *medium // nil where that is only known by its number
}

// newPiece is a piece that is kept in one stretch.
func newPiece(start, length int64, on place, from int64) piece {
	return piece{start, length, length, []stripe{{on: on, start: from}}}
}

// under is where the bytes are kept that a span of the piece's device has in the
// piece.
func (p piece) under(s span) (all []span) {
	start, end := max(s.start-p.start, 0), min(s.end-p.start, p.length)
	if start >= end {
		return nil
	}
	for i, stripe := range p.stripes {
		u := span{stripe.on, stripe.start + p.share(start, i, len(p.stripes)), stripe.start + p.share(end, i, len(p.stripes))}
		if u.start < u.end {
			all = append(all, u)
		}
	}
	return all
}

// share is how many of the piece's first n bytes are on number i of its stripes.
// Whatever n is, these are the stripe's first ones.
func (p piece) share(n int64, i, stripes int) int64 {
	width := p.chunk * int64(stripes)
	return n/width*p.chunk + min(max(n%width-p.chunk*int64(i), 0), p.chunk)
}

// pieces are those of a block device. What is kept in a way that is not known is
// a piece that is kept on the device itself.
func (n Number) pieces() []piece {
	if s, ok := n.shown(); ok {
		return []piece{newPiece(0, s.end-s.start, s.on, s.start)}
	}
	var all []piece
	for _, r := range n.table() {
		p, ok := r.piece()
		if !ok {
			p = newPiece(r.start, r.length, place{number: n}, r.start)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		all = []piece{newPiece(0, math.MaxInt64, place{number: n}, 0)}
	}
	return all
}

// piece is where the row's target keeps its part of the device; ok is false
// where that is not known.
func (r row) piece() (p piece, ok bool) {
	p = piece{start: r.start, length: r.length, chunk: r.length}
	switch {
	case r.Type == "linear": // DEVICE OFFSET
		p.stripes, ok = parseStripes(r.Args)
	case r.Type == "striped" && len(r.Args) > 2: // COUNT CHUNK [DEVICE OFFSET]...
		p.chunk = parseSectors(r.Args[1])
		p.stripes, ok = parseStripes(r.Args[2:])
	case r.Type == "snapshot-origin" && len(r.Args) > 0: // DEVICE, sector by sector
		p.stripes, ok = parseStripes([]string{r.Args[0], "0"})
		if ok {
			p.stripes[0].start = r.start
		}
	}
	return p, ok && p.chunk > 0
}

// parseStripes reads pairs of a device's number and an offset in sectors.
func parseStripes(args []string) (all []stripe, ok bool) {
	for pair := range slices.Chunk(args, 2) {
		number, ok := ParseNumber(pair[0])
		if !ok || len(pair) < 2 {
			return nil, false
		}
		all = append(all, stripe{on: place{number: number}, start: parseSectors(pair[1])})
	}
	return all, len(all) > 0
}

// shown is what a partition or a loop device shows of what it is on.
func (n Number) shown() (s span, ok bool) {
	if s, ok = n.partition(); ok {
		return s, true
	}
	return n.loop()
}

// partition is what a partition shows of its disk.
func (n Number) partition() (s span, ok bool) {
	dir, err := filepath.EvalSymlinks(n.sysfs(""))
	if err != nil || readLine(filepath.Join(dir, "partition")) == "" {
		return s, false // without sysfs, nothing is known
	}
	s.on.number, ok = ParseNumber(readLine(filepath.Join(dir, "../dev")))
	s.start = parseSectors(readLine(filepath.Join(dir, "start")))
	s.end = s.start + parseSectors(readLine(filepath.Join(dir, "size")))
	return s, ok
}

// loop is what a loop device shows of a file or of a block device.
func (n Number) loop() (s span, ok bool) {
	content, err := os.ReadFile(n.sysfs("loop/backing_file"))
	if err != nil {
		return s, false
	}
	info, err := os.Stat(strings.TrimSuffix(string(content), "\n"))
	if err != nil {
		return s, false // its name is gone
	}
	s = place{file: info}.all()
	if !info.Mode().IsRegular() {
		s = place{number: numberOf(info)}.all()
	}
	s.start, _ = strconv.ParseInt(readLine(n.sysfs("loop/offset")), 10, 64)
	if size, _ := strconv.ParseInt(readLine(n.sysfs("loop/sizelimit")), 10, 64); size > 0 {
		s.end = s.start + size
	}
	return s, true
}

// parseSectors is a number of sectors in bytes, 0 where it is none.
func parseSectors(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n * SectorSize
}
