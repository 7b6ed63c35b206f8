package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/memory"
	"dmcow/internal/raw"
	"dmcow/internal/words"
)

// Parcel is what a stream is sent to that can be gone on with: a file, which has another name until it is whole, a
// block device, or a pipe.
type Parcel struct {
	*Output
	Had format.Bytes // that a file had from before

	reads  []*device.Device // must not be written to
	goesOn bool
	anew   bool             // the part that is there is removed
	part   string           // the file's name until it is whole; empty for Name
	held   *device.Writable // the file, kept from others
	file   *os.File
	end    format.Bytes // of what the file has
	chunk  format.Bytes
	offset format.Bytes // in the stream
	skip   format.Bytes
	buffer []byte // what is to be written to a file or device, and from where on
	at     format.Bytes
	then   error
}

// Skipped is how much of a stream was left out at its beginning, in bytes.
func (p *Parcel) Skipped() format.Bytes { return p.skip }

// partSuffix is what a file's name ends in until it is whole.
const partSuffix = ".part"

// openOutput finds out what is to be written to, and refuses what must not be, before anything is read.
func (x *Send) openOutput() error {
	r := x.request.Output
	for _, read := range []string{x.request.COW, x.request.Origin, x.request.To} {
		if r.Stream == nil && read != "" && isSameFile(r.Name, read) {
			return refusef(r.Name, Unable, "overlaps %s, which the command reads", words.Printable(read))
		}
	}
	if x.request.Continue {
		r.Force = true // it is not replaced
	}
	o, err := x.session.lookAt(r)
	if err != nil {
		return err
	}
	x.Output = &Parcel{Output: o, goesOn: x.request.Continue}
	return x.Output.findPart(x.request.Output.Force)
}

// isFile reports whether it is a file, and may have a part of it already.
func (p *Parcel) isFile() bool { return p.kind == newFile || p.kind == oldFile }

// findPart finds the file that has the beginning, or that is to be made.
func (p *Parcel) findPart(force bool) error {
	if !p.isFile() {
		if p.goesOn {
			return refusef(p.Name, WrongUse, "only a file can be continued; for a pipe, give --skip")
		}
		return nil
	}
	p.part = p.Name + partSuffix
	switch there := exists(p.part); {
	case p.goesOn && !there && p.kind == newFile:
		p.goesOn = false // it begins
	case p.goesOn && !there:
		p.part = "" // it was cut off under its own name
	case p.goesOn || !there:
	case force:
		p.anew = true
	default:
		return refusef(p.part, Unable, "refused: it has the beginning of what was sent to %s: --continue goes on with it, and --force begins anew", words.Printable(p.Name))
	}
	if p.goesOn {
		p.Loss, p.Replaces = "", false
	}
	return nil
}

// checkOutput refuses what shares bytes with what is read.
func (x *Send) checkOutput() error {
	p := x.Output
	for _, n := range x.snapshots {
		p.reads = append(p.reads, n.reads()...)
	}
	return p.check(0, p.reads...)
}

// checkRoom refuses a block device that is too small.
func (p *Parcel) checkRoom(size format.Bytes) error {
	if p.block == nil || format.Bytes(p.block.Size()) >= size {
		return nil
	}
	return refusef(p.Name, Unable, "too small: %d bytes; the delta has %d", p.block.Size(), size)
}

// open opens it to be written.
func (p *Parcel) open(size, chunk, skip format.Bytes) (err error) {
	p.chunk, p.skip = chunk, skip
	if !p.isFile() || p.request.DryRun {
		return p.Output.Open(int64(size))
	}
	name := p.Name
	if p.part != "" {
		name = p.part
	}
	if !p.goesOn {
		err = p.make(name)
	}
	if err == nil {
		p.file, err = os.OpenFile(name, os.O_RDWR, 0)
	}
	if err == nil {
		p.held, err = device.OpenWritable(name)
	}
	if err == nil && !inuse.IsStill(p.file, name) {
		err = errReplaced
	}
	if err != nil {
		return refuse(name, Unable, words.Pathless(err))
	}
	p.end = format.Bytes(p.held.Size())
	if p.Had = p.end / chunk * chunk; p.Had > size {
		return refusef(name, Unable, "refused: it has %d bytes, and the whole delta %d: the source is not what it was, or this is another delta", p.end, size)
	}
	return nil
}

// errReplaced says that the file is not the one that was opened.
var errReplaced = errors.New("another program has replaced or removed it meanwhile")

// make makes a file anew. What was seen there is removed, but not while another program writes to it.
func (p *Parcel) make(name string) error {
	if p.anew {
		old, err := device.OpenWritable(name)
		if err == nil {
			defer old.Close()
		} else if errors.As(err, new(*inuse.BusyError)) {
			return err
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, p.request.Mode)
	if err != nil {
		return err
	}
	return f.Close()
}

// writeSize is how much is written to a file or device at a time, in bytes.
const writeSize = 1 << 20

// Write takes the next bytes of the stream.
func (p *Parcel) Write(b []byte) (int, error) {
	if p.then != nil {
		return 0, p.then
	}
	n := len(b)
	at := p.offset
	p.offset += format.Bytes(n)
	switch {
	case p.kind == stream:
		skipped := min(format.Bytes(n), p.skip-min(p.skip, at))
		if b = b[skipped:]; len(b) > 0 {
			p.then = p.Output.Write(b, int64(at+skipped-p.skip))
		}
	case p.file != nil && at < p.Had:
		known := min(format.Bytes(n), p.Had-at)
		if p.then = p.compare(b[:known], at); p.then == nil {
			p.then = p.keep(b[known:], at+known)
		}
	default:
		p.then = p.keep(b, at)
	}
	if p.then != nil {
		return 0, p.then
	}
	return n, nil
}

// compare wants the file to have b already. A power cut may have left zeros at its end: there it is gone on.
func (p *Parcel) compare(b []byte, at format.Bytes) error {
	there := make([]byte, len(b))
	if err := raw.ReadWhere(p.file, there, at); err != nil {
		return refuse(p.file.Name(), Unable, words.Pathless(err))
	}
	if bytes.Equal(there, b) {
		return nil
	}
	same := 0
	for there[same] == b[same] {
		same++
	}
	p.Had = at + format.Bytes(same)
	zero, err := p.isZeroFrom(p.Had)
	switch {
	case err != nil:
		return refuse(p.file.Name(), Unable, words.Pathless(err))
	case !zero:
		return refusef(p.file.Name(), Unable, "refused: byte %d is not what is sent now: the source is not what it was, or this is another delta; send it anew", p.Had)
	}
	return p.keep(b[same:], p.Had)
}

// isZeroFrom reports whether the file is zero from a byte on.
func (p *Parcel) isZeroFrom(at format.Bytes) (bool, error) {
	buf := make([]byte, writeSize)
	for at < p.end {
		b := buf[:min(format.Bytes(len(buf)), p.end-at)]
		if err := raw.ReadWhere(p.file, b, at); err != nil || !raw.IsZero(b) {
			return false, err
		}
		at += format.Bytes(len(b))
	}
	return true, nil
}

// keep has b, which comes behind what was kept before, be written to a file or device, much at a time.
func (p *Parcel) keep(b []byte, at format.Bytes) error {
	if p.buffer == nil {
		p.buffer = memory.Aligned(writeSize)[:0]
	}
	if len(p.buffer) == 0 {
		p.at = at
	}
	for len(b) > 0 {
		n := min(len(b), cap(p.buffer)-len(p.buffer))
		p.buffer, b = append(p.buffer, b[:n]...), b[n:]
		if len(p.buffer) == cap(p.buffer) {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes what was kept.
func (p *Parcel) flush() (err error) {
	b, at := p.buffer, p.at
	if len(b) == 0 {
		return nil
	}
	p.buffer, p.at = b[:0], at+format.Bytes(len(b))
	if p.file == nil { // a block device, which is written in whole blocks
		for block := int(p.block.LogicalBlockSize()); len(b)%block != 0; {
			b = append(b, 0)
		}
		return p.Output.Write(b, int64(at))
	}
	n, err := p.file.WriteAt(b, int64(at))
	p.end = max(p.end, at+format.Bytes(n))
	if err != nil {
		return refuse(p.file.Name(), Unable, fmt.Errorf("byte %d: %w; %s", at, words.Pathless(err), p.cutOff()))
	}
	return nil
}

// finish makes it durable, and gives a file its name.
func (p *Parcel) finish() (err error) {
	if p.kind != stream {
		err = p.flush()
	}
	switch {
	case err != nil:
		return err
	case p.file == nil:
		return p.Output.Finish()
	}
	if err = p.file.Truncate(int64(p.offset)); err == nil {
		err = p.file.Sync()
	}
	if err == nil && p.part != "" {
		if !inuse.IsStill(p.file, p.part) {
			return refuse(p.part, Unable, errReplaced)
		}
		err = p.name()
	}
	return failed(p.Name, Unable, words.Pathless(err))
}

// name gives the file its name. One that was made meanwhile is not replaced.
func (p *Parcel) name() error {
	name := p.Name
	if whole, err := filepath.EvalSymlinks(name); err == nil {
		name = whole
	}
	if p.kind == newFile {
		return device.Rename(p.part, name)
	}
	if err := os.Rename(p.part, name); err != nil {
		return err
	}
	return device.SyncDirectory(filepath.Dir(name))
}

// cutOff says what an interruption or an error leaves.
func (p *Parcel) cutOff() string {
	switch {
	case p.file != nil && p.end > 0:
		return fmt.Sprintf("%s has the beginning of it; the same command with --continue goes on", words.Printable(p.file.Name()))
	case p.file != nil:
		return "nothing was written"
	case p.kind == stream:
		return "part of it was sent"
	}
	return words.Printable(p.Name) + " has a part of it; run the same command again"
}

// Close closes it. A file that is not whole stays, unless there is nothing in it.
func (p *Parcel) Close() {
	if p.file != nil {
		if p.end == 0 && p.part != "" && inuse.IsStill(p.file, p.part) {
			_ = os.Remove(p.part)
		}
		p.file.Close()
	}
	if p.held != nil {
		p.held.Close()
	}
	p.Output.Close()
}
