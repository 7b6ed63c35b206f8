package lvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// SectorSize is what LVM counts sizes in, in bytes.
const SectorSize = 512

const labelSectors = 4

// Offsets in a label, and in the header that it leads to, in bytes.
const (
	labelMagic  = "LABELONE"
	labelType   = "LVM2 001"
	labelSector = 8
	labelCRC    = 16
	labelHeader = 20
	labelKind   = 24
	labelSize   = 32

	headerUUID  = 32 // letters and digits
	headerSize  = 32
	headerAreas = 40
	areaSize    = 16
)

const maxAreas = 2

// Label is the label of a physical volume.
type Label struct {
	UUID     string // with dashes, as LVM prints it
	Size     uint64 // of the device when it was made, in bytes
	Metadata []Area
	Used     bool // it is part of a volume group; where that is not said, it may be
}

// LabelArea is where a label may be.
func (*Label) LabelArea() Area { return Area{0, labelSectors * SectorSize} }

// Area is an area of metadata.
type Area struct {
	Offset, Size uint64 // on the physical volume, in bytes
}

// ErrNoLabel says that a device has no label, and so is not a physical volume.
var ErrNoLabel = errors.New("not a physical volume: no label in the first four sectors")

// DamageError says that something that LVM keeps is damaged.
type DamageError struct {
	What string // "label", "metadata area 0"
	Byte uint64 // of the physical volume
	Why  string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s", e.What, e.Byte, e.Why)
}

// ReadLabel reads the label of a physical volume. The error is [ErrNoLabel], a
// [*DamageError], or one of reading.
func ReadLabel(d io.ReaderAt) (*Label, error) {
	b := make([]byte, labelSectors*SectorSize)
	n, err := d.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("label: %w", err)
	}
	damage := ErrNoLabel
	for i := range n / SectorSize {
		sector := b[i*SectorSize:][:SectorSize]
		if string(sector[:len(labelMagic)]) != labelMagic {
			continue
		}
		l, err := decodeLabel(sector, uint64(i))
		if err == nil {
			return l, nil
		}
		damage = err
	}
	return nil, damage
}

func decodeLabel(b []byte, sector uint64) (*Label, error) {
	damaged := func(at int, format string, args ...any) error {
		return &DamageError{"label", sector*SectorSize + uint64(at), fmt.Sprintf(format, args...)}
	}
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	if got := u64(b[labelSector:]); got != sector {
		return nil, damaged(labelSector, "it says sector %d and lies in sector %d", got, sector)
	}
	if got, want := u32(b[labelCRC:]), checksum(b[labelHeader:]); got != want {
		return nil, damaged(labelCRC, "the checksum is 0x%08x, expected 0x%08x", got, want)
	}
	if string(b[labelKind:labelSize]) != labelType {
		return nil, damaged(labelKind, "the type is %q, expected %q", b[labelKind:labelSize], labelType)
	}
	at := u32(b[labelHeader:])
	if at < labelSize || at > SectorSize-headerAreas {
		return nil, damaged(labelHeader, "the header's offset is %d, expected %d", at, labelSize)
	}
	h := b[at:]
	l := &Label{UUID: dashed(string(h[:headerUUID])), Size: u64(h[headerSize:])}
	_, areas, ok := cutAreas(h[headerAreas:])
	var rest []byte
	if ok {
		l.Metadata, rest, ok = cutAreas(areas)
	}
	if !ok || l.UUID == "" || len(l.Metadata) > maxAreas {
		return nil, damaged(int(at), "expected a UUID of 32 letters and digits, and two lists of areas, of which the second has %d at most", maxAreas)
	}
	if len(rest) >= 8 && u32(rest) >= usedVersion {
		l.Used = u32(rest[4:])&isUsed != 0
	}
	return l, nil
}

// The extension of a physical volume's header (pv_header_extension): its version, and flags.
const (
	usedVersion = 2 // the first one that has the flag
	isUsed      = 1 // PV_EXT_USED
)

// cutAreas takes a list of areas from the front of b.
func cutAreas(b []byte) (all []Area, rest []byte, ok bool) {
	for len(b) >= areaSize {
		a := Area{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		b = b[areaSize:]
		if a.Offset == 0 {
			return all, b, true
		}
		all = append(all, a)
	}
	return nil, nil, false
}

const initialCRC = 0xf597a6cf

func checksum(b []byte) uint32 { return ^crc32.Update(^uint32(initialCRC), crc32.IEEETable, b) }

// uuidGroups are the lengths of what dashes stand between in a UUID.
var uuidGroups = []int{6, 4, 4, 4, 4, 4, 6}

// dashed is a UUID as LVM prints it, of the 32 characters that it keeps in binary
// places; it is empty where they are none.
func dashed(s string) string {
	if len(s) != headerUUID || strings.ContainsFunc(s, func(r rune) bool { return !isLetter(r) }) {
		return ""
	}
	var groups []string
	for _, n := range uuidGroups {
		groups = append(groups, s[:n])
		s = s[n:]
	}
	return strings.Join(groups, "-")
}

// isLetter reports whether a character may stand in a UUID (lib/uuid/uuid.c).
func isLetter(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '!' || r == '#'
}

func isUUID(s string) bool {
	return s != "" && dashed(strings.ReplaceAll(s, "-", "")) == s
}
