package lvm

import (
	"fmt"
	"slices"
	"strings"
)

// Segment is a stretch of a logical volume.
type Segment struct {
	Start, Count uint64   // in extents
	Type         string   // "striped", which linear ones are, too, "raid1", "thin", ...
	StripeSize   uint64   // in sectors
	Stripes      []Stripe // of a striped one

	// Of a snapshot: names of logical volumes, and a size in sectors.
	Origin, COW string
	Merging     bool // COW is being merged into Origin
	ChunkSize   uint64

	other *rest // nil where there is none: most segments are linear, and there may be very many
}

// rest is what only some types have.
type rest struct {
	flags   []string // that stand behind the type
	mirrors []Stripe // of a mirror: each leg
	images  []string // of RAID: the volumes that it is kept on, each with its metadata before it, if it has any
	devices uint64   // how many images it says that it has
	values  map[string]scalar
}

func (s *Segment) rest() *rest {
	if s.other == nil {
		s.other = &rest{}
	}
	return s.other
}

// Stripe is where a stripe of a segment begins.
type Stripe struct {
	On     string // name of a physical volume, or of a logical one
	Extent uint64
}

// Text is a value of a segment that is a string, empty where there is none.
func (s *Segment) Text(key string) string { return s.value(key).text }

// Number is a value of a segment that is a number and not negative, 0 where there is none.
func (s *Segment) Number(key string) uint64 { return uint64(max(s.value(key).number, 0)) }

func (s *Segment) value(key string) scalar {
	if s.other == nil {
		return scalar{}
	}
	return s.other.values[key]
}

// Has reports whether a flag stands behind the type.
func (s *Segment) Has(flag string) bool {
	return s.other != nil && slices.Contains(s.other.flags, flag)
}

// spare is how many of the segment's extents are none of the volume: in RAID whose layout was changed, each image
// that data is on has some that LVM counts (reshape_len).
func (s *Segment) spare() uint64 {
	if s.other == nil || len(s.other.images) == 0 {
		return 0
	}
	data := s.other.devices
	switch {
	case s.Type == "raid10":
		data /= max(s.Number("data_copies"), 2)
	case strings.HasPrefix(s.Type, "raid6"):
		data -= min(data, 2)
	case s.Type == "raid1":
		data = 1
	default:
		data -= min(data, 1)
	}
	return min(s.Number("reshape_count"), maxExtents) * min(data, maxStripes)
}

func (s *Segment) String() string { return fmt.Sprintf("extents %d to %d", s.Start, s.Start+s.Count-1) }

func (p *parser) segment(v *Logical) error {
	s := &Segment{}
	v.Segments = append(v.Segments, s)
	err := p.each(func(key string) error {
		switch key {
		case "start_extent":
			return p.number(&s.Start)
		case "extent_count":
			return p.number(&s.Count)
		case "type":
			return p.kind(s)
		case "stripe_size":
			return p.number(&s.StripeSize)
		case "stripes":
			return p.stripes(&s.Stripes)
		case "mirrors":
			return p.stripes(&s.rest().mirrors)
		case "raids", "raid0_lvs":
			return p.strings(&s.rest().images)
		case "origin":
			return p.string(&s.Origin)
		case "cow_store", "merging_store":
			if s.COW != "" {
				return p.fails("logical volume %s: a segment with two COW stores", v.Name)
			}
			s.Merging = key == "merging_store"
			return p.string(&s.COW)
		case "chunk_size":
			return p.number(&s.ChunkSize)
		}
		return p.rest(key, s)
	})
	if err == nil && !isLVMName(s.Type) {
		err = p.fails("logical volume %s: a segment of type %q", v.Name, s.Type)
	}
	return err
}

// kind reads a type, and the flags behind it.
func (p *parser) kind(s *Segment) error {
	var text string
	err := p.string(&text)
	words := strings.Split(text, "+")
	if s.Type = words[0]; len(words) > 1 {
		s.rest().flags = words[1:]
	}
	return err
}

// rest keeps a value that only some types have.
func (p *parser) rest(key string, s *Segment) error {
	if p.opened {
		return p.skip()
	}
	var last scalar
	list, err := p.value(func(v scalar) error {
		last = v
		return nil
	})
	switch {
	case err != nil || list || key == "stripe_count" && last.number == 1:
		return err
	case key == "stripe_count" || key == "device_count":
		s.rest().devices = uint64(max(last.number, 0))
		return nil
	}
	r := s.rest()
	if r.values == nil {
		r.values = map[string]scalar{}
	}
	r.values[key] = last
	return nil
}

// maxStripes is how many stripes are believed; LVM makes up to 128 (MAX_STRIPES).
const maxStripes = 1024

func (p *parser) stripes(all *[]Stripe) error {
	name := true
	err := p.list(func(v scalar) error {
		switch {
		case len(*all) > maxStripes:
			return p.failsAt(v.at, "more than %d stripes", maxStripes)
		case name && v.kind == isString:
			*all = append(*all, Stripe{On: v.text})
		case !name && v.kind == isNumber && v.number >= 0 && v.number <= maxExtents:
			(*all)[len(*all)-1].Extent = uint64(v.number)
		default:
			return p.failsAt(v.at, "expected pairs of a name and an extent's number")
		}
		name = !name
		return nil
	})
	if err == nil && !name {
		err = p.fails("expected an extent's number behind %q", (*all)[len(*all)-1].On)
	}
	return err
}
