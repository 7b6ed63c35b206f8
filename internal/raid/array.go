package raid

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// Array is an array that can be read, by several goroutines at once.
type Array struct {
	Geometry
	// Images are read at their chunks' places. One that is missing, or lacks something, gives an error for that.
	On []io.ReaderAt
	// Synced is how far parity is known to fit, in bytes of an image; what an image lacks behind that cannot be computed.
	Synced int64
}

// part is a stretch of one chunk that is to be read.
type part struct {
	to  []byte
	row int64
	at  int64 // in the row's chunk, in bytes
	i   int   // number of the data chunk in its row, or of RAID10 of the chunk
	err error
	n   int
}

// ReadAt reads from the array. All images are read at once. The error names the chunk that cannot be had.
func (a *Array) ReadAt(p []byte, offset int64) (int, error) {
	perRow := int64(a.Data())
	if a.Level == 10 {
		perRow = 1
	}
	var parts []*part
	for at := offset; len(p) > 0; {
		chunk, in := at/a.Chunk, at%a.Chunk
		n := min(int64(len(p)), a.Chunk-in)
		parts = append(parts, &part{to: p[:n], row: chunk / perRow, i: int(chunk % perRow), at: in})
		p, at = p[n:], at+n
	}
	a.read(parts)
	done := 0
	for _, t := range parts {
		done += t.n
		if t.err != nil {
			return done, t.err
		}
	}
	return done, nil
}

// read reads parts, those of each image one after the other.
func (a *Array) read(parts []*part) {
	by := map[int][]*part{}
	for _, t := range parts {
		image := 0
		if a.Level != 10 {
			image = a.row(t.row).data[t.i]
		} else {
			image = a.slot(t.row, 0)
		}
		by[image] = append(by[image], t)
	}
	var wait sync.WaitGroup
	for _, mine := range by {
		read := func() {
			for _, t := range mine {
				a.readPart(t)
			}
		}
		if len(by) == 1 {
			read()
			continue
		}
		wait.Go(read)
	}
	wait.Wait()
}

func (a *Array) readPart(t *part) {
	if a.Level == 10 {
		a.readCopy(t)
		return
	}
	r := a.row(t.row)
	at := t.row*a.Chunk + t.at
	if t.n, t.err = full(a.On[r.data[t.i]], t.to, at); t.err == nil {
		return
	}
	if t.err = a.compute(t.to, r, t.i, at); t.err == nil {
		t.n = len(t.to)
		return
	}
	// It may be that each image lacks something else of the chunk.
	t.n = 0
	for t.n < len(t.to) {
		const block = 4096
		b := t.to[t.n:min(t.n+block-int((at+int64(t.n))%block), len(t.to))]
		n, err := full(a.On[r.data[t.i]], b, at+int64(t.n))
		if err != nil {
			if e := a.compute(b, r, t.i, at+int64(t.n)); e != nil {
				t.n += n
				t.err = fmt.Errorf("image %d: %w, and chunk %d cannot be computed: %w", r.data[t.i], err, t.row*int64(a.Data())+int64(t.i), e)
				return
			}
			n = len(b)
		}
		t.n += n
	}
	t.err = nil
}

// full reads p whole.
func full(r io.ReaderAt, p []byte, at int64) (int, error) {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

var errNotSynced = errors.New("the array is not in sync there, and its parity says nothing")

// compute computes bytes of a data chunk from the others in its row. at is where they are on each image.
func (a *Array) compute(to []byte, r row, i int, at int64) error {
	if at+int64(len(to)) > a.Synced {
		return errNotSynced
	}
	c := computation{array: a, row: r, at: at, length: len(to), lacks: []int{i}}
	for n := range r.data {
		if n != i {
			if err := c.read(n); err != nil {
				return err
			}
		}
	}
	return c.solve(to)
}

// computation computes one data chunk, or two, from the others, and from parity.
type computation struct {
	array  *Array
	row    row
	at     int64
	length int
	lacks  []int // the data chunks that are to be computed, by their numbers in the row
	p, q   []byte
	b      []byte
	why    error
}

// read reads a data chunk, and adds it to both sums.
func (c *computation) read(n int) error {
	if c.b == nil {
		c.p, c.b = make([]byte, c.length), make([]byte, c.length)
		c.q = make([]byte, c.length)
	}
	if _, err := full(c.array.On[c.row.data[n]], c.b, c.at); err != nil {
		c.why = fmt.Errorf("image %d: %w", c.row.data[n], err)
		if c.lacks = append(c.lacks, n); len(c.lacks) > c.array.Parity() {
			return c.why
		}
		return nil
	}
	add(c.p, c.b)
	if c.row.q >= 0 {
		addTimes(c.q, c.b, c.row.g[n])
	}
	return nil
}

// solve computes the first of the chunks that are lacking.
func (c *computation) solve(to []byte) error {
	if c.p == nil { // it is the only one in its row
		c.p, c.b, c.q = make([]byte, c.length), make([]byte, c.length), make([]byte, c.length)
	}
	errP := c.sum(c.p, c.row.p)
	if errP == nil && len(c.lacks) == 1 {
		copy(to, c.p)
		return nil
	}
	if c.row.q < 0 {
		return errP
	}
	if errP != nil && len(c.lacks) > 1 {
		return fmt.Errorf("%w; %w", c.why, errP)
	}
	if err := c.sum(c.q, c.row.q); err != nil {
		return fmt.Errorf("%w; %w", cause(c.why, errP), err)
	}
	x := c.row.g[c.lacks[0]]
	if len(c.lacks) == 1 { // q = g^x * to
		scale(c.q, -x)
		copy(to, c.q)
		return nil
	}
	// p = to + other, q = g^x * to + g^y * other: q + g^y * p = (g^x + g^y) * to
	y := c.row.g[c.lacks[1]]
	addTimes(c.q, c.p, y)
	scale(c.q, -logarithm[power[x]^power[y]])
	copy(to, c.q)
	return nil
}

func cause(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// sum adds parity to a sum of all but the chunks that are lacking: what is left is their sum.
func (c *computation) sum(to []byte, image int) error {
	if _, err := full(c.array.On[image], c.b, c.at); err != nil {
		return fmt.Errorf("image %d: %w", image, err)
	}
	add(to, c.b)
	return nil
}

// slot is the number of a copy's slot: slots are counted through all rows of images.
func (a *Array) slot(chunk int64, copy int) int {
	return int((chunk*int64(a.Layout&0xff) + int64(copy)) % int64(a.Images))
}

// readCopy reads a part of RAID10 from the first copy that has it, or what each has of it, round and round.
func (a *Array) readCopy(t *part) {
	copies := int64(a.Layout & 0xff)
	for before := -1; t.n > before; {
		before = t.n
		for j := range copies {
			slot := t.row*copies + j
			at := slot/int64(a.Images)*a.Chunk + t.at
			n, err := full(a.On[slot%int64(a.Images)], t.to[t.n:], at+int64(t.n))
			if t.n += n; err == nil {
				t.err = nil
				return
			}
			if t.err == nil || n > 0 {
				t.err = fmt.Errorf("chunk %d: image %d: %w", t.row, slot%int64(a.Images), err)
			}
		}
	}
}
