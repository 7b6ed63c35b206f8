// Package integrity reads a volume that the target integrity of device-mapper serves with its
// metadata on a device of its own, as LVM has it below RAID (drivers/md/dm-integrity.c in Linux): the data is on
// another device, at the same offsets, and the newest may be in the journal alone. A block whose checksum does
// not hold cannot be read.
//
// The metadata begins with a superblock. Integers are little-endian:
//
//	byte   0  "integrt\0"
//	       8  u8   version
//	      10  u16  bytes of a tag, which is a block's checksum
//	      12  u32  sections of the journal
//	      16  u64  sectors of data
//	      24  u32  flags; 1: sections have a MAC; 2: checksums are being made; 4: the journal's place holds
//	               a bitmap, and no data; 16: checksums are made with a salt
//	      28  u8   log2 of the sectors of a block, 0 to 3
//	      32  u64  sectors of which there are checksums, while these are being made
//
// The journal begins at byte 4096. A section is eight sectors with entries, then a block of data for
// each. In each sector of the journal the last eight bytes are a commit ID:
//
//	0x1111111111111111 * (1 + sequence number, 0 to 3) ^ section << 32 ^ sector of the section
//
// Entry n is in sector n % 8, the n / 8-th there: u64 sector of the data; for each sector of the block, the
// u64 that the commit ID stands in place of; the tag; up to a multiple of eight. The upper half of a
// sector that is all ones says that the entry is not in use.
//
// The journal is a ring. Sections are written in order with one sequence number, and in the next
// round with the next one. What the kernel would replay when the device is activated begins behind the
// last section of the highest sequence number, and ends before the first one that was not written whole
// (replay_journal). After a clean shutdown the data device has all of that, too.
//
// Behind the journal are the checksums of all blocks, one after another: with the hash crc32c, of the number of the
// block's first sector, u64, and the block.
package integrity

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sort"

	"dmcow/internal/raw"
	"dmcow/internal/scatter"
)

// ErrNoSuperblock says that there is no superblock of the target.
var ErrNoSuperblock = errors.New("no metadata of the target integrity begins there")

const (
	magic      = "integrt\x00"
	sectorSize = 512
	journalAt  = 4096 // byte

	hasMAC        = 1
	recalculating = 2
	dirtyBitmap   = 4
	salted        = 16

	entrySectors = 8 // of a section
	idSize       = 8
	macSize      = 8
	sequences    = 4
	oneID        = 0x1111111111111111
)

// Integrity is what the journal has that may be newer than the data device.
type Integrity struct {
	BlockSize int64 // in bytes

	journal      journal
	flags        uint32
	data         int64   // in sectors
	recalculated int64   // in sectors
	tag, tags    int64   // size of a checksum, and where they begin in the metadata, in bytes
	newest       []place // by their sectors of the data
}

// A place is where the journal has a block: an entry of a section.
type place struct {
	sector         int64 // of the data
	section, entry int64
}

// journal is how the journal is laid out.
type journal struct {
	io.ReaderAt
	sections        int64
	perBlock        int64 // sectors
	entrySize       int64 // in bytes
	perSection      int64 // entries
	sectionSectors  int64
	whole           []int // by section: its sequence number, -1 where its sectors have several
	used            [sequences]bool
	last            [sequences]int64 // the last section that has a sector with the sequence number
	unknown, filled bool             // a sector has no commit ID; some entry is in use
}

// Open reads the superblock and the journal. The error is [ErrNoSuperblock], says what is wrong with
// them, or is one of reading.
func Open(metadata scatter.Sized) (*Integrity, error) {
	b := make([]byte, 64)
	if metadata.Size() < journalAt {
		return nil, ErrNoSuperblock
	}
	if err := raw.ReadWhere(metadata, b, 0); err != nil {
		return nil, err
	}
	if string(b[:8]) != magic {
		return nil, ErrNoSuperblock
	}
	u16, u32, u64 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	flags, log := u32(b[24:]), b[28]
	if version := b[8]; version < 1 || version > 6 || log > 3 || u64(b[16:]) > 1<<54 {
		return nil, fmt.Errorf("the metadata of the target integrity has version %d and blocks of 2^%d sectors, expected 1 to 6, and up to 2^3", version, log)
	}
	room := int64(sectorSize - idSize)
	if flags&hasMAC != 0 {
		room -= macSize
	}
	j := journal{ReaderAt: metadata, sections: int64(u32(b[12:])), perBlock: 1 << log}
	j.entrySize = raw.RoundUp(8+8*j.perBlock+int64(u16(b[10:])), 8)
	j.perSection = room / j.entrySize * entrySectors
	j.sectionSectors = j.perSection*j.perBlock + entrySectors
	d := &Integrity{
		BlockSize: j.perBlock * sectorSize, flags: flags, data: int64(u64(b[16:])), recalculated: int64(min(u64(b[32:]), 1<<54)),
		tag: int64(u16(b[10:])), tags: journalAt + j.sections*j.sectionSectors*sectorSize,
	}
	if j.perSection == 0 || j.sections == 0 || j.sections > (metadata.Size()-journalAt)/(j.sectionSectors*sectorSize) {
		return nil, fmt.Errorf("a journal of %d sections with %d entries of %d bytes does not fit in metadata of %d bytes", j.sections, j.perSection, j.entrySize, metadata.Size())
	}
	d.journal = j
	if flags&dirtyBitmap != 0 {
		return d, nil
	}
	return d, d.replay()
}

// replay finds out what the kernel would replay.
func (d *Integrity) replay() error {
	j := &d.journal
	if err := j.scan(); err != nil || j.unknown || !j.filled {
		return err // a journal that is not one is not replayed
	}
	start, sequence, err := j.begin()
	if err != nil {
		return err
	}
	newest := map[int64]place{}
	for n := range j.sections {
		section := (start + n) % j.sections
		if section == 0 && n > 0 {
			sequence = (sequence + 1) % sequences
		}
		if j.whole[section] != sequence {
			break
		}
		if err := d.take(section, newest); err != nil {
			return err
		}
	}
	for _, sector := range slices.Sorted(maps.Keys(newest)) {
		d.newest = append(d.newest, newest[sector])
	}
	return nil
}

// begin is the section at which a replay begins, and its sequence number.
func (j *journal) begin() (section int64, sequence int, err error) {
	unused := sequences - 1
	if j.used[unused] {
		if unused = slices.Index(j.used[:], false); unused < 0 {
			return 0, 0, errors.New("the journal is damaged: it has sections of all sequence numbers")
		}
	} else {
		for unused > 0 && !j.used[unused-1] {
			unused--
		}
	}
	before := func(n int) int { return (n + sequences - 1) % sequences }
	last := before(unused)
	if sequence = before(last); !j.used[sequence] && j.used[before(sequence)] {
		j.filled = false
	}
	section = j.last[last] + 1
	if section >= j.sections {
		section, sequence = 0, (sequence+1)%sequences
	}
	return section, sequence, nil
}

// scan reads which sequence numbers the journal's sectors have.
func (j *journal) scan() error {
	b := make([]byte, j.sectionSectors*sectorSize)
	for section := range j.sections {
		if err := j.read(b, section, 0); err != nil {
			return err
		}
		whole := -1
		for sector := range j.sectionSectors {
			n := sequenceOf(b[sector*sectorSize:][:sectorSize], section, sector)
			if n < 0 {
				j.unknown = true
				return nil
			}
			if j.used[n], j.last[n] = true, section; sector == 0 {
				whole = n
			} else if whole != n {
				whole = -1
			}
		}
		j.whole = append(j.whole, whole)
		for n := range j.perSection {
			_, inUse := j.entry(b, n)
			j.filled = j.filled || inUse
		}
	}
	return nil
}

// sequenceOf is the sequence number of a sector, -1 where it has none.
func sequenceOf(b []byte, section, sector int64) int {
	id := binary.LittleEndian.Uint64(b[sectorSize-idSize:]) ^ uint64(section)<<32 ^ uint64(sector)
	if n := id / oneID; id%oneID == 0 && n >= 1 && n <= sequences {
		return int(n - 1)
	}
	return -1
}

// read reads sectors of a section.
func (j *journal) read(b []byte, section, sector int64) error {
	return raw.ReadWhere(j, b, journalAt+(section*j.sectionSectors+sector)*sectorSize)
}

// entry is an entry of a section, of which b has at least the sectors with entries.
func (j *journal) entry(b []byte, n int64) (e []byte, inUse bool) {
	e = b[n%entrySectors*sectorSize+n/entrySectors*j.entrySize:][:j.entrySize]
	return e, binary.LittleEndian.Uint32(e[4:]) != 1<<32-1
}

// take takes in the entries of a section, in place of older ones for the same sectors.
func (d *Integrity) take(section int64, newest map[int64]place) error {
	b := make([]byte, entrySectors*sectorSize)
	if err := d.journal.read(b, section, 0); err != nil {
		return err
	}
	for n := range d.journal.perSection {
		e, inUse := d.journal.entry(b, n)
		sector := binary.LittleEndian.Uint64(e)
		if !inUse || sector >= uint64(d.data) {
			continue
		}
		if int64(sector)%d.journal.perBlock != 0 {
			return fmt.Errorf("the journal is damaged: entry %d of section %d is for sector %d, expected a multiple of %d", n, section, sector, d.journal.perBlock)
		}
		newest[int64(sector)] = place{int64(sector), section, n}
	}
	return nil
}

// Journaled is how many blocks the journal has.
func (d *Integrity) Journaled() int { return len(d.newest) }

// Volume is the content of the volume, on a device with the data. hash is the one that checksums are made with;
// those of another than crc32c are not verified.
func (d *Integrity) Volume(data scatter.Sized, hash string) *scatter.Device {
	v := &volume{d, data, data.Size()}
	if hash == verifiedHash && d.tag > 0 {
		v.device = &checked{d, data}
	}
	return scatter.New(v, v.size)
}

type volume struct {
	*Integrity
	device io.ReaderAt
	size   int64
}

// Run is the run that begins at a byte of the volume.
func (v *volume) Run(offset, _ int64) (scatter.Run, error) {
	end := v.size
	i := sort.Search(len(v.newest), func(i int) bool { return v.newest[i].sector*sectorSize+v.BlockSize > offset })
	if i < len(v.newest) {
		at := v.newest[i].sector * sectorSize
		if at <= offset {
			b, err := v.journal.block(v.newest[i])
			return scatter.Run{On: b, At: offset - at, Length: min(at+v.BlockSize, end) - offset}, err
		}
		end = min(end, at)
	}
	return scatter.Run{On: v.device, At: offset, Length: end - offset}, nil
}

// block is a block of the journal, with the bytes in place that commit IDs stand for.
func (j *journal) block(p place) (memory, error) {
	entries, b := make([]byte, entrySectors*sectorSize), make([]byte, j.perBlock*sectorSize)
	if err := j.read(entries, p.section, 0); err != nil {
		return nil, err
	}
	if err := j.read(b, p.section, entrySectors+p.entry*j.perBlock); err != nil {
		return nil, err
	}
	e, _ := j.entry(entries, p.entry)
	for s := range j.perBlock {
		copy(b[(s+1)*sectorSize-idSize:], e[8+8*s:][:idSize])
	}
	return b, nil
}

// memory is what was read.
type memory []byte

func (m memory) ReadAt(p []byte, at int64) (int, error) { return copy(p, m[at:]), nil }
