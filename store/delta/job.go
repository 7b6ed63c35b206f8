package delta

import (
	"io"

	"dmcow/format"
	"dmcow/internal/raw"
)

// stripe is an area with the data behind it.
type stripe struct {
	area    []byte
	digests []byte
	at      int               // the slot of its first data
	olds    []format.OldChunk // of its data
	sums    []Sum             // of what will be there
	jobs    int               // in which its data is read
	kept    []kept
}

// kept is data that was read.
type kept struct {
	data   []byte
	chunks int
}

// job is some of a stripe's data that is read, to make digests of it, to be written, or both.
type job struct {
	stripe *stripe
	first  int // its first chunk, in the stripe's
	olds   []format.OldChunk
	sums   bool
	data   []byte
	err    error
}

// plan hands out jobs, stripe by stripe, ahead of what is written.
type plan struct {
	*streaming
	chunks func() (format.OldChunk, bool)
	keeps  bool
	listed []format.OldChunk // in areas, whose data is yet to come
	ahead  []*stripe         // that are not written yet
	made   format.AreaIndex  // stripes
	at     int               // the next job of the last of them
	err    error
}

// current is the stripe that is to be written next.
func (p *plan) current() (*stripe, error) {
	if len(p.ahead) == 0 {
		p.make()
	}
	return p.ahead[0], p.err
}

// leave is told that the current one is written.
func (p *plan) leave() { p.ahead = p.ahead[1:] }

// make makes the next stripe.
func (p *plan) make() {
	g, k := p.Geometry, p.made
	first, end := p.layout.listed(k)
	st := &stripe{area: make([]byte, g.ChunkBytes()), digests: make([]byte, g.ChunkBytes())}
	for i := first; i < end; i++ {
		old, ok := p.chunks()
		if !ok {
			p.err = ErrChunks
		}
		format.Exception{Old: old, New: p.layout.New(i)}.Encode(st.area[(i-first)*format.ExceptionSize:])
		p.listed = append(p.listed, old)
	}
	first, end, st.at = p.layout.data(k)
	n := int(end - first)
	st.olds, p.listed = p.listed[:n:n], p.listed[n:]
	st.sums, st.jobs = make([]Sum, n), (n+p.jobChunks()-1)/p.jobChunks()
	p.ahead, p.made, p.at = append(p.ahead, st), k+1, 0
}

// next fills in the next job; there is none at the end, or where something is wrong. Of a stripe whose data is not
// kept there are two of each: to make digests, and then to be written.
func (p *plan) next(j *job) bool {
	for {
		if n := len(p.ahead); n > 0 && p.err == nil {
			if st := p.ahead[n-1]; p.at < p.jobsOf(st) {
				p.fill(j, st, p.at)
				p.at++
				return true
			}
		}
		if p.err != nil || p.made == p.layout.stripes() {
			return false
		}
		p.make()
	}
}

func (p *plan) jobsOf(st *stripe) int {
	if p.keeps {
		return st.jobs
	}
	return 2 * st.jobs
}

func (p *plan) fill(j *job, st *stripe, n int) {
	j.stripe, j.sums, j.err = st, n < st.jobs, nil
	j.first = n % st.jobs * p.jobChunks()
	j.olds = st.olds[j.first:min(j.first+p.jobChunks(), len(st.olds))]
	if j.data == nil {
		j.data = p.buffer()
	}
}

func (p *plan) buffer() []byte {
	if n := len(p.spare); n > 0 {
		b := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return b
	}
	return p.buffers.New(p.bufferSize())
}

// work does a job.
func (s *streaming) work(j *job) {
	if err := s.readChunks(s.Source, j.data, j.olds); err != nil {
		j.err = &SideError{true, err}
		return
	}
	if !j.sums {
		return
	}
	base := <-s.bases
	defer func() { s.bases <- base }()
	if err := s.readChunks(s.Base, base, j.olds); err != nil {
		j.err = &SideError{false, err}
		return
	}
	summer, chunk := NewSummer(), int(s.Geometry.ChunkBytes())
	for i, old := range j.olds {
		n := int(s.ContentSize(old))
		before, after := summer.Sum(old, base[i*chunk:][:n]), summer.Sum(old, j.data[i*chunk:][:n])
		j.stripe.sums[j.first+i] = after
		Slot{before.Digest(), after.Digest()}.encode(j.stripe.digests[(j.stripe.at+j.first+i)*SlotSize:])
	}
}

// readChunks reads chunks of a device, one behind the other, with zeros behind the device's end.
func (s *streaming) readChunks(from io.ReaderAt, to []byte, olds []format.OldChunk) error {
	chunk := int(s.Geometry.ChunkBytes())
	if from == nil {
		clear(to[:len(olds)*chunk])
		return nil
	}
	var p [][]byte
	var at []int64
	for i := 0; i < len(olds); {
		n := 1
		for i+n < len(olds) && olds[i+n] == olds[i]+format.OldChunk(n) {
			n++
		}
		run, last := to[i*chunk:][:n*chunk], int(s.ContentSize(olds[i+n-1]))
		clear(run[(n-1)*chunk+last:])
		p, at = append(p, run[:(n-1)*chunk+last]), append(at, int64(olds[i])*int64(chunk))
		i += n
	}
	if many, ok := from.(format.ManyReader); ok && many.ReadsMany() {
		_, err := many.ReadMany(p, at)
		return err
	}
	for i := range p {
		if err := raw.ReadFull(from, p[i], at[i]); err != nil {
			return err
		}
	}
	return nil
}
