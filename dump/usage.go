package dump

import (
	"io"
	"time"

	"dmcow/format"
	"dmcow/store/look"
)

// Usage is what programs are told of a store's usage: the fields of the JSON
// object, stable in name and meaning. What cannot be told is null. Of a store that cannot be
// read to the list's end, the state is "unreadable", and Error says why.
type Usage struct {
	Device           string   `json:"device" doc:"the COW device, as it was named"`
	State            string   `json:"state" doc:"valid, invalid, uninitialized, damaged or unreadable"`
	ChunkSectors     *uint64  `json:"chunk_sectors" doc:"size of a chunk, in sectors of 512 bytes"`
	TotalSectors     *uint64  `json:"total_sectors" doc:"size of the COW device, in sectors"`
	AllocatedSectors *uint64  `json:"allocated_sectors" doc:"how much of the COW device is allocated, metadata and data, in sectors"`
	MetadataSectors  *uint64  `json:"metadata_sectors" doc:"header and metadata areas, in sectors"`
	Percent          *float64 `json:"percent" doc:"how full the store is, in percent, as lvs shows it: 100 for an invalid snapshot"`
	Exceptions       *uint64  `json:"exceptions" doc:"exceptions in the list"`
	Areas            *uint64  `json:"areas" doc:"metadata areas in use"`
	NextFreeChunk    *uint64  `json:"next_free_chunk" doc:"number of the chunk that the next exception gets"`
	FreeChunks       *uint64  `json:"free_chunks" doc:"exceptions that can still be stored before the kernel drops the snapshot"`
	LeakedChunks     *uint64  `json:"leaked_chunks" doc:"data chunks that no exception uses"`
	MinimumSectors   *uint64  `json:"minimum_sectors" doc:"size that the COW device can shrink to, in sectors; the store is then full"`
	MaximumSectors   *uint64  `json:"maximum_sectors" doc:"size that the COW device needs when every chunk of the origin has changed, in sectors; null if the origin's size is not known"`
	Status           *string  `json:"status" doc:"what dmsetup status shows after the target's name: allocated/total and metadata sectors, or Invalid"`
	FilledPercent    *float64 `json:"filled_percent" doc:"how much of the store the list uses, in percent, also for an invalid snapshot"`
	Error            *string  `json:"error" doc:"why the store cannot be read; null if it can"`
	Created          *string  `json:"created" doc:"when LVM made the snapshot, by its own record, as in 2026-11-28T03:00:00Z (RFC 3339, UTC); null if not known"`
	LeftToMerge      *uint64  `json:"left_to_merge" doc:"exceptions that are left of a merge into the origin that LVM or the kernel has begun; null if none was begun"`
	Monitored        *bool    `json:"monitored" doc:"whether dmeventd monitors the active LVM snapshot; null for others, and if not known"`
	Autoextend       *uint64  `json:"autoextend_threshold" doc:"how full the snapshot is, in percent, when dmeventd extends it, by lvm.conf; 100 for never; null for others, and if not known"`
}

// CreatedAt is a moment as programs are told it, nil where it is not known.
func CreatedAt(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Format(time.RFC3339))
}

// UsageJSON writes an array of objects.
func UsageJSON(w io.Writer, all []Usage) error {
	return writeJSON(w, append([]Usage{}, all...))
}

// Unreadable is the state of what cannot be read.
const Unreadable = "unreadable"

// UsageOf is what programs are told of a store. origin is the snapshot's size, 0 where that is not
// known, and unread why some of the store cannot be read, nil where all can. Where the list could not be
// read to its end, what that would tell is not known.
func UsageOf(device string, s look.Survey, origin format.Sectors, unread error) Usage {
	u := s.Usage
	d := Usage{Device: device, State: s.State().String(), TotalSectors: new(uint64(u.Total()))}
	if line, ok := s.Status(); ok {
		d.Status = &line
	}
	if unread != nil {
		d.State, d.Error = Unreadable, new(unread.Error())
	}
	if u.Geometry.IsZero() {
		return d
	}
	d.ChunkSectors = new(uint64(u.Geometry.ChunkSectors()))
	d.Exceptions = new(u.End.Exceptions)
	if !s.Complete() {
		return d
	}
	d.MetadataSectors = new(uint64(u.Metadata()))
	d.Areas = new(u.Areas())
	if u.End.Beyond != nil {
		return d // the rest would be an artefact of the damage
	}
	d.AllocatedSectors = new(uint64(u.Allocated()))
	d.NextFreeChunk = new(uint64(u.End.NextFree))
	d.FreeChunks = new(u.Free())
	d.Percent, d.FilledPercent = new(s.Percent()), new(u.Percent())
	d.LeakedChunks = new(u.Leaked())
	if least, ok := u.Minimum(); ok {
		d.MinimumSectors = new(uint64(least))
	}
	if most, ok := s.Maximum(origin); ok {
		d.MaximumSectors = new(uint64(most))
	}
	return d
}
