package dump

import "dmcow/format"

// Range is a range of chunk numbers, both ends included.
type Range struct{ First, Last uint64 }

func (r *Range) takes(n uint64) bool { return r == nil || r.First <= n && n <= r.Last }

// Selection says which exceptions are written, and how. Its parts combine; the
// zero value takes every live exception.
type Selection struct {
	Area   *format.AreaIndex // this area alone
	Old    *Range            // these origin chunks
	New    *Range            // these chunks of the COW device
	Hidden bool              // also what stands behind the terminator; rows say which
	Stale  bool              // also what stands in later areas; rows say how good it is
	Ranges bool              // a row for each run of chunks
}

func (s *Selection) states() bool { return s.Hidden || s.Stale }

func (s *Selection) takesArea(k format.AreaIndex) bool { return s.Area == nil || *s.Area == k }

// takes leaves out empty slots: they stand only behind a terminator.
func (s *Selection) takes(x format.Exception) bool {
	return x.New != 0 && s.Old.takes(uint64(x.Old)) && s.New.takes(uint64(x.New))
}

// everything reports whether s takes every live exception.
func (s *Selection) everything() bool { return s.Old == nil && s.New == nil && !s.Hidden }

// joiner joins exceptions to runs in which old and new chunk advance by one
// from each to the next.
type joiner struct {
	layout *layout
	run    entry // chunks is 0 if there is none yet
}

// appendPiece appends a row for each run that ends in p.
func (j *joiner) appendPiece(dst []byte, p format.Piece, sel *Selection) []byte {
	if !sel.takesArea(p.Area) {
		return dst
	}
	for i := range p.Len() {
		if x := p.At(i); sel.takes(x) {
			dst = j.add(dst, format.Place{Area: p.Area, Index: p.Index + i}, x, kindOf(p))
		}
	}
	return dst
}

// add adds an exception, and appends a row where a run ends before it.
func (j *joiner) add(dst []byte, at format.Place, x format.Exception, k kind) []byte {
	if j.follows(x, k) {
		j.run.chunks++
		return dst
	}
	dst = j.flush(dst)
	j.run = entry{Place: at, Exception: x, chunks: 1, kind: k}
	return dst
}

func (j *joiner) follows(x format.Exception, k kind) bool {
	n := j.run.chunks
	return n > 0 && j.layout.runs && k == j.run.kind && x.Old > j.run.Old && // not behind 2^64-1
		uint64(x.Old) == uint64(j.run.Old)+n && uint64(x.New) == uint64(j.run.New)+n
}

func (j *joiner) flush(dst []byte) []byte {
	if j.run.chunks == 0 {
		return dst
	}
	dst = j.layout.appendRow(dst, &j.run)
	j.run = entry{}
	return dst
}
