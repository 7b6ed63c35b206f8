package lvm

import (
	"errors"
	"fmt"
	"slices"
)

// Copy is a copy of a group's metadata, in a metadata area of a physical volume.
type Copy struct {
	On    *Found
	Area  int // from 0
	Group *Group
	Err   error // why there is none
}

func (c Copy) String() string { return fmt.Sprintf("metadata area %d on %v", c.Area, c.On) }

// Groups are the volume groups on some physical volumes.
type Groups struct {
	All   []*Group // each with its highest seqno, in the order in which they were found
	found []*Found
	read  []Copy
}

// Read reads the metadata on the physical volumes.
func Read(found []*Found) *Groups {
	g := &Groups{found: found}
	known := map[text]*Group{}
	for _, f := range found {
		for i, a := range f.Metadata {
			c := Copy{On: f, Area: i}
			c.Group, c.Err = readCopy(f, i, a, known)
			if c.Group == nil && c.Err == nil {
				continue
			}
			g.read = append(g.read, c)
			if c.Err == nil {
				g.add(c.Group)
			}
		}
	}
	return g
}

// text tells texts apart that were read, each of which is parsed once.
type text struct {
	size uint64
	crc  uint32
}

// readCopy reads the metadata in an area; there may be none.
func readCopy(f *Found, number int, a Area, known map[text]*Group) (*Group, error) {
	what := fmt.Sprintf("metadata area %d", number)
	l, err := locate(f.device(), what, a)
	if err != nil || l.size == 0 {
		return nil, err
	}
	b, err := l.read(f.device(), what)
	if err != nil {
		return nil, err
	}
	key := text{l.size, l.crc}
	if g := known[key]; g != nil {
		return g, nil
	}
	g, err := parseGroup(b)
	var s *SyntaxError
	if errors.As(err, &s) {
		return nil, &DamageError{what, l.where(s.Byte), fmt.Sprintf("line %d of the text: %s", s.Line, s.Why)}
	}
	known[key] = g
	return g, err
}

// add takes in a group, in place of an older one of the same UUID.
func (g *Groups) add(group *Group) {
	for i, other := range g.All {
		if other.UUID != group.UUID {
			continue
		}
		if group.Seqno > other.Seqno {
			g.All[i] = group
		}
		return
	}
	g.All = append(g.All, group)
}

// Named is the group of a name, or of a UUID. The error says that there is none, or that
// there are several.
func (g *Groups) Named(name string) (*Group, error) {
	var all []*Group
	for _, group := range g.All {
		if group.Name == name || group.UUID == name {
			all = append(all, group)
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	if len(all) == 0 {
		return nil, &NoGroupError{name, g}
	}
	return nil, &AmbiguousError{name, all}
}

// NoGroupError says that there is no volume group of a name.
type NoGroupError struct {
	Name string
	In   *Groups
}

func (e *NoGroupError) Error() string {
	var names []string
	for _, g := range e.In.All {
		names = append(names, g.Name)
	}
	seen := "none"
	if len(names) > 0 {
		seen = fmt.Sprint(names)
	}
	return fmt.Sprintf("there is no volume group %s on %d physical volumes; groups seen: %s", e.Name, len(e.In.found), seen)
}

// AmbiguousError says that volume groups have the same name.
type AmbiguousError struct {
	Name   string
	Groups []*Group
}

func (e *AmbiguousError) Error() string {
	text := fmt.Sprintf("%d volume groups are named %s; name one by its UUID:", len(e.Groups), e.Name)
	for _, g := range e.Groups {
		text += " " + g.UUID
	}
	return text
}

// Found are the physical volumes of a UUID: one, or none where it is missing, or several
// where there are copies of it.
func (g *Groups) Found(uuid string) (all []*Found) {
	for _, f := range g.found {
		if f.UUID == uuid {
			all = append(all, f)
		}
	}
	return all
}

// Damaged are the copies of a group's metadata that cannot be read, or are damaged.
func (g *Groups) Damaged(group *Group) (all []Copy) {
	for _, c := range g.read {
		if c.Err != nil && slices.ContainsFunc(group.Physical, func(p *Physical) bool { return p.UUID == c.On.UUID }) {
			all = append(all, c)
		}
	}
	return all
}

// Unread are all copies that cannot be read, or are damaged.
func (g *Groups) Unread() (all []Copy) {
	for _, c := range g.read {
		if c.Err != nil {
			all = append(all, c)
		}
	}
	return all
}
