package volume

import (
	"fmt"
	"slices"

	"dmcow/internal/device"
)

// A line is a list of parts of one stripe each.

// cutLine is length bytes of a line from a byte on.
func cutLine(line []device.Part, start, length int64) (cut []device.Part, err error) {
	for _, p := range line {
		from := min(start, p.Length)
		n := min(p.Length-from, length)
		if start, length = start-from, length-n; n > 0 {
			cut = append(cut, device.Part{Length: n, Stripes: []device.Stripe{further(p.Stripes[0], from)}})
		}
	}
	if length > 0 {
		return nil, fmt.Errorf("%d bytes of it are on no volume", length)
	}
	return cut, nil
}

// further is a stripe from so many bytes on.
func further(s device.Stripe, n int64) device.Stripe {
	s.Start += n
	s.Copies = slices.Clone(s.Copies)
	for i, c := range s.Copies {
		s.Copies[i] = further(c, n)
	}
	return s
}

// A slab is what lines have in the same place: so many bytes from a byte on, of one stripe in each.
type slab struct {
	start, length int64
	stripes       []device.Stripe
}

// slabs cuts lines of one length into slabs.
func slabs(lines [][]device.Part) (all []slab) {
	lines = slices.Clone(lines)
	used := make([]int64, len(lines)) // of the first part of each
	for at := int64(0); len(lines[0]) > 0; {
		s := slab{start: at, length: lines[0][0].Length - used[0]}
		for i, line := range lines {
			s.length = min(s.length, line[0].Length-used[i])
		}
		for i, line := range lines {
			s.stripes = append(s.stripes, further(line[0].Stripes[0], used[i]))
			if used[i] += s.length; used[i] == line[0].Length {
				lines[i], used[i] = line[1:], 0
			}
		}
		at += s.length
		all = append(all, s)
	}
	return all
}

// stripe makes parts of lines whose chunks take turns. Where some line lacks something, the others' chunks
// beside it are gone, too.
func (t *tree) stripe(lines [][]device.Part, chunk int64) (all []device.Part, err error) {
	cut := slabs(lines)
	if len(lines) > 1 && slices.ContainsFunc(cut, func(s slab) bool { return s.length%chunk != 0 }) {
		// A part ends within a chunk: then each line is one part.
		for i, line := range lines {
			if lines[i], err = t.one(line); err != nil {
				return nil, err
			}
		}
		cut = slabs(lines)
	}
	for _, s := range cut {
		p := device.Part{Length: s.length * int64(len(lines)), Chunk: chunk, Stripes: s.stripes}
		if i := slices.IndexFunc(s.stripes, func(s device.Stripe) bool { return s.Gone != nil }); i >= 0 {
			p = gone(p.Length, s.stripes[i].Gone)[0]
		}
		all = append(all, p)
	}
	return all, nil
}

// one is a line in one part.
func (t *tree) one(line []device.Part) ([]device.Part, error) {
	d, err := t.join("", line)
	if err != nil {
		return nil, err
	}
	return []device.Part{{Length: d.Size(), Stripes: []device.Stripe{{On: device.Within(d)}}}}, nil
}

// copiesOf makes a line of lines that hold the same: each byte is read from the first line that has it. Where all but
// the first are stale, they are only written.
func copiesOf(lines [][]device.Part, stale bool) (line []device.Part) {
	for _, s := range slabs(lines) {
		there := slices.DeleteFunc(slices.Clone(s.stripes), func(s device.Stripe) bool { return s.Gone != nil })
		stripe := s.stripes[0]
		if len(there) > 0 {
			stripe = there[0]
			for _, c := range there[1:] {
				stripe.Copies = append(append(slices.Clip(stripe.Copies), device.Stripe{On: c.On, Start: c.Start}), c.Copies...)
				stripe.Stale = stripe.Stale || stale || c.Stale
			}
		}
		line = append(line, device.Part{Length: s.length, Stripes: []device.Stripe{stripe}})
	}
	return line
}
