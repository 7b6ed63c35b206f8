package view

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/store/look"
)

// UncertainError says that it is not certain what the snapshot holds in a chunk.
type UncertainError struct {
	Old    format.OldChunk
	Offset format.Bytes // of the chunk in the snapshot
	Why    string       // which finding leaves the doubt
}

func (e *UncertainError) Error() string {
	return fmt.Sprintf("chunk %d of the snapshot (byte %d) is uncertain: %s", e.Old, e.Offset, e.Why)
}

// doubts are what a check has found that leaves doubt about chunks.
type doubts struct {
	garbage  bitmap.Paged    // areas whose entries are no exceptions
	named    bitmap.Paged    // chunks of the snapshot that a finding names
	shared   bitmap.Paged    // data chunks of these: whoever else has one is uncertain, too
	unlisted string          // why chunks without an exception are uncertain; empty where they are not
	past     *UncertainError // of the first chunk that is, and lies past the snapshot's end
	reasons  map[format.OldChunk]string
}

// mostReasons is of how many chunks the reason is kept.
const mostReasons = 1000

func (d *doubts) hasAny() bool { return d.unlisted != "" || d.named.Count() > 0 }

func (d *doubts) note(v *View, f check.Finding) {
	m := f.Meaning()
	if m.Certain() {
		return
	}
	why := fmt.Sprintf("%s (%s)", f.Told(), f.Name)
	if !m.UnlistedCertain {
		d.unlist(why)
	}
	if f.IsGarbage() {
		d.garbage.Add(uint64(f.Area), 1)
	}
	if m.NamedCertain || f.Scope != check.OfException {
		return
	}
	if uint64(f.Old) < v.chunks() {
		d.doubt(f.Old, why)
	} else if d.past == nil {
		farthest := math.MaxInt64 / v.geometry.ChunkBytes()
		d.past = &UncertainError{Old: f.Old, Offset: format.Bytes(min(uint64(f.Old), uint64(farthest))) * v.geometry.ChunkBytes(), Why: why}
	}
	if look.Plausible(v.geometry, v.onCOW(), f.Exception) {
		d.shared.Add(uint64(f.New), 1)
	}
}

func (d *doubts) doubt(old format.OldChunk, why string) {
	d.named.Add(uint64(old), 1)
	if _, known := d.reasons[old]; !known && len(d.reasons) < mostReasons {
		d.reasons[old] = why
	}
}

// unlist says why chunks without an exception are uncertain. The first reason is told.
func (d *doubts) unlist(why string) {
	if d.unlisted == "" {
		d.unlisted = why
	}
}

// noteSharers makes the chunks uncertain whose exceptions have the data chunk of one that is.
func (d *doubts) noteSharers(b format.Batch) {
	if d.shared.Count() == 0 {
		return
	}
	for at, x := range b.Exceptions() {
		if d.shared.Has(uint64(x.New)) && !d.garbage.Has(uint64(at.Area)) {
			d.doubt(x.Old, fmt.Sprintf("area %d slot %d: another exception also has its data chunk %d", at.Area, at.Index, x.New))
		}
	}
}

// judge is the new chunk by which an exception of an area is read; ok is false for one that
// counts for nothing.
func (v *View) judge(area format.AreaIndex, x format.Exception) (c format.NewChunk, ok bool) {
	if uint64(x.Old) >= v.chunks() || v.doubts.garbage.Has(uint64(area)) || !look.Plausible(v.geometry, v.onCOW(), x) {
		return 0, false
	}
	return x.New, true
}

// checkCertain returns an [*UncertainError] for a chunk that is not certain. listed: it has an exception.
func (v *View) checkCertain(old format.OldChunk, listed bool) error {
	d := &v.doubts
	if v.damagedOK || !d.hasAny() {
		return nil
	}
	e := &UncertainError{Old: old, Offset: format.Bytes(old) * v.geometry.ChunkBytes()}
	switch {
	case d.named.Has(uint64(old)):
		if e.Why = d.reasons[old]; e.Why == "" {
			e.Why = "its exception is damaged, like others"
		}
	case !listed && d.unlisted != "":
		e.Why = "its exception may be lost: " + d.unlisted
	default:
		return nil
	}
	return e
}

// FirstUncertain is the first chunk of the snapshot that is not certain, as an error, or else one
// that an exception has past the snapshot's end: then it may be longer. It is nil
// where all of it is certain, or the view shows what is not all the same.
func (v *View) FirstUncertain() error {
	if v.damagedOK {
		return nil
	}
	for r := range v.uncertain(v.doubts.unlisted != "") {
		old := format.OldChunk(r.Offset / v.geometry.ChunkBytes())
		return v.checkCertain(old, v.isListed(old))
	}
	if v.doubts.past != nil {
		return v.doubts.past
	}
	return nil
}

// Uncertain are the stretches of the snapshot that are not certain, in order: chunks that
// findings name, and where the list is not known to be whole, those without an exception. So it is of a snapshot
// that is marked invalid: what was written to the origin since is not in the list.
func (v *View) Uncertain() iter.Seq[Range] { return v.uncertain(v.doubts.unlisted != "" || v.invalid) }

// uncertain are those that findings name, and where unlisted says so, those without an exception.
func (v *View) uncertain(unlisted bool) iter.Seq[Range] {
	d := &v.doubts
	if !unlisted {
		return stretches(d.named.Runs(), v.geometry.ChunkBytes(), v.size)
	}
	certain := bitmap.Paged{}
	for first, count := range v.listedRuns() {
		for old := first; old < first+count; old++ {
			if !d.named.Has(old) {
				certain.Add(old, 1)
			}
		}
	}
	others := func(yield func(first, count uint64) bool) {
		next := uint64(0)
		for first, count := range certain.Runs() {
			if next < first && !yield(next, first-next) {
				return
			}
			next = first + count
		}
		if next < v.chunks() {
			yield(next, v.chunks()-next)
		}
	}
	return stretches(others, v.geometry.ChunkBytes(), v.size)
}

// listedRuns are runs of chunks that have an exception, in no order.
func (v *View) listedRuns() iter.Seq2[uint64, uint64] {
	if v.table == nil {
		return v.listed.Runs()
	}
	return func(yield func(first, count uint64) bool) {
		for old := range v.table.all() {
			if !yield(uint64(old), 1) {
				return
			}
		}
	}
}

func (v *View) isListed(old format.OldChunk) bool {
	if v.table == nil {
		return v.listed.Has(uint64(old))
	}
	return v.table.get(old) != 0
}

// errListOnly is the error of reading a view that has nothing but its list.
var errListOnly = errors.New("the view is open for its list of exceptions alone")
