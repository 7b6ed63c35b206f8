// Package extract copies files out of a file system into a directory: with modes, times, owners, holes, extended
// attributes, links and special files, as far as the user may make those.
//
// Nothing leads out of the directory: each directory below it is opened by its one name in the one above, and is what was
// seen there, no link ([os.Root], and fstat(2)). A file is written under a name of its own and then renamed, so that
// only whole ones have their names; nothing is replaced unless that is wanted.
package extract

import (
	"crypto/rand"
	"errors"
	iofs "io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"dmcow/fs"
)

// Options say what is copied, and how.
type Options struct {
	FS        fs.FileSystem
	Recursive bool // directories, too, with all that is in them
	Force     bool // replaces files that exist
	Root      bool // the user may make all of it: owners, devices, and attributes of the system
	// Keep refuses to replace a file. It may be nil.
	Keep func(*os.File) error
	// Failed is told what could not be copied, by its path in the file system. It ends the work with an error.
	Failed func(path string, err error) error
	// Note is told what is worth knowing of a path.
	Note func(path, text string)
	// Interrupted ends the work with its error.
	Interrupted func() error
}

// Tally is what was copied.
type Tally struct {
	Files, Directories, Symlinks, Specials, Links uint64
	Bytes                                         int64  // of content, without holes
	Skipped                                       uint64 // extended attributes that could not be set
	Why                                           error  // the first of these could not
}

// The errors of what is not copied.
var (
	ErrExists    = errors.New("it exists already")
	ErrDirectory = errors.New("it is a directory: only with all that is in it")
	ErrRoot      = errors.New("only root can make it")
	ErrTwice     = errors.New("the directory was copied before: another one has it, too")
	ErrOther     = errors.New("another file has come in its place")
	ErrDevice    = errors.New("what exists there is a device")
	ErrInTheWay  = errors.New("what exists there is not a directory")
)

// DestinationError is one of what is written to.
type DestinationError struct{ Err error }

func (e *DestinationError) Error() string { return e.Err.Error() }
func (e *DestinationError) Unwrap() error { return e.Err }

func destination(err error) error {
	if err == nil {
		return nil
	}
	var p *iofs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		err = p.Err
	case errors.As(err, &l):
		err = l.Err
	}
	return &DestinationError{err}
}

// Extractor copies into one directory.
type Extractor struct {
	Options
	Tally Tally

	top   *dir
	first map[fs.Ino]string // files with several names that were copied, by their path below the directory
	seen  map[fs.Ino]bool   // directories
	late  error             // of what was copied all the same
	buf   []byte
}

// dir is a directory that is written to.
type dir struct {
	root *os.Root
	self *os.File
	path string // below the top
}

func (d *dir) close() {
	d.self.Close()
	d.root.Close()
}

func openDir(root *os.Root, below string) (*dir, error) {
	self, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	return &dir{root, self, below}, nil
}

// Into is an extractor for a directory that exists.
func Into(name string, o Options) (*Extractor, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, destination(err)
	}
	top, err := openDir(root, "")
	if err != nil {
		return nil, destination(err)
	}
	return &Extractor{Options: o, top: top, first: map[fs.Ino]string{}, buf: make([]byte, 1<<20)}, nil
}

// Close closes the directory.
func (x *Extractor) Close() { x.top.close() }

// Sync makes durable what was copied.
func (x *Extractor) Sync() error { return destination(unix.Syncfs(int(x.top.self.Fd()))) }

// Copy copies an inode to a name in the directory. The error is one of Failed or Interrupted.
func (x *Extractor) Copy(i fs.Inode, from, name string) error {
	x.seen = map[fs.Ino]bool{}
	return x.entry(x.top, i, from, name)
}

// CopyContent copies what a directory has into the directory itself.
func (x *Extractor) CopyContent(i fs.Inode, from string) error {
	if !x.Recursive {
		return x.Failed(from, ErrDirectory)
	}
	x.seen = map[fs.Ino]bool{i.Attr().Ino: true}
	return x.content(x.top, i, from)
}

// entry copies what a directory has under a name.
func (x *Extractor) entry(d *dir, i fs.Inode, from, name string) error {
	if err := x.Interrupted(); err != nil {
		return err
	}
	if i.Attr().Type == fs.TypeDirectory {
		return x.directory(d, i, from, name)
	}
	err := x.single(d, i, name)
	if err == nil {
		err = x.late
	}
	x.late = nil
	return x.failed(from, err)
}

// failed tells what went wrong with a path. An interruption is passed on.
func (x *Extractor) failed(from string, err error) error {
	if err == nil {
		return nil
	}
	if interrupted := x.Interrupted(); interrupted != nil {
		return interrupted
	}
	return x.Failed(from, err)
}

// directory copies a directory with all that is in it.
func (x *Extractor) directory(d *dir, i fs.Inode, from, name string) error {
	if !x.Recursive {
		return x.Failed(from, ErrDirectory)
	}
	if n := i.Attr().Ino; x.seen[n] {
		return x.Failed(from, ErrTwice)
	} else {
		x.seen[n] = true
	}
	sub, made, err := x.makeDirectory(d, name)
	if err != nil {
		return x.failed(from, err)
	}
	defer sub.close()
	if err := x.content(sub, i, from); err != nil {
		return err
	}
	x.Tally.Directories++
	if !made && !x.Force {
		return nil
	}
	x.late = nil
	if err = x.setAttributes(d, name, i, int(sub.self.Fd())); err == nil {
		err = x.late
	}
	x.late = nil
	return x.failed(from, err)
}

// makeDirectory opens a directory, which it makes if there is none.
func (x *Extractor) makeDirectory(d *dir, name string) (sub *dir, made bool, err error) {
	err = d.root.Mkdir(name, 0o700)
	made = err == nil
	if err != nil && !errors.Is(err, iofs.ErrExist) {
		return nil, false, destination(err)
	}
	before, err := d.root.Lstat(name)
	switch {
	case err != nil:
		return nil, false, destination(err)
	case !before.IsDir():
		return nil, false, destination(ErrInTheWay)
	}
	root, err := d.root.OpenRoot(name)
	if err != nil {
		return nil, false, destination(err)
	}
	if sub, err = openDir(root, path.Join(d.path, name)); err != nil {
		return nil, false, destination(err)
	}
	now, err := sub.self.Stat()
	if err == nil && !os.SameFile(before, now) {
		err = ErrOther
	}
	if err != nil {
		sub.close()
		return nil, false, destination(err)
	}
	return sub, made, nil
}

// content copies what is in a directory.
func (x *Extractor) content(d *dir, i fs.Inode, from string) error {
	for e, err := range i.Entries() {
		at := path.Join(from, e.Name)
		if err != nil {
			if err := x.failed(from, err); err != nil {
				return err
			}
			continue
		}
		child, err := x.FS.Inode(e.Ino)
		if err != nil {
			if err := x.failed(at, err); err != nil {
				return err
			}
			continue
		}
		if err := x.entry(d, child, at, e.Name); err != nil {
			return err
		}
	}
	return nil
}

// temporary is a name that no file has.
func temporary() string { return ".dmcow-" + rand.Text() }
