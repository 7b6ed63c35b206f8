package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/words"
	"dmcow/store/apply"
	"dmcow/store/delta"
	"dmcow/store/look"
	"dmcow/store/lvmsync"
)

// IncomingRequest names a delta: a file, a block device, VG/LV, or a pipe.
type IncomingRequest struct {
	Name  string   // or - for
	Stdin *os.File // standard input
}

// Incoming is a delta that is read, or a stream of lvmsync. What can be read only once is read by one pass alone.
type Incoming struct {
	Name string
	// Head is what a delta says that it is. A stream of lvmsync says nothing, and has the zero one.
	Head    delta.Head
	Lvmsync bool

	session *Session
	device  *device.Device // what can be read more than once; else nil
	stream  *device.Stream
	reader  *bufio.Reader // at the beginning, or behind what was read of a pipe to know what it is
	delta   *delta.Reader
	tee     io.Writer // gets what is read, too; may be nil
	owned   bool      // the stream is to be closed
	alone   bool      // it is only checked: what is wrong with it is damage
}

// incomingBuffer is how much is read ahead of the beginning, in bytes; data is read past it.
const incomingBuffer = 64 << 10

// incoming opens a delta, and reads what it is. tee gets all that is read.
func (s *Session) incoming(r IncomingRequest, tee io.Writer, alone bool) (*Incoming, error) {
	in := &Incoming{Name: r.Name, session: s, tee: tee, alone: alone}
	err := in.open(r)
	if err == nil {
		err = in.begin()
	}
	return orClose(in, err)
}

func (in *Incoming) open(r IncomingRequest) (err error) {
	if r.Name == "-" {
		if info, err := r.Stdin.Stat(); err == nil && info.Mode().IsRegular() && in.atStart(r.Stdin) {
			in.device, err = device.OpenUnlocked(fmt.Sprintf("/proc/self/fd/%d", r.Stdin.Fd()))
			if err == nil {
				return nil
			}
		}
		in.stream = device.StreamOf(r.Stdin, in.session.options.Interrupted)
		return nil
	}
	info, err := os.Stat(r.Name)
	if err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice|fs.ModeSocket) != 0 {
		in.owned = true
		in.stream, err = device.OpenStream(r.Name, in.session.options.Interrupted)
		return failed(r.Name, Unreadable, words.Pathless(err))
	}
	n, err := in.session.find(r.Name, false)
	if err == nil {
		in.device, err = in.session.open(n)
	}
	return err
}

// atStart reports whether nothing was read of a file yet.
func (in *Incoming) atStart(f *os.File) bool {
	at, err := f.Seek(0, io.SeekCurrent)
	return err == nil && at == 0
}

// IsStream reports whether it can be read only once.
func (in *Incoming) IsStream() bool { return in.device == nil }

// begin reads the beginning, once more where it can be.
func (in *Incoming) begin() error {
	end := int64(0)
	if in.device != nil {
		end = in.device.Size()
	}
	if in.device != nil && in.device.IsBlock() { // something else may come behind the delta
		in.from(end, nil)
		r, err := delta.NewReader(in.reader)
		if err == nil {
			end = min(end, int64(r.Head().Layout().Size()))
		}
	}
	in.from(end, in.tee)
	head, err := in.reader.Peek(lvmsync.HeadSize)
	if err != nil && err != io.EOF {
		return in.failed(err, nothingWritten)
	}
	if in.Lvmsync, err = lvmsync.Begins(head); err != nil {
		return in.failed(err, nothingWritten)
	}
	if in.Lvmsync {
		_, err = in.reader.Discard(len(lvmsync.Banner))
		return in.failed(err, nothingWritten)
	}
	if in.delta, err = delta.NewReader(in.reader); err != nil {
		return in.failed(err, nothingWritten)
	}
	in.Head = in.delta.Head()
	return nil
}

// from has it be read from the beginning, of a device up to end.
func (in *Incoming) from(end int64, tee io.Writer) {
	var from io.Reader = in.stream
	if in.device != nil {
		from = io.NewSectionReader(in.device, 0, end)
	}
	if tee != nil {
		from = io.TeeReader(from, tee)
	}
	in.reader = bufio.NewReaderSize(from, incomingBuffer)
}

// source is what is to be applied to a device of so many bytes.
func (in *Incoming) source(size format.Bytes) apply.Source {
	if in.Lvmsync {
		return lvmsync.NewReader(in.reader, size)
	}
	return apply.Of(in.delta)
}

// each calls use with the stretches of its device that a delta changes, which can be read more than once.
func (in *Incoming) each(use func(start, end format.Bytes)) error {
	id, err := look.Identify(in.device, look.FreshGeometry(in.device))
	if err != nil {
		return refuse(in.Name, Unreadable, err)
	}
	chunk := in.Head.Geometry.ChunkBytes()
	w := in.session.watch(in.Name, Areas, 0)
	defer w.End()
	_, err = format.Each(id.Walk(in.device), nil, func(_ *struct{}, b format.Batch) error {
		for _, x := range b.Exceptions() {
			use(format.Bytes(x.Old)*chunk, format.Bytes(x.Old+1)*chunk)
		}
		return w.area(b.Area)
	})
	return failed(in.Name, Unreadable, err, nothingWritten)
}

// failed makes a refusal of an error of the delta, of which then is to be known what was done; others it passes on.
func (in *Incoming) failed(err error, then string) error {
	var refused *Refusal
	switch {
	case err == nil, errors.As(err, &refused):
		return err
	case errors.Is(err, ErrInterrupted):
		return failed(in.Name, Unable, err, then)
	case in.alone && errors.Is(err, delta.ErrNoDelta):
		return refuse(in.Name, Foreign, err)
	case in.alone && in.isOwn(err):
		return refuse(in.Name, Damaged, err)
	case in.alone:
		return refuse(in.Name, in.codeOf(err), err)
	}
	return refusef(in.Name, in.codeOf(err), "%w; %s", err, then)
}

// codeOf is the code of an error of the delta.
func (in *Incoming) codeOf(err error) Code {
	var path *fs.PathError
	if errors.As(err, &path) {
		return Unreadable
	}
	return Unable
}

// isOwn reports whether an error is one of the delta, and not of what it is applied to.
func (in *Incoming) isOwn(err error) bool {
	return errors.Is(err, delta.ErrNoDelta) || errors.Is(err, delta.ErrTrailing) || errors.As(err, new(*delta.VersionError)) ||
		errors.As(err, new(*delta.DamagedError)) || in.isCut(err) || errors.As(err, new(*lvmsync.RecordError))
}

// isCut reports whether an error says that the delta ends early.
func (in *Incoming) isCut(err error) bool {
	return errors.As(err, new(*delta.CutError)) || errors.As(err, new(*lvmsync.CutError))
}

// Close closes it.
func (in *Incoming) Close() {
	if in.device != nil {
		in.device.Close()
	}
	if in.stream != nil && in.owned {
		in.stream.Close()
	}
}
