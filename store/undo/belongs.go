package undo

import (
	"bytes"
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/internal/raw"
	"dmcow/store"
	"dmcow/store/label"
	"dmcow/store/look"
)

// ForeignError says that an undo log does not belong to a device.
type ForeignError struct {
	Size   format.Bytes // of the device that it belongs to
	Actual format.Bytes // of the one that it was to be used on
	// Offset is where the device has a sector that holds neither what the log captured nor what the change
	// wrote there; it means nothing where the sizes differ.
	Offset format.Bytes
}

func (e *ForeignError) Error() string {
	if e.Size != e.Actual {
		return fmt.Sprintf("the undo log belongs to a device of %d bytes; this one has %d", e.Size, e.Actual)
	}
	return fmt.Sprintf("the undo log does not match the device (another device, or written to since): "+
		"byte %d is neither as before the change nor as after it", e.Offset)
}

// CutOffError says that the list of an undo log lost its end: its label says that there
// were more exceptions.
type CutOffError struct {
	format.Place        // where the list ends
	Count        uint64 // exceptions of that area, at least
}

func (e *CutOffError) Error() string {
	return fmt.Sprintf("the undo log is damaged: its list ends at area %[2]d slot %[1]d; it had %[3]d exceptions", e.Index, e.Area, e.Count)
}

// IsLog reports whether the store on d is an undo log. The error is one of
// reading.
func IsLog(d look.Device) (bool, error) {
	id, err := look.Identify(d, look.FreshGeometry(d))
	if err != nil || id.Geometry.IsZero() {
		return false, err
	}
	_, err = firstLabel(d, id.Geometry)
	if errors.Is(err, ErrNoLog) {
		return false, nil
	}
	return err == nil, err
}

// firstLabel is the head of an undo log's first label. That stands at the very beginning of
// the data, also when there is no exception yet. The error is [ErrNoLog], or one of reading.
func firstLabel(d look.Device, g format.Geometry) (h label.Head, err error) {
	if g.Chunks(format.Bytes(d.Size())) <= format.FirstData {
		return h, ErrNoLog
	}
	n, err := firstOf(d, g, 0)
	if err != nil {
		return h, err
	}
	if n != 0 && n != g.DataChunk(labelChunks(g)) {
		return h, ErrNoLog
	}
	return readLabelHead(d, g, format.FirstData)
}

// firstOf is the new chunk of an area's first exception.
func firstOf(d look.Device, g format.Geometry, k format.AreaIndex) (format.NewChunk, error) {
	var x [format.ExceptionSize]byte
	err := raw.ReadFull(d, x[:], g.SlotOffset(format.Place{Area: k}))
	return format.DecodeException(x[:]).New, err
}

// CheckBelongs wants the undo log on log to belong to the device: that has
// the size of the one that was changed, and each sector that was captured still
// holds what it held then, or else what the change wrote there. With sample, it
// looks at the last area and at some of the others; without, at all of them. It calls visit,
// where that is not nil, now and then, and ends with the error that it returns.
//
// The error is [ErrNoLog], a [*ForeignError] or a [*CutOffError], one of reading, or
// visit's own.
func CheckBelongs(log look.Device, device Reader, sample bool, visit func(format.AreaIndex) error) error {
	id, err := look.Identify(log, look.FreshGeometry(log))
	if err != nil {
		return err
	}
	if id.Geometry.IsZero() {
		return ErrNoLog
	}
	first, err := firstLabel(log, id.Geometry)
	if err != nil {
		return err
	}
	size := format.Bytes(device.Size())
	if first.Size != size {
		return &ForeignError{Size: first.Size, Actual: size}
	}
	if visit == nil {
		visit = func(format.AreaIndex) error { return nil }
	}
	end, err := format.Scan(id.Walk(log), visit)
	if err != nil {
		return err
	}
	c := comparison{log: log, device: device, size: size, geometry: id.Geometry}
	if first.Flags&labelTakingBack == 0 {
		if err := c.checkWhole(end); err != nil {
			return err
		}
	}
	for k := format.AreaIndex(0); k <= end.Area; k++ {
		// Powers of two: few, and many of the first.
		if sample && k&(k-1) != 0 && k+1 < end.Area {
			continue
		}
		if err := c.area(k); err != nil {
			return err
		}
		if err := visit(k); err != nil {
			return err
		}
	}
	return nil
}

// checkWhole wants the list of a log, which ended in end, to have all the exceptions that the label
// of its last area tells of.
func (c *comparison) checkWhole(end format.End) error {
	at := end.NextFree // where the area's label is begun
	if end.Index > 0 {
		first, err := firstOf(c.log, c.geometry, end.Area)
		if err != nil {
			return err
		}
		chunks, ok := labelAt(c.geometry, first)
		if !ok {
			return ErrNoLog
		}
		at = chunks[0]
	}
	h, err := readLabelHead(c.log, c.geometry, at)
	switch {
	case errors.Is(err, ErrNoLog) && end.Index == 0:
		return nil // it was not begun
	case err != nil:
		return err
	case h.Size == c.size && h.Count > uint64(end.Index):
		return &CutOffError{end.Place, h.Count}
	}
	return nil
}

// BeginTakingBack notes in an undo log, durably, that it is merged into its device from now on,
// which makes its list shorter. The error is [ErrNoLog], or one of reading or writing.
func BeginTakingBack(log store.WriteDevice) error {
	id, err := look.Loadable(log)
	if err != nil {
		return err
	}
	return changeFlags(log, id.Geometry, func(flags uint32) uint32 { return flags | labelTakingBack })
}

// changeFlags changes the flags of an undo log, durably.
func changeFlags(log store.WriteDevice, g format.Geometry, change func(uint32) uint32) error {
	h, err := firstLabel(log, g)
	if err != nil || change(h.Flags) == h.Flags {
		return err
	}
	chunk := make([]byte, g.ChunkBytes())
	at := int64(g.Offset(format.FirstData))
	if err := raw.ReadFull(log, chunk, at); err != nil {
		return fmt.Errorf("byte %d of the undo log: %w", at, err)
	}
	label.SetFlags(chunk, change(h.Flags))
	if err := log.WriteDurable(chunk, at); err != nil {
		return fmt.Errorf("byte %d of the undo log: %w", at, err)
	}
	return nil
}

// comparison compares a device with an undo log.
type comparison struct {
	log      look.Device
	device   Reader
	size     format.Bytes // of the device
	geometry format.Geometry
}

// area compares what area k has captured with the device.
func (c *comparison) area(k format.AreaIndex) error {
	area := make([]byte, c.geometry.ChunkBytes())
	at := c.geometry.Offset(c.geometry.AreaLocation(k))
	if err := raw.ReadFull(c.log, area, at); err != nil {
		return fmt.Errorf("byte %d of the undo log: %w", at, err)
	}
	var l *areaLabel
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

func (c *comparison) chunk(l *areaLabel, i int, x format.Exception, captured, now []byte) error {
	if uint64(x.Old) >= uint64((c.size-1)/c.geometry.ChunkBytes())+1 {
		return fmt.Errorf("the undo log is damaged: it has chunk %d of a device of %d bytes", x.Old, c.size)
	}
	at := format.Bytes(x.Old) * c.geometry.ChunkBytes()
	n := min(c.geometry.ChunkBytes(), c.size-at)
	if err := raw.ReadFull(c.device, now[:n], at); err != nil {
		return fmt.Errorf("byte %d: %w", at, err)
	}
	if err := raw.ReadFull(c.log, captured[:n], c.geometry.Offset(x.New)); err != nil {
		return fmt.Errorf("byte %d of the undo log: %w", c.geometry.Offset(x.New), err)
	}
	for s := format.Bytes(0); s+format.SectorSize <= n; s += format.SectorSize {
		sector := now[s : s+format.SectorSize]
		if !bytes.Equal(sector, captured[s:s+format.SectorSize]) && !l.matches(i, int(s.Sectors()), sector) {
			return &ForeignError{Size: c.size, Actual: c.size, Offset: at + s}
		}
	}
	return nil
}
