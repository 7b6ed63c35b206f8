package check

import (
	"fmt"

	"dmcow/format"
	"dmcow/store/look"
)

var ImplausibleArea = &Rule{
	Name:     "implausible-area",
	Severity: Error,
	When:     "most slots of an area hold garbage: it was never zeroed, was overwritten, or is read with the wrong chunk size",
	Kernel:   "reads the garbage as exceptions",
	Fate:     Wrong,
	Repair:   "check that device and chunk size are right; then drop the garbage, or clear the whole area if nothing plausible follows it",
	Command:  "repair",
}

var areaRules = []*Rule{ImplausibleArea}

const (
	// leastGarbage is how many exceptions have to be impossible before an area can
	// be called garbage for it. Fewer are told one by one.
	leastGarbage = 3
	// leastRepeats is how many exceptions have to share chunks with others for the
	// same: a sector of them.
	leastRepeats = format.SectorSize / format.ExceptionSize
)

// isMost reports whether bad is more than the half of n, and no fewer than least.
func isMost(bad, n, least int) bool { return bad >= least && 2*bad > n }

// garbage is the area of which some was found to be garbage last.
type garbage struct {
	format.Place        // of the first entry
	bad, of      uint64 // entries
	any          bool   // there was some
}

// isOrderly reports whether most new chunks of a piece are close to the ones before
// them, and others: so a kernel gives chunks out, and garbage is not so. If they are
// impossible all the same, it is the device that was cut short.
func isOrderly(piece format.Piece) bool {
	close := 0
	for i := 1; i < piece.Len(); i++ {
		if look.Near(piece.At(i), piece.At(i-1)) {
			close++
		}
	}
	return 2*close > piece.Len()
}

func (p *pass) impossibles(piece format.Piece) (n int) {
	for i := range piece.Len() {
		if p.isImpossible(p.at(piece, i), piece.At(i)) {
			n++
		}
	}
	return n
}

// addGarbage notes that a piece, of whose entries so many are bad, is garbage.
// The pieces of an area make one finding.
func (p *pass) addGarbage(piece format.Piece, bad int) error {
	g := &p.garbage
	if g.Area != piece.Area {
		if err := p.flushGarbage(); err != nil {
			return err
		}
	}
	if g.of == 0 {
		g.Place = piece.Place
		g.any = true
	}
	g.bad, g.of = g.bad+uint64(bad), g.of+uint64(piece.Len())
	return nil
}

// flushGarbage tells of the area that was noted last, if that was not done.
func (p *pass) flushGarbage() error {
	g := &p.garbage
	if g.of == 0 {
		return nil
	}
	detail := fmt.Sprintf("%d of the %d slots from slot %d on hold no possible exception, or repeat another", g.bad, g.of, g.Index)
	f := Finding{Rule: ImplausibleArea, Scope: OfArea, Place: g.Place, detail: detail, slots: g.of}
	g.bad, g.of = 0, 0
	return p.tell(f)
}
