package repair

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/look"
)

// image is a device as it will be: what is to be changed stands in memory, sector by
// sector.
type image struct {
	look.Device
	sectors map[int64]*sector // by number
}

type sector struct{ was, is [format.SectorSize]byte }

func newImage(d look.Device) *image { return &image{Device: d, sectors: map[int64]*sector{}} }

// current is the device to be looked at: the real one as long as nothing is changed,
// which is faster to read.
func (m *image) current() look.Device {
	if len(m.sectors) == 0 {
		return m.Device
	}
	return m
}

// ReadAt reads what will be there. Several goroutines may call it at once.
func (m *image) ReadAt(p []byte, offset int64) (int, error) {
	n, err := m.Device.ReadAt(p, offset)
	m.lay(p[:n], offset)
	return n, err
}

type result struct {
	*image
	geometry format.Geometry
	from     map[format.NewChunk]format.NewChunk // by the chunk that is to be written
}

// ReadAt reads what will be there. Several goroutines may call it at once.
func (r *result) ReadAt(p []byte, offset int64) (n int, err error) {
	if len(r.from) == 0 {
		return r.image.ReadAt(p, offset)
	}
	chunk := int64(r.geometry.ChunkBytes())
	for n < len(p) && err == nil {
		at := offset + int64(n)
		part := p[n:min(len(p), n+int(chunk-at%chunk))]
		if from, copied := r.from[format.NewChunk(at/chunk)]; copied {
			at += int64(r.geometry.Offset(from)) - at/chunk*chunk
		}
		var got int
		got, err = r.image.ReadAt(part, at)
		n += got
	}
	return n, err
}

func (m *image) lay(p []byte, offset int64) {
	for at := offset / format.SectorSize; at*format.SectorSize < offset+int64(len(p)); at++ {
		if s, changed := m.sectors[at]; changed {
			start := at * format.SectorSize
			copy(p[max(0, start-offset):], s.is[max(0, offset-start):])
		}
	}
}

func (m *image) change(offset format.Bytes, new []byte) (old []byte, err error) {
	old = make([]byte, len(new))
	if err := raw.ReadWhere(m, old, offset); err != nil {
		return nil, err
	}
	for at := int64(offset.Sectors()); format.Sectors(at).Bytes() < offset+format.Bytes(len(new)); at++ {
		s, err := m.sector(at)
		if err != nil {
			return nil, err
		}
		start := format.Sectors(at).Bytes()
		copy(s.is[max(start, offset)-start:], new[max(start, offset)-offset:])
	}
	return old, nil
}

func (m *image) sector(at int64) (*sector, error) {
	if s, ok := m.sectors[at]; ok {
		return s, nil
	}
	s := &sector{}
	if err := raw.ReadWhere(m.Device, s.was[:], format.Sectors(at).Bytes()); err != nil {
		return nil, err
	}
	s.is = s.was
	m.sectors[at] = s
	return s, nil
}

// MovedError says that a device does not hold any more what it held when a plan was
// made.
type MovedError struct{ Offset format.Bytes }

func (e *MovedError) Error() string {
	return fmt.Sprintf("byte %d changed after the plan was made: something else writes to the device", e.Offset)
}

// checkSame wants each changed sector of a device to be what it was. The error is a
// [*MovedError], or one of reading.
func (m *image) checkSame(d look.Device) error {
	now := make([]byte, format.SectorSize)
	for _, at := range slices.Sorted(maps.Keys(m.sectors)) {
		if err := raw.ReadWhere(d, now, int64(format.Sectors(at).Bytes())); err != nil {
			return err
		}
		if !bytes.Equal(now, m.sectors[at].was[:]) {
			return &MovedError{format.Sectors(at).Bytes()}
		}
	}
	return nil
}
