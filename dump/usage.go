package dump

import (
	"io"

	"dmcow/format"
	"dmcow/store/look"
)

// Usage is what programs are told of a store's usage: the fields of the JSON
// object, stable in name and meaning. What cannot be told is null. Of a store that cannot be
// read to the list's end, the state is "unreadable", and Error says why.
type Usage struct {
	Device           string   `json:"device"`
	State            string   `json:"state"`
	ChunkSectors     *uint64  `json:"chunk_sectors"`
	TotalSectors     *uint64  `json:"total_sectors"`
	AllocatedSectors *uint64  `json:"allocated_sectors"`
	MetadataSectors  *uint64  `json:"metadata_sectors"`
	Percent          *float64 `json:"percent"`
	Exceptions       *uint64  `json:"exceptions"`
	Areas            *uint64  `json:"areas"`
	NextFreeChunk    *uint64  `json:"next_free_chunk"`
	FreeChunks       *uint64  `json:"free_chunks"`
	LeakedChunks     *uint64  `json:"leaked_chunks"`
	MinimumSectors   *uint64  `json:"minimum_sectors"`
	MaximumSectors   *uint64  `json:"maximum_sectors"`
	Status           *string  `json:"status"`
	FilledPercent    *float64 `json:"filled_percent"` // by the list, also of a snapshot that is lost
	Error            *string  `json:"error"`
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
