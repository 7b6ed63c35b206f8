package store

import (
	"bytes"
	"errors"
	"fmt"

	"dmcow/format"
)

// ForeignUndoError says that an undo log does not belong to a device.
type ForeignUndoError struct {
	Size   format.Bytes // of the device that it belongs to
	Actual format.Bytes // of the one that it was to be used on
	// Offset is that of a sector of the device that holds neither what the log
	// captured nor what the change wrote there; it means nothing where the sizes
	// differ.
	Offset format.Bytes
}

func (e *ForeignUndoError) Error() string {
	if e.Size != e.Actual {
		return fmt.Sprintf("the undo log belongs to a device of %d bytes, and this one has %d", e.Size, e.Actual)
	}
	return fmt.Sprintf("the undo log does not belong to this device, or something else has been written to it since: "+
		"byte %d holds neither what the log captured nor what the change wrote there", e.Offset)
}

// IsUndo tells whether the store on d is an undo log. The error is one of
// reading.
func IsUndo(d Device) (bool, error) {
	id, err := Identify(d, FreshGeometry(d))
	if err != nil || id.Geometry.IsZero() {
		return false, err
	}
	_, err = changedSize(d, id.Geometry)
	if errors.Is(err, ErrNoUndo) {
		return false, nil
	}
	return err == nil, err
}

// changedSize is the size of the device that an undo log is about, as its first
// label has it. That stands at the very beginning of the data, also when there is
// no exception yet. The error is [ErrNoUndo], or one of reading.
func changedSize(d Device, g format.Geometry) (format.Bytes, error) {
	if g.Chunks(format.Bytes(d.Size())) <= format.FirstData {
		return 0, ErrNoUndo
	}
	var x [format.ExceptionSize]byte
	if err := readFull(d, x[:], int64(g.SlotOffset(format.Place{}))); err != nil {
		return 0, err
	}
	if n := format.DecodeException(x[:]).New; n != 0 && n != g.DataChunk(labelChunks(g)) {
		return 0, ErrNoUndo
	}
	return readLabelHead(d, g, format.FirstData)
}

// Belongs tells whether the undo log on log belongs to the device: that has the
// size of the one that was changed, and each sector that was captured still
// holds what it held then, or else what the change wrote there. With sample, it
// looks at the last area and at some of the others; without, at all of them.
//
// The error is [ErrNoUndo] or a [*ForeignUndoError], or one of reading.
func Belongs(log Device, device Reader, sample bool) error {
	id, err := Identify(log, FreshGeometry(log))
	if err != nil {
		return err
	}
	if id.Geometry.IsZero() {
		return ErrNoUndo
	}
	changed, err := changedSize(log, id.Geometry)
	if err != nil {
		return err
	}
	size := format.Bytes(device.Size())
	if changed != size {
		return &ForeignUndoError{Size: changed, Actual: size}
	}
	end, err := format.Scan(id.Walk(log), func(format.AreaIndex) error { return nil })
	if err != nil {
		return err
	}
	c := undoCheck{log: log, device: device, size: size, geometry: id.Geometry}
	for k := format.AreaIndex(0); k <= end.Area; k++ {
		// Powers of two: few, and many of the first.
		if sample && k&(k-1) != 0 && k+1 < end.Area {
			continue
		}
		if err := c.area(k); err != nil {
			return err
		}
	}
	return nil
}

// undoCheck compares a device with an undo log.
type undoCheck struct {
	log      Device
	device   Reader
	size     format.Bytes // of the device
	geometry format.Geometry
}

// area compares what area k has captured.
func (c *undoCheck) area(k format.AreaIndex) error {
	area := make([]byte, c.geometry.ChunkBytes())
	at := c.geometry.Offset(c.geometry.AreaLocation(k))
	if err := readFull(c.log, area, int64(at)); err != nil {
		return fmt.Errorf("byte %d of the undo log: %w", at, err)
	}
	var l *label
	captured, now := make([]byte, len(area)), make([]byte, len(area))
	for i := range c.geometry.ExceptionsPerArea() {
		x := format.DecodeException(area[i*format.ExceptionSize:])
		if x.New == 0 {
			return nil
		}
		if i == 0 {
			var err error
			if l, err = readLabel(c.log, c.geometry, x.New); err != nil {
				return err
			}
		}
		if err := c.chunk(l, i, x, captured, now); err != nil {
			return err
		}
	}
	return nil
}

// chunk compares a chunk.
func (c *undoCheck) chunk(l *label, i int, x format.Exception, captured, now []byte) error {
	if uint64(x.Old) >= uint64((c.size-1)/c.geometry.ChunkBytes())+1 {
		return fmt.Errorf("the undo log has captured chunk %d, and the device has %d bytes: it is damaged", x.Old, c.size)
	}
	at := format.Bytes(x.Old) * c.geometry.ChunkBytes()
	n := min(c.geometry.ChunkBytes(), c.size-at)
	if err := readFull(c.device, now[:n], int64(at)); err != nil {
		return fmt.Errorf("byte %d: %w", at, err)
	}
	if err := readFull(c.log, captured[:n], int64(c.geometry.Offset(x.New))); err != nil {
		return fmt.Errorf("byte %d of the undo log: %w", c.geometry.Offset(x.New), err)
	}
	for s := format.Bytes(0); s+format.SectorSize <= n; s += format.SectorSize {
		sector := now[s : s+format.SectorSize]
		if !bytes.Equal(sector, captured[s:s+format.SectorSize]) && !l.matches(i, int(s.Sectors()), sector) {
			return &ForeignUndoError{Size: c.size, Actual: c.size, Offset: at + s}
		}
	}
	return nil
}
