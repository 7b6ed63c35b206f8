package signature

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"dmcow/internal/raw"
)

// A Bearing is what tells that a device is a part of something, or has parts itself: who writes
// over some of its bytes may remove it. The name is as [Of] has it.
type Bearing struct {
	Name           string
	Offset, Length int64 // in bytes
}

// sectorSize is the unit of the tables, in bytes.
const sectorSize = 512

// Bearings are the partition tables, the labels and metadata areas of a physical volume of LVM,
// the headers of LUKS, and the superblocks of a member of an md array that a device of so many
// bytes bears, in the order of their places.
// They are looked for where they belong, whatever else is there. The error is
// one of reading; what was found elsewhere is returned with it.
func Bearings(r io.ReaderAt, size int64) (all []Bearing, err error) {
	d := bearer{r, size}
	for _, look := range []func() ([]Bearing, error){d.dosTable, d.gptTables, d.physicalVolume, d.luks, d.mdMember} {
		found, lookErr := look()
		all = append(all, found...)
		if err == nil {
			err = lookErr
		}
	}
	all = slices.DeleteFunc(all, func(b Bearing) bool { return b.Offset < 0 || b.Offset >= size || b.Length <= 0 })
	for i := range all {
		all[i].Length = min(all[i].Length, size-all[i].Offset)
	}
	slices.SortStableFunc(all, func(a, b Bearing) int { return cmp.Compare(a.Offset, b.Offset) })
	return slices.Compact(all), err
}

// bearer is a device that may bear something.
type bearer struct {
	io.ReaderAt
	size int64 // in bytes
}

// peek is some bytes of the device, zeros where it has not all of them.
func (d bearer) peek(at int64, length int) ([]byte, error) {
	b := make([]byte, length)
	if at < 0 || at > d.size || int64(length) > d.size-at {
		return b, nil
	}
	if _, err := d.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("byte %d: %w", at, err)
	}
	return b, nil
}

// dosTable is the table in the first sector. The sector may as well be the first one of a file
// system, which ends with the same two bytes; what stands where the table would be is none.
func (d bearer) dosTable() ([]Bearing, error) {
	const table, entry, entries, gpt = 446, 16, 4, 0xee
	b, err := d.peek(0, sectorSize)
	if err != nil || b[510] != 0x55 || b[511] != 0xaa {
		return nil, err
	}
	name := ""
	for e := range slices.Chunk(b[table:][:entry*entries], entry) {
		status, kind, sectors := e[0], e[4], binary.LittleEndian.Uint32(e[12:])
		switch {
		case status&0x7f != 0:
			return nil, nil
		case kind == gpt:
			name = "gpt partition table"
		case kind != 0 && sectors != 0 && name == "":
			name = "dos partition table"
		}
	}
	if name == "" {
		return nil, nil
	}
	return []Bearing{{name, table, sectorSize - table}}, nil
}

// gptTables are the tables at both ends of the device: headers, and the partitions that they tell
// of. The tables of a disk count in its logical blocks, and an image does not say how large
// those are.
func (d bearer) gptTables() (all []Bearing, err error) {
	const header = 92
	for _, block := range []int64{512, 4096} {
		for _, lba := range []int64{1, d.size/block - 1} {
			b, e := d.peek(lba*block, header)
			if err == nil {
				err = e
			}
			if e != nil || string(b[:8]) != "EFI PART" || binary.LittleEndian.Uint64(b[24:]) != uint64(lba) {
				continue
			}
			at := binary.LittleEndian.Uint64(b[72:])
			number, size := binary.LittleEndian.Uint32(b[80:]), binary.LittleEndian.Uint32(b[84:])
			all = append(all, Bearing{"gpt partition table", lba * block, block})
			if at <= uint64(d.size/block) {
				all = append(all, Bearing{"gpt partition table", int64(at) * block, raw.RoundUp(int64(min(uint64(number)*uint64(size), 1<<40)), block)})
			}
		}
	}
	return all, err
}

// physicalVolume is the label of a physical volume of LVM, in one of the first four sectors,
// and the metadata areas that the header behind it tells of.
func (d bearer) physicalVolume() (all []Bearing, err error) {
	const name, labels, identifier = "LVM2_member", 4, 32
	for sector := range int64(labels) {
		b, e := d.peek(sector*sectorSize, sectorSize)
		if err == nil {
			err = e
		}
		if e != nil || string(b[:8]) != "LABELONE" || string(b[24:32]) != "LVM2 001" {
			continue
		}
		all = append(all, Bearing{name, sector * sectorSize, sectorSize})
		// Behind its UUID and size are lists of pairs, each with a pair of zeros at its end:
		// where data are, and where metadata.
		rest := b[min(int(binary.LittleEndian.Uint32(b[20:])&0xffff), len(b)):]
		list := 0
		for rest = rest[min(identifier+8, len(rest)):]; len(rest) >= 16 && list < 2; rest = rest[16:] {
			start, size := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
			switch {
			case start == 0:
				list++
			case list == 1 && start < uint64(d.size):
				all = append(all, Bearing{name, int64(start), int64(min(size, uint64(d.size)))})
			}
		}
	}
	return all, err
}

// luks are the headers of LUKS, with the keys behind them: one in version 1, and two in version
// 2, of which the second one may be what is left.
func (d bearer) luks() (all []Bearing, err error) {
	const name = "LUKS"
	b, err := d.peek(0, 4096)
	if err != nil {
		return nil, err
	}
	header := int64(min(binary.BigEndian.Uint64(b[8:]), 1<<22)) // of one of the two
	switch isLUKS := strings.HasPrefix(string(b), "LUKS\xba\xbe"); {
	case isLUKS && binary.BigEndian.Uint16(b[6:]) == 1:
		return []Bearing{{name, 0, int64(binary.BigEndian.Uint32(b[104:])) * sectorSize}}, nil
	case isLUKS:
		keys, err := d.luksKeys(header)
		return []Bearing{{name, 0, 2*header + keys}}, err
	}
	for at := int64(0x4000); at <= 0x400000; at *= 2 {
		b, err := d.peek(at, 8)
		if err != nil {
			return nil, err
		}
		if string(b[:6]) == "SKUL\xba\xbe" {
			return []Bearing{{name, at, at}}, nil
		}
	}
	return nil, nil
}

// luksKeys is how much room the keys take behind the headers of version 2, each of so many
// bytes, as the text in the first one says; 0 where that cannot be made out.
func (d bearer) luksKeys(header int64) (int64, error) {
	const start = 4096
	text, err := d.peek(start, int(max(header-start, 0)))
	var metadata struct {
		Config struct {
			Keyslots string `json:"keyslots_size"`
		} `json:"config"`
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	if json.Unmarshal(text, &metadata) != nil {
		return 0, err
	}
	size, _ := strconv.ParseInt(metadata.Config.Keyslots, 10, 64)
	return min(max(size, 0), 1<<27), err
}

// mdMember are the superblocks of a member of an array of md, by the version that says where
// they are: 1.1 at the beginning, 1.2 behind the first 4 KiB, 1.0 and 0.90 at the end.
func (d bearer) mdMember() (all []Bearing, err error) {
	const size = 4096
	sectors := d.size / sectorSize
	for _, at := range []int64{0, 8, (sectors - 16) &^ 7} {
		b, e := d.peek(at*sectorSize, 256)
		if err == nil {
			err = e
		}
		u32 := binary.LittleEndian.Uint32
		if e == nil && u32(b) == mdMagic && u32(b[4:]) == 1 && binary.LittleEndian.Uint64(b[144:]) == uint64(at) {
			all = append(all, Bearing{"linux_raid_member", at * sectorSize, size})
		}
	}
	at := sectors&^127 - 128
	b, e := d.peek(at*sectorSize, 256)
	if e != nil {
		return all, e
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} { // it is the machine's
		if order.Uint32(b) == mdMagic && order.Uint32(b[4:]) == 0 && order.Uint32(b[8:]) == 90 {
			all = append(all, Bearing{"linux_raid_member", at * sectorSize, size})
		}
	}
	return all, err
}

const mdMagic = 0xa92b4efc
