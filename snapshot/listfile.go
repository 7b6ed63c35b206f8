package snapshot

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"dmcow/internal/device"
	"dmcow/internal/draft"
	"dmcow/internal/words"
)

// ListFile is a list that is written beside other work: to a file, in place of an older one of
// its kind, or to standard output.
type ListFile struct {
	Name    string // empty for none, - for standard output
	Head    string // its first line, by which an older one is known
	Stdout  io.Writer
	Outputs []*os.File // that are written to meanwhile, as standard output is
	Public  bool       // anyone may read the file, whatever the process leaves out of new files' permissions
	Regular bool       // it goes to a regular file or to standard output, not to a pipe, for whose reader it would wait
}

var errNotRegular = errors.New("not a regular file")

// Check refuses a file that holds something else, or cannot be made, and a name under which the
// command reads or writes something else.
func (l ListFile) Check(others ...string) error {
	if l.Name == "" || l.Name == "-" {
		return nil
	}
	for _, o := range others {
		if o != "" && place(o) == place(l.Name) {
			return refuse(l.Name, Unable, errors.New("already used for something else: name a separate file for the list"))
		}
	}
	return failed(l.Name, Unable, words.Pathless(l.checkContent()))
}

func (l ListFile) checkContent() error {
	name := l.Name
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return device.CheckCreatable(name)
	case err != nil:
		return err
	case isStream(info.Mode()) && !l.Regular:
		return nil
	case l.isOutput(info):
		return errors.New("standard output or standard error goes to it")
	case !info.Mode().IsRegular():
		return errNotRegular
	case info.Size() == 0:
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(l.Head))
	if n, _ := io.ReadFull(f, head); string(head[:n]) != l.Head {
		return errors.New("holds something other than such a list, and dmcow does not write over it")
	}
	return nil
}

func (l ListFile) isOutput(file fs.FileInfo) bool {
	return slices.ContainsFunc(l.Outputs, func(f *os.File) bool {
		info, err := f.Stat() // which fails for nil
		return err == nil && os.SameFile(info, file)
	})
}

// Write writes the list; rows writes what comes behind its first line, and may be called twice. A
// file gets its name when it is whole. The error is a failure, or one of standard output.
func (l ListFile) Write(rows func(io.Writer) error) error {
	switch info, err := os.Stat(l.Name); {
	case l.Name == "":
		return nil
	case l.Name == "-":
		return l.writeTo(l.Stdout, rows)
	case err == nil && l.Regular && !info.Mode().IsRegular(): // it was made since Check
		return failed(l.Name, Unable, errNotRegular)
	case err == nil && isStream(info.Mode()):
		return failed(l.Name, Unable, words.Pathless(l.writeStream(rows)))
	}
	return failed(l.Name, Unable, words.Pathless(l.writeFile(rows)))
}

// isStream reports whether a file of a mode is a pipe, or a character device as a terminal is.
func isStream(mode fs.FileMode) bool {
	return mode&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0
}

func (l ListFile) writeStream(rows func(io.Writer) error) error {
	f, err := os.OpenFile(l.Name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(l.writeTo(f, rows), f.Close())
}

func (l ListFile) writeFile(rows func(io.Writer) error) error {
	var size drafting
	if err := l.writeTo(&size, rows); err != nil {
		return err
	}
	d, err := draft.New(l.Name, size.at, 0o666)
	if err != nil {
		return err
	}
	defer d.Close()
	if l.Public {
		d.Public()
	}
	if err := l.writeTo(&drafting{draft: d}, rows); err != nil {
		return err
	}
	return d.Keep()
}

// drafting writes to a draft, from its beginning on, or without one only counts bytes.
type drafting struct {
	draft *draft.Draft
	at    int64
}

func (d *drafting) Write(b []byte) (int, error) {
	if d.draft != nil {
		if _, err := d.draft.WriteMany([][]byte{b}, []int64{d.at}); err != nil {
			return 0, err
		}
	}
	d.at += int64(len(b))
	return len(b), nil
}

func (l ListFile) writeTo(to io.Writer, rows func(io.Writer) error) error {
	w := bufio.NewWriterSize(to, 64<<10) // a draft takes whole blocks
	_, err := w.WriteString(l.Head)
	if err == nil {
		err = rows(w)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// place is a path without symbolic links on the way to its last name.
func place(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return filepath.Join(dir, filepath.Base(path))
}
