package repair

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
)

func (p *planner) unshare(f *findings) (bool, error) {
	changed := false
	for _, x := range f.singles {
		if x.Rule != check.DuplicateNewChunk {
			continue
		}
		if !p.Unshare {
			p.undecided(&x, x.Message())
			continue
		}
		if f.has(check.RepeatedException) != nil { // it may be this one, which would then be another
			p.waits(x, check.DuplicateOldChunk)
			continue
		}
		to, ok, err := p.freeChunk()
		if err != nil {
			return false, err
		}
		if !ok {
			advice := fmt.Sprintf("no free chunk for a copy: grow the device by %d sectors for each", p.geometry.ChunkSectors())
			p.ask(&x, x.Message(), advice)
			continue
		}
		c := Copy{From: x.New, To: to, Why: fmt.Sprintf("own copy of the data of %s", x.Where())}
		if c.from, err = digest(p.image.Device, p.geometry, c.From); err == nil {
			c.to, err = digest(p.image.Device, p.geometry, to)
		}
		if err != nil {
			p.free = to // for another one
			p.ask(&x, fmt.Sprintf("%s; cannot copy it: %v", x.Message(), err), advice[x.Rule])
			continue
		}
		// One step each: cut off, the next chunk behind all that are named is the next
		// that is wanted, and a device with just enough room has enough for the rest.
		changed = true
		s := Step{Copies: []Copy{c}}
		p.copied[to] = x.New
		if err := p.put(&s, p.geometry.Position(x.Place), format.Exception{Old: x.Old, New: to}, x.Where()+" gets the copy"); err != nil {
			return false, err
		}
		p.then(s)
		p.lost(check.DuplicateNewChunk, x.Where(), fmt.Sprintf("%s: copy its data to chunk %d", x.Message(), to), 1)
	}
	return changed, nil
}

// largestNew is the largest chunk number of the COW device that the kernel knows: it sees
// the lower 56 bits.
const largestNew = 1<<56 - 1

// freeChunk gives out a chunk behind all that the list names; ok is false where there
// is none.
func (p *planner) freeChunk() (c format.NewChunk, ok bool, err error) {
	if p.free == 0 {
		p.free = format.FirstData
		d := p.image.current()
		w := format.Walk{Device: d, Size: format.Bytes(d.Size()), Geometry: p.geometry}
		_, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
			for _, x := range b.Exceptions() {
				if n := x.New & largestNew; uint64(n) < p.chunks() {
					p.free = max(p.free, n+1)
				}
			}
			return p.Visit(b.Area)
		})
		if err != nil && !errors.Is(err, format.ErrBeyondDevice) {
			return 0, false, err
		}
	}
	p.free = p.geometry.SkipMetadata(p.free)
	if uint64(p.free) >= p.chunks() {
		return 0, false, nil
	}
	c = p.free
	p.free++
	return c, true, nil
}
