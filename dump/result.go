package dump

import "io"

// Undo is an undo log that was written: its name, empty for none, and its size, 0 where that is not known.
type Undo struct {
	Name  string
	Bytes uint64
}

// told are the two fields of a log.
func (u Undo) told() (name *string, bytes *uint64) {
	if u.Name != "" {
		name = &u.Name
	}
	if u.Bytes > 0 {
		bytes = &u.Bytes
	}
	return name, bytes
}

// Kept is the undo log of a change, as programs are told it.
type Kept struct {
	Undo      *string `json:"undo" doc:"the undo log that takes the change back; null where there is none"`
	UndoBytes *uint64 `json:"undo_bytes" doc:"size of the undo log, in bytes; null without one, and for a device"`
}

// Record is the log as programs are told it.
func (u Undo) Record() Kept {
	name, bytes := u.told()
	return Kept{name, bytes}
}

// Initialized is an empty store that was written.
type Initialized struct {
	Device       string `json:"device" doc:"the COW device, as it was named"`
	DryRun       bool   `json:"dry_run" doc:"nothing was written: the fields say what would be"`
	ChunkSectors uint64 `json:"chunk_sectors" doc:"size of a chunk, in sectors"`
	SizeSectors  uint64 `json:"size_sectors" doc:"size of the COW device, in sectors"`
}

// Created is a store that was made of two images.
type Created struct {
	Device       string `json:"device" doc:"the COW device, as it was named"`
	DryRun       bool   `json:"dry_run" doc:"nothing was written: the fields say what would be"`
	Origin       string `json:"origin" doc:"the image that the snapshot's origin holds"`
	From         string `json:"from" doc:"the image that the snapshot reads as"`
	ChunkSectors uint64 `json:"chunk_sectors" doc:"size of a chunk, in sectors"`
	Chunks       uint64 `json:"chunks" doc:"chunks in which the images differ"`
	StoreSectors uint64 `json:"store_sectors" doc:"size that the store takes, in sectors"`
}

// Marked is a snapshot that was marked valid or invalid.
type Marked struct {
	Device  string `json:"device" doc:"the COW device, as it was named"`
	DryRun  bool   `json:"dry_run" doc:"nothing was written: the fields say what would be"`
	State   string `json:"state" doc:"what the snapshot is marked as now: valid or invalid"`
	Changed bool   `json:"changed" doc:"it was marked otherwise before"`
	Kept
}

// Merged is a merge.
type Merged struct {
	Device          string         `json:"device" doc:"the COW device, as it was named"`
	Origin          string         `json:"origin" doc:"the origin, as it was named"`
	DryRun          bool           `json:"dry_run" doc:"nothing was written: the fields say what would be"`
	Chunks          uint64         `json:"chunks" doc:"chunks that were merged"`
	WrittenBytes    uint64         `json:"written_bytes" doc:"what was written to the origin, in bytes"`
	SharedBytes     uint64         `json:"shared_bytes" doc:"what the origin shares with the store's file in place of a copy, in bytes"`
	HoleBytes       uint64         `json:"hole_bytes" doc:"what was made holes in the origin, in bytes"`
	IdenticalChunks uint64         `json:"identical_chunks" doc:"chunks that the origin held already, and that were not written (--skip-identical)"`
	ListKept        bool           `json:"list_kept" doc:"the list is as it was (--keep)"`
	UnreadChunks    uint64         `json:"unread_chunks" doc:"chunks that cannot be read, and are left in the store (--rescue)"`
	BeyondChunks    uint64         `json:"beyond_chunks" doc:"exceptions past the end of the snapshot, which are left in the store"`
	Siblings        []MergeSibling `json:"siblings" doc:"other snapshots of the origin that were seen to first"`
	Kept
}

// MergeSibling is another snapshot of the origin of a merge.
type MergeSibling struct {
	Name       string `json:"name" doc:"its name"`
	Lost       bool   `json:"lost" doc:"it was given up (--lose-snapshot)"`
	Exceptions uint64 `json:"exceptions" doc:"exceptions that it got, so that it goes on showing what it shows"`
}

// Stepped is some steps of a merge.
type Stepped struct {
	Device string       `json:"device" doc:"the COW device, as it was named"`
	Origin string       `json:"origin" doc:"the origin, as it was named"`
	DryRun bool         `json:"dry_run" doc:"nothing was written: the fields say what would be"`
	Steps  []SteppedRun `json:"steps" doc:"the steps, in their order"`
	Kept
}

// SteppedRun is what a step merges.
type SteppedRun struct {
	OldChunk uint64 `json:"old_chunk" doc:"first chunk of the origin"`
	NewChunk uint64 `json:"new_chunk" doc:"first chunk of the COW device"`
	Chunks   uint64 `json:"chunks" doc:"chunks in the run"`
	Offset   uint64 `json:"offset" doc:"where the run begins on the origin, in bytes"`
	Length   uint64 `json:"length" doc:"how much of the origin it replaces, in bytes"`
}

// Exported is a snapshot that was written as an image.
type Exported struct {
	Device    string            `json:"device" doc:"the COW device, as it was named"`
	Origin    string            `json:"origin" doc:"the origin, as it was named"`
	DryRun    bool              `json:"dry_run" doc:"nothing was written: the fields say what would be"`
	File      string            `json:"file" doc:"the file or block device that was written"`
	Bytes     uint64            `json:"bytes" doc:"size of the image, in bytes"`
	HoleBytes uint64            `json:"hole_bytes" doc:"what of the file is holes, in bytes"`
	Digests   map[string]string `json:"digests" doc:"digest of the image in hexadecimal digits, by the name that --hash has for it"`
}

// ResultJSON writes what has come of a command, an object.
func ResultJSON(w io.Writer, result any) error { return writeJSON(w, result) }
