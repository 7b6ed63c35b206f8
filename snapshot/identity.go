package snapshot

import (
	"io/fs"
	"os"

	"dmcow/format"
	"dmcow/internal/inuse"
	"dmcow/lvm"
)

// Identity is what tells a device or file from others.
type Identity struct {
	Kind   Kind
	Size   format.Bytes
	Number string // major:minor of a block device
	Inode  uint64 // of a file, and
	On     string // major:minor of the device with its file system
	UUID   string // of a logical volume
}

// Kind is what a name stands for.
type Kind string

// The kinds.
const (
	BlockDevice   Kind = "block device"
	RegularFile   Kind = "file"
	LogicalVolume Kind = "logical volume"
	Directory     Kind = "directory"
	OtherKind     Kind = "other"
	Missing       Kind = "missing"
)

// Identify finds out what a name stands for, without reading it. What cannot be found out is zero.
func (s *Session) Identify(name string) Identity {
	n, err := s.find(name, false)
	switch {
	case err != nil:
		return Identity{Kind: Missing}
	case n.Volume == nil:
		return identify(name)
	case n.Volume.Active != nil:
		m := n.Volume.Active
		return Identity{Kind: LogicalVolume, Size: format.Bytes(m.Number.Size()), Number: m.Number.String(), UUID: lvm.MappedUUID(m.UUID)}
	}
	return Identity{Kind: LogicalVolume, Size: format.Bytes(n.Volume.Group.Size(n.Volume.Logical)), UUID: n.Volume.Logical.UUID}
}

// identify is the identity of a path.
func identify(path string) Identity {
	info, err := os.Stat(path)
	if err != nil {
		return Identity{Kind: Missing}
	}
	x := Identity{Kind: OtherKind}
	switch mode := info.Mode(); {
	case mode.IsRegular():
		x.Kind, x.Size = RegularFile, format.Bytes(info.Size())
	case mode.IsDir():
		x.Kind = Directory
	case mode.Type() == fs.ModeDevice:
		n := inuse.NumberOf(info)
		return Identity{Kind: BlockDevice, Size: format.Bytes(n.Size()), Number: n.String(), UUID: mappedUUID(inuse.Mappings(), n)}
	}
	on, inode := inuse.InodeOf(info)
	x.Inode, x.On = inode, on.String()
	return x
}

// mappedUUID is the UUID of the logical volume that a block device is, or a layer of, empty where it is none.
func mappedUUID(all []inuse.Mapping, n inuse.Number) string {
	for _, m := range all {
		if m.Number == n {
			return lvm.MappedUUID(m.UUID)
		}
	}
	return ""
}
