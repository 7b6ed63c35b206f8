package lvmsync

import (
	"encoding/binary"
	"errors"
	"io"

	"dmcow/format"
	"dmcow/store/apply"
)

// windowBytes is how much data a window has at most, in bytes, and pieceBytes how much a piece.
const (
	windowBytes = 2 << 20
	pieceBytes  = 256 << 10
)

// Reader reads a stream behind its banner.
type Reader struct {
	r    io.Reader
	at   format.Bytes // in the stream
	size format.Bytes // of the device

	// What is left of a record: where it goes on, and how much; of a new one, all.
	offset, left format.Bytes
}

// NewReader reads what comes behind the banner, for a device of so many bytes.
func NewReader(r io.Reader, size format.Bytes) *Reader {
	return &Reader{r: r, at: format.Bytes(len(Banner)), size: size}
}

// Next reads the next window: records that rise, as many as it has room for. The error is io.EOF, a [*RecordError], a
// [*CutError], or one of reading.
func (r *Reader) Next(w *apply.Window) error {
	if w.Buffer == nil {
		w.Buffer = w.Memory(windowBytes)
	}
	w.Pieces = w.Pieces[:0]
	for at := format.Bytes(0); at < windowBytes; {
		if err := r.record(); err == io.EOF && len(w.Pieces) > 0 {
			return nil // and next time again
		} else if err != nil {
			return err
		}
		if last := len(w.Pieces) - 1; last >= 0 && r.offset < w.Pieces[last].Offset+format.Bytes(len(w.Pieces[last].Data)) {
			return nil
		}
		data := w.Buffer[at:][:min(r.left, pieceBytes, windowBytes-at)]
		if err := r.read(data); err != nil {
			return err
		}
		w.Pieces = append(w.Pieces, apply.Piece{Offset: r.offset, Data: data})
		n := format.Bytes(len(data))
		at, r.offset, r.left = at+n, r.offset+n, r.left-n
	}
	return nil
}

// Check, Add and End are a source's: the stream has nothing to verify it by, and no end.
func (r *Reader) Check(*apply.Window) error { return nil }
func (r *Reader) Add(*apply.Window)         {}
func (r *Reader) End() error                { return nil }

// record reads the beginning of the next record, where nothing is left of one.
func (r *Reader) record() error {
	if r.left > 0 {
		return nil
	}
	var head [recordSize]byte
	begin := r.at
	if err := r.read(head[:1]); err != nil {
		var cut *CutError
		if errors.As(err, &cut) {
			return io.EOF
		}
		return err
	}
	if err := r.read(head[1:]); err != nil {
		return err
	}
	offset, length := binary.BigEndian.Uint64(head[:]), uint64(binary.BigEndian.Uint32(head[8:]))
	why := ""
	switch {
	case length == 0 || offset%format.SectorSize != 0 || length%format.SectorSize != 0:
		why = "not whole sectors"
	case offset > uint64(r.size) || length > uint64(r.size)-offset:
		why = "past its end"
	}
	if why != "" {
		return &RecordError{At: begin, Offset: offset, Length: length, Why: why}
	}
	r.offset, r.left = format.Bytes(offset), format.Bytes(length)
	return nil
}

func (r *Reader) read(p []byte) error {
	n, err := io.ReadFull(r.r, p)
	r.at += format.Bytes(n)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return &CutError{r.at}
	}
	return err
}
