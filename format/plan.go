package format

import "iter"

// batchBytes is how much metadata a batch holds at most, in bytes. With
// maxWindow it bounds what a walk allocates, whatever the chunk size.
const batchBytes = 64 << 10

// layout is where a walk finds its slots. It does not change on the way, so
// that reads under way may use it.
type layout struct {
	geometry Geometry
	size     Bytes
	chunks   uint64 // whole ones on the device
	slots    int    // in an area
	hidden   bool   // Walk.Hidden
}

func newLayout(w Walk) layout {
	return layout{
		geometry: w.Geometry,
		size:     w.Size,
		chunks:   w.Geometry.Chunks(w.Size),
		slots:    w.Geometry.ExceptionsPerArea(),
		hidden:   w.Hidden,
	}
}

// job is a stretch of slots to read: whole areas where they are small, else a
// part of one.
type job struct {
	Place
	count int  // slots
	short bool // the device ends behind them, before their area does
}

// present is the number of area k's slots that are on the device.
func (l layout) present(k AreaIndex) int {
	start := l.geometry.Offset(l.geometry.AreaLocation(k))
	return int(min((l.size-min(start, l.size))/ExceptionSize, Bytes(l.slots)))
}

// spans are the parts of areas that make up a job, as offsets and lengths in
// bytes.
func (l layout) spans(j job) iter.Seq2[int64, int] {
	return func(yield func(int64, int) bool) {
		for at := j.Place; j.count > 0; at = (Place{Area: at.Area + 1}) {
			n := min(j.count, l.slots-at.Index)
			if !yield(int64(l.geometry.SlotOffset(at)), n*ExceptionSize) {
				return
			}
			j.count -= n
		}
	}
}

// batch makes a batch of the slots that were read for j: up to the terminator,
// or with Walk.Hidden to the end of its area.
func (l layout) batch(j job, raw []byte) (b Batch, highest NewChunk) {
	b = Batch{Place: j.Place, slots: l.slots, raw: raw}
	b.live, highest = scan(raw)
	end := b.live
	if l.hidden {
		end += l.slots - b.at(b.live).Index
	}
	b.raw = raw[:min(end*ExceptionSize, len(raw))]
	return b, highest
}

// rest is the job that follows j in area k, to read what the terminator hides
// there, or, where nobody asked for that, only to see that the device does not
// end in the area. ok is false when there is nothing left to read or to see.
func (l layout) rest(j job, k AreaIndex) (next job, ok bool) {
	at := Batch{Place: j.Place, slots: l.slots}.at(j.count)
	there := l.present(k)
	switch {
	case at.Area > k || j.short:
		return job{}, false
	case l.hidden:
		n := min(there-at.Index, batchBytes/ExceptionSize)
		return job{Place: at, count: n, short: there < l.slots && at.Index+n == there}, true
	default:
		return job{Place: Place{Area: k, Index: there}, short: true}, there < l.slots
	}
}

// plan cuts the metadata of a store into jobs, supposing that every area is
// full.
type plan struct {
	layout
	next  Place
	count int // slots in the next job, at most
	ended bool
}

// take is the next job; ok is false when the device has no more.
func (p *plan) take() (j job, ok bool) {
	if p.ended {
		return job{}, false
	}
	j = job{Place: p.next}
	whole := AreaIndex(p.geometry.Areas(p.chunks))
	if p.next.Area >= whole || p.slots > p.count {
		there := p.present(p.next.Area)
		j.count = min(p.count, there-p.next.Index)
		j.short = there < p.slots && j.Index+j.count == there
		p.ended = j.short
	} else {
		left := whole - p.next.Area
		j.count = int(min(AreaIndex(p.count/p.slots), left)) * p.slots
	}
	p.next = Batch{Place: j.Place, slots: p.slots}.at(j.count)
	p.count = min(2*p.count, batchBytes/ExceptionSize)
	return j, true
}

func (p *plan) grown() bool { return p.count == batchBytes/ExceptionSize }
