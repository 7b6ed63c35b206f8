package compare

import (
	"dmcow/fs"
)

// union is what is in either of two sets.
type union struct{ a, b fs.Set }

// Next joins what of the two sets overlaps or meets.
func (u union) Next(offset int64) (fs.Range, bool) {
	r, ok := u.a.Next(offset)
	other, also := u.b.Next(offset)
	switch {
	case !ok:
		return other, also
	case !also:
		return r, true
	case other.Start < r.Start:
		r = other
	}
	for grown := true; grown; {
		grown = false
		for _, s := range []fs.Set{u.a, u.b} {
			if next, ok := s.Next(r.End); ok && next.Start <= r.End {
				r.End, grown = next.End, true
			}
		}
	}
	return r, true
}

func replayed(f fs.FileSystem) (all fs.Ranges) {
	for r := range f.Replayed() {
		all = append(all, r)
	}
	return all
}

// granule is the least that can have an owner of its own.
const granule = 512

// cover notes that a range has an owner.
func (c *comparison) cover(r fs.Range) {
	first := uint64(r.Start) / granule
	c.covered.Add(first, (uint64(r.End)+granule-1)/granule-first)
}

// uncovered calls use with the parts of r that have no owner yet.
func (c *comparison) uncovered(r fs.Range, use func(fs.Range)) {
	for r.Len() > 0 {
		has := c.covered.Has(uint64(r.Start) / granule)
		end := min((r.Start/granule+1)*granule, r.End)
		for end < r.End && c.covered.Has(uint64(end)/granule) == has {
			end = min(end+granule, r.End)
		}
		if !has {
			use(fs.Range{Start: r.Start, End: end})
		}
		r.Start = end
	}
}

// rest sums up what no file has.
func (c *comparison) rest() {
	r := c.result
	for offset := int64(0); ; {
		next, ok := c.Changed.Next(offset)
		if !ok {
			break
		}
		r.Bytes += next.Len()
		offset = next.End
	}
	for p, err := range c.Sides[New].Layout(c.Changed) {
		if err != nil {
			if !c.trouble(New, err) {
				return
			}
			continue
		}
		c.uncovered(p.Range, func(part fs.Range) { r.Rest[p.Use] += part.Len() })
	}
	r.OfFiles = r.Bytes
	for _, n := range r.Rest {
		r.OfFiles -= n
	}
}
