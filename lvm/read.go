package lvm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// BadCopy is a copy of a group's metadata that is damaged, or cannot be read.
type BadCopy struct {
	On  *Found
	Err error // which metadata area, and what is wrong with it
}

// Groups are the volume groups on some physical volumes.
type Groups struct {
	All    []*Group // each with its highest seqno, in the order in which they were found
	all    []*Found
	found  map[string][]*Found // by UUID
	unread []BadCopy
	texts  map[*Found]bool // those that have some text, be it damaged
}

// Read reads the metadata on the physical volumes.
func Read(found []*Found) *Groups {
	g := &Groups{all: found, found: map[string][]*Found{}, texts: map[*Found]bool{}}
	for _, f := range found {
		g.found[f.UUID] = append(g.found[f.UUID], f)
		for i, a := range f.Metadata {
			if err := g.readCopy(f, fmt.Sprintf("metadata area %d", i), a); err != nil {
				g.unread = append(g.unread, BadCopy{f, err})
			}
		}
	}
	return g
}

// digest tells texts apart that were read: of a group that is known, a copy is not parsed
// once more. LVM's own checksum cannot, for texts that somebody made can share one.
type digest [sha256.Size]byte

// readCopy reads the metadata in an area; there may be none.
func (g *Groups) readCopy(f *Found, what string, a Area) error {
	l, err := locate(f.device(), what, a)
	if err != nil || l.size == 0 {
		g.texts[f] = g.texts[f] || err != nil
		return err
	}
	g.texts[f] = true
	b, err := l.read(f.device(), what)
	if err != nil {
		return err
	}
	text := digest(sha256.Sum256(b))
	if slices.ContainsFunc(g.All, func(known *Group) bool { return known.text == text }) {
		return nil
	}
	group, err := parseGroup(b)
	var s *SyntaxError
	if errors.As(err, &s) {
		return &DamageError{what, l.where(s.Byte), fmt.Sprintf("line %d of the text: %s", s.Line, s.Why)}
	}
	group.text = text
	return g.add(group, what)
}

// add takes in a group, in place of an older one of the same UUID. Two that differ
// and are of one age are an error: nobody can say which of them holds.
func (g *Groups) add(group *Group, what string) error {
	i := slices.IndexFunc(g.All, func(other *Group) bool { return other.UUID == group.UUID })
	switch {
	case i < 0:
		g.All = append(g.All, group)
	case group.Seqno > g.All[i].Seqno:
		g.All[i] = group
	case group.Seqno == g.All[i].Seqno:
		return fmt.Errorf("%s has other metadata than another copy, with the same seqno %d", what, group.Seqno)
	}
	return nil
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

// NoGroupError says that the physical volumes have no volume group of a name.
type NoGroupError struct {
	Name string
	In   *Groups
}

func (e *NoGroupError) Error() string {
	var names []string
	for _, g := range e.In.All {
		names = append(names, g.Name)
	}
	seen := ""
	if len(names) > 0 {
		seen = " (found: " + strings.Join(names, ", ") + ")"
	}
	return fmt.Sprintf("no volume group %s on the devices that could be read%s", e.Name, seen)
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
func (g *Groups) Found(uuid string) []*Found { return g.found[uuid] }

// Bare are the physical volumes that are part of a group whose metadata is on others alone, none of which was found.
func (g *Groups) Bare() (all []*Found) {
	for _, f := range g.all {
		listed := slices.ContainsFunc(g.All, func(group *Group) bool {
			return slices.ContainsFunc(group.Physical, func(p *Physical) bool { return p.UUID == f.UUID })
		})
		if !listed && (f.Used && !g.texts[f] || len(f.Metadata) == 0) {
			all = append(all, f)
		}
	}
	return all
}

// Damaged are the copies of a group's metadata that cannot be read, or are damaged.
func (g *Groups) Damaged(group *Group) (all []BadCopy) {
	for _, c := range g.unread {
		if slices.ContainsFunc(group.Physical, func(p *Physical) bool { return p.UUID == c.On.UUID }) {
			all = append(all, c)
		}
	}
	return all
}

// Unread are all copies that cannot be read, or are damaged.
func (g *Groups) Unread() []BadCopy { return g.unread }
