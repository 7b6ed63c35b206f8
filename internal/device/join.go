package device

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
)

// Part is a stretch of a device to be joined, of Length bytes. Its chunks of Chunk bytes
// are on the stripes in turn; where there is one stripe, Chunk is not looked at.
type Part struct {
	Length, Chunk int64
	Stripes       []Stripe
}

// Stripe is where a stripe begins: at a byte of a device, which is not joined itself. A
// device that there is not is nil, and Gone says why: all of its bytes are unreadable,
// and writing there is refused.
type Stripe struct {
	On    *Device
	Start int64
	Gone  error
}

// Join makes one device of parts of others, in order; name is its path. It is open as
// long as they are, and is not locked before [Device.Lock]. The error is that of a part that is not on its device.
//
// Its transfers do not wait for theirs, nor for those of what else is joined from them.
func Join(name string, parts []Part) (*Device, error) {
	d := &Device{path: name, joined: true}
	own := map[*medium]*medium{}
	for _, part := range parts {
		p := piece{start: d.size, length: part.Length, chunk: part.Chunk}
		if len(part.Stripes) == 1 {
			p.chunk = p.length
		}
		if p.length <= 0 || p.chunk <= 0 || len(part.Stripes) == 0 || p.length > math.MaxInt64-d.size {
			return nil, fmt.Errorf("%d bytes in chunks of %d on %d stripes cannot be joined", p.length, p.chunk, len(part.Stripes))
		}
		for i, s := range part.Stripes {
			joined, err := s.join(p.share(p.length, i, len(part.Stripes)))
			if err != nil {
				return nil, err
			}
			if own[joined.medium] == nil {
				m := *joined.medium
				m.aio = newAIO()
				own[joined.medium] = &m
			}
			joined.medium = own[joined.medium]
			p.stripes = append(p.stripes, joined)
		}
		d.pieces = append(d.pieces, p)
		d.size += p.length
	}
	if len(d.pieces) == 1 && len(d.pieces[0].stripes) == 1 {
		s := d.pieces[0].stripes[0]
		d.medium, d.base = s.medium, s.start
	}
	d.findLargest()
	return d, nil
}

// join is the stripe's place on its medium, which must have length bytes there.
func (s Stripe) join(length int64) (stripe, error) {
	if s.On == nil {
		m := &medium{block: SectorSize, gone: s.Gone, aio: newAIO()}
		return stripe{medium: m, start: s.Start}, nil
	}
	if err := s.On.within(s.Start, length); err != nil {
		return stripe{}, fmt.Errorf("%s: %w", s.On.path, err)
	}
	return stripe{on: s.On.is, medium: s.On.medium, start: s.On.base + s.Start}, nil
}

// JoinWritable is [Join] for devices that were opened for writing, as all parts must be. It
// keeps others off the parts, until it is closed; where somebody has some of them already, the
// error is a [*BusyError].
func JoinWritable(name string, parts []Part) (*Writable, error) {
	d, err := Join(name, parts)
	if err != nil {
		return nil, err
	}
	for m := range d.media() {
		if m.gone != nil {
			return nil, m.gone
		}
		if m.order == nil {
			return nil, errors.New("is joined from a device that is open for reading only")
		}
	}
	w := &Writable{Device: *d, section: true}
	if err = w.wholeParts(); err == nil {
		err = w.lock(true)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// wholeParts is why parts of the device cannot be written: they do not begin and end with
// blocks.
func (w *Writable) wholeParts() error {
	block := w.LogicalBlockSize()
	for _, p := range w.pieces {
		whole := p.start%block == 0 && p.length%block == 0 && (len(p.stripes) == 1 || p.chunk%block == 0)
		for _, s := range p.stripes {
			whole = whole && s.start%s.medium.block == 0
		}
		if !whole {
			return fmt.Errorf("bytes %d to %d of it are not whole blocks of %d bytes", p.start, p.start+p.length, block)
		}
	}
	return nil
}

// media are what the device is on, each once.
func (d *Device) media() iter.Seq[*medium] {
	return func(yield func(*medium) bool) {
		if d.medium != nil {
			yield(d.medium)
			return
		}
		var seen []*medium
		for _, p := range d.pieces {
			for _, s := range p.stripes {
				if slices.Contains(seen, s.medium) {
					continue
				}
				if seen = append(seen, s.medium); !yield(s.medium) {
					return
				}
			}
		}
	}
}

// any reports whether one of the media is such.
func (d *Device) any(such func(*medium) bool) bool {
	for m := range d.media() {
		if such(m) {
			return true
		}
	}
	return false
}

// again is the device with each of its media in place of the one that it has. It owns
// them.
func (d *Device) again(open func(*medium) (*medium, error)) (*Device, error) {
	again, other := *d, map[*medium]*medium{}
	again.owns, again.holds, again.claims = nil, nil, nil
	for m := range d.media() {
		if m.gone != nil {
			other[m] = m
			continue
		}
		o, err := open(m)
		if err != nil {
			again.Close()
			return nil, err
		}
		other[m], again.owns = o, append(again.owns, o)
	}
	again.medium, again.pieces = other[d.medium], nil
	for _, p := range d.pieces {
		p.stripes = slices.Clone(p.stripes)
		for i := range p.stripes {
			p.stripes[i].medium = other[p.stripes[i].medium]
		}
		again.pieces = append(again.pieces, p)
	}
	again.findLargest()
	return &again, nil
}

// A run is a stretch of a device that is one on its medium, too: length bytes from byte
// at on.
type run struct {
	*medium
	at, length int64
}

// run is the first of the runs that length bytes from offset on are.
func (d *Device) run(offset, length int64) run {
	if d.medium != nil {
		return run{d.medium, d.base + offset, length}
	}
	at := d.base + offset
	p := d.pieces[sort.Search(len(d.pieces), func(i int) bool { return at < d.pieces[i].start+d.pieces[i].length })]
	return p.run(at-p.start, length)
}

// runs are those that length bytes from offset on are, in order. They are on the device.
func (d *Device) runs(offset, length int64) iter.Seq[run] {
	return func(yield func(run) bool) {
		for length > 0 {
			r := d.run(offset, length)
			if !yield(r) {
				return
			}
			offset, length = offset+r.length, length-r.length
		}
	}
}

// run is the first of the runs of length bytes from byte n of the piece on.
func (p piece) run(n, length int64) run {
	length = min(length, p.length-n)
	i, at := 0, n
	if len(p.stripes) > 1 {
		chunk := n / p.chunk
		i, at = int(chunk%int64(len(p.stripes))), chunk/int64(len(p.stripes))*p.chunk+n%p.chunk
		length = min(length, p.chunk-n%p.chunk)
	}
	s := p.stripes[i]
	return run{s.medium, s.start + at, length}
}

// share is what one medium has of many transfers.
type share struct {
	p    [][]byte
	at   []int64 // in the medium
	done []int   // bytes that the kernel did
	next int     // the first one that was not asked about yet
}

// transferSplit is [aio.transfer] for a device of several stretches: each medium does its
// share. Of a piece of memory, what is done up to the first run that was not done whole
// counts.
func (d *Device) transferSplit(opcode uint16, p [][]byte, at []int64, done []int) {
	shares := map[*medium]*share{}
	each := func(i int, use func(*share, run)) {
		if d.within(at[i], int64(len(p[i]))) != nil {
			return
		}
		for r := range d.runs(at[i], int64(len(p[i]))) {
			s := shares[r.medium]
			if s == nil {
				s = &share{}
				shares[r.medium] = s
			}
			use(s, r)
		}
	}
	for i := range p {
		left := p[i]
		each(i, func(s *share, r run) {
			s.p, s.at, left = append(s.p, left[:r.length]), append(s.at, r.at), left[r.length:]
		})
	}
	for m, s := range shares {
		s.done = make([]int, len(s.p))
		if m.gone == nil {
			m.aio.transfer(&Device{medium: m, size: math.MaxInt64}, opcode, s.p, s.at, s.done)
		}
	}
	for i := range p {
		whole := true
		each(i, func(s *share, r run) {
			n := s.done[s.next]
			s.next++
			if whole {
				done[i] += n
			}
			whole = whole && int64(n) == r.length
		})
	}
}
