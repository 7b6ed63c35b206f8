package lvm

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Group is a volume group as its metadata has it.
type Group struct {
	Name, UUID string
	Seqno      uint64 // of the metadata: it grows with each change
	ExtentSize uint64 // in sectors
	Exported   bool   // no machine is to use it
	ReadOnly   bool   // nothing in it is to be written
	Clustered  bool   // hosts share it, by an older kind of lock
	SystemID   string // of the host that it belongs to; empty for any
	LockType   string // of a group that hosts share; else empty or "none"
	Physical   []*Physical
	Logical    []*Logical

	physical  map[string]*Physical
	logical   map[string]*Logical
	snapshots snapshots
	text      digest // of the text that it was read from
}

// Physical is a physical volume as the metadata has it.
type Physical struct {
	Name   string // in the metadata alone: "pv0"
	UUID   string
	Device string // its path when the metadata was written: a hint
	// Missing: the group was changed while the volume was not there, so that what is on
	// it may be old.
	Missing    bool
	Start      uint64 // of its first extent, in sectors
	Count      uint64 // of extents
	ExtentSize uint64 // the group's, in sectors
}

// Logical is a logical volume.
type Logical struct {
	Name, UUID string
	ReadOnly   bool
	Visible    bool // it is not a part of another one
	Moving     bool // pvmove has made it for a while
	Rarely     bool // an image that an array reads last
	Rebuild    bool // an image that is to be written anew
	Segments   []*Segment
	Extents    uint64
	Created    uint64 // when, in seconds since 1970; 0 where that is not known
}

// Find is the logical volume of a name.
func (g *Group) Find(name string) *Logical { return g.logical[name] }

// Shared reports whether several hosts use the group at once, by a lock manager.
func (g *Group) Shared() bool { return g.Clustered || g.LockType != "" && g.LockType != "none" }

// parseGroup reads the text of a volume group. The error is a [*SyntaxError].
func parseGroup(text []byte) (*Group, error) {
	p := &parser{text: text}
	var g *Group
	err := p.all(func(key string) error {
		switch {
		case p.opened && g != nil:
			return p.fails("a second section, %q, beside the volume group", key)
		case p.opened:
			if !isLVMName(key) {
				return p.fails("invalid name of a volume group: %q", key)
			}
			g = &Group{Name: key, physical: map[string]*Physical{}, logical: map[string]*Logical{}}
			return p.group(g)
		case key == "version":
			return p.exactly(1)
		}
		return p.skip()
	})
	if err == nil && g == nil {
		err = p.fails("expected the section of a volume group")
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (p *parser) exactly(n uint64) error {
	var got uint64
	if err := p.number(&got); err != nil {
		return err
	}
	if got != n {
		return p.fails("%d, expected %d", got, n)
	}
	return nil
}

func (p *parser) group(g *Group) error {
	var may permission
	err := p.each(func(key string) error {
		switch key {
		case "id":
			return p.uuid(&g.UUID)
		case "seqno":
			return p.number(&g.Seqno)
		case "format":
			return p.format()
		case "extent_size":
			return p.number(&g.ExtentSize)
		case "status":
			may.told = true
			return p.flags(map[string]*bool{"EXPORTED": &g.Exported, "CLUSTERED": &g.Clustered, "WRITE": &may.write})
		case "flags":
			return p.flags(map[string]*bool{"WRITE_LOCKED": &may.locked})
		case "system_id":
			return p.shown(&g.SystemID)
		case "lock_type":
			return p.shown(&g.LockType)
		case "physical_volumes":
			return p.each(func(name string) error { return p.physical(g, name) })
		case "logical_volumes":
			return p.each(func(name string) error { return p.logical(g, name) })
		}
		return p.skip()
	})
	if err != nil {
		return err
	}
	g.ReadOnly = may.readOnly()
	if g.UUID == "" || g.ExtentSize == 0 || g.Seqno == 0 {
		return p.fails("volume group %s: expected id, seqno and extent_size", g.Name)
	}
	return p.consistent(g)
}

// permission is what the metadata says of writing to a group, or to a volume. Of a group with a
// system ID, or one that hosts share, WRITE stands among the flags, by another name: an LVM that
// is too old to mind either takes the group for one that must not be written (_print_vg).
type permission struct{ told, write, locked bool }

func (p permission) readOnly() bool { return p.told && !p.write && !p.locked }

// format reads the name of the metadata format: "lvm2", or none.
func (p *parser) format() error {
	var name string
	if err := p.string(&name); err != nil {
		return err
	}
	if name != "lvm2" {
		return p.fails("format %q, expected \"lvm2\"", name)
	}
	return nil
}

func (p *parser) uuid(to *string) error {
	if err := p.string(to); err != nil {
		return err
	}
	if !isUUID(*to) {
		return p.fails("invalid UUID %q", *to)
	}
	return nil
}

func (p *parser) physical(g *Group, name string) error {
	v := &Physical{Name: name}
	if !isLVMName(name) {
		return p.fails("invalid name of a physical volume: %q", name)
	}
	if g.physical[name] != nil {
		return p.fails("physical volume %s is listed twice", name)
	}
	g.Physical, g.physical[name] = append(g.Physical, v), v
	started := false
	err := p.each(func(key string) error {
		switch key {
		case "id":
			return p.uuid(&v.UUID)
		case "device":
			return p.shown(&v.Device)
		case "status", "flags":
			return p.flags(map[string]*bool{"MISSING": &v.Missing})
		case "pe_start":
			started = true
			return p.number(&v.Start)
		case "pe_count":
			return p.number(&v.Count)
		}
		return p.skip()
	})
	if err == nil && (v.UUID == "" || !started) {
		err = p.fails("physical volume %s: expected id and pe_start", name)
	}
	return err
}

func (p *parser) logical(g *Group, name string) error {
	v := &Logical{Name: name}
	if !isLVMName(name) {
		return p.fails("invalid name of a logical volume: %q", name)
	}
	if g.logical[name] != nil {
		return p.fails("logical volume %s is listed twice", name)
	}
	g.Logical, g.logical[name] = append(g.Logical, v), v
	segments := uint64(0)
	var may permission
	err := p.each(func(key string) error {
		switch {
		case key == "id":
			return p.uuid(&v.UUID)
		case key == "status":
			may.told = true
			return p.flags(map[string]*bool{"WRITE": &may.write, "VISIBLE": &v.Visible, "PVMOVE": &v.Moving, "WRITEMOSTLY": &v.Rarely, "REBUILD": &v.Rebuild})
		case key == "flags":
			return p.flags(map[string]*bool{"WRITE_LOCKED": &may.locked})
		case key == "creation_time":
			return p.number(&v.Created)
		case key == "segment_count":
			return p.number(&segments)
		case p.opened && strings.HasPrefix(key, "segment"):
			return p.segment(v)
		}
		return p.skip()
	})
	if err != nil {
		return err
	}
	v.ReadOnly = may.readOnly()
	if v.UUID == "" || uint64(len(v.Segments)) != segments || segments == 0 {
		return p.fails("logical volume %s: expected id, and as many segments as segment_count says", name)
	}
	if err := p.gapless(v); err != nil {
		return err
	}
	for _, s := range v.Segments {
		spare := min(s.spare(), s.Count-1)
		s.Count, v.Extents = s.Count-spare, v.Extents-spare
	}
	return nil
}

// gapless brings segments into order, and wants each to begin where the one before ends.
func (p *parser) gapless(v *Logical) error {
	slices.SortFunc(v.Segments, func(a, b *Segment) int { return cmp.Compare(a.Start, b.Start) })
	for _, s := range v.Segments {
		if s.Start != v.Extents || s.Count == 0 || s.Count > maxExtents-v.Extents {
			return p.fails("logical volume %s: a segment of %d extents begins at extent %d, expected %d", v.Name, s.Count, s.Start, v.Extents)
		}
		v.Extents += s.Count
	}
	return nil
}

// maxExtents is what no count of extents goes beyond (MAX_EXTENT_COUNT).
const maxExtents = 1<<32 - 1

// consistent wants the names in the group to be those of volumes that there are, and all
// places to be such that they can be counted in bytes.
func (p *parser) consistent(g *Group) error {
	most := math.MaxInt64 / SectorSize / g.ExtentSize // extents whose bytes can be counted
	for _, v := range g.Physical {
		if v.Count > maxExtents || v.Count > most || v.Start > (most-v.Count)*g.ExtentSize {
			return p.fails("physical volume %s: %d extents of %d sectors from sector %d on", v.Name, v.Count, g.ExtentSize, v.Start)
		}
		v.ExtentSize = g.ExtentSize
	}
	if err := p.apart(g); err != nil {
		return err
	}
	for _, v := range g.Logical {
		if v.Extents > most {
			return p.fails("logical volume %s: %d extents of %d sectors", v.Name, v.Extents, g.ExtentSize)
		}
	}
	return p.ties(g)
}

// apart wants no two stripes to share an extent (check_lv_segments and
// _check_contiguous in LVM2's metadata code refuse such a group).
func (p *parser) apart(g *Group) error {
	type use struct {
		start, end uint64
		by         string
	}
	uses := map[*Physical][]use{}
	for _, v := range g.Logical {
		for _, s := range v.Segments {
			if s.Type != "striped" && s.Type != "linear" || len(s.Stripes) == 0 {
				continue
			}
			for _, stripe := range s.Stripes {
				if on := g.physical[stripe.On]; on != nil {
					uses[on] = append(uses[on], use{stripe.Extent, stripe.Extent + s.Count/uint64(len(s.Stripes)), v.Name})
				}
			}
		}
	}
	for _, v := range g.Physical {
		all := uses[v]
		slices.SortFunc(all, func(a, b use) int { return cmp.Compare(a.start, b.start) })
		for i := 1; i < len(all); i++ {
			if all[i].start < all[i-1].end {
				return p.fails("extent %d of physical volume %s belongs to both %s and %s", all[i].start, v.Name, all[i-1].by, all[i].by)
			}
		}
	}
	return nil
}
