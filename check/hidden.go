package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"dmcow/format"
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

// proof is what is known of the entries behind the list's end.
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

// named is an entry with its place.
type named struct {
	format.Place
	format.Exception
}

// void reports whether leaving the entries out changes nothing.
func (s *scan) void() bool {
	return s.behind.Count > 0 && s.behind.Why == "" && s.proof.open == 0 && s.proof.lost == ""
}

// lookBehind looks at what stands behind the list's end, and whether that is void. The error is
// one of reading, or Options.Visit's.
func (s *scan) lookBehind() (err error) {
	s.behind, err = look.LookBehind(s.device, s.geometry, s.list.end, nil)
	if err != nil || s.behind.Count == 0 || s.behind.Why != "" {
		return err
	}
	_, err = look.LookBehind(s.device, s.geometry, s.list.end, func(at format.Place, x format.Exception) error {
		why := s.notVoid(x, &s.proof)
		if s.isCopyOfEnd(at) {
			why = "its sector is a copy of the one where the list ends"
		}
		if why != "" {
			if s.proof.open++; s.proof.open == 1 {
				s.proof.first, s.proof.why = named{at, x}, why
			}
		}
		if s.plausible(x) {
			r := rank(s.geometry, x.New)
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
const unknownData = "whether its data equals the origin's is not known"

// isCopyOfEnd reports whether an entry begins a sector that holds what the one does in which the list
// ends, which then is a copy of it: the list had others there.
func (s *scan) isCopyOfEnd(at format.Place) bool {
	inSector := s.behind.Index % slotsPerSector
	if inSector == 0 || at.Index%slotsPerSector != 0 {
		return false
	}
	here, ok := s.slots(position(s.geometry, s.behind.Place)-uint64(inSector), slotsPerSector)
	there, ok2 := s.slots(position(s.geometry, at), slotsPerSector)
	return ok && ok2 && slices.Equal(here, there)
}

// notVoid is why an entry behind the list's end may be missed; it is empty where nobody
// misses it. No two entries that a torn commit left have a chunk in common, so that no more is read
// than the device has.
func (s *scan) notVoid(x format.Exception, p *proof) string {
	switch {
	case s.list.olds.has(uint64(x.Old)), s.list.news.has(uint64(x.New)):
		p.superseded = true
		return ""
	case !s.plausible(x):
		return "it cannot be an exception"
	case p.olds.add(uint64(x.Old))+p.news.add(uint64(x.New)) > 0:
		return "another entry there has one of its chunks"
	case s.options.Content == nil:
		return unknownData
	}
	equal, err := s.equalsOrigin(x)
	switch {
	case err != nil:
		return err.Error()
	case !equal:
		return "its data differs from what the origin has"
	}
	return ""
}

// equalsOrigin reports whether the origin holds what an exception's data chunk does, as far
// as that lies on the origin.
func (s *scan) equalsOrigin(x format.Exception) (bool, error) {
	const piece = 64 << 10
	chunk := s.geometry.ChunkBytes()
	from, at := s.geometry.Offset(x.New), format.Bytes(x.Old)*chunk
	length := min(chunk, s.options.Origin-at)
	data, there := make([]byte, min(length, piece)), make([]byte, min(length, piece))
	for done := format.Bytes(0); done < length; done += piece {
		n := min(length-done, piece)
		if err := s.visit(s.list.end.Area); err != nil {
			return false, err
		}
		if got, err := s.device.ReadAt(data[:n], int64(from+done)); got < int(n) {
			return false, fmt.Errorf("its data cannot be read at byte %d: %w", from+done+format.Bytes(got), unexpected(err))
		}
		if got, err := s.options.Content.ReadAt(there[:n], int64(at+done)); got < int(n) {
			return false, fmt.Errorf("the origin cannot be read at byte %d: %w", at+done+format.Bytes(got), unexpected(err))
		}
		if !bytes.Equal(data[:n], there[:n]) {
			return false, nil
		}
	}
	return true, nil
}

func unexpected(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

var HiddenExceptions = &Rule{
	Name:     "hidden-exceptions",
	Severity: Error,
	When:     "entries with a new chunk stand behind the end of the list, in its area: a commit that a power cut tore, or a lost sector or a damaged entry that hides good ones",
	Kernel:   "has them come alive once the gap before them fills, though their chunks may have been given out again",
	Fate:     Wrong,
	Repair:   "where they are known to change nothing, clear them; else decide whether they are good: closing the gap brings them back, clearing them loses them",
	Command:  "repair",
	list: func(s *scan) *Finding {
		h := s.behind
		if h.Count == 0 {
			return nil
		}
		f := &Finding{
			Scope:    OfPlace,
			Place:    format.Place{Area: h.Area, Index: h.First},
			detail:   fmt.Sprintf("the list ends at exception %d of this area, and %s behind it, up to exception %d; %s", h.Index, stand(h.Count), h.Last, s.explanation()),
			repair:   "decide whether they are good (dmcow dump --hidden shows them): closing the gap brings them back, clearing them loses them",
			Suggests: s.suggestGap(),
		}
		if f.Suggests == nil {
			f.detail += s.unnamedInGap()
		}
		if s.void() {
			f.repair = "clear them: a write that was never finished has left them"
			f.meaning = &Meaning{NamedCertain: true, UnlistedCertain: true, Merging: AnyMerge}
		}
		return f
	},
}

// explanation says what speaks for and against the entries behind the list's end.
func (s *scan) explanation() string {
	p := s.proof
	switch {
	case s.behind.Why != "":
		return "no torn commit explains them: " + s.behind.Why
	case p.lost != "":
		return "a torn commit does not explain them: " + p.lost + "; a sector of the list was lost before them"
	case p.open == 0:
		return "a torn commit explains them, and the snapshot shows the same without them"
	case p.why == unknownData:
		return fmt.Sprintf("a torn commit would explain them, if the data of %s equalled what the origin has; else a sector of the list was lost before them (--origin tells)", count(p.open))
	}
	return fmt.Sprintf("a torn commit does not explain %s: exception %d (old chunk %d, new chunk %d) is the first, %s; a sector of the list was lost before them, or a write to the snapshot was torn",
		count(p.open), p.first.Index, p.first.Old, p.first.New, p.why)
}

// count is "1 of them", or of many.
func count(n uint64) string { return fmt.Sprintf("%d of them", n) }

// stand is "1 exception stands", or of many.
func stand(n int) string {
	if n == 1 {
		return "1 exception stands"
	}
	return fmt.Sprintf("%d exceptions stand", n)
}
