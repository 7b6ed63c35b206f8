package undo

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store"
	"dmcow/store/label"
	"dmcow/store/look"
)

// An areaLabel is what an undo log keeps of the change beside the store's own
// content: the size of the device that was changed, and two checksums of each
// sector of a captured chunk: as the change writes it, and as the device held it
// when that was noted. It may hold either, or what was captured. One label belongs to
// each area of the log. It stands in the data chunks right before the one of the area's
// first exception. No exception names them, so that to the kernel they are lost
// space, as a failed copy leaves it.
//
//	byte  0         16            24      28      32            40      64
//	     +---------+-------------+-------+-------+-------------+-------+- - - - - -+
//	     | magic   | device size | flags | zeros | exceptions  | zeros | sums      |
//	     +---------+-------------+-------+-------+-------------+-------+- - - - - -+
//	                in bytes      of the          of the area,          two CRC-32C, for each
//	                              first label     at least              exception of the area, for
//	                                                                    each sector of its chunk
//
// It begins as all labels do (package label). The flags are labelKept and labelTakingBack. The number of
// exceptions is no more than what is durable, and all of them when the change is made: so a
// list whose end was lost is told from one that ends there.
type areaLabel struct {
	geometry format.Geometry
	chunks   []format.NewChunk // where it stands, in order
	raw      []byte            // their content
}

const (
	labelMagic = "dmcow undo log 1"
	labelSize  = label.Size // bytes before the sums
	sumSize    = 4
	sumsSize   = 2 * sumSize // of a sector
)

// The flags of a label.
const (
	// labelKept: all that the log captured came from changes that left the store which they
	// merged as it was.
	labelKept = 1 << iota
	// labelTakingBack: the change is being taken back, and the list may be shorter than the
	// labels say.
	labelTakingBack
)

// MaxChunk is the largest chunk size of an undo log, in sectors. The label of
// an area takes the square of a chunk: 4 MiB then, which are held in memory.
const MaxChunk = 128

// ErrChunk says that an undo log was to be made with larger chunks.
var ErrChunk = fmt.Errorf("an undo log has chunks of at most %d sectors", MaxChunk)

// ErrNoLog says that a store is not an undo log.
var ErrNoLog = errors.New("the store is not an undo log: it has no label")

// castagnoli is made where it is needed: a small store takes no longer than the start.
var castagnoli = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })

func sum(sector []byte) uint32 { return crc32.Checksum(sector, castagnoli()) }

func labelChunks(g format.Geometry) uint64 {
	bytes := labelSize + format.Bytes(g.ExceptionsPerArea())*chunkSums(g)
	return uint64((bytes + g.ChunkBytes() - 1) / g.ChunkBytes())
}

// chunkSums is the size of the sums of one chunk, in bytes.
func chunkSums(g format.Geometry) format.Bytes {
	return format.Bytes(g.ChunkSectors()) * sumsSize
}

func newLabel(g format.Geometry, chunks []format.NewChunk, device format.Bytes, flags uint32) *areaLabel {
	l := &areaLabel{g, chunks, make([]byte, format.Bytes(len(chunks))*g.ChunkBytes())}
	label.Head{Magic: labelMagic, Size: device, Flags: flags}.Encode(l.raw)
	return l
}

// count is how many exceptions of the area are known to be there, setCount notes it.
func (l *areaLabel) count() int         { return int(label.Count(l.raw)) }
func (l *areaLabel) setCount(count int) { label.SetCount(l.raw, uint64(count)) }

func (l *areaLabel) writeHead(d store.WriteDevice) error { return l.write(d, 0, labelSize) }

// readLabel reads the label of the area whose first exception has its data in
// chunk first. The error is [ErrNoLog], or one of reading.
func readLabel(d look.Device, g format.Geometry, first format.NewChunk) (*areaLabel, error) {
	chunks, ok := labelAt(g, first)
	if !ok || uint64(first) > g.Chunks(format.Bytes(d.Size())) {
		return nil, ErrNoLog
	}
	if _, err := readLabelHead(d, g, chunks[0]); err != nil {
		return nil, err // before memory is taken for the sums
	}
	l := newLabel(g, chunks, 0, 0)
	size := int(g.ChunkBytes())
	for i, c := range chunks {
		if err := raw.ReadFull(d, l.raw[i*size:][:size], g.Offset(c)); err != nil {
			return nil, fmt.Errorf("byte %d of the undo log: %w", g.Offset(c), err)
		}
	}
	return l, nil
}

// readLabelHead reads the head of the label that begins in a chunk. The error is [ErrNoLog],
// or one of reading.
func readLabelHead(d look.Device, g format.Geometry, first format.NewChunk) (label.Head, error) {
	if g.ChunkSectors() > MaxChunk {
		return label.Head{}, ErrNoLog
	}
	h, err := label.Read(d, g, first, labelMagic)
	switch {
	case errors.Is(err, label.ErrNone):
		return h, ErrNoLog
	case err != nil:
		return h, fmt.Errorf("undo log: %w", err)
	}
	return h, nil
}

// write writes the chunks that hold bytes from start up to end.
func (l *areaLabel) write(d store.WriteDevice, start, end int) error {
	size := int(l.geometry.ChunkBytes())
	for i := start / size; i*size < end; i++ {
		offset := l.geometry.Offset(l.chunks[i])
		if _, err := d.WriteAt(l.raw[i*size:][:size], int64(offset)); err != nil {
			return fmt.Errorf("byte %d of the undo log: %w", offset, err)
		}
	}
	return nil
}

func (l *areaLabel) writeSums(d store.WriteDevice, first, end int) error {
	n := int(chunkSums(l.geometry))
	return l.write(d, labelSize+first*n, labelSize+end*n)
}

// inHead reports whether the sums of an exception begin in the chunk that has the head.
func (l *areaLabel) inHead(i int) bool {
	return format.Bytes(labelSize)+format.Bytes(i)*chunkSums(l.geometry) < l.geometry.ChunkBytes()
}

// sums are both sums of sector n of exception i's chunk.
func (l *areaLabel) sums(i, n int) []byte {
	return l.raw[labelSize+i*int(chunkSums(l.geometry))+n*sumsSize:][:sumsSize]
}

// set notes the content of exception i's chunk as the only one.
func (l *areaLabel) set(i int, data []byte) {
	for n := range len(data) / format.SectorSize {
		s := sum(data[n*format.SectorSize:][:format.SectorSize])
		sums := l.sums(i, n)
		binary.LittleEndian.PutUint32(sums, s)
		binary.LittleEndian.PutUint32(sums[sumSize:], s)
	}
}

// amend notes changes of exception i's chunk, and reports whether they were not known. What the device holds
// now it learns from the device: of what was to be written before, some may never have been.
func (l *areaLabel) amend(i int, old format.OldChunk, changes []Change, device io.ReaderAt) (changed bool, err error) {
	for _, c := range changes {
		now := make([]byte, len(c.Data))
		if err := raw.ReadFull(device, now, c.Offset); err != nil {
			return changed, fmt.Errorf("byte %d of the device: %w", c.Offset, err)
		}
		sector := int((c.Offset - format.Bytes(old)*l.geometry.ChunkBytes()).Sectors())
		for at := 0; at < len(now); at += format.SectorSize {
			s, sums := sum(c.Data[at:at+format.SectorSize]), l.sums(i, sector+at/format.SectorSize)
			if binary.LittleEndian.Uint32(sums) != s {
				binary.LittleEndian.PutUint32(sums, s)
				binary.LittleEndian.PutUint32(sums[sumSize:], sum(now[at:at+format.SectorSize]))
				changed = true
			}
		}
	}
	return changed, nil
}

// matches reports whether sector n of exception i's chunk is what the change
// writes there, or what was there before that.
func (l *areaLabel) matches(i, n int, sector []byte) bool {
	s, sums := sum(sector), l.sums(i, n)
	return binary.LittleEndian.Uint32(sums) == s || binary.LittleEndian.Uint32(sums[sumSize:]) == s
}

// labelAt are the chunks of the label that belongs to the area whose first exception has its data in chunk
// first, in order; ok is false where there can be none.
func labelAt(g format.Geometry, first format.NewChunk) (chunks []format.NewChunk, ok bool) {
	n := labelChunks(g)
	chunks = make([]format.NewChunk, n)
	for i := range chunks {
		first--
		if g.IsMetadata(first) {
			first--
		}
		if first < format.FirstData || first > 1<<62 {
			return nil, false
		}
		chunks[n-1-uint64(i)] = first
	}
	return chunks, true
}
