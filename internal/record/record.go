// Package record makes of what a session has found or done what programs are told of it.
package record

import (
	"cmp"
	"encoding/hex"
	"errors"
	"hash"
	"slices"
	"time"

	"dmcow/dump"
	"dmcow/snapshot"
	"dmcow/store/merge"
)

// Usage is a store's usage. created is when LVM made the snapshot, zero where that is not known.
func Usage(u *snapshot.Used, created time.Time) dump.Usage {
	x := dump.UsageOf(u.COW.Text, u.Survey, u.Origin.Sectors, u.Unread())
	x.Created = dump.CreatedAt(created)
	if n, known := u.LeftToMerge(); known {
		x.LeftToMerge = &n
	}
	return x
}

// Extended adds to a usage whether the snapshot is extended by itself; e is nil where that is not known.
func Extended(x dump.Usage, e *snapshot.Extension) dump.Usage {
	if e != nil {
		x.Autoextend = &e.Threshold
	}
	if e != nil && e.Unknown == nil {
		x.Monitored = &e.Monitored
	}
	return x
}

// InOrder are the records of stores and of what could not be read, in the order in which they were named.
func InOrder(names []string, all []dump.Usage, unread []dump.Monitored) []dump.Usage {
	list := slices.Clone(all)
	for _, u := range unread {
		if u.Name != "" && !slices.ContainsFunc(all, func(x dump.Usage) bool { return x.Device == u.Name }) {
			list = append(list, dump.Usage{Device: u.Name, State: dump.Unreadable, Error: new(u.Err.Error())})
		}
	}
	place := func(u dump.Usage) int { return slices.Index(names, u.Device) }
	slices.SortStableFunc(list, func(a, b dump.Usage) int { return cmp.Compare(place(a), place(b)) })
	return list
}

// Listed are the records of what a list has; extension finds out whether a snapshot is extended by itself.
func Listed(all []*snapshot.Listed, extension func(*snapshot.Used) *snapshot.Extension) (records []dump.Listed) {
	for _, l := range all {
		r := dump.Listed{Name: l.Name, Active: l.Active, Merging: l.Merging, Origin: known(l.Origin), COWDevice: known(l.COWDevice)}
		if l.Sectors > 0 {
			r.OriginSectors = new(uint64(l.Sectors))
		}
		r.Usage = unreadable(l)
		if u := l.Used(); u != nil {
			r.Usage = Extended(Usage(u, l.Created()), extension(u))
		}
		records = append(records, r)
	}
	return records
}

// unreadable is what is known of a store that cannot be read: LVM's record of it.
func unreadable(l *snapshot.Listed) dump.Usage {
	u := dump.Usage{Device: l.Name, State: dump.Unreadable, Created: dump.CreatedAt(l.Created())}
	var r *snapshot.Refusal
	if errors.As(l.Err, &r) {
		u.Error = new(r.Err.Error())
	}
	if size, chunk := l.Recorded(); size > 0 {
		u.TotalSectors, u.ChunkSectors = new(uint64(size.Sectors())), &chunk
	}
	return u
}

// Devices are the devices and files of a run.
func Devices(s *snapshot.Session, names []string) []dump.RunDevice {
	all := []dump.RunDevice{}
	for _, name := range names {
		x := s.Identify(name)
		d := dump.RunDevice{Name: name, Kind: string(x.Kind), Bytes: uint64(x.Size), Number: known(x.Number), On: known(x.On), UUID: known(x.UUID)}
		if x.Inode != 0 {
			d.Inode = &x.Inode
		}
		all = append(all, d)
	}
	return all
}

func known(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Created is a store that was made of two images, or would be.
func Created(p *snapshot.Create, dryRun bool, origin, from string) dump.Created {
	return dump.Created{
		Device: p.COW.Text, DryRun: dryRun, Origin: origin, From: from,
		ChunkSectors: uint64(p.COW.Fresh.ChunkSectors()), Chunks: p.Chunks, StoreSectors: uint64(p.Size.Sectors()),
	}
}

// Exported is an image that was written, or would be, with its digests.
func Exported(p *snapshot.Export, dryRun bool, sums map[string]hash.Hash) dump.Exported {
	r := dump.Exported{
		Device: p.Source.About(), Content: string(p.Source.What()), DryRun: dryRun, File: p.Output.Name,
		Bytes: uint64(p.Source.Size()), HoleBytes: uint64(p.Output.Holes), Digests: map[string]string{},
	}
	if n, ok := p.Source.(*snapshot.Snapshot); ok {
		r.Origin = &n.Origin.Text
	}
	for name, d := range sums {
		r.Digests[name] = hex.EncodeToString(d.Sum(nil))
	}
	return r
}

// largestRuns is how many runs are told of what is sent.
const largestRuns = 5

// Sent is a delta that was sent, or would be.
func Sent(p *snapshot.Send, dryRun bool) dump.Sent {
	r := dump.Sent{
		Device: p.Names().COW, Origin: p.Names().Origin, To: known(p.Names().To), DryRun: dryRun, File: p.Output.Name,
		Kind: p.Head.Kind.String(), Format: p.Format(), VolumeBytes: uint64(p.Head.Size), ChunkSectors: uint64(p.Head.Geometry.ChunkSectors()),
		Chunks: p.Head.Count, DataBytes: uint64(p.Head.Bytes), EqualChunks: p.Equal, StreamBytes: uint64(p.Size),
		HadBytes: uint64(p.Output.Had), LargestRuns: []dump.Stretch{},
	}
	for _, x := range p.LargestRuns(largestRuns) {
		r.LargestRuns = append(r.LargestRuns, dump.Stretch{Offset: uint64(x.Offset), Length: uint64(x.Length)})
	}
	return r
}

// Merged is a merge with its result, or what would be merged.
func Merged(m *snapshot.Merge, r merge.Result, dryRun, kept bool, undo dump.Undo) dump.Merged {
	if dryRun {
		r.Chunks, r.Written = m.Chunks, m.Bytes
	}
	x := dump.Merged{
		Device: m.COW.Text, Origin: m.Origin.Text, DryRun: dryRun, Chunks: r.Chunks, WrittenBytes: uint64(r.Written),
		SharedBytes: uint64(r.Shared), HoleBytes: uint64(r.Holes), IdenticalChunks: r.Identical, ListKept: kept,
		UnreadChunks: uint64(len(r.Failed)), BeyondChunks: m.Beyond, Siblings: []dump.MergeSibling{},
	}
	for _, o := range m.Siblings {
		x.Siblings = append(x.Siblings, dump.MergeSibling{Name: o.COW.Text, Lost: o.Lost, Exceptions: o.Saving.Chunks})
	}
	if !dryRun && !m.IsEmpty() {
		x.Kept = undo.Record()
	}
	return x
}
