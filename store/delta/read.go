package delta

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"dmcow/format"
	"dmcow/internal/memory"
	"dmcow/internal/raw"
	"dmcow/store/internal/header"
)

// Reader reads a delta front to back, and verifies what it reads: every exception and every digest when it comes, so
// that nothing is done by one that is damaged; the data with [Window.Check]; all of it together with [Reader.End].
type Reader struct {
	head   Head
	layout Layout
	from   io.Reader
	offset format.Bytes // bytes that were read
	err    error        // why nothing more can be read

	list     uint64            // number of the next exception whose data comes
	waiting  []format.OldChunk // of the list, whose data is yet to come
	least    format.OldChunk   // that the next of the list may have
	stripe   format.AreaIndex  // the next
	digests  []byte            // of the stripe before
	area     []byte
	before   []byte // what the next stripe's check begins with
	sums     []Sum  // of chunks that no window has taken yet
	all      hash.Hash
	finished bool
}

// NewReader reads header and beginning, and no more. The error is [ErrNoDelta], a [*VersionError], a
// [*DamagedError], a [*CutError], or r's own.
func NewReader(r io.Reader) (*Reader, error) {
	d := &Reader{from: r, all: sha256.New()}
	g, err := d.readHeader()
	if err != nil {
		return nil, err
	}
	d.area = make([]byte, g.ChunkBytes())
	if err := d.read(d.area); err != nil {
		return nil, err
	}
	d.sums = append(d.sums, sha256.Sum256(d.area))
	begin := make([]byte, g.ChunkBytes())
	if err := d.read(begin); err != nil {
		return nil, err
	}
	h, need, err := decodeHead(begin, g)
	if need > 0 {
		more := make([]byte, need-format.Bytes(len(begin)))
		if err := d.read(more); err != nil {
			return nil, err
		}
		begin = append(begin, more...)
		h, _, err = decodeHead(begin, g)
	}
	if err != nil {
		return nil, damaged(g.Offset(format.FirstData), err)
	}
	for piece := begin; len(piece) > 0; piece = piece[g.ChunkBytes():] {
		d.sums = append(d.sums, sha256.Sum256(piece[:g.ChunkBytes()]))
	}
	d.head, d.layout, d.before = h, h.Layout(), begin[sumAt:chunkAt]
	d.digests = make([]byte, g.ChunkBytes())
	return d, nil
}

// readHeader reads chunk 0. Its chunk size is not vouched for before the beginning was read.
func (d *Reader) readHeader() (g format.Geometry, err error) {
	var first [format.SectorSize]byte
	if err := d.read(first[:]); err != nil {
		return g, err
	}
	h := format.DecodeHeader(first[:])
	if h.Magic != format.Magic {
		return g, ErrNoDelta
	}
	if g, err = format.NewGeometry(h.ChunkSectors); err != nil || g.ChunkSectors() > MaxChunk {
		return g, ErrNoDelta
	}
	chunk, want := make([]byte, g.ChunkBytes()), make([]byte, g.ChunkBytes())
	copy(chunk, first[:])
	if err := d.read(chunk[len(first):]); err != nil {
		return g, err
	}
	header.Valid(g).Encode(want)
	if !bytes.Equal(chunk, want) {
		return g, &DamagedError{0, "its header is not as a delta has it"}
	}
	d.sums = append(d.sums, sha256.Sum256(chunk))
	return g, nil
}

// read reads all of p.
func (d *Reader) read(p []byte) error {
	n, err := io.ReadFull(d.from, p)
	d.offset += format.Bytes(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		cut := &CutError{Offset: d.offset}
		if d.head.Size > 0 {
			cut.Size = d.layout.Size()
		}
		return cut
	}
	return err
}

// Head is what the beginning says.
func (d *Reader) Head() Head { return d.head }

// Offset is how much of the stream was read, in bytes.
func (d *Reader) Offset() format.Bytes { return d.offset }

// Next reads the next window, which is to be checked then. It is io.EOF behind the last. The error is a
// [*DamagedError], a [*CutError], or one of reading; nothing can be read any more then.
func (d *Reader) Next(w *Window) error {
	if d.err == nil && d.list == d.head.Count {
		return io.EOF
	}
	if d.err == nil {
		d.err = d.next(w)
	}
	return d.err
}

func (d *Reader) next(w *Window) error {
	w.geometry, w.First, w.Chunks, w.sums, w.at = d.head.Geometry, d.list, w.Chunks[:0], w.sums[:0], w.at[:0]
	size := int(min(uint64(d.head.WindowChunks()), d.head.Count-d.list)) * int(w.geometry.ChunkBytes())
	if len(w.Memory) < size {
		w.Memory = memory.Aligned(size)
	}
	data := w.Memory[:size]
	for len(data) > 0 {
		first, end, at := d.layout.data(d.stripe - 1)
		if d.stripe == 0 || d.list == end {
			if err := d.nextStripe(); err != nil {
				return err
			}
			continue
		}
		w.sums, d.sums = append(w.sums, d.sums...), d.sums[:0]
		n := min(int(end-d.list), len(data)/int(w.geometry.ChunkBytes()))
		part := data[:n*int(w.geometry.ChunkBytes())]
		if err := d.read(part); err != nil {
			return err
		}
		d.take(w, part, d.digests[(at+int(d.list-first))*SlotSize:])
		data = data[len(part):]
	}
	return nil
}

// take adds chunks to a window, whose slots are given.
func (d *Reader) take(w *Window, data, slots []byte) {
	chunk := w.geometry.ChunkBytes()
	for ; len(data) > 0; data, slots = data[chunk:], slots[SlotSize:] {
		old := d.waiting[0]
		w.at = append(w.at, len(w.sums))
		w.sums = append(w.sums, Sum{})
		w.Chunks = append(w.Chunks, Chunk{
			Exception: format.Exception{Old: old, New: d.layout.New(d.list)}, Slot: decodeSlot(slots),
			Data: data[:d.head.ContentSize(old):chunk],
		})
		d.waiting, d.list = d.waiting[1:], d.list+1
	}
}

// nextStripe reads the next stripe's area and digests, and verifies them.
func (d *Reader) nextStripe() error {
	k, g := d.stripe, d.head.Geometry
	if k > 0 { // area 0 was read before the beginning
		if err := d.read(d.area); err != nil {
			return err
		}
		d.sums = append(d.sums, sha256.Sum256(d.area))
	}
	if err := d.read(d.digests); err != nil {
		return err
	}
	d.sums = append(d.sums, sha256.Sum256(d.digests))
	first, end, at := d.layout.data(k)
	own := at - 1
	sum := next(d.before, d.area, d.digests, own)
	if sum != check(d.digests[own*SlotSize:]) {
		return &DamagedError{g.Offset(g.AreaLocation(k)), fmt.Sprintf("area %d and its digests are not what their check says", k)}
	}
	used := d.digests[at*SlotSize:][:int(end-first)*SlotSize]
	if !raw.IsZero(d.digests[:own*SlotSize]) || !raw.IsZero(d.digests[at*SlotSize+len(used):]) {
		return &DamagedError{g.Offset(d.layout.digests(k)), "there are digests of nothing"}
	}
	if err := d.takeArea(k); err != nil {
		return err
	}
	d.before, d.stripe = sum[:], k+1
	return nil
}

// takeArea takes the exceptions of area k.
func (d *Reader) takeArea(k format.AreaIndex) error {
	first, end := d.layout.listed(k)
	entries := d.area
	for i := first; i < end; i++ {
		x := format.DecodeException(entries)
		switch {
		case x.New != d.layout.New(i):
			return d.damagedSlot(i, fmt.Sprintf("its data is said to be in chunk %d, not %d", x.New, d.layout.New(i)))
		case x.Old < d.least:
			return d.damagedSlot(i, fmt.Sprintf("chunk %d of the device comes behind chunk %d", x.Old, d.least-1))
		case uint64(x.Old) > uint64((d.head.Size-1)/d.head.Geometry.ChunkBytes()):
			return d.damagedSlot(i, fmt.Sprintf("chunk %d lies past the end of the device", x.Old))
		}
		d.least = x.Old + 1
		d.waiting = append(d.waiting, x.Old)
		entries = entries[format.ExceptionSize:]
	}
	if !raw.IsZero(entries) {
		return &DamagedError{d.head.Geometry.Offset(d.head.Geometry.AreaLocation(k)), "there are exceptions behind the end of the list"}
	}
	return nil
}

func (d *Reader) damagedSlot(i uint64, what string) error {
	p := d.head.Geometry.PlaceAt(i)
	return &DamagedError{d.head.Geometry.SlotOffset(p), fmt.Sprintf("area %d slot %d: %s", p.Area, p.Index, what)}
}

// Add adds a window that was checked to the sum of all. Windows are added in order.
func (d *Reader) Add(w *Window) { d.add(w.sums) }

func (d *Reader) add(sums []Sum) {
	for i := range sums {
		d.all.Write(sums[i][:])
	}
}

// End reads the end, when all windows were added, and wants all of it to be what was sent, and nothing to come behind
// it. The error is a [*DamagedError], a [*CutError], [ErrTrailing], or one of reading.
func (d *Reader) End() error {
	if d.err == nil && !d.finished {
		d.err = d.end()
	}
	return d.err
}

func (d *Reader) end() error {
	if d.list < d.head.Count {
		return errors.New("the delta was not read to its end")
	}
	for d.stripe < d.layout.stripes() {
		if err := d.nextStripe(); err != nil {
			return err
		}
	}
	d.add(d.sums)
	d.sums = nil
	at, end := d.offset, make([]byte, d.head.Geometry.ChunkBytes())
	if err := d.read(end); err != nil {
		return err
	}
	if !bytes.Equal(end, d.head.encodeEnd(Sum(d.all.Sum(nil)))) {
		return &DamagedError{at, "its end is not what was read before it says"}
	}
	d.finished = true
	switch n, err := io.ReadFull(d.from, make([]byte, 1)); {
	case n > 0:
		return ErrTrailing
	case err != io.EOF:
		return err
	}
	return nil
}
