package delta

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"iter"

	"dmcow/format"
	"dmcow/internal/ahead"
	"dmcow/internal/memory"
	"dmcow/store/internal/header"
)

// Writer makes a delta of two contents, which are read when it is written.
type Writer struct {
	Head
	// Base and Source are what the receiver has and what it shall have. They allow concurrent calls, may
	// be a format.ManyReader, and either may be nil, for zeros.
	Base, Source io.ReaderAt
	// Chunks are Count chunks, in order.
	Chunks iter.Seq[format.OldChunk]
	// Visit, where set, is called now and then with the bytes that were written. It stops the work with the
	// error that it returns.
	Visit func(format.Bytes) error
}

// ErrChunks says that the chunks of a delta are not as many as its head says.
var ErrChunks = errors.New("the number of chunks changed meanwhile")

// How a delta is made: of each stripe the digests come first, so that all of its data has been read by then. What
// of that is little is kept meanwhile, else it is read again.
const (
	jobBytes  = 128 << 10 // that are read at a time, or a chunk
	mostKept  = 4 << 20   // of a stripe's data
	jobsAhead = 6
	readers   = 3
)

// Stream writes the delta, front to back. The error is [ErrChunk], [ErrChunks], a [*SideError], one of writing, or
// Visit's.
func (w *Writer) Stream(to io.Writer) error {
	if w.Geometry.ChunkSectors() > MaxChunk {
		return ErrChunk
	}
	next, stop := iter.Pull(w.Chunks)
	defer stop()
	s := &streaming{Writer: w, layout: w.Layout(), to: bufio.NewWriterSize(to, 128<<10), all: sha256.New(), bases: make(chan []byte, readers)}
	defer s.buffers.Free()
	for range readers {
		s.bases <- s.buffers.New(s.bufferSize())
	}
	s.plan = plan{streaming: s, chunks: next, keeps: s.keeps()}
	s.line = ahead.New(readers, s.work)
	defer s.line.Close()
	return s.run()
}

// streaming is a delta on its way.
type streaming struct {
	*Writer
	layout  Layout
	to      *bufio.Writer
	all     hash.Hash // over a sum of each chunk
	plan    plan
	line    *ahead.Line[job]
	buffers memory.Buffers
	spare   [][]byte    // buffers that were used
	bases   chan []byte // for what is there before, one for each reader
	written format.Bytes
}

// jobChunks is how many chunks are read at a time.
func (s *streaming) jobChunks() int { return int(max(1, jobBytes/s.Geometry.ChunkBytes())) }

// bufferSize is the memory that they take.
func (s *streaming) bufferSize() int {
	return min(s.jobChunks(), s.Geometry.ExceptionsPerArea()) * int(s.Geometry.ChunkBytes())
}

// keeps reports whether the data of a stripe is kept from when its digests are made.
func (s *streaming) keeps() bool {
	return format.Bytes(s.Geometry.ExceptionsPerArea())*s.Geometry.ChunkBytes() <= mostKept
}

func (s *streaming) run() error {
	head := make([]byte, s.Geometry.ChunkBytes())
	header.Valid(s.Geometry).Encode(head)
	if err := s.chunk(head); err != nil {
		return err
	}
	var before []byte
	for k := range s.layout.stripes() {
		st, err := s.sum()
		if err != nil {
			return err
		}
		begin := []byte(nil)
		if k == 0 {
			begin = s.encode()
			before = begin[sumAt:chunkAt]
		}
		own := st.at - 1
		sum := next(before, st.area, st.digests, own)
		copy(st.digests[own*SlotSize:], sum[:])
		before = sum[:]
		if err := s.stripe(st, begin); err != nil {
			return err
		}
	}
	if _, more := s.plan.chunks(); more {
		return ErrChunks
	}
	if _, err := s.to.Write(s.encodeEnd(Sum(s.all.Sum(nil)))); err != nil {
		return err
	}
	return s.to.Flush()
}

// sum has the digests made of the next stripe's data.
func (s *streaming) sum() (*stripe, error) {
	st, err := s.plan.current()
	if err != nil {
		return nil, err
	}
	for range st.jobs {
		j, err := s.take()
		if err != nil {
			return nil, err
		}
		if s.plan.keeps {
			st.kept = append(st.kept, kept{j.data, len(j.olds)})
			j.data = nil
		}
	}
	return st, nil
}

// take is the next job that is done.
func (s *streaming) take() (*job, error) {
	s.line.Fill(jobsAhead, s.plan.next)
	if s.plan.err != nil {
		return nil, s.plan.err
	}
	j := s.line.Take()
	if j == nil {
		return nil, ErrChunks
	}
	return j, j.err
}

// stripe writes a stripe of which the digests are there. begin is what stands before these.
func (s *streaming) stripe(st *stripe, begin []byte) error {
	defer s.plan.leave()
	if err := s.chunk(st.area); err != nil {
		return err
	}
	for ; len(begin) > 0; begin = begin[s.Geometry.ChunkBytes():] {
		if err := s.chunk(begin[:s.Geometry.ChunkBytes()]); err != nil {
			return err
		}
	}
	if err := s.chunk(st.digests); err != nil {
		return err
	}
	for i := range st.sums {
		s.all.Write(st.sums[i][:])
	}
	for _, k := range st.kept {
		s.line.Fill(jobsAhead, s.plan.next) // that the readers have something to do meanwhile
		if err := s.data(k.data, k.chunks); err != nil {
			return err
		}
		s.spare = append(s.spare, k.data)
	}
	if s.plan.keeps {
		return nil
	}
	for range st.jobs {
		j, err := s.take()
		if err == nil {
			err = s.data(j.data, len(j.olds))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// chunk writes a chunk that is no data.
func (s *streaming) chunk(p []byte) error {
	sum := sha256.Sum256(p)
	s.all.Write(sum[:])
	_, err := s.to.Write(p)
	return err
}

func (s *streaming) data(p []byte, chunks int) error {
	p = p[:chunks*int(s.Geometry.ChunkBytes())]
	if _, err := s.to.Write(p); err != nil {
		return err
	}
	if s.written += format.Bytes(len(p)); s.Visit == nil {
		return nil
	}
	return s.Visit(s.written)
}
