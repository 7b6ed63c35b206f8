package undo

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store/look"
)

// Stretch is a stretch of a device, whole sectors of it.
type Stretch struct {
	Offset format.Bytes
	Now    []byte // what the device holds
	New    []byte // what a change writes there
}

// Explain finds out which stretches of a device an undo log explains as what a change has left that was cut off: the
// log has on record that the change writes them, and each of their sectors is what was captured, or else what the change
// writes. It reads the list of the log once.
//
// The error is [ErrNoLog], or one of reading.
func Explain(log look.Device, all []Stretch) (explained []bool, err error) {
	id, err := look.Identify(log, look.FreshGeometry(log))
	if err != nil {
		return nil, err
	}
	if id.Geometry.IsZero() {
		return nil, ErrNoLog
	}
	e := explanation{log: log, geometry: id.Geometry, all: all, known: make([]format.Sectors, len(all)), wanted: map[format.OldChunk][]int{}}
	for i, s := range all {
		for old := e.chunkOf(s.Offset); old <= e.chunkOf(s.end()-1); old++ {
			e.wanted[old] = append(e.wanted[old], i)
		}
	}
	if _, err := format.Each(id.Walk(log), nil, e.batch); err != nil {
		return nil, err
	}
	for i, s := range all {
		explained = append(explained, e.known[i] == format.Bytes(len(s.Now)).Sectors())
	}
	return explained, nil
}

func (s Stretch) end() format.Bytes { return s.Offset + format.Bytes(len(s.Now)) }

// sector are both contents of a sector at an offset of the device.
func (s Stretch) sector(at format.Bytes) (now, new []byte) {
	at -= s.Offset
	return s.Now[at:][:format.SectorSize], s.New[at:][:format.SectorSize]
}

type explanation struct {
	log      look.Device
	geometry format.Geometry
	all      []Stretch
	wanted   map[format.OldChunk][]int // by the log's chunks
	known    []format.Sectors          // of each stretch, how many sectors are explained
}

func (e *explanation) chunkOf(at format.Bytes) format.OldChunk {
	return format.OldChunk(at / e.geometry.ChunkBytes())
}

func (e *explanation) batch(_ *struct{}, b format.Batch) error {
	for at, x := range b.Exceptions() {
		stretches := e.wanted[x.Old]
		if len(stretches) == 0 {
			continue
		}
		delete(e.wanted, x.Old)
		if err := e.chunk(at, x, stretches); err != nil {
			return err
		}
	}
	return nil
}

// chunk compares the sectors of a captured chunk with those of the stretches that have some of it.
func (e *explanation) chunk(at format.Place, x format.Exception, stretches []int) error {
	first, err := firstOf(e.log, e.geometry, at.Area)
	if err != nil {
		return err
	}
	l, err := readLabel(e.log, e.geometry, first)
	if err != nil {
		return err
	}
	captured := make([]byte, e.geometry.ChunkBytes())
	if err := raw.ReadFull(e.log, captured, e.geometry.Offset(x.New)); err != nil {
		return fmt.Errorf("byte %d of the undo log: %w", e.geometry.Offset(x.New), err)
	}
	start := format.Bytes(x.Old) * e.geometry.ChunkBytes()
	for _, i := range stretches {
		part := e.all[i]
		for s := max(start, part.Offset); s < min(start+e.geometry.ChunkBytes(), part.end()); s += format.SectorSize {
			now, new := part.sector(s)
			if l.leaves(at.Index, int((s - start).Sectors()), now, new, captured[s-start:][:format.SectorSize]) {
				e.known[i]++
			}
		}
	}
	return nil
}

// leaves reports whether a change that writes new to sector n of exception i's chunk may have left there what is
// now.
func (l *areaLabel) leaves(i, n int, now, new, captured []byte) bool {
	sums := l.sums(i, n)
	if binary.LittleEndian.Uint32(sums) != sum(new) {
		return false
	}
	return bytes.Equal(now, new) || bytes.Equal(now, captured) || binary.LittleEndian.Uint32(sums[sumSize:]) == sum(now)
}
