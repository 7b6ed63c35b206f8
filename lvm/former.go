package lvm

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Former is a stretch of a logical volume that lay elsewhere: the volume was reduced to less than it, and extended
// again, and LVM gave it other extents.
type Former struct {
	From, To uint64 // extents of the volume, To not included
	Until    uint64 // the seqno of the metadata without them
	Places   []FormerPlace
}

// FormerPlace is where a stripe of it lay.
type FormerPlace struct {
	On       *Physical // as the metadata had it
	From, To uint64    // its extents
	Now      []string  // the volumes that have some of these now, by name; none where they are free
}

// maxRing is the size of the largest metadata area that is searched for older texts. LVM makes them of a mebibyte.
const maxRing = 16 << 20

// Former are the stretches of a volume that lay elsewhere, as far as older texts of the group's metadata can still be
// read: a metadata area is a ring in which each text is written behind the one before. What pvmove moved is none of them.
func (g *Groups) Former(group *Group, v *Logical) (all []Former) {
	texts := g.older(group)
	for i := 1; i < len(texts); i++ {
		before, after := texts[i-1].byUUID(v.UUID), texts[i].byUUID(v.UUID)
		if before == nil || after == nil {
			continue
		}
		end := min(before.Extents, v.Extents)
		for from := after.Extents; from < end; {
			was, to := texts[i-1].at(before, from, end)
			is, stop := group.at(v, from, to)
			if !slices.Equal(was.stripes, is.stripes) {
				all = append(all, group.former(was, Former{From: from, To: stop, Until: texts[i].Seqno}))
			}
			from = stop
		}
	}
	return all
}

// byUUID is a volume of the group, nil where it has none.
func (g *Group) byUUID(uuid string) *Logical {
	if i := slices.IndexFunc(g.Logical, func(v *Logical) bool { return v.UUID == uuid }); i >= 0 {
		return g.Logical[i]
	}
	return nil
}

// laid is how extents of a volume lie from one of them on.
type laid struct {
	on      []*Physical
	stripes []string // what stripe has them from where on, for who compares
	starts  []uint64 // the stripes' extents
}

// at is how the extents of a volume lie from one on, and up to which, before end: they are in one segment.
func (g *Group) at(v *Logical, from, end uint64) (l laid, to uint64) {
	i, _ := slices.BinarySearchFunc(v.Segments, from, func(s *Segment, e uint64) int { return cmp.Compare(s.Start+s.Count, e+1) })
	s := v.Segments[i]
	to = min(end, s.Start+s.Count)
	if s.Type != "striped" && s.Type != "linear" {
		l.stripes = []string{s.Type}
		return l, to
	}
	n := uint64(len(s.Stripes))
	for _, stripe := range s.Stripes {
		at, on := stripe.Extent+(from-s.Start)/n, g.physical[stripe.On]
		if on == nil {
			return laid{stripes: []string{stripe.On}}, to
		}
		l.on, l.starts = append(l.on, on), append(l.starts, at)
		l.stripes = append(l.stripes, fmt.Sprint(on.UUID, at, (from-s.Start)%n, s.StripeSize))
	}
	return l, to
}

// former says where extents lay, and who has these places in the group.
func (g *Group) former(was laid, f Former) Former {
	for i, on := range was.on {
		n := uint64(len(was.on))
		p := FormerPlace{On: on, From: was.starts[i], To: was.starts[i] + (f.To-f.From+n-1)/n}
		p.Now = g.owners(on.UUID, p.From, p.To)
		f.Places = append(f.Places, p)
	}
	return f
}

// owners are the volumes that have some of the extents of a physical volume.
func (g *Group) owners(uuid string, from, to uint64) (names []string) {
	for _, v := range g.Logical {
		for _, s := range v.Segments {
			for _, stripe := range s.Stripes {
				on := g.physical[stripe.On]
				end := stripe.Extent + s.Count/uint64(len(s.Stripes))
				if on != nil && on.UUID == uuid && stripe.Extent < to && from < end && !slices.Contains(names, v.Name) {
					names = append(names, v.Name)
				}
			}
		}
	}
	return names
}

// older are the texts of a group that can still be read, by their age, and the current one behind them.
func (g *Groups) older(group *Group) []*Group {
	all := []*Group{group}
	for _, p := range group.Physical {
		for _, f := range g.found[p.UUID] {
			for _, a := range f.Metadata {
				all = append(all, olderIn(f, a, group)...)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b *Group) int { return cmp.Compare(a.Seqno, b.Seqno) })
	return slices.CompactFunc(all, func(a, b *Group) bool { return a.Seqno == b.Seqno })
}

// olderIn are those in a metadata area. Each text begins with a sector, and ends with a zero byte, or was overwritten from
// the beginning of another one on. They have no checksum: what cannot be parsed is none.
func olderIn(f *Found, a Area, group *Group) (all []*Group) {
	if a.Size <= areaHeaderSize || a.Size > maxRing || a.Offset > math.MaxInt64-maxRing {
		return nil
	}
	ring := make([]byte, a.Size-areaHeaderSize)
	n, _ := f.device().ReadAt(ring, int64(a.Offset)+areaHeaderSize)
	ring = ring[:n]
	id := []byte(fmt.Sprintf("{\nid = %q\n", group.UUID))
	var starts []int
	for at := 0; at < len(ring); at += SectorSize {
		if i := bytes.Index(ring[at:min(at+SectorSize, len(ring))], id); i > 0 && isLVMName(string(bytes.TrimSpace(ring[at:at+i]))) {
			starts = append(starts, at)
		}
	}
	for i, at := range starts {
		text := slices.Clip(ring[at:])
		switch {
		case i+1 < len(starts):
			text = ring[at:starts[i+1]]
		default: // the last one goes on at the ring's beginning
			text = append(text, ring[:starts[0]]...)
		}
		if end := bytes.IndexByte(text, 0); end >= 0 {
			text = text[:end]
		}
		if old, err := parseGroup(text); err == nil && old.UUID == group.UUID && old.Seqno < group.Seqno {
			all = append(all, old)
		}
	}
	return all
}
