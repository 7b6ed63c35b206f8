package check

import (
	"bytes"
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/look"
)

// Entries behind the list's end can be left out where two things hold: a torn commit can have
// left them so, and each of them is void, so that the snapshot shows the same without it. The
// kernel lets a write to the origin go only when its exception is committed; so behind a
// commit that was torn the data of an entry equals what the origin has. An entry is void, too,
// whose old chunk has a live exception, or whose new chunk is a live one's: then it was given
// out again after the crash.
//
// Entries that are not void speak for a sector of the list that was lost in front of them, and so
// may the gap do (see gap).

// proof is what is known of the slots behind the end of the list.
type proof struct {
	open       uint64 // entries of which nothing shows that they are void
	first      named  // of these
	why        string // the first of these is not void
	superseded bool   // one has a chunk that an exception got since: the gap was there before that
	highest    uint64 // rank of their new chunks
	last       uint64 // of the last of these
	falls      uint64 // entries whose new chunk is no higher than the one before
	olds, news chunkSet
	lost       string // why the gap before them speaks for a lost sector
}

type named struct {
	format.Place
	format.Exception
}

// isVoid reports whether leaving the entries out changes nothing.
func (s *scan) isVoid() bool {
	return s.behind.Why == "" && s.proof.open == 0 && s.proof.lost == ""
}

// lookBehind looks at what stands behind the list's end, and whether that is void. The error is
// one of reading, or Options.Visit's.
func (s *scan) lookBehind() (err error) {
	s.behind, err = look.Behind(s.device, s.geometry, s.list.end, nil)
	if err != nil || s.behind.Count == 0 || s.behind.Why != "" {
		return err
	}
	_, err = look.Behind(s.device, s.geometry, s.list.end, func(at format.Place, x format.Exception) error {
		why := s.notVoid(x, &s.proof)
		if s.isCopyOfEnd(at) {
			why = "its sector is a copy of the one where the list ends"
		}
		if why != "" {
			if s.proof.open++; s.proof.open == 1 {
				s.proof.first, s.proof.why = named{at, x}, why
			}
		}
		if s.isPlausible(x) {
			r := s.rank(x.New)
			if r <= s.proof.last && s.proof.last > 0 {
				s.proof.falls++
			}
			s.proof.last, s.proof.highest = r, max(s.proof.highest, r)
		}
		return s.visit(at.Area)
	})
	if err == nil && s.proof.open == 0 && !s.proof.superseded {
		s.proof.lost, err = s.whyLost()
	}
	return err
}

// unknownData is why an entry may be missed as long as the origin is not known.
const unknownData = "it is not known whether its data equals the origin's"

// isCopyOfEnd reports whether an entry begins a sector that holds what the one does in which the list
// ends, which then is a copy of it: the list had others there.
func (s *scan) isCopyOfEnd(at format.Place) bool {
	inSector := s.behind.Index % slotsPerSector
	if inSector == 0 || at.Index%slotsPerSector != 0 {
		return false
	}
	end := s.behind.Place
	end.Index -= inSector
	return s.areEqual(end, at, slotsPerSector)
}

// notVoid is why an entry behind the list's end may be missed; it is empty where nobody
// misses it. No two entries that a torn commit left have a chunk in common, so that no more is read
// than the device has.
func (s *scan) notVoid(x format.Exception, p *proof) string {
	switch {
	case s.list.olds.has(uint64(x.Old)), s.list.news.has(uint64(x.New)):
		p.superseded = true
		return ""
	case !s.isPlausible(x):
		return "it is not a possible exception"
	case p.olds.add(uint64(x.Old))+p.news.add(uint64(x.New)) > 0:
		return "another slot there has one of its chunks"
	case s.options.Content == nil:
		return unknownData
	}
	switch equal, err := s.equalsOrigin(x); {
	case err != nil:
		return err.Error()
	case !equal:
		return "its data differs from the origin's"
	}
	return ""
}

// equalsOrigin reports whether the origin holds what an exception's data chunk does, as far
// as that lies on the origin.
func (s *scan) equalsOrigin(x format.Exception) (bool, error) {
	const most = 64 << 10 // bytes at a time
	chunk := s.geometry.ChunkBytes()
	from, at := s.geometry.Offset(x.New), format.Bytes(x.Old)*chunk
	length := min(chunk, s.options.Origin-at)
	data, there := make([]byte, min(length, most)), make([]byte, min(length, most))
	for done := format.Bytes(0); done < length; done += most {
		n := min(length-done, most)
		if err := s.visit(s.list.end.Area); err != nil {
			return false, err
		}
		if err := raw.ReadWhere(s.device, data[:n], from+done); err != nil {
			return false, fmt.Errorf("its data cannot be read at %w", err)
		}
		if err := raw.ReadWhere(s.options.Content, there[:n], at+done); err != nil {
			return false, fmt.Errorf("the origin cannot be read at %w", err)
		}
		if !bytes.Equal(data[:n], there[:n]) {
			return false, nil
		}
	}
	return true, nil
}

var HiddenExceptions = &Rule{
	Name:     "hidden-exceptions",
	Severity: Error,
	When:     "exceptions follow the end of the list in its area: a power cut tore a commit, or a lost sector or a damaged slot hides good ones",
	Kernel:   "reads them once the gap before them fills, though their chunks may be in use again",
	Fate:     Wrong,
	Repair:   "clear them if they change nothing; else decide whether they are good: closing the gap brings them back, clearing loses them",
	Command:  "repair",
	list: func(s *scan) *Finding {
		h := s.behind
		if h.Count == 0 {
			return nil
		}
		stand := "1 exception follows"
		if h.Count > 1 {
			stand = fmt.Sprintf("%d exceptions follow", h.Count)
		}
		f := &Finding{
			Scope:    OfPlace,
			Place:    format.Place{Area: h.Area, Index: h.First},
			detail:   fmt.Sprintf("the list ends at slot %d of this area, and %s, up to slot %d; %s", h.Index, stand, h.Last, s.explanation()),
			repair:   "decide whether they are good (dmcow dump --hidden shows them): closing the gap brings them back, clearing loses them",
			Suggests: s.suggestGap(),
		}
		if f.Suggests == nil {
			f.detail += s.unnamedInGap()
		}
		if s.isVoid() {
			f.repair = "clear them: a write that never finished left them"
			f.meaning = &Meaning{NamedCertain: true, UnlistedCertain: true, Merging: AnyMerge}
		}
		return f
	},
}

func (s *scan) explanation() string {
	p := s.proof
	switch {
	case s.behind.Why != "":
		return "a torn commit does not explain them: " + s.behind.Why
	case p.lost != "":
		return "a torn commit does not explain them: " + p.lost
	case p.open == 0:
		return "a torn commit explains them, and the snapshot reads the same without them"
	case p.why == unknownData:
		return fmt.Sprintf("a torn commit explains them if the data of %d of them equals the origin's; else a sector of the list was lost before them (--origin shows which)", p.open)
	}
	return fmt.Sprintf("a torn commit does not explain %d of them, first slot %d (%d -> %d): %s. A sector of the list was lost before them, or a write to the snapshot was torn",
		p.open, p.first.Index, p.first.Old, p.first.New, p.why)
}
