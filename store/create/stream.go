package create

import (
	"io"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/internal/header"
)

// Stream writes the store that [Creation.Write] makes to w, front to back, and returns the number
// of its exceptions: each area goes out before its exceptions' data, which is read for the
// second time then. Cut off, it leaves a part of a store.
//
// The error is [ErrOtherSize], a [*SourceError], one of writing, or Visit or Confirm's, which
// is called before the last area goes out.
func (c Creation) Stream(w io.Writer) (chunks uint64, err error) {
	s := &streaming{Creation: c, w: w, piece: make([]byte, min(c.Geometry.ChunkBytes(), mostWindow))}
	head := make([]byte, format.HeaderSize)
	header.Valid(c.Geometry).Encode(head)
	if err := s.padded(head); err != nil {
		return 0, err
	}
	full := c.Geometry.ExceptionsPerArea()
	err = c.compareAndConfirm(func(old format.OldChunk, _ []byte) error {
		if s.olds = append(s.olds, old); len(s.olds) < full {
			return nil
		}
		return s.area()
	})
	if err != nil {
		return s.count, err
	}
	return s.count, s.area() // with the terminator
}

type streaming struct {
	Creation
	w     io.Writer
	count uint64            // exceptions that were written
	olds  []format.OldChunk // of the next area
	piece []byte
}

// area writes a metadata area, and the data of its exceptions.
func (s *streaming) area() error {
	raw := make([]byte, len(s.olds)*format.ExceptionSize)
	for i, old := range s.olds {
		x := format.Exception{Old: old, New: s.Geometry.DataChunk(s.count + uint64(i))}
		x.Encode(raw[i*format.ExceptionSize:])
	}
	if err := s.padded(raw); err != nil {
		return err
	}
	for _, old := range s.olds {
		if err := s.data(old); err != nil {
			return err
		}
	}
	s.count, s.olds = s.count+uint64(len(s.olds)), s.olds[:0]
	return nil
}

func (s *streaming) data(old format.OldChunk) error {
	at := format.Bytes(old) * s.Geometry.ChunkBytes()
	length := min(s.Geometry.ChunkBytes(), format.Bytes(s.Creation.size())-at)
	for done := format.Bytes(0); done < length; done += format.Bytes(len(s.piece)) {
		p := s.piece[:min(format.Bytes(len(s.piece)), length-done)]
		if err := raw.ReadFull(s.Image, p, at+done); err != nil {
			return &SourceError{Image: true, Offset: at + done, Err: err}
		}
		if _, err := s.w.Write(p); err != nil {
			return err
		}
	}
	return s.zeros(s.Geometry.ChunkBytes() - length)
}

// padded writes a chunk that begins with some bytes.
func (s *streaming) padded(p []byte) error {
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	return s.zeros(s.Geometry.ChunkBytes() - format.Bytes(len(p)))
}

func (s *streaming) zeros(n format.Bytes) error {
	clear(s.piece)
	for ; n > 0; n -= min(n, format.Bytes(len(s.piece))) {
		if _, err := s.w.Write(s.piece[:min(n, format.Bytes(len(s.piece)))]); err != nil {
			return err
		}
	}
	return nil
}
