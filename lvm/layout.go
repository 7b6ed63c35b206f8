package lvm

import "fmt"

// Stripe is where a stripe of a segment begins.
type Stripe struct {
	On     string // name of a physical volume, or of a logical one
	Extent uint64
}

// Part is a stretch of a logical volume, in bytes, whose chunks of Chunk bytes are on the
// places in turn. Of a linear one there is one place.
type Part struct {
	Length, Chunk int64
	Places        []Place
}

// Place is where a stripe begins on a physical volume, in bytes.
type Place struct {
	On    *Physical
	Start int64
}

// UnsupportedError says that a logical volume does not lie plainly on physical ones.
type UnsupportedError struct {
	Volume   string // "vg0/snap"
	From, To uint64 // its extents, the last one included
	Type     string // of the segment that they lie on
	By       string // the logical volume that the segment is of
}

func (e *UnsupportedError) Error() string {
	text := fmt.Sprintf("extents %d to %d of %s are a segment of type %s", e.From, e.To, e.Volume, e.Type)
	if e.By != "" {
		text = fmt.Sprintf("extents %d to %d of %s lie on the volume %s, of type %s", e.From, e.To, e.Volume, e.By, e.Type)
	}
	return text + ", expected linear or striped ones"
}

// Size is the size of a logical volume, in bytes.
func (g *Group) Size(v *Logical) int64 { return g.bytes(v.Extents) }

func (g *Group) bytes(extents uint64) int64 { return int64(extents * g.ExtentSize * SectorSize) }

// Layout says where the bytes of a logical volume are, in order. The error is an
// [*UnsupportedError], or says what does not fit in the metadata.
func (g *Group) Layout(v *Logical) (all []Part, err error) {
	for _, s := range v.Segments {
		p, err := g.part(v, s)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (g *Group) part(v *Logical, s *Segment) (Part, error) {
	name := g.Name + "/" + v.Name
	if s.Type != "striped" && s.Type != "linear" {
		return Part{}, &UnsupportedError{Volume: name, From: s.Start, To: s.Start + s.Count - 1, Type: s.Type}
	}
	p := Part{Length: g.bytes(s.Count), Chunk: int64(s.StripeSize) * SectorSize}
	n := uint64(len(s.Stripes))
	if n == 0 || s.Count%n != 0 || n > 1 && p.Chunk == 0 || n > 1 && g.bytes(s.Count/n)%p.Chunk != 0 {
		return Part{}, fmt.Errorf("%s: %v cannot be %d stripes of %d sectors in turn", name, s, n, s.StripeSize)
	}
	for _, stripe := range s.Stripes {
		on := g.physical[stripe.On]
		switch {
		case on != nil && (stripe.Extent > on.Count || s.Count/n > on.Count-stripe.Extent):
			return Part{}, fmt.Errorf("%s: %v lie on extents from %d on of physical volume %s, which has %d", name, s, stripe.Extent, on.Name, on.Count)
		case on != nil:
			p.Places = append(p.Places, Place{on, int64(on.Start*SectorSize) + g.bytes(stripe.Extent)})
		case g.logical[stripe.On] != nil:
			return Part{}, &UnsupportedError{Volume: name, From: s.Start, To: s.Start + s.Count - 1, By: stripe.On, Type: g.logical[stripe.On].kind()}
		default:
			return Part{}, fmt.Errorf("%s: %v lie on %q, which does not exist", name, s, stripe.On)
		}
	}
	return p, nil
}

// kind is the type of a volume's first segment, in the words of lvs.
func (v *Logical) kind() string {
	s := v.Segments[0]
	if s.Type == "striped" && len(s.Stripes) < 2 {
		return "linear"
	}
	return s.Type
}
