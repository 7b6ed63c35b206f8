// Package open opens a file system of any kind that packages below fs can read.
package open

import (
	"errors"

	"dmcow/fs"
	"dmcow/fs/ext"
	"dmcow/fs/xfs"
	"dmcow/internal/signature"
)

// FileSystem opens the file system that lies on a volume. The error is fs.ErrNone where it has none of the kinds
// that can be read, or what the package of its kind says.
//
// XFS comes last, and only where nothing else has its signature: copies of its superblock lie far behind the first, and
// what is made of the volume later need not overwrite them.
func FileSystem(v fs.Volume) (fs.FileSystem, error) {
	e, err := ext.Open(v, ext.Options{})
	if err == nil {
		return e, nil
	}
	if !errors.Is(err, fs.ErrNone) {
		return nil, err
	}
	switch name, failed := signature.Known(v); {
	case failed != nil:
		return nil, failed
	case name != "" && name != "xfs":
		return nil, err
	}
	x, err := xfs.Open(v)
	if err != nil {
		return nil, err
	}
	return x, nil
}
