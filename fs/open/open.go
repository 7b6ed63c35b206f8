// Package open opens the file system of a volume, whichever it is.
package open

import (
	"errors"
	"fmt"
	"strings"

	"dmcow/fs"
	"dmcow/fs/ext"
	"dmcow/fs/xfs"
	"dmcow/internal/signature"
)

// OtherError says that a volume has something that is not read here.
type OtherError struct {
	Name string // "btrfs"
	Help string // what helps instead; it may be empty
}

func (e *OtherError) Error() string {
	return fmt.Sprintf("the volume has a signature of %s, which is not read", e.Name)
}

// FileSystem opens the file system of a volume. The error is fs.ErrNone, an [*OtherError], an [*fs.UnsupportedError], a
// [*fs.DamageError], or one of reading.
//
// XFS comes last, and only where nothing else has its signature: copies of its superblock lie far behind the first, and
// what is made of the volume later need not overwrite them.
func FileSystem(v fs.Volume, o ext.Options) (fs.FileSystem, error) {
	e, errExt := ext.Open(v, o)
	if errExt == nil {
		return e, nil
	}
	name, err := signature.Known(v)
	if err != nil {
		return nil, err
	}
	switch {
	case name == "xfs", name == "" && errors.Is(errExt, fs.ErrNone):
		x, err := xfs.Open(v)
		if err != nil {
			return nil, err
		}
		return x, nil
	case name == "", strings.HasPrefix(name, "ext"):
		return nil, errExt
	}
	return nil, &OtherError{name, help(name)}
}

// help says what helps with what is not read.
func help(name string) string {
	switch {
	case strings.Contains(name, "partition table"):
		return "one of its partitions can have a file system"
	case name == "LVM2_member":
		return "it is a physical volume: its logical volumes can have file systems"
	case name == "LUKS":
		return "it is encrypted: open it with cryptsetup first"
	case name == "linux_raid_member":
		return "it is a part of an array: assemble that with mdadm first"
	case name == "swap", name == "DM_snapshot_cow":
		return "it has no files"
	}
	return "mount the snapshot as a device, and read it with the kernel"
}
