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
	Undo      *string `json:"undo" doc:"the undo log that undoes the change; null without one"`
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
	DryRun       bool   `json:"dry_run" doc:"whether this was a dry run: the fields then say what would be written"`
	ChunkSectors uint64 `json:"chunk_sectors" doc:"size of a chunk, in sectors"`
	SizeSectors  uint64 `json:"size_sectors" doc:"size of the COW device, in sectors"`
}

// Created is a store that was made of two images.
type Created struct {
	Device       string `json:"device" doc:"the COW device, as it was named"`
	DryRun       bool   `json:"dry_run" doc:"whether this was a dry run: the fields then say what would be written"`
	Origin       string `json:"origin" doc:"the image that the snapshot's origin holds"`
	From         string `json:"from" doc:"the image that the snapshot reads as"`
	ChunkSectors uint64 `json:"chunk_sectors" doc:"size of a chunk, in sectors"`
	Chunks       uint64 `json:"chunks" doc:"chunks in which the images differ"`
	StoreSectors uint64 `json:"store_sectors" doc:"size of the store, in sectors"`
}

// Marked is a snapshot that was marked valid or invalid.
type Marked struct {
	Device  string `json:"device" doc:"the COW device, as it was named"`
	DryRun  bool   `json:"dry_run" doc:"whether this was a dry run: the fields then say what would be written"`
	State   string `json:"state" doc:"what the snapshot is marked as now: valid or invalid"`
	Changed bool   `json:"changed" doc:"whether it was marked otherwise before"`
	Kept
}

// Merged is a merge.
type Merged struct {
	Device          string         `json:"device" doc:"the COW device, as it was named"`
	Origin          string         `json:"origin" doc:"the origin, as it was named"`
	DryRun          bool           `json:"dry_run" doc:"whether this was a dry run: the fields then say what would be written"`
	Chunks          uint64         `json:"chunks" doc:"chunks that were merged"`
	WrittenBytes    uint64         `json:"written_bytes" doc:"how much was written to the origin, in bytes"`
	SharedBytes     uint64         `json:"shared_bytes" doc:"how much the origin shares with the store's file, instead of a copy, in bytes"`
	HoleBytes       uint64         `json:"hole_bytes" doc:"how much of the origin was made holes, in bytes"`
	IdenticalChunks uint64         `json:"identical_chunks" doc:"chunks that were not written because the origin already had their data (--skip-identical)"`
	ListKept        bool           `json:"list_kept" doc:"whether the list was left as it was (--keep)"`
	UnreadChunks    uint64         `json:"unread_chunks" doc:"chunks that cannot be read, and are left in the store (--rescue)"`
	BeyondChunks    uint64         `json:"beyond_chunks" doc:"exceptions past the end of the snapshot, which are left in the store"`
	Siblings        []MergeSibling `json:"siblings" doc:"other snapshots of the origin, which were saved or given up first"`
	Kept
}

// MergeSibling is another snapshot of the origin of a merge.
type MergeSibling struct {
	Name       string `json:"name" doc:"its name"`
	Lost       bool   `json:"lost" doc:"whether it was given up (--lose-snapshot)"`
	Exceptions uint64 `json:"exceptions" doc:"exceptions that it got, so that it keeps its data"`
}

// Stepped is some steps of a merge.
type Stepped struct {
	Device string       `json:"device" doc:"the COW device, as it was named"`
	Origin string       `json:"origin" doc:"the origin, as it was named"`
	DryRun bool         `json:"dry_run" doc:"whether this was a dry run: the fields then say what would be written"`
	Steps  []SteppedRun `json:"steps" doc:"the steps, in order"`
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
	DryRun    bool              `json:"dry_run" doc:"whether this was a dry run: the fields then say what would be written"`
	File      string            `json:"file" doc:"the file or block device that was written"`
	Bytes     uint64            `json:"bytes" doc:"size of the image, in bytes"`
	HoleBytes uint64            `json:"hole_bytes" doc:"how much of the file is holes, in bytes"`
	Digests   map[string]string `json:"digests" doc:"digests of the image in hexadecimal, by their names in --hash"`
}

// ResultJSON writes what has come of a command, an object.
func ResultJSON(w io.Writer, result any) error { return writeJSON(w, result) }
