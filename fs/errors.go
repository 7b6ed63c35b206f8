package fs

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of those who ask.
var (
	ErrFree         = errors.New("the inode is not in use")
	ErrNotFile      = errors.New("it is not a regular file")
	ErrNotDirectory = errors.New("it is not a directory")
	ErrNotSymlink   = errors.New("it is not a symbolic link")
	ErrNotExist     = errors.New("there is no such file or directory")
	ErrEncrypted    = errors.New("it is encrypted, and cannot be read without its key")
	ErrLinks        = errors.New("too many symbolic links lead on")
	ErrNone         = errors.New("there is no file system of this kind")
)

// DamageError says that an object of a file system is damaged.
type DamageError struct {
	What string // "inode 12"
	At   int64  // the byte of the volume
	Why  string // "the checksum is 0x00000001, expected 0x00000002"
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s, at byte %d, is damaged: %s", e.What, e.At, e.Why)
}

// ReadError says that an object of a file system could not be read.
type ReadError struct {
	What string
	At   int64
	Err  error
}

func (e *ReadError) Error() string { return fmt.Sprintf("%s, at byte %d: %v", e.What, e.At, e.Err) }

// Unwrap is the error of the volume.
func (e *ReadError) Unwrap() error { return e.Err }

// UnsupportedError says that a file system has features that are not known here, without which it cannot be read.
type UnsupportedError struct{ Features []string }

func (e *UnsupportedError) Error() string {
	return "the file system has features that are not supported: " + strings.Join(e.Features, ", ")
}
