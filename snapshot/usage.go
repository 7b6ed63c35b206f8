package snapshot

import (
	"cmp"
	"fmt"
	"time"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/volume"
	"dmcow/store/look"
)

// OriginFacts are what is known of the origin of snapshots.
type OriginFacts struct {
	Name    string         // as a table of device-mapper has it; empty where it is not known
	Sectors format.Sectors // of the snapshot, which may be fewer than the origin has; 0 when not known
	Whole   format.Sectors // of the origin itself; 0 when not known
	Block   format.Bytes   // its logical block
	Device  *device.Device // closed; nil where it is not known
}

// OriginFacts finds out about an origin. The error is a [*Refusal].
func (s *Session) OriginFacts(r BaseRequest) (OriginFacts, error) {
	switch {
	case r.Origin == "" && r.Size == nil:
		return OriginFacts{Block: format.SectorSize}, nil
	case r.Origin == "":
		return OriginFacts{"", r.Size.Sectors(), r.Size.Sectors(), format.SectorSize, nil}, nil
	}
	o, err := s.LookAtOrigin(r.Origin)
	if err != nil {
		return OriginFacts{}, err
	}
	defer o.Close()
	sectors := format.Bytes(o.Device.Size()).Sectors()
	return OriginFacts{o.Device.TableName(), sectors, sectors, format.Bytes(o.Device.LogicalBlockSize()), o.Device}, nil
}

// of are the facts of a snapshot of LVM, where nothing was said of its origin: the snapshot may be
// smaller than that.
func (f OriginFacts) of(v *volume.Volume) OriginFacts {
	if v == nil {
		return f
	}
	whole := format.Bytes(v.OriginSize).Sectors()
	if f.Whole == 0 {
		f.Whole = whole
		f.Name = cmp.Or(v.OriginName(), v.OriginNumber, f.Name)
	}
	if f.Whole == whole {
		f.Sectors = format.Bytes(v.SnapshotSize).Sectors()
	}
	return f
}

// Used is how the space of a COW device is used.
type Used struct {
	COW     *COW // closed
	Survey  look.Survey
	Origin  OriginFacts
	Merging bool // LVM has begun to merge it into its origin, or the kernel is at it

	mapping *inuse.Mapping // the COW device, where device-mapper has it; nil also where that is to be found out
}

// LeftToMerge is how many exceptions are left of a merge that LVM or the kernel has begun. known is
// false where none was, or the list cannot be read to its end.
func (u *Used) LeftToMerge() (n uint64, known bool) {
	return u.Survey.Usage.End.Exceptions, u.Merging && u.Survey.Complete()
}

// Created is when LVM made a snapshot, by its record of it; zero where that is not known. Of one that is active the
// record is read for that.
func (s *Session) Created(u *Used) time.Time {
	if v := u.COW.Volume; v != nil && v.Created == 0 {
		s.readRecord(u.COW.Name)
	}
	return created(u.COW.Volume)
}

func created(v *volume.Volume) time.Time {
	if v == nil || v.Created == 0 {
		return time.Time{}
	}
	return time.Unix(int64(v.Created), 0)
}

// Usage finds out how a COW device is used. The error is a [*Refusal].
func (s *Session) Usage(r Request, origin OriginFacts) (*Used, error) {
	c, err := s.Look(r)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s.findDelta(c)
	survey, err := s.Survey(c)
	if err != nil {
		return nil, err
	}
	return &Used{COW: c, Survey: survey, Origin: origin.of(c.Volume), Merging: c.Volume != nil && c.Volume.Merging}, nil
}

// Used is how a store that is listed is used; nil where it cannot be read.
func (l *Listed) Used() *Used {
	if l.COW == nil {
		return nil
	}
	return &Used{l.COW, l.Survey, OriginFacts{Name: l.Origin, Sectors: l.Sectors}, l.Merging, l.mapping}
}

// Unread is why some of the store could not be read, nil where all could.
func (u *Used) Unread() error {
	if err := u.Survey.Unreadable(); err != nil || u.COW.Volume == nil {
		return err
	}
	return u.COW.Volume.Gone
}

// Unfit says why the kernel cannot load the store, or not with this origin; it is empty where it can.
func (u *Used) Unfit() string {
	g := u.Survey.Usage.Geometry
	switch {
	case u.Survey.Unreadable() != nil:
		return "the list cannot be read"
	case u.COW.Volume != nil && u.COW.Volume.Gone != nil:
		return "part of the volume is missing"
	case u.Origin.Sectors == 0:
		return "the origin is not known"
	case g.ChunkBytes()%u.Origin.Block != 0:
		return fmt.Sprintf("%v of the origin (%d bytes)", format.ErrNotBlockSized, u.Origin.Block)
	}
	return ""
}
