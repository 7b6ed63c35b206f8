package volume

import (
	"slices"

	"dmcow/internal/md"
	"dmcow/internal/words"
	"dmcow/lvm"
)

// inArray is where the data of an array of md is on a device that is one of its members, nil where it is none. A
// physical volume with the size of the device, or of more than the array has, is not the array's: the superblock
// was left by an earlier life.
func inArray(d lvm.Disk) (*lvm.Inner, error) {
	m, err := md.Find(d)
	if err != nil {
		return nil, nil // it is none, or so damaged that it is taken as it is; of a read error hears who looks for a label
	}
	if l, err := lvm.ReadLabel(d); err == nil && l.Size <= uint64(d.Size()) && (m.Level != md.RAID1 || l.Size > uint64(m.Whole)) {
		return nil, nil
	}
	if err := m.CheckReadable(); err != nil {
		return nil, words.Hint(err, "assemble the array, and give that: mdadm --assemble --readonly (images as loop devices: losetup --read-only)")
	}
	return &lvm.Inner{Start: m.Start, Length: m.Length, Of: m}, nil
}

// memberOf is the member of an array in which a physical volume lies, nil where it lies in none.
func memberOf(f *lvm.Found) *md.Member {
	if f.In == nil {
		return nil
	}
	m, _ := f.In.Of.(*md.Member)
	return m
}

func (s *Sight) noteMember(f *lvm.Found) {
	if m := memberOf(f); m != nil {
		s.members[m.Array] = append(s.members[m.Array], f)
	}
}

// tellMembers tells which member of an array of md is read, and what that may mean.
func (s *Sight) tellMembers(g *lvm.Group) {
	for _, f := range s.on(g) {
		m := memberOf(f)
		if m == nil {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(s.members[m.Array]), func(other *lvm.Found) bool {
			return other.UUID != f.UUID || memberOf(other) == m
		})
		if len(others) == 0 && m.Members > 1 {
			s.say(f.String(), "is one of %d members of an md RAID1; the others are missing, and may be newer", m.Members)
		}
		for _, other := range others {
			if o := memberOf(other); o.Events < m.Events {
				s.say(f.String(), "is read, and %v is not: both are members of an md RAID1, and this one is newer (%d events; the other has %d)", other, m.Events, o.Events)
			}
		}
	}
}
