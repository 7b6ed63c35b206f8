package device

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sort"
	"sync"

	"dmcow/internal/inuse"
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
	// Copies are stripes that hold the same: what is written here is written to all of them, and what cannot be
	// read here is read from the first of them where it can be, unless they are Stale: then they may hold
	// something else, and are only written.
	Copies []Stripe
	Stale  bool
}

// A stretch is a piece of a joined device, with the media that its stripes are on.
type stretch struct {
	inuse.Piece
	media  []*medium
	copies [][]place // of each stripe; nil where no stripe has any
	stale  []bool    // which of these are not read; nil where all are
}

// A place is a byte of a medium.
type place struct {
	*medium
	start int64
}

// Join makes one device of parts of others, in order; name is its path. It is open as
// long as they are, and is not locked before [Device.Lock]. It is an error if a part is not on its device.
//
// Its transfers wait neither for theirs nor for the transfers of what else is joined from them.
func Join(name string, parts []Part) (*Device, error) {
	d := &Device{path: name, joined: true}
	own := map[*medium]*medium{}
	for _, part := range parts {
		p := stretch{Piece: inuse.Piece{Start: d.size, Length: part.Length, Chunk: part.Chunk}}
		if len(part.Stripes) == 1 {
			p.Chunk = p.Length
		}
		if p.Length <= 0 || p.Chunk <= 0 || len(part.Stripes) == 0 || p.Length > math.MaxInt64-d.size {
			return nil, fmt.Errorf("%d bytes in chunks of %d on %d stripes cannot be joined", p.Length, p.Chunk, len(part.Stripes))
		}
		if err := p.take(part.Stripes, own); err != nil {
			return nil, err
		}
		d.pieces = append(d.pieces, p)
		d.size += p.Length
	}
	if p := d.pieces; len(p) == 1 && len(p[0].Stripes) == 1 && p[0].copies == nil {
		d.medium, d.base = p[0].media[0], p[0].Stripes[0].Start
	}
	d.findLargest()
	return d, nil
}

// take takes in the stripes, with a medium of the stretch's device's own for each of theirs.
func (p *stretch) take(stripes []Stripe, own map[*medium]*medium) error {
	join := func(s Stripe, i int) (inuse.Stripe, *medium, error) {
		on, m, err := s.join(p.Share(p.Length, i))
		if err == nil && own[m] == nil {
			again := *m
			again.aio = newAIO()
			own[m] = &again
		}
		return on, own[m], err
	}
	p.Stripes = make([]inuse.Stripe, len(stripes))
	for i, s := range stripes {
		on, m, err := join(s, i)
		if err != nil {
			return err
		}
		p.Stripes[i], p.media = on, append(p.media, m)
		for _, c := range s.Copies {
			on, m, err := join(c, i)
			if err != nil {
				return err
			}
			if p.copies == nil {
				p.copies = make([][]place, len(stripes))
			}
			p.copies[i] = append(p.copies[i], place{m, on.Start})
		}
		if s.Stale {
			if p.stale == nil {
				p.stale = make([]bool, len(stripes))
			}
			p.stale[i] = true
		}
	}
	return nil
}

// join is where the stripe is, on which medium, which must have length bytes there.
func (s Stripe) join(length int64) (inuse.Stripe, *medium, error) {
	if s.On == nil {
		return inuse.Stripe{Start: s.Start}, &medium{block: SectorSize, gone: s.Gone, aio: newAIO()}, nil
	}
	if err := s.On.checkWithin(s.Start, length); err != nil {
		return inuse.Stripe{}, nil, fmt.Errorf("%s: %w", s.On.path, err)
	}
	return inuse.Stripe{On: s.On.is, Start: s.On.base + s.Start}, s.On.medium, nil
}

// JoinWritable is [Join] for devices that were opened for writing, as all parts must be. It
// keeps others off the parts, until it is closed; where somebody has some of them already, the
// error is a [*inuse.BusyError].
func JoinWritable(name string, parts []Part) (*Writable, error) {
	d, err := Join(name, parts)
	if err != nil {
		return nil, err
	}
	for m := range d.media() {
		if err := m.checkJoined(); err != nil {
			return nil, err
		}
	}
	w := &Writable{Device: *d, section: true}
	if err = w.checkParts(); err == nil {
		err = w.lock(true)
	}
	if err != nil {
		return nil, err
	}
	return w, nil
}

// checkJoined is the error of a medium that cannot be written through what is joined from it.
func (m *medium) checkJoined() error {
	switch within := m.within(); {
	case within != nil:
		for inner := range within.media() {
			if err := inner.checkJoined(); err != nil {
				return err
			}
		}
		return nil
	case m.content != nil:
		return errors.New("is not kept as it is read, and cannot be written")
	case m.gone != nil:
		return m.gone
	case m.order == nil:
		return errors.New("is joined from a device that is open for reading only")
	}
	return nil
}

// checkParts wants the parts to begin and end with blocks: others cannot be written.
func (w *Writable) checkParts() error {
	block := w.LogicalBlockSize()
	for _, p := range w.pieces {
		whole := p.Start%block == 0 && p.Length%block == 0 && (len(p.Stripes) == 1 || p.Chunk%block == 0)
		for m, on := range p.all() {
			whole = whole && on.Start%m.block == 0
		}
		if !whole {
			return fmt.Errorf("bytes %d to %d of it are not whole blocks of %d bytes", p.Start, p.Start+p.Length, block)
		}
	}
	return nil
}

// media are what the device is on, each once. What is computed is one.
func (d *Device) media() iter.Seq[*medium] {
	return func(yield func(*medium) bool) {
		if d.medium != nil {
			yield(d.medium)
			return
		}
		seen := map[*medium]bool{}
		for _, p := range d.pieces {
			for m := range p.all() {
				if seen[m] {
					continue
				}
				if seen[m] = true; !yield(m) {
					return
				}
			}
		}
	}
}

// all are the media of the stretch, and where its stripes begin on them.
func (p *stretch) all() iter.Seq2[*medium, inuse.Span] {
	return func(yield func(*medium, inuse.Span) bool) {
		for i, m := range p.media {
			length := p.Share(p.Length, i)
			if !yield(m, inuse.Span{On: m.is, Start: p.Stripes[i].Start, End: p.Stripes[i].Start + length}) {
				return
			}
			if p.copies == nil {
				continue
			}
			for _, c := range p.copies[i] {
				if !yield(c.medium, inuse.Span{On: c.is, Start: c.start, End: c.start + length}) {
					return
				}
			}
		}
	}
}

// any reports whether some medium that is a file or a block device is such.
func (d *Device) any(such func(*medium) bool) bool {
	for m := range d.files() {
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
		o, owns, err := m.again(open)
		if err != nil {
			again.Close()
			return nil, err
		}
		other[m], again.owns = o, append(again.owns, owns...)
	}
	again.medium, again.pieces = other[d.medium], nil
	for _, p := range d.pieces {
		p.media, p.copies = slices.Clone(p.media), slices.Clone(p.copies)
		for i, m := range p.media {
			p.media[i] = other[m]
			if p.copies == nil {
				continue
			}
			p.copies[i] = slices.Clone(p.copies[i])
			for j, c := range p.copies[i] {
				p.copies[i][j].medium = other[c.medium]
			}
		}
		again.pieces = append(again.pieces, p)
	}
	again.findLargest()
	return &again, nil
}

// again is the medium once more, and which media are open for that.
func (m *medium) again(open func(*medium) (*medium, error)) (again *medium, owns []*medium, err error) {
	switch {
	case m.inner != nil:
		inner, err := m.inner.again(open)
		if err != nil {
			return nil, nil, err
		}
		o := *m
		o.inner, o.content, o.of, o.aio = inner, inner, []*Device{inner}, newAIO()
		return &o, inner.owns, nil
	case m.file == nil:
		return m, nil, nil
	}
	o, err := open(m)
	return o, []*medium{o}, err
}

// Legs are the device as it is kept: read from all that its copies are of, then from the first copies alone, and so
// on. What has fewer copies is read from the last.
func (d *Device) Legs() (all []*Device) {
	if d.medium != nil {
		return []*Device{d}
	}
	most := 0
	for _, p := range d.pieces {
		for _, copies := range p.copies {
			most = max(most, len(copies))
		}
	}
	for n := range most + 1 {
		leg := *d
		leg.owns, leg.holds, leg.claims, leg.pieces = nil, nil, nil, nil
		for _, p := range d.pieces {
			leg.pieces = append(leg.pieces, p.leg(n))
		}
		all = append(all, &leg)
	}
	return all
}

func (p stretch) leg(n int) stretch {
	if n > 0 && p.copies != nil {
		p.media, p.Stripes = slices.Clone(p.media), slices.Clone(p.Stripes)
		for i, copies := range p.copies {
			if n := min(n, len(copies)); n > 0 {
				c := copies[n-1]
				p.media[i], p.Stripes[i] = c.medium, inuse.Stripe{On: c.is, Start: c.start}
			}
		}
	}
	p.copies, p.stale = nil, nil
	return p
}

// A run is a stretch of a device that is one on its medium, too: length bytes from byte
// at on.
type run struct {
	*medium
	at, length int64
	copies     []place // of the byte at
	stale      bool    // the copies are not read
}

// everywhere is where the run is: itself, and where it is to be written, its copies.
func (r run) everywhere(writes bool) iter.Seq[place] {
	return func(yield func(place) bool) {
		if !yield(place{r.medium, r.at}) || !writes {
			return
		}
		for _, c := range r.copies {
			if !yield(c) {
				return
			}
		}
	}
}

// readAny reads a run, and what it cannot read of it from the copies: each from where the one before it ended, round and
// round, until none gets further.
func (r run) readAny(p []byte) (n int, err error) {
	n, err = r.read(p, r.at)
	if err == nil || r.stale || len(r.copies) == 0 {
		return n, err
	}
	for before := -1; err != nil && n > before; {
		before = n
		for c := range r.everywhere(true) {
			if more, e := c.read(p[n:], c.start+int64(n)); e == nil || more > 0 {
				n, err = n+more, e
			}
			if err == nil {
				break
			}
		}
	}
	return n, err
}

// run is the first of the runs that length bytes from offset on consist of.
func (d *Device) run(offset, length int64) run {
	if d.medium != nil {
		return run{medium: d.medium, at: d.base + offset, length: length}
	}
	at := d.base + offset
	p := d.pieces[sort.Search(len(d.pieces), func(i int) bool { return at < d.pieces[i].Start+d.pieces[i].Length })]
	return p.run(at-p.Start, length)
}

// runs are what length bytes from offset on consist of, in order. They are on the device.
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
func (p stretch) run(n, length int64) run {
	length = min(length, p.Length-n)
	i, at := 0, n
	if len(p.Stripes) > 1 {
		chunk := n / p.Chunk
		i, at = int(chunk%int64(len(p.Stripes))), chunk/int64(len(p.Stripes))*p.Chunk+n%p.Chunk
		length = min(length, p.Chunk-n%p.Chunk)
	}
	r := run{medium: p.media[i], at: p.Stripes[i].Start + at, length: length, stale: p.stale != nil && p.stale[i]}
	if p.copies != nil {
		r.copies = make([]place, len(p.copies[i]))
		for j, c := range p.copies[i] {
			r.copies[j] = place{c.medium, c.start + at}
		}
	}
	return r
}

// share is what one medium has of many transfers.
type share struct {
	p    [][]byte
	at   []int64 // in the medium
	done []int   // bytes that the kernel did
	next int     // the first one that was not asked about yet
}

// transferSplit is [aio.transfer] for a device of several stretches: each medium does its
// share, and what is written is written to all copies. Of a piece of memory, what is done up to the first run that
// was not done whole everywhere counts.
func (d *Device) transferSplit(opcode uint16, p [][]byte, at []int64, done []int) {
	shares := map[*medium]*share{}
	each := func(i int, use func(run, []*share)) {
		if d.checkWithin(at[i], int64(len(p[i]))) != nil {
			return
		}
		var of []*share
		for r := range d.runs(at[i], int64(len(p[i]))) {
			of = of[:0]
			for on := range r.everywhere(opcode == opWriteVector) {
				if shares[on.medium] == nil {
					shares[on.medium] = &share{}
				}
				of = append(of, shares[on.medium])
			}
			use(r, of)
		}
	}
	for i := range p {
		left := p[i]
		each(i, func(r run, of []*share) {
			of[0].add(left[:r.length], r.at)
			for j, s := range of[1:] {
				s.add(left[:r.length], r.copies[j].start)
			}
			left = left[r.length:]
		})
	}
	var all sync.WaitGroup
	for m, s := range shares {
		if s.done = make([]int, len(s.p)); m.file != nil {
			all.Go(func() { m.aio.transfer(&Device{medium: m, size: math.MaxInt64}, opcode, s.p, s.at, s.done) })
		}
	}
	all.Wait()
	for i := range p {
		whole := true
		each(i, func(r run, of []*share) {
			n := int(r.length)
			for _, s := range of {
				n = min(n, s.done[s.next])
				s.next++
			}
			if whole {
				done[i] += n
			}
			whole = whole && int64(n) == r.length
		})
	}
}

func (s *share) add(p []byte, at int64) { s.p, s.at = append(s.p, p), append(s.at, at) }
