package lvm

import (
	"fmt"
	"iter"
	"slices"
)

// Part is a stretch of a logical volume, in bytes: a segment. How the bytes are kept is by the segment's type.
type Part struct {
	*Segment
	Length, Chunk int64 // Chunk: of stripes, in bytes
	Places        []Place
	Images        []Image
}

// Place is where a stripe, or a leg of a mirror, begins: at a byte of a physical volume, or of a logical one.
type Place struct {
	On    *Physical
	In    *Logical
	Start int64
}

// Image is a volume that RAID keeps data on, and the one with its metadata, nil where it has none.
type Image struct{ Data, Metadata *Logical }

// UnsupportedError says that a logical volume is of a type that is not known here, or not known to such an extent.
type UnsupportedError struct {
	Volume   string // "vg0/snap"
	From, To uint64 // its extents, the last one included
	Type     string // of the segment that they lie on
	Why      string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("extents %d to %d of %s are a segment of type %s, %s", e.From, e.To, e.Volume, e.Type, e.Why)
}

// Unsupported is the error of a segment that is not supported.
func (g *Group) Unsupported(v *Logical, s *Segment, why string) error {
	return &UnsupportedError{g.Name + "/" + v.Name, s.Start, s.Start + s.Count - 1, s.Type, why}
}

// Size is the size of a logical volume, in bytes.
func (g *Group) Size(v *Logical) int64 { return g.bytes(v.Extents) }

func (g *Group) bytes(extents uint64) int64 { return int64(extents * g.ExtentSize * SectorSize) }

// Layout says where the bytes of a logical volume are, in order: on physical volumes, or on other logical ones,
// which have a layout of their own. (Nothing keeps a damaged group from having one that leads back to itself.) The
// error says what does not fit in the metadata.
func (g *Group) Layout(v *Logical) (all []Part, err error) {
	for _, s := range v.Segments {
		p := Part{Segment: s, Length: g.bytes(s.Count), Chunk: int64(s.StripeSize) * SectorSize}
		switch {
		case s.Type == "striped" || s.Type == "linear":
			err = g.striped(v, &p)
		case s.Type == "mirror":
			p.Places, err = g.places(v, s, s.rest().mirrors, s.Count)
		case s.other != nil && len(s.other.images) > 0:
			p.Images, err = g.images(v, s)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (g *Group) striped(v *Logical, p *Part) (err error) {
	s := p.Segment
	n := uint64(len(s.Stripes))
	if n == 0 || s.Count%n != 0 || n > 1 && p.Chunk == 0 || n > 1 && g.bytes(s.Count/n)%p.Chunk != 0 {
		return fmt.Errorf("%s/%s: %v cannot be %d stripes of %d sectors in turn", g.Name, v.Name, s, n, s.StripeSize)
	}
	p.Places, err = g.places(v, s, s.Stripes, s.Count/n)
	return err
}

// places are where stripes or legs begin that have so many extents each.
func (g *Group) places(v *Logical, s *Segment, stripes []Stripe, count uint64) (all []Place, err error) {
	fails := func(format string, args ...any) error {
		return fmt.Errorf("%s/%s: %v lie on %s", g.Name, v.Name, s, fmt.Sprintf(format, args...))
	}
	for _, stripe := range stripes {
		on, in := g.physical[stripe.On], g.logical[stripe.On]
		switch {
		case on != nil && (stripe.Extent > on.Count || count > on.Count-stripe.Extent):
			return nil, fails("extents from %d on of physical volume %s, which has %d", stripe.Extent, on.Name, on.Count)
		case on != nil:
			all = append(all, Place{On: on, Start: int64(on.Start*SectorSize) + g.bytes(stripe.Extent)})
		case in != nil && (stripe.Extent > in.Extents || count > in.Extents-stripe.Extent):
			return nil, fails("extents from %d on of the volume %s, which has %d", stripe.Extent, in.Name, in.Extents)
		case in != nil:
			all = append(all, Place{In: in, Start: g.bytes(stripe.Extent)})
		default:
			return nil, fails("%q, which does not exist", stripe.On)
		}
	}
	return all, nil
}

// images are those of a RAID segment. Each has metadata, but where there are only as many as the segment counts.
func (g *Group) images(v *Logical, s *Segment) (all []Image, err error) {
	var volumes []*Logical
	for _, name := range s.other.images {
		on := g.logical[name]
		if on == nil || on == v || slices.Contains(volumes, on) {
			return nil, fmt.Errorf("%s/%s: %v lie on %q, which does not exist, or is there twice", g.Name, v.Name, s, name)
		}
		volumes = append(volumes, on)
	}
	count := s.other.devices
	if count == uint64(len(volumes)) {
		for _, on := range volumes {
			all = append(all, Image{Data: on})
		}
		return all, nil
	}
	if count*2 != uint64(len(volumes)) {
		return nil, fmt.Errorf("%s/%s: %v lie on %d volumes, expected %d images", g.Name, v.Name, s, len(volumes), count)
	}
	for pair := range slices.Chunk(volumes, 2) {
		all = append(all, Image{Data: pair[1], Metadata: pair[0]})
	}
	return all, nil
}

// kind is the type of a volume's first segment, in the words of lvs.
func (v *Logical) kind() string {
	s := v.Segments[0]
	if s.Type == "striped" && len(s.Stripes) < 2 {
		return "linear"
	}
	return s.Type
}

// On are the physical volumes that a volume is on, and the volumes that it is made of, with what LVM keeps of them.
func (g *Group) On(v *Logical) (all []*Physical) {
	all, _ = g.under(v)
	return all
}

// Apart reports whether two volumes have nothing in common: neither is made of the other, and they are not made of one
// volume both. (Those that are on physical volumes share no extent there: of a text where some do, there is no group.)
func (g *Group) Apart(a, b *Logical) bool {
	_, ofA := g.under(a)
	_, ofB := g.under(b)
	ofA[a], ofB[b] = true, true
	for v := range ofA {
		if ofB[v] {
			return false
		}
	}
	return true
}

// under are the physical volumes that a volume is on, and the logical ones that it is made of, with what LVM keeps of
// them.
func (g *Group) under(v *Logical) (on []*Physical, of map[*Logical]bool) {
	of = map[*Logical]bool{}
	seen := map[string]bool{}
	var look func(*Logical)
	visit := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		if p := g.physical[name]; p != nil {
			on = append(on, p)
		}
		if under := g.logical[name]; under != nil {
			of[under] = true
			look(under)
		}
	}
	look = func(v *Logical) {
		for _, s := range v.Segments {
			for name := range s.names() {
				visit(name)
			}
		}
	}
	look(v)
	return on, of
}

// names are those of what the segment is made of. The origin of a snapshot, or of a thin volume, is not: it is a
// volume beside it.
func (s *Segment) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, stripe := range s.Stripes {
			if !yield(stripe.On) {
				return
			}
		}
		if s.Type == "snapshot" || s.Type != "thin" && s.Origin != "" && !yield(s.Origin) || s.other == nil {
			return
		}
		for _, stripe := range s.other.mirrors {
			if !yield(stripe.On) {
				return
			}
		}
		for _, name := range s.other.images {
			if !yield(name) {
				return
			}
		}
		for _, v := range s.other.values {
			if v.kind == isString && !yield(v.text) {
				return
			}
		}
	}
}
