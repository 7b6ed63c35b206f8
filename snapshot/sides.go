package snapshot

import (
	"errors"
	"slices"

	"dmcow/format"
	"dmcow/fs"
	"dmcow/fs/compare"
	"dmcow/internal/words"
	"dmcow/view"
)

// SidesRequest says which two file systems are to be compared: of a snapshot and its origin, or of two snapshots.
type SidesRequest struct {
	ViewRequest
	Against   string // a later snapshot of the same origin, in place of the origin
	Since     string // an earlier one: what changed since then, up to this one
	Partition int
	Content   bool // compare the chunks, and leave out equal ones
}

// Sides are two file systems, and in which bytes they may differ.
type Sides struct {
	Old, New *Tree
	Snapshot *Snapshot
	Changed  fs.Ranges // and what is behind the end of the shorter one
	Stored   fs.Ranges // the chunks of the store
	Chunk    format.Bytes

	stored int64 // bytes in all chunks of the store, of which a partition need not have all
	other  *Snapshot
}

// Sides opens both. The error is a [*Refusal].
func (s *Session) Sides(r SidesRequest) (*Sides, error) {
	n, err := s.Read(r.ViewRequest)
	if err != nil {
		return nil, err
	}
	x := &Sides{Snapshot: n}
	if other := r.Against + r.Since; other != "" {
		if x.other, err = n.Beside(other); err != nil {
			return orClose(x, err)
		}
	}
	return orClose(x, x.open(r))
}

// CheckPath refuses a path that neither side has: that nothing differs there would say too much. Empty, it is for all.
func (x *Sides) CheckPath(name string) error {
	if name == "" {
		return nil
	}
	_, err := fs.Resolve(x.New.FS, name, false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrNotDirectory) {
		_, err = fs.Resolve(x.Old.FS, name, false)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrNotDirectory) {
		return refusef(x.Snapshot.COW.Text, Unable, "%s: %w, before or after", words.Printable(name), err)
	}
	return nil // what is damaged is told by the comparison
}

func (x *Sides) open(r SidesRequest) (err error) {
	n, s := x.Snapshot, x.Snapshot.session
	if x.Old, err = s.treeOn(n, n.COW.Text, n, r.Partition); err != nil {
		return err
	}
	changes, other, size := n.View.Changes(), n.View.Origin(), n.Origin.Device.Size()
	if o := x.other; o != nil {
		x.New, err = s.treeOn(o, o.COW.Text, o, r.Partition)
		changes, other, size = view.ChangesBetween(n.View, o.View), o.View, o.Size()
	} else {
		x.New, err = s.treeOn(n, n.Origin.Text, originVolume{other, size}, r.Partition)
	}
	if err != nil {
		return err
	}
	x.Chunk, x.stored = changes.Grain, int64(changes.Bytes())
	if r.Content {
		w := s.watch(n.COW.Text, Bytes, uint64(changes.Bytes()))
		different, c, err := changes.Compare(n.View, other, w.bytes)
		w.End()
		if err != nil {
			return failed(n.COW.Text, Unreadable, err)
		}
		if c.Unread > 0 {
			s.note(n.COW.Text, Unreadable, "%v; %s could not be compared, and count as different", c.Failure, words.Count(c.Unread, "chunk"))
		}
		changes = different
	}
	if x.Changed, err = x.ranges(changes, n.Size(), size); r.Since != "" {
		x.Old, x.New = x.New, x.Old
	}
	return err
}

// ranges are the bytes that may differ, as the file systems count them.
func (x *Sides) ranges(changes *view.Changes, old, now int64) (all fs.Ranges, err error) {
	if x.Old.start != x.New.start {
		return nil, refusef(x.New.Name, Unable, "the partition begins at byte %d, and on %s at byte %d", x.New.start, words.Printable(x.Old.Name), x.Old.start)
	}
	add := func(start, end int64) {
		if start, end = max(start-x.Old.start, 0), min(end-x.Old.start, x.length()); start < end {
			all = append(all, fs.Range{Start: start, End: end})
		}
	}
	for r := range changes.Ranges() {
		add(int64(r.Offset), int64(r.Offset+r.Length))
	}
	x.Stored = slices.Clip(all)
	add(min(old, now), max(old, now)) // what only one of them has
	return all, nil
}

// Compare finds the files that differ. The error is a [*Refusal].
func (x *Sides) Compare(all, accessed bool) (*compare.Result, error) {
	trees := [2]*Tree{compare.Old: x.Old, compare.New: x.New}
	r, err := compare.Compare(compare.Options{
		Sides: [2]fs.FileSystem{x.Old.FS, x.New.FS}, Changed: x.Changed, All: all, Accessed: accessed,
		Trouble: func(s compare.Side, err error) error { return trees[s].Trouble(err) },
	})
	if err == nil {
		err = x.checkQuiet()
	}
	return r, err
}

// checkQuiet refuses what came into use while it was read.
func (x *Sides) checkQuiet() error {
	for _, n := range []*Snapshot{x.Snapshot, x.other} {
		if n == nil || n.isLent() {
			continue
		}
		if err := n.CheckQuiet(); err != nil {
			return err
		}
	}
	return nil
}

// length is how many bytes the volumes, or the partitions, have.
func (x *Sides) length() int64 { return max(x.Old.size, x.New.size) }

// Close closes all of it.
func (x *Sides) Close() {
	x.Snapshot.Close()
	if x.other != nil {
		x.other.Close()
	}
}

// Beside opens another snapshot of the same origin, as this one was opened. The error is a [*Refusal].
func (n *Snapshot) Beside(cow string) (*Snapshot, error) {
	r := n.request
	r.COW, r.Part = cow, Part{}
	if r.Origin == "" {
		r.Origin = n.Origin.Text
	}
	t, err := n.session.see(r, n.how)
	if err != nil {
		return nil, err
	}
	if !t.COW.Volume.Apart(n.COW.Volume) && t.COW.Device.Overlaps(n.COW.Device) {
		t.Close()
		return nil, refusef(t.COW.Text, Unable, "overlaps %s: name another snapshot", words.Printable(n.COW.Text))
	}
	return t, nil
}
