// Package open opens a file system of any kind that packages below fs can read.
package open

import (
	"errors"

	"dmcow/fs"
	"dmcow/fs/ext"
	"dmcow/fs/xfs"
)

// FileSystem opens the file system that lies on a volume. The error is fs.ErrNone where it has none of the kinds
// that can be read, or what the package of its kind says.
func FileSystem(v fs.Volume) (fs.FileSystem, error) {
	first := fs.ErrNone
	for _, open := range []func(fs.Volume) (fs.FileSystem, error){ofExt, ofXFS} {
		f, err := open(v)
		if err == nil {
			return f, nil
		}
		if errors.Is(first, fs.ErrNone) {
			first = err
		}
	}
	return nil, first
}

func ofExt(v fs.Volume) (fs.FileSystem, error) {
	f, err := ext.Open(v, ext.Options{})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func ofXFS(v fs.Volume) (fs.FileSystem, error) {
	f, err := xfs.Open(v)
	if err != nil {
		return nil, err
	}
	return f, nil
}
