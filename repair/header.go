package repair

import (
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/store/look"
)

// HeaderError says that a header that was to be written does not fit the list.
type HeaderError struct{ Why string }

func (e *HeaderError) Error() string { return e.Why }

// headerRules are those that a new header repairs.
var headerRules = []*check.Rule{check.BadMagic, check.LostHeader, check.BadVersion, check.BadChunkSize, check.WrongChunkSize, check.ZeroedHeader, check.TooSmall}

// headerFinding is what speaks for a new header, nil where nothing does.
func (p *planner) headerFinding(f *findings) *check.Finding {
	for _, rule := range headerRules {
		found := f.has(rule)
		if found != nil && (rule != check.TooSmall || f.Identity.Header.Magic == format.Magic) {
			return found
		}
	}
	if p.Header != nil && p.geometry != p.Header.Geometry {
		return f.has(check.OlderStore)
	}
	return nil
}

// repairHeader sees to what is to be known before there is a list.
func (p *planner) repairHeader(f *findings) (bool, error) {
	found := p.headerFinding(f)
	if p.headed {
		if p.listed {
			return false, nil
		}
		p.listed = true
		return false, p.checkNewList(f, found)
	}
	switch {
	case found != nil && p.Header != nil && p.Header.Valid && isMarked(f.Identity, p.image):
		return false, &HeaderError{"the header marks the snapshot invalid: use --valid 0, then see dmcow revalidate"}
	case found != nil && p.Header != nil:
		var err error
		if p.evidence, err = check.Probe(p.image, p.Visit); err != nil {
			return false, err
		}
		return true, p.newHeader(found)
	case found != nil && found.Rule == check.LostHeader && f.Identity.Survives(p.image):
		return true, p.writeMagic(f.Identity.Header)
	case found != nil:
		p.undecided(found, found.Message())
		p.blocked = true
	case p.Header != nil && (p.geometry.IsZero() || f.Identity.State == look.Uninitialized):
		return false, &HeaderError{"nothing here looks like a store"}
	case p.geometry.IsZero(), f.Identity.State == look.Uninitialized, f.has(check.TooSmall) != nil:
		p.blocked = true // there is no list
	case p.Header != nil && p.geometry != p.Header.Geometry:
		return false, &HeaderError{"the header is sound, and nothing shows that another one is right"}
	case p.Header != nil && p.Header.Valid != (f.Identity.Header.Valid != 0):
		return false, &HeaderError{"the header is sound: to change its mark, use dmcow revalidate or invalidate"}
	}
	return false, nil
}

// isMarked reports whether a header, damaged as it is, marks the snapshot invalid.
func isMarked(id look.Identity, d look.Device) bool {
	return id.Header.Valid == 0 && (id.Header.Magic == format.Magic || id.Survives(d))
}

// checkNewList is the error of a new header with which nothing reads as a list, or not as
// well as with another one.
func (p *planner) checkNewList(f *findings, found *check.Finding) error {
	if g := f.has(check.ImplausibleArea); found == nil && g != nil && g.Area == 0 {
		found = g
	}
	if e := f.has(check.OlderStore); found == nil && e != nil {
		found = e
	}
	e := p.evidence
	switch {
	case found != nil:
		return &HeaderError{fmt.Sprintf("with that header: %s: %s", join(found.Where(), found.Name), found.Message())}
	case p.unproven && f.Exceptions == 0:
		return &HeaderError{"with that header the list would be empty: nothing looks like a store with chunks of that size"}
	case e != nil && e.Geometry != p.geometry && f.Count(check.Error) > 0:
		return &HeaderError{fmt.Sprintf("with that header the store has %d errors; %d plausible exceptions show %d-sector chunks",
			f.Count(check.Error), e.Exceptions, e.Geometry.ChunkSectors())}
	case e == nil && uint64(len(f.singles)) > f.Exceptions/2:
		return &HeaderError{fmt.Sprintf("with that header %d of the %d exceptions are damaged: nothing looks like a store with chunks of that size",
			len(f.singles), f.Exceptions)}
	}
	return nil
}

func (p *planner) writeMagic(h format.Header) error {
	h.Magic = format.Magic
	p.repaired(check.LostHeader, "", "write the magic, keep the other fields")
	return p.writeHeader(h, "the header")
}

func (p *planner) newHeader(found *check.Finding) error {
	h := format.Header{Magic: format.Magic, Version: format.Version, ChunkSectors: uint32(p.Header.Geometry.ChunkSectors())}
	state := "invalid"
	if p.Header.Valid {
		h.Valid, state = 1, "valid"
	}
	p.headed = true
	p.unproven = found.Rule == check.BadMagic || found.Rule == check.LostHeader || found.Rule == check.ZeroedHeader
	p.repaired(found.Rule, "", fmt.Sprintf("%s: write the header again, with %d-sector chunks, %s", found.Message(), h.ChunkSectors, state))
	return p.writeHeader(h, "the header")
}

func (p *planner) writeHeader(h format.Header, why string) error {
	raw := make([]byte, format.HeaderSize)
	h.Encode(raw)
	return p.editAlone(0, raw, why)
}

// mostPadding is how much behind a header's fields is cleared, in bytes.
const mostPadding = 16 << 20

func (p *planner) repairWarnings(f *findings) (changed bool, err error) {
	if !p.Warnings {
		return false, nil
	}
	var s Step
	if found := f.has(check.ValidNotOne); found != nil {
		if err := p.edit(&s, 4, []byte{1, 0, 0, 0}, "the valid field of the header"); err != nil {
			return false, err
		}
		p.repaired(check.ValidNotOne, "", found.Message()+": write 1")
	}
	if found := f.has(check.HeaderPadding); found != nil {
		if err := p.clearPadding(&s, found); err != nil {
			return false, err
		}
	}
	p.then(s)
	return len(s.Edits) > 0, nil
}

// clearPadding clears what stands in chunk 0 behind the header's fields, sector by
// sector.
func (p *planner) clearPadding(s *Step, found *check.Finding) error {
	end := p.geometry.ChunkBytes()
	cleared := format.Bytes(0)
	for at := format.Bytes(format.HeaderSize); at < end; {
		stray, err := look.NonZero(p.image, at, end)
		if err != nil {
			return err
		}
		if stray < 0 {
			break
		}
		start := max(format.HeaderSize, format.Bytes(stray)/format.SectorSize*format.SectorSize)
		next := (start/format.SectorSize + 1) * format.SectorSize
		if cleared += next - start; cleared > mostPadding {
			break // the next round goes on
		}
		if err := p.edit(s, start, make([]byte, next-start), "behind the header's fields"); err != nil {
			return err
		}
		at = next
	}
	p.repaired(check.HeaderPadding, "", found.Message()+": write zeros")
	return nil
}
