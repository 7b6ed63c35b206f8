package repair

import (
	"crypto/sha256"
	"fmt"

	"dmcow/format"
)

// replace replaces exceptions of an old chunk that has another by a copy of the one that
// is kept. They are repeated then, and dropped.
func (p *planner) replace(f *faults) (bool, error) {
	r := replacing{planner: p, first: map[format.OldChunk]format.Exception{}, last: map[format.OldChunk]fault{}}
	for _, x := range f.singles {
		if x.Name == duplicateOld && x.Other != nil {
			r.last[x.Old] = x
		}
	}
	var all []fault
	for _, x := range f.singles {
		last, several := r.last[x.Old]
		if !several || x.Name != duplicateOld && x.Name != repeated || x.Other == nil {
			continue
		}
		all = append(all, x)
		if p.position(x.Place) > p.position(last.Place) {
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
	last  map[format.OldChunk]fault
}

// one decides about an exception of an old chunk that has another before it, or about
// one that repeats another of such a chunk.
func (r *replacing) one(x fault) error {
	if x.Name == repeated && r.Keep == AskWhich {
		return nil // it is dropped, if it can be
	}
	first, seen := r.first[x.Old]
	if !seen {
		var err error
		if first, err = r.at(r.position(*x.Other)); err != nil {
			return err
		}
		r.first[x.Old] = first
	}
	if x.Name == repeated {
		return r.become(r.position(x.Place), r.winner(x, first))
	}
	what := x.Message()
	if r.Keep == AskWhich {
		same, digests := r.compare(first.New, x.New)
		if !same {
			r.undecided(duplicateOld, x.Where(), what+"; "+digests)
			return r.visit(x.Area)
		}
		what += "; the data of the two is the same"
	}
	winner := r.winner(x, first)
	r.mended(duplicateOld, x.Where(), fmt.Sprintf("%s: the one with new chunk %d is kept", what, winner.New))
	r.ours[r.position(x.Place)] = true
	for _, at := range []uint64{r.position(*x.Other), r.position(x.Place)} {
		if err := r.become(at, winner); err != nil {
			return err
		}
	}
	return r.visit(x.Area)
}

// winner is which of the exceptions of a chunk is kept.
func (r *replacing) winner(x fault, first format.Exception) format.Exception {
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
	why := fmt.Sprintf("%s becomes a copy of the one that is kept, old chunk %d, new chunk %d", where(r.place(at)), winner.Old, winner.New)
	return r.put(&r.step, at, winner, why)
}

// compare tells whether the data of two chunks is the same, and says what it is. What
// cannot be read is not the same.
func (p *planner) compare(first, other format.NewChunk) (same bool, digests string) {
	var sums [2][sha256.Size]byte
	for i, c := range []format.NewChunk{first, other} {
		if from, ok := p.copied[c]; ok {
			c = from
		}
		var err error
		if sums[i], err = p.digest(c); err != nil {
			return false, fmt.Sprintf("the data of new chunk %d cannot be read: %v", c, err)
		}
	}
	return sums[0] == sums[1], fmt.Sprintf("the data of new chunk %d has the SHA-256 %x, that of %d %x", first, sums[0], other, sums[1])
}

// digest is the SHA-256 of what a chunk of the device holds.
func (p *planner) digest(c format.NewChunk) ([sha256.Size]byte, error) {
	return digest(p.image.Device, p.geometry, c)
}
