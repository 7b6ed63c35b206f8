package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store"
)

// output is what a snapshot is exported to: a stream, a file that is on its way, or a block
// device.
type output struct {
	name              string
	mode              fs.FileMode // of a new file
	replaces          bool        // a file that is there
	isBlock, isStream bool
	worth             string // what it holds that may be of worth; empty for nothing

	stream io.Writer
	closer io.Closer // of a stream that was opened
	draft  *device.Draft
	block  *device.Writable
	holes  format.Bytes // in a file
}

// private is the mode of a file that holds what a volume did.
const private fs.FileMode = 0o600

// lookAt finds out what there is of a name that is to be written to; mode is that of a new file.
// The error is a failure.
func lookAt(name string, mode fs.FileMode) (*output, error) {
	o := &output{name: name, mode: mode}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, &failure{name, statusFailed, pathless(err)}
	case info.IsDir():
		return nil, &failure{name, statusFailed, errors.New("is a directory, expected a file or a block device")}
	case info.Mode().IsRegular():
		o.replaces = true
		if info.Size() > 0 {
			o.worth = fmt.Sprintf("it is there, with %d bytes", info.Size())
		}
	case info.Mode().Type() == fs.ModeDevice:
		o.isBlock = true
	default: // a pipe, /dev/null
		o.isStream = true
	}
	return o, nil
}

// overwrites reports whether something is lost by writing.
func (o *output) overwrites() bool { return o.worth != "" || o.isBlock }

// overwriting is how things are written over, or not.
type overwriting struct{ force, dryRun bool }

// open opens it for so many bytes, or makes sure in a dry run that it could be, and refuses
// what is not to be written over.
func (o *output) open(s *snapshot, size int64, how overwriting) error {
	var err error
	switch {
	case o.stream != nil:
	case o.isStream && how.dryRun:
	case o.isStream:
		return o.openStream(s.app)
	case o.isBlock:
		return o.openBlock(s, size, how)
	default:
		if err = o.refuseFile(s); err == nil && !how.dryRun {
			o.draft, err = device.NewDraft(o.name, size, o.mode)
		}
	}
	if err != nil {
		return &failure{o.name, statusFailed, err}
	}
	return nil
}

// openStream opens a pipe or the like. A pipe without a reader waits for one, or for a signal.
func (o *output) openStream(a *app) error {
	type opened struct {
		file *os.File
		err  error
	}
	c := make(chan opened, 1)
	go func() {
		f, err := os.OpenFile(o.name, os.O_WRONLY, 0)
		c <- opened{f, err}
	}()
	select {
	case x := <-c:
		if x.err != nil {
			return &failure{o.name, statusFailed, pathless(x.err)}
		}
		o.stream, o.closer = x.file, x.file
		return nil
	case <-a.ctx.Done():
		return &failure{o.name, statusInterrupted, fmt.Errorf("%w: nobody has opened it to read, and nothing was written", errInterrupted)}
	}
}

// refuseFile is why a file must not be written.
func (o *output) refuseFile(s *snapshot) error {
	if !o.replaces {
		return device.Creatable(o.name)
	}
	if err := o.apart(s); err != nil {
		return err
	}
	d, err := device.OpenWritable(o.name) // nobody else must be using it
	if err != nil {
		return err
	}
	d.Close()
	return nil
}

// refuseLoss refuses a file that must not be replaced without leave.
func (o *output) refuseLoss(force bool) error {
	if o.worth != "" && !force {
		return &failure{o.name, statusFailed, fmt.Errorf("refused: %s; --force replaces it", o.worth)}
	}
	return nil
}

// apart is why a device or file must not be written: it is one of those that are read. It is
// opened for reading only.
func (o *output) apart(s *snapshot) error {
	d, err := device.Open(o.name)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, read := range []*device.Device{s.cow.device, s.origin} {
		if d.Overlaps(read) {
			return fmt.Errorf("lies on the same bytes as %s, which is to be read", printable(read.Path()))
		}
	}
	return nil
}

// openBlock opens a block device, and refuses one that is too small, or that holds something.
func (o *output) openBlock(s *snapshot, size int64, how overwriting) error {
	err := o.apart(s)
	if err != nil {
		return &failure{o.name, statusFailed, err}
	}
	t := &target{cow: &cow{named: named{path: o.name}}}
	if how.dryRun {
		t.cow.device, err = device.Open(o.name)
	} else if o.block, err = device.OpenWritable(o.name); err == nil {
		t.cow.device = &o.block.Device
	}
	if err != nil {
		return &failure{o.name, statusFailed, err}
	}
	if how.dryRun {
		defer t.cow.device.Close()
	}
	if err := fits(t.cow.device, size); err != nil {
		return &failure{o.name, statusFailed, err}
	}
	t.fresh = store.FreshGeometry(t.cow.device)
	if t.id, err = store.Identify(t.cow.device, t.fresh); err != nil && !how.force {
		return s.unreadable(o.name, err)
	}
	if err := s.refuseWorth(t, how.force); err != nil {
		return err
	}
	o.worth = t.worth
	return nil
}

// fits is why so many bytes cannot be written to a block device.
func fits(d *device.Device, size int64) error {
	if d.Size() < size {
		return fmt.Errorf("too small: it has %d bytes, and the snapshot has %d", d.Size(), size)
	}
	if block := d.LogicalBlockSize(); size%block != 0 {
		return fmt.Errorf("the snapshot has %d bytes, which are no whole logical blocks of %d bytes", size, block)
	}
	return nil
}

// loss says what is written over, to begin a question with.
func (o *output) loss() string {
	if o.worth == "" {
		return ""
	}
	return o.worth + ": "
}

// zeros is what becomes a hole in a file, if it is where a block of the file system is.
var zeros [4096]byte

// write writes b, which comes behind what was written before.
func (o *output) write(b []byte, offset int64) (err error) {
	switch {
	case o.stream != nil:
		_, err = o.stream.Write(b)
	case o.block != nil:
		_, err = o.block.WriteAt(b, offset)
	default:
		err = o.writeData(b, offset)
	}
	if err != nil {
		return &failure{o.name, statusFailed, fmt.Errorf("byte %d: %w", offset, pathless(err))}
	}
	return nil
}

// writeData writes what is not zero to a file.
func (o *output) writeData(b []byte, offset int64) error {
	var p [][]byte
	var at []int64
	for len(b) > 0 {
		n := stretch(b)
		if isZero(b[:min(len(b), len(zeros))]) {
			o.holes += format.Bytes(n)
		} else {
			p, at = append(p, b[:n]), append(at, offset)
		}
		b, offset = b[n:], offset+int64(n)
	}
	_, err := o.draft.WriteMany(p, at)
	return err
}

// stretch is how much from the beginning of b on is zero, or not zero, block by block.
func stretch(b []byte) (n int) {
	first := isZero(b[:min(len(b), len(zeros))])
	for n < len(b) {
		end := min(n+len(zeros), len(b))
		if isZero(b[n:end]) != first {
			break
		}
		n = end
	}
	return n
}

func isZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

// finish makes durable what was written, and gives a file its name.
func (o *output) finish() (err error) {
	switch {
	case o.closer != nil:
		err = o.closer.Close()
	case o.stream != nil:
	case o.block != nil:
		err = o.block.Sync()
	default:
		err = o.draft.Keep()
	}
	if err != nil {
		return &failure{o.name, statusFailed, pathless(err)}
	}
	return nil
}

// cutOff says what an export that is cut off leaves.
func (o *output) cutOff() string {
	switch {
	case o.block != nil:
		return printable(o.name) + " holds a part of the snapshot; run the same command again"
	case o.stream != nil:
		return "a part was written"
	}
	return "nothing is left of it; run the same command again"
}

// close gives up what was not finished.
func (o *output) close() {
	if o.draft != nil {
		o.draft.Close()
	}
	if o.block != nil {
		o.block.Close()
	}
	if o.closer != nil {
		o.closer.Close()
	}
}

// pathless strips the operation and the path off an error of package os: messages name the
// file themselves.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
