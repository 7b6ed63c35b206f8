package check

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"dmcow/format"
	"dmcow/store/look"
)

// Options say what to check.
type Options struct {
	Device look.Device
	Origin format.Bytes // size of the snapshot, which is its origin's or less; 0 where it is not known
	// Content is the origin, where its data may tell what the list does not: nobody writes to
	// it meanwhile. It may be nil, and means nothing where the size is not known.
	Content io.ReaderAt
	// Recorded is the chunk size that LVM has on record, 0 where it has none, or that is
	// not known.
	Recorded format.Sectors
	// Live is for a device that the kernel may be writing to: what is not there
	// any more on a second look is not told.
	Live bool
	// Single has the findings of each exception told also where most exceptions of an area
	// have some, and the area is not called implausible.
	Single bool
	// Visit, where set, is called now and then with the area that a walk has come
	// to. It ends the check with the error that it returns.
	Visit func(format.AreaIndex) error
}

// Result is what a check has come to, beside its findings.
type Result struct {
	Identity look.Identity
	// Exceptions and Areas are those of the list, as far as it could be read.
	Exceptions, Areas uint64
	// Unread says what could not be read, and so was not checked.
	Unread []error
	// Untested says what else was not tested, and why, a line each.
	Untested []string
}

// Run checks a device and calls found with each finding. It stops with the error
// that found or Options.Visit returns; any other error is one of reading the
// header.
func Run(o Options, found func(Finding) error) (Result, error) {
	if o.Live {
		return runLive(o, found)
	}
	return run(o, found)
}

// scan is a check on its way.
type scan struct {
	facts
	options Options
	device  look.Device
	size    format.Bytes
	found   func(Finding) error
	stopped error // what Options.Visit has returned
	result  Result

	id    look.Identity
	stray int64 // the first byte of chunk 0 behind the header's fields that is not zero, else -1
	best  *Evidence
	asked bool // for best

	// What the list rules look at.
	list *pass
	kept []Finding // of single exceptions and areas, until all of the list is known
	told bool      // there were too many to be kept
	// doubted are exceptions that share chunks, and those with which they do.
	doubted map[format.Place]bool
	cut     *format.AreaError // the list leads past the device's end
	whole   bool              // the list was read to its end
	behind  look.Hidden       // behind its end, where it was read to that
	proof   proof             // of that
	next    nextArea
}

func run(o Options, found func(Finding) error) (Result, error) {
	s := &scan{options: o, device: o.Device, size: format.Bytes(o.Device.Size()), found: found}
	if err := s.identify(); err != nil {
		return s.result, err
	}
	for _, r := range headerRules {
		if err := s.tellOf(r, r.header(s)); err != nil {
			return s.result, err
		}
	}
	if !s.hasList() {
		return s.result, nil
	}
	return s.result, s.checkList()
}

func (s *scan) tell(f Finding) error {
	f.facts = &s.facts
	return s.found(f)
}

func (s *scan) unread(err error) { s.result.Unread = append(s.result.Unread, err) }

// visit is Options.Visit. What it stops stays stopped.
func (s *scan) visit(k format.AreaIndex) error {
	if s.options.Visit != nil && s.stopped == nil {
		s.stopped = s.options.Visit(k)
	}
	return s.stopped
}

func (s *scan) tellOf(r *Rule, f *Finding) error {
	if f == nil || s.stopped != nil {
		return s.stopped
	}
	f.Rule = r
	return s.tell(*f)
}

func (s *scan) identify() (err error) {
	if s.id, err = look.Identify(s.device, look.FreshGeometry(s.device)); err != nil {
		return err
	}
	s.result.Identity = s.id
	s.facts = newFacts(s.id.Geometry, s.size, s.options.Origin)
	if s.stray, err = look.NonZero(s.device, format.HeaderSize, min(s.geometry.ChunkBytes(), s.size)); err != nil {
		s.unread(err)
	}
	return nil
}

func (s *scan) checkList() error {
	if s.options.Origin == 0 {
		s.options.Content = nil
	}
	s.list = s.newPass(0)
	defer s.list.close()
	s.list.tell = s.keep
	err := s.list.walk()
	if err != nil && !errors.As(err, new(*format.AreaError)) {
		return err
	}
	if s.whole = err == nil; s.whole {
		if err = s.lookBehind(); err != nil && !errors.As(err, new(*format.AreaError)) {
			return err
		}
	}
	s.account(err)
	if s.whole {
		if err := s.lookAtNext(); err != nil {
			return err
		}
	}
	for _, tell := range []func() error{s.tellKept, s.nameHits, s.tellOutOfPlace} {
		if err := tell(); err != nil {
			return err
		}
	}
	for _, r := range slices.Concat(wholeRules, listRules) {
		if err := s.tellOf(r, r.list(s)); err != nil {
			return err
		}
	}
	return nil
}

// mostSuggested is of how many findings it is looked for what the entries around suggest.
const mostSuggested = 4096

// keep keeps a finding until all of the list is known, which tells what the entries around it
// suggest. Where there are many, it is told at once, and without that.
func (s *scan) keep(f Finding) error {
	if s.told {
		return s.tell(f)
	}
	if s.kept = append(s.kept, f); len(s.kept) <= mostSuggested {
		return nil
	}
	s.told = true
	kept := s.kept
	s.kept = nil
	return s.tellAll(kept)
}

func (s *scan) tellKept() error {
	for i := range s.kept {
		f := &s.kept[i]
		if f.Scope == OfArea {
			f.Suggests = s.suggestStretch(f.Place, int(f.slots))
		} else {
			f.Suggests = s.suggest(f.Place, f.Rule)
		}
	}
	if err := s.suggestTwins(); err != nil {
		return err
	}
	return s.tellAll(s.kept)
}

func (s *scan) tellAll(all []Finding) error {
	for _, f := range all {
		if err := s.tell(f); err != nil {
			return err
		}
	}
	return nil
}

// account notes how far the list was read, and what of that was not tested. err
// is why no further.
func (s *scan) account(err error) {
	end := s.list.end
	s.result.Exceptions, s.result.Areas = end.Exceptions, uint64(end.Area)+1
	switch {
	case errors.Is(err, format.ErrBeyondDevice):
		errors.As(err, &s.cut)
		s.result.Areas = uint64(s.cut.Area) // whole ones
	case err != nil:
		s.unread(err)
	}
	if !s.known {
		s.result.Untested = append(s.result.Untested, "whether old chunks are on the origin (its size is not known)")
	}
	s.accountChunks("old", &s.list.olds)
	s.accountChunks("new", &s.list.news)
}

func (s *scan) accountChunks(which string, named *chunkSet) {
	if named.overflowed {
		s.result.Untested = append(s.result.Untested, fmt.Sprintf("whether each %s chunk from %d on is named only once (too many to remember)", which, uint64(lowChunks)))
	}
}

// mostNamed is how many hits by both chunks are looked at, to tell those that repeat an
// exception from those that share its chunks with two others. What goes beyond is told as the
// worse of the two, so that time does not grow with the square of the damage.
const mostNamed = 16 * maxHits

// nameHits hands out a finding for each hit of the list, of which the first pass
// has kept the first few. It takes a walk to find what those share their chunks
// with, and another to tell of the rest. Of hits by both chunks only that walk tells
// whether the exception is a repeated one: if there are more of them than are kept,
// the walk gathers the next, so many at a time.
func (s *scan) nameHits() error {
	first := &s.list.hits
	if first.total() == 0 {
		return nil
	}
	suggested := 0
	for kept, skip := first.kept, uint64(0); ; {
		n := newNamer(kept)
		skip += maxHits
		naming := s.newPass(skip)
		naming.visit = n.visit
		err := s.again(naming)
		naming.close()
		if err != nil {
			return err
		}
		all := make([]Finding, len(kept))
		s.doubted = make(map[format.Place]bool, len(kept))
		for i, h := range kept {
			all[i] = n.name(h)
			s.doubted[h.Place] = true
			if other := all[i].Other; other != nil {
				s.doubted[*other] = true
			}
		}
		for _, f := range all {
			if suggested++; suggested <= mostSuggested {
				f.Suggests = s.suggestHit(f)
			}
			if err := s.tell(f); err != nil {
				return err
			}
		}
		if skip >= min(mostNamed, naming.hits.counts[oldHit|newHit]) {
			break
		}
		kept = slices.DeleteFunc(naming.hits.kept, func(x hit) bool { return x.flags != oldHit|newHit })
	}
	if !first.hasSpilled() {
		return nil
	}
	rest := s.newPass(mostNamed - maxHits)
	defer rest.close()
	rest.spill = s.tell
	return s.again(rest)
}

// suggestHit is what one of two exceptions was that share a chunk: the one that does not fit
// its place. Where neither does, nobody knows which was damaged.
func (s *scan) suggestHit(f Finding) *Suggestion {
	later := s.suggest(f.Place, f.Rule)
	if f.Other == nil {
		return later
	}
	first := s.suggest(*f.Other, f.Rule)
	switch {
	case later == nil:
		return first
	case first == nil || later.String() == first.String():
		return later
	}
	return nil
}

// again has the list walked once more, as far as it can be read now.
func (s *scan) again(p *pass) error {
	err := p.walk()
	if !errors.As(err, new(*format.AreaError)) {
		return err
	}
	if s.whole { // else it is told already
		s.unread(err)
	}
	return nil
}
