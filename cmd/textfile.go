package cmd

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"

	"dmcow/internal/device"
)

// textFile is a list that a command writes beside its work: to a file, in place of an older one of
// its kind, or to standard output.
type textFile struct {
	*app
	name path
	head string // its first line, by which an older one is known
}

// refuse refuses a file that holds something else, or cannot be made, and a name under which the
// command reads or writes something else.
func (t textFile) refuse(others ...path) error {
	if t.name == "" || t.name == "-" {
		return nil
	}
	for _, o := range others {
		if o != "" && place(string(o)) == place(string(t.name)) {
			return &failure{string(t.name), statusFailed, errors.New("is needed for something else: expected a file for the list alone")}
		}
	}
	if err := t.refuseContent(); err != nil {
		return &failure{string(t.name), statusFailed, pathless(err)}
	}
	return nil
}

func (t textFile) refuseContent() error {
	name := string(t.name)
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return device.Creatable(name)
	case err != nil:
		return err
	case isStream(info.Mode()):
		return nil
	case t.isOutput(info):
		return errors.New("is where standard output or standard error goes")
	case !info.Mode().IsRegular():
		return errors.New("is no file, expected one for the list")
	case info.Size() == 0:
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(t.head))
	if n, _ := io.ReadFull(f, head); string(head[:n]) != t.head {
		return errors.New("holds something else than such a list, and is not written over")
	}
	return nil
}

// isOutput reports whether a file is the one of standard output, or of standard error.
func (t textFile) isOutput(file fs.FileInfo) bool {
	for _, f := range []*os.File{t.stdout.file(), t.stderr.file()} {
		if f == nil {
			continue
		}
		if info, err := f.Stat(); err == nil && os.SameFile(info, file) {
			return true
		}
	}
	return false
}

// write writes the list; rows writes what comes behind its first line, and may be called twice. A
// file gets its name when it is whole. The error is a failure, or one of standard output.
func (t textFile) write(rows func(io.Writer) error) error {
	name := string(t.name)
	switch t.name {
	case "":
		return nil
	case "-":
		return t.writeTo(t.stdout, rows)
	}
	var err error
	if info, e := os.Stat(name); e == nil && isStream(info.Mode()) {
		err = t.writeStream(rows)
	} else {
		err = t.writeFile(rows)
	}
	if err != nil {
		return &failure{name, statusFailed, pathless(err)}
	}
	return nil
}

// isStream reports whether a file of a mode is a pipe, or a character device as a terminal is.
func isStream(mode fs.FileMode) bool {
	return mode&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0
}

func (t textFile) writeStream(rows func(io.Writer) error) error {
	f, err := os.OpenFile(string(t.name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(t.writeTo(f, rows), f.Close())
}

func (t textFile) writeFile(rows func(io.Writer) error) error {
	var size counter
	if err := t.writeTo(&size, rows); err != nil {
		return err
	}
	d, err := device.NewDraft(string(t.name), int64(size), 0o666)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := t.writeTo(&drafting{draft: d}, rows); err != nil {
		return err
	}
	return d.Keep()
}

// counter counts what is written to it, in bytes.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// drafting writes to a draft, from its beginning on.
type drafting struct {
	draft *device.Draft
	at    int64
}

func (d *drafting) Write(b []byte) (int, error) {
	if _, err := d.draft.WriteMany([][]byte{b}, []int64{d.at}); err != nil {
		return 0, err
	}
	d.at += int64(len(b))
	return len(b), nil
}

func (t textFile) writeTo(to io.Writer, rows func(io.Writer) error) error {
	w := bufio.NewWriterSize(to, 64<<10) // a draft takes whole blocks
	_, err := w.WriteString(t.head)
	if err == nil {
		err = rows(w)
	}
	if err != nil {
		return err
	}
	return w.Flush()
}
