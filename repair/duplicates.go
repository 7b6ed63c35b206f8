package repair

import (
	"crypto/sha256"
	"fmt"

	"dmcow/check"
	"dmcow/format"
)

// replace replaces exceptions of an old chunk that has another by a copy of the one that
// is kept. They are repeated then, and dropped.
func (p *planner) replace(f *findings) (bool, error) {
	r := replacing{planner: p, first: map[format.OldChunk]format.Exception{}, last: map[format.OldChunk]check.Finding{}}
	for _, x := range f.singles {
		if x.Rule == check.DuplicateOldChunk && x.Other != nil {
			r.last[x.Old] = x
		}
	}
	var all []check.Finding
	for _, x := range f.singles {
		last, several := r.last[x.Old]
		if !several || x.Rule != check.DuplicateOldChunk && x.Rule != check.RepeatedException || x.Other == nil {
			continue
		}
		all = append(all, x)
		if p.geometry.Position(x.Place) > p.geometry.Position(last.Place) {
			r.last[x.Old] = x
		}
	}
	for _, x := range all {
		if err := r.one(x); err != nil {
			return false, err
		}
	}
	p.then(r.step)
	return len(r.step.Edits) > 0, nil
}

// replacing decides between exceptions of the same old chunk.
type replacing struct {
	*planner
	step  Step
	first map[format.OldChunk]format.Exception // as it was found
	last  map[format.OldChunk]check.Finding
}

// one decides about an exception of an old chunk that has another before it, or about
// one that repeats another of such a chunk.
func (r *replacing) one(x check.Finding) error {
	if x.Rule == check.RepeatedException && r.Keep == AskWhich {
		return nil // it is dropped, if it can be
	}
	first, seen := r.first[x.Old]
	if !seen {
		var err error
		if first, err = r.at(r.geometry.Position(*x.Other)); err != nil {
			return err
		}
		r.first[x.Old] = first
	}
	if x.Rule == check.RepeatedException {
		return r.become(r.geometry.Position(x.Place), r.winner(x, first))
	}
	if r.Keep == AskWhich {
		r.undecided(&x, x.Message()+"; "+r.compare(first.New, x.New))
		return r.Visit(x.Area)
	}
	winner := r.winner(x, first)
	r.lost(check.DuplicateOldChunk, x.Where(), fmt.Sprintf("%s: keep the one with new chunk %d", x.Message(), winner.New), 1)
	r.ours[r.geometry.Position(x.Place)] = true
	for _, at := range []uint64{r.geometry.Position(*x.Other), r.geometry.Position(x.Place)} {
		if err := r.become(at, winner); err != nil {
			return err
		}
	}
	return r.Visit(x.Area)
}

func (r *replacing) winner(x check.Finding, first format.Exception) format.Exception {
	if r.Keep == KeepLast {
		return r.last[x.Old].Exception
	}
	return first
}

// become has the exception at a position be a copy of the one that is kept.
func (r *replacing) become(at uint64, winner format.Exception) error {
	now, err := r.at(at)
	if err != nil || now == winner {
		return err
	}
	why := fmt.Sprintf("copy the exception that is kept, %d -> %d, to %s", winner.Old, winner.New, where(r.geometry.PlaceAt(at)))
	return r.put(&r.step, at, winner, why)
}

// compare says what the data of two chunks is. That it is the same decides nothing: one of the
// two exceptions may have been of another chunk.
func (p *planner) compare(first, other format.NewChunk) (digests string) {
	var sums [2][sha256.Size]byte
	for i, c := range []format.NewChunk{first, other} {
		if from, ok := p.copied[c]; ok {
			c = from
		}
		var err error
		if sums[i], err = digest(p.image.Device, p.geometry, c); err != nil {
			return fmt.Sprintf("the data of new chunk %d cannot be read: %v", c, err)
		}
	}
	if sums[0] == sums[1] {
		return fmt.Sprintf("both have the same data, SHA-256 %x", sums[0])
	}
	return fmt.Sprintf("SHA-256 of new chunk %d: %x; of new chunk %d: %x", first, sums[0], other, sums[1])
}
