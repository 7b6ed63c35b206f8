package check

import (
	"fmt"

	"dmcow/format"
)

// The kernel gives data chunks out in order, and copies that run in parallel change that by a
// few places. So an exception whose new chunk is far from its neighbours', while just the chunk
// between those is named by nobody, has lost its new chunk. That holds for a list that is in
// order but for such exceptions: what an interrupted or incomplete merge --rescue leaves is not. A
// repair that closed a gap with exceptions from the list's end leaves the same: those have the
// highest chunks of all, without a gap, or when the list went on since, chunks that it passes over there.

var NewChunkOutOfPlace = &Rule{
	Name:     "new-chunk-out-of-place",
	Severity: Error,
	Means:    Meaning{UnlistedCertain: true, Merging: ForcedMerge},
	When:     "a new chunk is far from its neighbours', which leave exactly one data chunk between them, and no exception has that",
	Kernel:   "serves wrong data for it",
	Fate:     Wrong,
	Repair:   "give the exception the chunk between its neighbours'",
	Command:  "repair --rebuild",
	say: func(f Finding) string {
		return fmt.Sprintf("new chunk %d is out of place: its neighbours leave data chunk %d between them, and no exception has that", f.New, f.expected)
	},
}

// mostOutOfPlace is how many are told: where there are more, the list follows another order.
const mostOutOfPlace = 64

// outOfPlace finds new chunks that are out of place. It takes another walk, and only where the
// list is not in order and has leaked chunks.
type outOfPlace struct {
	*scan
	left, middle *named // the exceptions before; nil where there are less
	found        []misplaced
	last         format.NewChunk // of the list
	next         uint64          // rank behind the last one that is in place
}

type misplaced struct {
	Finding
	passed bool // the list passes over its new chunk further on, where it came from
}

// tellOutOfPlace tells of new chunks that are out of place. What hides behind the list's end may
// have the chunk that an exception seems to lack.
func (s *scan) tellOutOfPlace() error {
	if !s.isSound() || s.behind.Count > 0 || !s.isInOrder() || s.list.falls == 0 || s.usage().Given() <= s.list.named || s.list.hits.total() > 0 {
		return nil
	}
	o := outOfPlace{scan: s}
	p := s.newPass(0)
	p.visit = o.visit
	err := s.again(p)
	p.close()
	if err != nil || len(o.found) > mostOutOfPlace || s.list.falls > 2*uint64(len(o.found)) {
		return err
	}
	o.pass(o.last)
	return s.tellAll(o.notMoved())
}

func (o *outOfPlace) visit(at format.Place, x format.Exception) {
	if o.middle != nil && len(o.found) <= mostOutOfPlace {
		before := uint64(0) // data chunks up to the one of the exception before
		if o.left != nil {
			before = o.rank(o.left.New) + 1
		}
		if !o.judge(before, o.middle, o.rank(x.New)) {
			o.pass(o.middle.New)
		}
	}
	o.left, o.middle, o.last = o.middle, &named{at, x}, x.New
}

// pass notes which chunks of exceptions that are out of place lie between those of two that are not.
func (o *outOfPlace) pass(c format.NewChunk) {
	for i := range o.found {
		at := o.rank(o.found[i].New)
		o.found[i].passed = o.found[i].passed || o.next <= at && at < o.rank(c)
	}
	o.next = o.rank(c) + 1
}

// judge judges an exception by its neighbours': there are so many data chunks up to and including
// the one before, and before the one behind. It reports whether it is out of place.
func (o *outOfPlace) judge(before uint64, x *named, behind uint64) bool {
	between := o.geometry.DataChunk(before)
	if behind != before+1 || o.list.news.has(uint64(between)) {
		return false
	}
	if at := o.rank(x.New); at+parallel >= before && at <= before+parallel {
		return false
	}
	found := o.suggestion(x.Place, 1, format.Exception{Old: x.Old, New: between})
	found.Unsure = o.left == nil || o.left.Old+1 != x.Old
	o.found = append(o.found, misplaced{Finding: Finding{
		Rule: NewChunkOutOfPlace, Scope: OfException, Place: x.Place, Exception: x.Exception, expected: between, Suggests: found,
	}})
	return true
}

// notMoved are the findings, without those whose exceptions came from the list's end as it is or was.
func (o *outOfPlace) notMoved() (all []Finding) {
	for _, f := range o.found {
		if !f.passed {
			all = append(all, f.Finding)
		}
	}
	if o.wereMoved(all) {
		return nil
	}
	return all
}

// wereMoved reports whether the exceptions came from the list's end: their new chunks go on where it
// ends now.
func (o *outOfPlace) wereMoved(all []Finding) bool {
	const slack = 4 // chunks of exceptions that were dropped there
	if len(all) == 0 {
		return false
	}
	least, most := all[0].New, all[0].New
	for _, f := range all {
		least, most = min(least, f.New), max(most, f.New)
	}
	return least > o.last && o.rank(most) <= o.rank(o.last)+uint64(len(all))+slack
}
