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
	Device    string            `json:"device" doc:"the COW device or the volume, as it was named"`
	Content   string            `json:"content" doc:"what the image is of: snapshot, volume (a logical volume as it is), or store (the COW device)"`
	Origin    *string           `json:"origin" doc:"the origin, as it was named; null if the image is not of a snapshot"`
	DryRun    bool              `json:"dry_run" doc:"whether this was a dry run: the fields then say what would be written"`
	File      string            `json:"file" doc:"the file or block device that was written"`
	Bytes     uint64            `json:"bytes" doc:"size of the image, in bytes"`
	HoleBytes uint64            `json:"hole_bytes" doc:"how much of the file is holes, in bytes"`
	Digests   map[string]string `json:"digests" doc:"digests of the image in hexadecimal, by their names in --hash"`
}

// Received is a delta that was applied to a target, or only read (--check, --to-store).
type Received struct {
	Delta         string         `json:"delta" doc:"the delta, as it was named"`
	Kind          string         `json:"kind" doc:"what it makes of what: forward (a snapshot into its origin), back (the origin into its snapshot), between (a snapshot into another), full (zeros into a snapshot), or lvmsync"`
	Base          *DeltaSide     `json:"base" doc:"what it is applied to; null for a full delta and lvmsync"`
	Source        *DeltaSide     `json:"source" doc:"what it makes of that; null for lvmsync"`
	SizeBytes     uint64         `json:"size_bytes" doc:"size of the device that it is for, in bytes; 0 for lvmsync"`
	Exceptions    uint64         `json:"exceptions" doc:"its exceptions; 0 for lvmsync"`
	DataBytes     uint64         `json:"data_bytes" doc:"its data, in bytes; 0 for lvmsync"`
	Store         *string        `json:"store" doc:"the file that it was collected into (--to-store); null without"`
	Target        *string        `json:"target" doc:"the target, as it was named; null if the delta was only read"`
	DryRun        bool           `json:"dry_run" doc:"whether this was a dry run: the fields then say what would be written"`
	WrittenChunks uint64         `json:"written_chunks" doc:"chunks that were written"`
	WrittenBytes  uint64         `json:"written_bytes" doc:"how much was written to the target, in bytes"`
	HeldChunks    uint64         `json:"held_chunks" doc:"chunks that were not written because the target already held them"`
	TornChunks    uint64         `json:"torn_chunks" doc:"chunks among those written that an earlier run had left torn"`
	ForeignChunks uint64         `json:"foreign_chunks" doc:"chunks among those written that were neither content before (--force-base)"`
	ClearedBytes  uint64         `json:"cleared_bytes" doc:"how much was made zero, where a full delta has nothing, in bytes (--force-base)"`
	Siblings      []MergeSibling `json:"siblings" doc:"snapshots of the target, which were saved or given up first"`
	Kept
}

// DeltaSide is the base or the source of a delta.
type DeltaSide struct {
	Name   *string `json:"name" doc:"its name where the delta was made; null if that is not known"`
	UUID   *string `json:"uuid" doc:"UUID of the logical volume; null if that is not known"`
	Moment *string `json:"moment" doc:"the moment that it shows; null if that is not known"`
}

// Sent is a delta that was sent.
type Sent struct {
	Device       string    `json:"device" doc:"the COW device, as it was named"`
	Origin       string    `json:"origin" doc:"the origin, as it was named"`
	To           *string   `json:"to" doc:"the other snapshot; null if the snapshot is compared with its origin, or sent whole"`
	DryRun       bool      `json:"dry_run" doc:"whether this was a dry run: the fields then say what would be sent at most"`
	File         string    `json:"file" doc:"the file or block device that was written"`
	Kind         string    `json:"kind" doc:"forward (the snapshot into the origin), back (the origin into the snapshot), between (two snapshots) or full"`
	Format       string    `json:"format" doc:"delta or lvmsync"`
	VolumeBytes  uint64    `json:"volume_bytes" doc:"size of the volume, in bytes"`
	ChunkSectors uint64    `json:"chunk_sectors" doc:"size of a chunk, in sectors"`
	Chunks       uint64    `json:"chunks" doc:"chunks that are sent"`
	DataBytes    uint64    `json:"data_bytes" doc:"how much data these have, in bytes"`
	EqualChunks  uint64    `json:"equal_chunks" doc:"chunks that were left out because their data is equal"`
	StreamBytes  uint64    `json:"stream_bytes" doc:"size of the whole stream, in bytes"`
	HadBytes     uint64    `json:"had_bytes" doc:"how much of it the file had before (--continue), in bytes"`
	LargestRuns  []Stretch `json:"largest_runs" doc:"the largest ranges that are sent, up to five, the largest first"`
}

// ResultJSON writes what has come of a command, an object.
func ResultJSON(w io.Writer, result any) error { return writeJSON(w, result) }
