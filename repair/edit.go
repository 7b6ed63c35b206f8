package repair

import (
	"crypto/sha256"
	"slices"

	"dmcow/check"
	"dmcow/format"
	"dmcow/store/look"
)

// Edit is a change of some bytes of the COW device.
type Edit struct {
	Offset   format.Bytes
	Old, New []byte // of the same length
	Why      string
}

// Copy is the copy of a data chunk to one that no exception names.
type Copy struct {
	From, To format.NewChunk
	Why      string

	from, to [sha256.Size]byte // what the chunks hold
}

// Step is what is durable before the next step begins. Its copies come before its
// edits, and are durable before those.
type Step struct {
	Copies []Copy
	Edits  []Edit
}

// Plan is what a repair would write, and why.
type Plan struct {
	Before check.Report // of the device as it is
	After  check.Report // as it will be
	// Repaired is what is repaired, and Undecided what waits for the user's word, by rule.
	Repaired  []Resolution
	Undecided []Resolution
	Steps     []Step
	// More is true where there was more to repair than fits one plan.
	More bool

	image    *image
	geometry format.Geometry
}

// Resolution is what becomes of the findings of a rule.
type Resolution struct {
	Rule  *check.Rule
	Count uint64
	Lines []string // of the first of them: where it is, and what is done or can be
	// Loses is true where something that the store held may be lost by what is done.
	Loses bool
	// Lost is how many exceptions that are, at most; 0 where that is not known, and LostMore says that there may be
	// more.
	Lost     uint64
	LostMore bool
	// Advice is, for what is undecided, what there is to choose and what each choice
	// loses.
	Advice string
	// Flags are the choices as the command repair takes them: each one by itself.
	Flags []string
}

// shown is how many findings of a rule have a line.
const shown = 10

// Loses reports whether the plan may lose something that the store held.
func (p *Plan) Loses() bool {
	return slices.ContainsFunc(p.Repaired, func(m Resolution) bool { return m.Loses })
}

// Lost is how many exceptions the plan may lose; 0 where that is not known. more says that there may be more.
func (p *Plan) Lost() (n uint64, more bool) {
	for _, m := range p.Repaired {
		n, more = n+m.Lost, more || m.LostMore
	}
	return n, more
}

// Bytes is how much the plan writes over, in bytes.
func (p *Plan) Bytes() (n format.Bytes) {
	for _, s := range p.Steps {
		n += format.Bytes(len(s.Copies)) * p.geometry.ChunkBytes()
		for _, e := range s.Edits {
			n += format.Bytes(len(e.New))
		}
	}
	return n
}

// Geometry is where things lie in the store, as the plan leaves it.
func (p *Plan) Geometry() format.Geometry { return p.geometry }

// Result is the device as it will be, for reading.
func (p *Plan) Result() look.Device {
	r := &result{image: p.image, geometry: p.geometry, from: map[format.NewChunk]format.NewChunk{}}
	for _, s := range p.Steps {
		for _, c := range s.Copies {
			r.from[c.To] = c.From
		}
	}
	return r
}

// Writes is the number of edits and copies.
func (p *Plan) Writes() (n int) {
	for _, s := range p.Steps {
		n += len(s.Copies) + len(s.Edits)
	}
	return n
}

func note(all []Resolution, one Resolution) []Resolution {
	i := slices.IndexFunc(all, func(m Resolution) bool { return m.Rule == one.Rule })
	if i < 0 {
		one.Count = 1
		return append(all, one)
	}
	m := &all[i]
	m.Loses, m.Lost, m.LostMore = m.Loses || one.Loses, m.Lost+one.Lost, m.LostMore || one.LostMore
	if m.Count++; len(m.Lines) < shown {
		m.Lines = append(m.Lines, one.Lines...)
	}
	return all
}
