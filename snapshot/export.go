package snapshot

import (
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/draft"
	"dmcow/internal/words"
	"dmcow/store/look"
	"dmcow/view"
)

// ExportRequest says which snapshot is to be written as a raw image, and to what.
type ExportRequest struct {
	ViewRequest
	Output OutputRequest
}

// Export is a snapshot, or another [Source], that is to be written.
type Export struct {
	Source Source
	Output *Output

	session *Session
}

// PlanExport opens what is to be written ([Session.See]) and looks at what it is to be written to. The error is a [*Refusal].
func (s *Session) PlanExport(r ExportRequest) (*Export, error) {
	for _, read := range []string{r.COW, r.Origin} { // before --force is spoken of
		if r.Output.Stream == nil && isSameFile(r.Output.Name, read) {
			return nil, refusef(r.Output.Name, Unable, "overlaps %s, which the command reads", words.Printable(read))
		}
	}
	o, err := s.lookAt(r.Output)
	if err != nil {
		return nil, err
	}
	from, err := s.See(r.ViewRequest)
	if err != nil {
		return nil, err
	}
	err = from.checkCertain()
	if err == nil {
		err = o.check(from.Size(), from.reads()...)
	}
	return orClose(&Export{from, o, s}, err)
}

// checkCertain refuses a snapshot that is not certain throughout.
func (n *Snapshot) checkCertain() error {
	err := n.Failed(n.View.FirstUncertain())
	if r, ok := err.(*Refusal); ok {
		refused := refuse(r.Device, r.Code, fmt.Errorf("refused: %w", r.Err))
		if n.View.Report().Against(func(m check.Meaning) bool { return !m.DoubtsOrigin }) != nil && n.Origin.Volume == nil {
			refused.Remedies = []Remedy{{Do: CheckOrigin, Origin: n.Origin.Text}}
		}
		return refused.with(AllowDamaged, MountRest, RepairCopy)
	}
	return err
}

func isSameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// Close closes all of it.
func (x *Export) Close() {
	x.Output.Close()
	x.Source.Close()
}

// Do writes the image, and adds it to digests. The error is a [*Refusal], or of the stream.
func (x *Export) Do(digests ...hash.Hash) error {
	from, size := x.Source, x.Source.Size()
	if err := x.Output.Open(size); err != nil {
		return err
	}
	w := x.session.watch(from.About(), Bytes, uint64(size))
	defer w.End()
	err := view.Stream(from, size, func(b []byte, offset int64) error {
		if err := w.visit(uint64(offset)); err != nil {
			return failed(from.About(), Unable, err, x.Output.cutOff())
		}
		var added sync.WaitGroup
		defer added.Wait()
		for _, d := range digests {
			added.Go(func() { d.Write(b) })
		}
		return x.Output.Write(b, offset)
	})
	if err == nil && !from.isLent() {
		err = from.CheckQuiet()
	}
	if err == nil {
		err = x.Output.Finish()
	}
	return from.Failed(err)
}

// Output looks at what a picture of the snapshot or the like is to be written to. The error is a [*Refusal].
func (n *Snapshot) Output(r OutputRequest) (*Output, error) {
	o, err := n.session.lookAt(r)
	if err == nil && o.kind == blockDevice {
		err = refusef(o.Name, Unable, "is a block device, not a file")
	}
	if err == nil {
		err = o.check(0, n.COW.Device, n.Origin.Device)
	}
	return o, err
}

// Stream is a stream that is written to, and the file behind it, nil where that is not known: it must
// be none of what is read.
type Stream struct {
	io.Writer
	File *os.File
}

// checkApart refuses a stream that is one of the devices that are read, or lies on it.
func (s *Stream) checkApart(read ...*device.Device) error {
	if s.File == nil {
		return nil
	}
	info, err := s.File.Stat()
	if err != nil || isStream(info.Mode()) {
		return nil
	}
	d, err := device.OpenUnlocked(fmt.Sprintf("/proc/self/fd/%d", s.File.Fd()))
	if err != nil {
		return nil // and so it is not read
	}
	defer d.Close()
	for _, r := range read {
		if d.Overlaps(r) {
			return refusef(r.Path(), Unable, "standard output goes to it, and the command reads it")
		}
	}
	return nil
}

// OutputRequest says what is written to: a file, a block device, a pipe, or a stream.
type OutputRequest struct {
	Name   string
	Stream *Stream
	Mode   fs.FileMode // of a new file
	Force  bool        // replace a file that is there, or write over what a block device holds
	DryRun bool        // open nothing for writing
}

// Output is what is written to: a stream, a file that is on its way, or a block device.
type Output struct {
	Name     string
	Loss     string       // what of worth is lost by writing; empty for nothing
	Replaces bool         // it is a block device, or something is lost
	Holes    format.Bytes // in a file

	request OutputRequest
	session *Session
	kind    kind
	closer  io.Closer // of a stream that was opened
	draft   *draft.Draft
	block   *device.Writable
}

type kind int

const (
	newFile kind = iota
	oldFile
	blockDevice
	stream
)

// lookAt finds out what there is of a name that is to be written to, and refuses a file that must
// not be replaced.
func (s *Session) lookAt(r OutputRequest) (*Output, error) {
	o := &Output{Name: r.Name, request: r, session: s}
	if r.Stream != nil {
		o.Name, o.kind = "-", stream
		return o, nil
	}
	info, err := os.Stat(r.Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, refuse(r.Name, Unable, words.Pathless(err))
	case info.IsDir():
		return nil, refusef(r.Name, Unable, "is a directory, not a file or a block device")
	case info.Mode().IsRegular():
		o.kind = oldFile
		if info.Size() > 0 {
			o.Loss, o.Replaces = fmt.Sprintf("the file exists (%d bytes)", info.Size()), true
		}
	case info.Mode().Type() == fs.ModeDevice:
		o.kind, o.Replaces = blockDevice, true
	default: // a pipe, /dev/null
		o.kind = stream
	}
	if o.Loss != "" && !r.Force {
		return nil, refuse(r.Name, Unable, fmt.Errorf("refused: %s", o.Loss), ForceReplace)
	}
	return o, nil
}

// check refuses what must not be written, or cannot take so many bytes. read are the devices that
// are read meanwhile.
func (o *Output) check(size int64, read ...*device.Device) error {
	switch o.kind {
	case stream:
		if o.request.Stream != nil {
			return o.request.Stream.checkApart(read...)
		}
		return nil
	case newFile:
		return failed(o.Name, Unable, device.CheckCreatable(o.Name))
	}
	if err := o.checkApart(read...); err != nil {
		return err
	}
	if o.kind == oldFile {
		return o.checkUnused()
	}
	return o.checkBlock(size)
}

// checkApart refuses a device or file that is one of those that are read. It is opened for reading only.
func (o *Output) checkApart(read ...*device.Device) error {
	d, err := device.Open(o.Name)
	if err != nil {
		return refuse(o.Name, Unable, err)
	}
	defer d.Close()
	return checkApart(o.Name, d, read...)
}

func (o *Output) checkUnused() error {
	d, err := device.OpenWritable(o.Name)
	if err != nil {
		return refuse(o.Name, Unable, err)
	}
	return failed(o.Name, Unable, d.Close())
}

// checkBlock refuses a block device that somebody uses, that is too small, or that holds something.
func (o *Output) checkBlock(size int64) (err error) {
	var d *device.Device
	if o.request.DryRun {
		d, err = device.Open(o.Name)
	} else if o.block, err = device.OpenWritable(o.Name); err == nil {
		d = &o.block.Device
	}
	if err != nil {
		return refuse(o.Name, Unable, err)
	}
	if o.request.DryRun {
		defer d.Close()
	}
	if d.Size() < size {
		return refusef(o.Name, Unable, "too small: %d bytes; the image has %d", d.Size(), size)
	}
	if block := d.LogicalBlockSize(); size%block != 0 {
		return refusef(o.Name, Unable, "the image has %d bytes, not a multiple of the logical block (%d bytes)", size, block)
	}
	t := &Target{COW: &COW{Name: Name{Text: o.Name}, Device: d, Fresh: look.FreshGeometry(d)}}
	if t.COW.Identity, err = look.Identify(d, t.COW.Fresh); err != nil && !o.request.Force {
		return refuse(o.Name, Unreadable, err)
	}
	err = t.checkWorth(o.request.Force)
	o.Loss = t.Loss
	return err
}

// Open opens it to be written, with so many bytes. The error is a [*Refusal].
func (o *Output) Open(size int64) error {
	err := checkReal(o.Name, o.request.DryRun)
	switch {
	case err != nil:
	case o.kind == stream && o.request.Stream == nil:
		return o.openStream()
	case o.kind == newFile || o.kind == oldFile:
		o.draft, err = draft.New(o.Name, size, o.request.Mode)
	}
	return failed(o.Name, Unable, err)
}

// openStream opens a pipe or the like. A pipe without a reader waits for one, or for a signal.
func (o *Output) openStream() error {
	f, err := draft.OpenStream(o.Name, o.session.options.Interrupted)
	if err != nil {
		return failed(o.Name, Unable, words.Pathless(err), "no program opened it for reading; nothing was written")
	}
	o.request.Stream, o.closer = &Stream{Writer: f, File: f}, f
	return nil
}

// Write writes b, which comes behind what was written before. The error is a [*Refusal], or of the stream.
func (o *Output) Write(b []byte, offset int64) (err error) {
	switch {
	case o.kind == stream && o.closer == nil:
		_, err = o.request.Stream.Write(b)
		return err
	case o.kind == stream:
		_, err = o.request.Stream.Write(b)
	case o.block != nil:
		_, err = o.block.WriteAt(b, offset)
	default:
		var holes int64
		holes, err = o.draft.WriteSparse(b, offset)
		o.Holes += format.Bytes(holes)
	}
	if err != nil {
		return refuse(o.Name, Unable, fmt.Errorf("byte %d: %w", offset, words.Pathless(err)))
	}
	return nil
}

// Finish makes durable what was written, and gives a file its name.
func (o *Output) Finish() (err error) {
	switch {
	case o.closer != nil:
		err = o.closer.Close()
	case o.kind == stream:
	case o.block != nil:
		err = o.block.Sync()
	default:
		err = o.draft.Keep()
	}
	return failed(o.Name, Unable, words.Pathless(err))
}

func (o *Output) cutOff() string {
	switch {
	case o.block != nil:
		return words.Printable(o.Name) + " holds a part of the image; run the same command again"
	case o.kind == stream:
		return "part of it was written"
	}
	return "no part of it is kept; run the same command again"
}

// Close gives up what was not finished.
func (o *Output) Close() {
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
