package lvmsync

import (
	"bufio"
	"encoding/binary"
	"io"
	"iter"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/delta"
)

// Writer writes a stream: a record for each chunk, as lvmsync does, which holds a record in memory.
type Writer struct {
	Source      io.ReaderAt  // what the receiver shall have
	Size, Chunk format.Bytes // of the device, and of a chunk
	Chunks      iter.Seq[format.OldChunk]
	// Visit, where set, is called now and then with the bytes of data that were written. It stops the work with the
	// error that it returns.
	Visit func(format.Bytes) error
}

// StreamSize is the size of a stream of so many chunks with so much data, in bytes.
func StreamSize(chunks uint64, data format.Bytes) format.Bytes {
	return format.Bytes(len(Banner)) + format.Bytes(chunks)*recordSize + data
}

// Stream writes it. The error is a [*delta.SideError], one of writing, or Visit's.
func (w *Writer) Stream(to io.Writer) error {
	out := bufio.NewWriterSize(to, 1<<20)
	if _, err := out.WriteString(Banner); err != nil {
		return err
	}
	record := make([]byte, recordSize+w.Chunk)
	done := format.Bytes(0)
	for old := range w.Chunks {
		at := format.Bytes(old) * w.Chunk
		n := min(w.Chunk, w.Size-at)
		if err := raw.ReadFull(w.Source, record[recordSize:][:n], at); err != nil {
			return &delta.SideError{Source: true, Err: err}
		}
		binary.BigEndian.PutUint64(record, uint64(at))
		binary.BigEndian.PutUint32(record[8:], uint32(n))
		if _, err := out.Write(record[:recordSize+n]); err != nil {
			return err
		}
		if done += n; w.Visit != nil {
			if err := w.Visit(done); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}
