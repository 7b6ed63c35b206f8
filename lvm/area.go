package lvm

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Offsets in the header of a metadata area, in bytes.
const (
	areaMagic      = " LVM2 x[5A%r0N*>"
	areaVersion    = 20
	areaStart      = 24
	areaLength     = 32
	areaText       = 40
	areaHeaderSize = 512

	textSize     = 8 // in areaText
	textChecksum = 16
	textFlags    = 20
	textIgnored  = 1
)

// MaxText is the longest metadata text that is read, in bytes. LVM's own areas have a
// mebibyte, unless more is asked for.
const MaxText = 128 << 20

type location struct {
	Area
	start, size uint64 // in the area
	crc         uint32
}

// locate reads the header of a metadata area. size is zero where the area has no text, or
// is not to be used. The error is a [*DamageError] or one of reading.
func locate(d Disk, what string, a Area) (location, error) {
	damaged := func(at uint64, format string, args ...any) (location, error) {
		return location{}, &DamageError{what, a.Offset + at, fmt.Sprintf(format, args...)}
	}
	device := uint64(d.Size())
	if a.Size < areaHeaderSize || a.Size > device || a.Offset > device-a.Size {
		return damaged(0, "%d bytes from there on are no area of the device, which has %d", a.Size, device)
	}
	b := make([]byte, areaHeaderSize)
	if _, err := d.ReadAt(b, int64(a.Offset)); err != nil {
		return location{}, fmt.Errorf("%s at byte %d: %w", what, a.Offset, err)
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	switch got, want := u32(b), checksum(b[4:]); {
	case string(b[4:areaVersion]) != areaMagic:
		return damaged(4, "expected %q, got %q", areaMagic, b[4:areaVersion])
	case got != want:
		return damaged(0, "the header's checksum is 0x%08x, expected 0x%08x", got, want)
	case u32(b[areaVersion:]) != 1:
		return damaged(areaVersion, "the version is %d, expected 1", u32(b[areaVersion:]))
	case u64(b[areaStart:]) != a.Offset:
		return damaged(areaStart, "it says that it begins at byte %d", u64(b[areaStart:]))
	}
	t := b[areaText:]
	l := location{Area{a.Offset, u64(b[areaLength:])}, u64(t), u64(t[textSize:]), u32(t[textChecksum:])}
	switch {
	case l.start == 0 || u32(t[textFlags:])&textIgnored != 0:
		return location{}, nil
	case l.Size > a.Size && l.Size > device-a.Offset || l.Size < areaHeaderSize:
		return damaged(areaLength, "it says that it has %d bytes", l.Size)
	case l.start < areaHeaderSize || l.start >= l.Size || l.size == 0 || l.size > l.Size-areaHeaderSize:
		return damaged(areaText, "%d bytes from byte %d on are no text in an area of %d bytes", l.size, l.start, l.Size)
	case l.size > MaxText:
		return damaged(areaText, "a text of %d bytes, expected %d at most", l.size, MaxText)
	}
	return l, nil
}

// read reads the text, which may go on at the area's beginning.
func (l location) read(d io.ReaderAt, what string) ([]byte, error) {
	text := make([]byte, l.size)
	first := min(l.size, l.Size-l.start)
	for _, part := range []struct {
		b  []byte
		at uint64
	}{{text[:first], l.start}, {text[first:], areaHeaderSize}} {
		if _, err := d.ReadAt(part.b, int64(l.Offset+part.at)); err != nil && len(part.b) > 0 {
			return nil, fmt.Errorf("%s at byte %d: %w", what, l.Offset+part.at, err)
		}
	}
	if got := checksum(text); got != l.crc {
		return nil, &DamageError{what, l.Offset + l.start, fmt.Sprintf("the text there, of %d bytes, has the checksum 0x%08x, expected 0x%08x", l.size, got, l.crc)}
	}
	return text, nil
}

// where is the byte of the device that byte n of the text is.
func (l location) where(n int) uint64 {
	at := l.start + uint64(n)
	if at >= l.Size {
		at += areaHeaderSize - l.Size
	}
	return l.Offset + at
}
