package cmd

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dmcow/internal/device"
)

// textFile is a list that a command writes beside its work: to a file, in place of an older one of
// its kind, or to standard output.
type textFile struct {
	*app
	name path
	head string // its first line, by which an older one is known
}

// refuse refuses a file that holds something else, or cannot be made.
func (t textFile) refuse() error {
	if t.name == "" || t.name == "-" {
		return nil
	}
	f, err := device.Open(string(t.name))
	if errors.Is(err, fs.ErrNotExist) {
		err = device.Creatable(string(t.name))
	} else if err == nil {
		defer f.Close()
		head := make([]byte, len(t.head))
		if n, _ := f.ReadAt(head, 0); f.Size() > 0 && string(head[:n]) != t.head {
			err = errors.New("holds something else than such a list, and is not written over")
		}
	}
	if err != nil {
		return &failure{string(t.name), statusFailed, err}
	}
	return nil
}

// write writes the list; rows writes what comes behind its first line. A file gets its name when it
// is whole. The error is a failure, or one of standard output.
func (t textFile) write(rows func(io.Writer) error) error {
	switch t.name {
	case "":
		return nil
	case "-":
		return t.writeTo(t.stdout, rows)
	}
	name := string(t.name)
	err := func() error {
		f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name())
		defer f.Close()
		if err := errors.Join(t.writeTo(f, rows), f.Chmod(0o644), f.Sync()); err != nil {
			return err
		}
		return os.Rename(f.Name(), name)
	}()
	if err != nil {
		return &failure{name, statusFailed, pathless(err)}
	}
	return nil
}

func (t textFile) writeTo(to io.Writer, rows func(io.Writer) error) error {
	w := bufio.NewWriter(to)
	_, err := w.WriteString(t.head)
	if err == nil {
		err = rows(w)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}
