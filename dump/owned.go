package dump

import (
	"io"

	"dmcow/fs"
)

// OwnedFile is what a file has of the chunks of a store.
type OwnedFile struct {
	Path     string
	Ino      [2]uint64 // on the snapshot, and on the origin; 0 where it has nothing
	Snapshot int64     // bytes
	Origin   int64
}

// Owned is who owns the chunks of a store.
type Owned struct {
	Device, Origin, Type string
	Chunk                uint64 // in bytes
	Bytes                int64
	Metadata, Leaked     uint64 // of the store itself, in bytes
	Rest                 [2]map[fs.Use]int64
	Files                []OwnedFile
	Top                  int
}

// Shown are the files that are shown.
func (o Owned) Shown() []OwnedFile {
	if o.Top > 0 {
		return o.Files[:min(o.Top, len(o.Files))]
	}
	return o.Files
}

// ownedStore is what OwnedJSON writes.
type ownedStore struct {
	ownedHead
	Files []ownedRow `json:"files" doc:"the files, those with the most bytes first"`
}

type ownedHead struct {
	Device   string      `json:"device" doc:"the COW device, as it was named"`
	Origin   string      `json:"origin" doc:"the origin, as it was named"`
	Type     string      `json:"file_system" doc:"ext2, ext3, ext4 or xfs"`
	Chunk    uint64      `json:"chunk_bytes" doc:"size of a chunk, in bytes"`
	Bytes    uint64      `json:"data_bytes" doc:"size of all chunks that the store keeps"`
	Metadata uint64      `json:"store_metadata_bytes" doc:"the store's own header and metadata areas, in bytes"`
	Leaked   uint64      `json:"leaked_bytes" doc:"data chunks that no exception uses, in bytes"`
	Then     ownerShares `json:"snapshot" doc:"what the chunks belong to on the snapshot; the sum is data_bytes"`
	Now      ownerShares `json:"on_origin" doc:"what they belong to on the origin; the sum is data_bytes"`
}

type ownerShares struct {
	Files       uint64 `json:"files" doc:"bytes of files"`
	Directories uint64 `json:"directories" doc:"bytes of directories"`
	Inodes      uint64 `json:"inode_tables" doc:"bytes of inode tables"`
	Bitmaps     uint64 `json:"bitmaps" doc:"bytes of maps of free space and of inodes"`
	Journal     uint64 `json:"journal" doc:"bytes of the file system's journal"`
	Metadata    uint64 `json:"other_metadata" doc:"bytes of other metadata"`
	Unowned     uint64 `json:"unowned" doc:"bytes that are allocated, and that no inode has that can be read"`
	Free        uint64 `json:"free" doc:"bytes of free space"`
	Outside     uint64 `json:"outside" doc:"bytes outside the file system"`
}

type ownedRow struct {
	Path     string  `json:"path" doc:"the file's path; what is not UTF-8 is replaced by U+FFFD; empty if no directory has it"`
	Base64   *[]byte `json:"path_base64" doc:"the path in base64 if it is not UTF-8, else null"`
	OldIno   *uint64 `json:"snapshot_inode" doc:"number of its inode on the snapshot; null if it has nothing there"`
	Ino      *uint64 `json:"origin_inode" doc:"number of its inode on the origin; null if it has nothing there"`
	Snapshot uint64  `json:"snapshot_bytes" doc:"bytes that belong to it on the snapshot"`
	Origin   uint64  `json:"origin_bytes" doc:"bytes that belong to it on the origin"`
}

func (o Owned) shares(side int) (s ownerShares) {
	for _, f := range o.Files {
		s.Files += uint64([]int64{f.Snapshot, f.Origin}[side])
	}
	for use, n := range o.Rest[side] {
		*s.of(use) += uint64(n)
	}
	return s
}

func (s *ownerShares) of(u fs.Use) *uint64 {
	switch u {
	case fs.Outside:
		return &s.Outside
	case fs.Free:
		return &s.Free
	case fs.Journal:
		return &s.Journal
	case fs.InodeTable:
		return &s.Inodes
	case fs.SpaceMap, fs.InodeMap:
		return &s.Bitmaps
	case fs.Directory:
		return &s.Directories
	case fs.Unowned, fs.Allocated:
		return &s.Unowned
	}
	return &s.Metadata
}

// SidesShare is how many bytes have one use on the snapshot, and on the origin.
type SidesShare struct {
	What             string
	Snapshot, Origin uint64
}

// Shares are what the chunks belong to: without what has no bytes.
func (o Owned) Shares() (all []SidesShare) {
	a, b := o.shares(0), o.shares(1)
	for _, x := range []SidesShare{
		{"files", a.Files, b.Files}, {"directories", a.Directories, b.Directories}, {"inode tables", a.Inodes, b.Inodes}, {"bitmaps", a.Bitmaps, b.Bitmaps},
		{"journal", a.Journal, b.Journal}, {"other metadata", a.Metadata, b.Metadata}, {"no owner found", a.Unowned, b.Unowned},
		{"free space", a.Free, b.Free}, {"outside the file system", a.Outside, b.Outside},
	} {
		if x.Snapshot > 0 || x.Origin > 0 {
			all = append(all, x)
		}
	}
	return all
}

// OwnedJSON writes an object.
func OwnedJSON(to io.Writer, o Owned) error {
	head := ownedHead{
		Device: o.Device, Origin: o.Origin, Type: o.Type, Chunk: o.Chunk, Bytes: uint64(o.Bytes), Metadata: o.Metadata, Leaked: o.Leaked,
		Then: o.shares(0), Now: o.shares(1),
	}
	number := func(n uint64) *uint64 {
		if n == 0 {
			return nil
		}
		return &n
	}
	return writeList(to, head, "files", o.Shown(), func(f OwnedFile) any {
		n := nameOf(f.Path)
		return ownedRow{n.Path, n.Bytes, number(f.Ino[0]), number(f.Ino[1]), uint64(f.Snapshot), uint64(f.Origin)}
	})
}
