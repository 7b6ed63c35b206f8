// Package md reads the superblock that a member of an array of md (Linux's software RAID) has, and says where on
// the member the data is (drivers/md/md.c in Linux, and raid/md_p.h). Of the levels it knows RAID1 alone, whose
// members each have all of the data.
//
// The superblock is in one of four places: in version 1.1 at byte 0, in 1.2 at byte 4096, in 1.0 at least 8 KiB
// and less than 12 KiB before the end, at a multiple of 4 KiB; in version 0.90 at the last multiple of
// 64 KiB that has as much behind it. In version 1 integers are little-endian:
//
//	byte   0  u32  0xa92b4efc
//	       4  u32  version, 1
//	       8  u32  features; 2: recovery offset; 4: the array is being reshaped
//	      16  UUID of the array, 16 bytes
//	      32  its name, 32 bytes
//	      72  s32  level
//	      80  u64  sectors that the array uses of each member
//	      92  u32  members that a whole array has
//	     128  u64  sector at which the data begins
//	     144  u64  sector of this superblock
//	     152  u64  sectors that are recovered
//	     160  u32  number of this member
//	     200  u64  events: it grows with each change, on the members that are there then
//	     216  u32  checksum: the sum of all 32-bit words up to the last role, without this one, with the
//	               carries added
//	     220  u32  how many roles there are
//	     256  the roles by a member's number, u16 each: its place in the array; 0xffff: a spare, 0xfffe: failed
//
// Version 0.90 counts in 32-bit words, in the order of bytes of the machine that wrote them:
//
//	word   0  0xa92b4efc
//	       1  version, 0 and 90 or 91
//	       5  UUID of the array, and words 13 to 15
//	       7  level
//	       8  kibibytes that the array uses of each member
//	      10  members that a whole array has
//	      38  checksum, as above, over 1024 words
//	      39  events, 64 bits in the same order of bytes
//	     992  this member: its number, two more, its place in the array, its state; 4: it is in sync
package md

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"dmcow/internal/raw"
	"dmcow/internal/scatter"
)

// ErrNoMember says that a device has no superblock of md.
var ErrNoMember = errors.New("no superblock of md is on it")

const (
	magic      = 0xa92b4efc
	sectorSize = 512
	sbSize     = 4096

	hasRecovery = 2
	isReshaped  = 4

	lastRole = 0xff00 // what is higher is no place
	inSync   = 4

	mostRoles = (sbSize - 256) / 2
)

// RAID1 is the level whose members have all data.
const RAID1 = 1

// Member is a member of an array.
type Member struct {
	Version string // "1.2"
	Array   UUID
	Name    string // of the array; empty in version 0.90
	Level   int
	Members int // that a whole array has
	Place   int // in the array; -1 of a spare, or one that failed
	Events  uint64
	// Start and Length are where the array's data is, in bytes, as far as it is on the device. Length has Whole bytes
	// where the device is not cut off.
	Start, Length, Whole int64

	number     int
	failed     map[int]bool // numbers of members that this one knows to have failed
	incomplete bool         // it is being rebuilt
	reshaped   bool
}

// UUID is an array's.
type UUID [16]byte

func (u UUID) String() string {
	return fmt.Sprintf("%08x:%08x:%08x:%08x", u[:4], u[4:8], u[8:12], u[12:]) // as mdadm prints it
}

// Find finds the superblock on a device. The error is [ErrNoMember], or says that what looks like
// one is damaged, or is one of reading.
func Find(d scatter.Sized) (*Member, error) {
	var damage error
	sectors := d.Size() / sectorSize
	for _, at := range []struct {
		version string
		sector  int64
	}{{"1.1", 0}, {"1.2", 8}, {"1.0", (sectors - 16) &^ 7}} {
		m, err := one(d, at.version, at.sector)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, ErrNoMember) {
			damage = err
		}
	}
	m, err := ninety(d, (sectors&^127-128)*sectorSize)
	if errors.Is(err, ErrNoMember) && damage != nil {
		err = damage
	}
	return m, err
}

// read reads a superblock from a byte of the device on, as far as that goes.
func read(d scatter.Sized, at int64) ([]byte, error) {
	b := make([]byte, sbSize)
	if at < 0 || at >= d.Size() {
		return nil, ErrNoMember
	}
	if err := raw.ReadWhere(d, b[:min(sbSize, d.Size()-at)], at); err != nil {
		return nil, fmt.Errorf("superblock of md: %w", err)
	}
	return b, nil
}

// one is a superblock of version 1, which is to be at a sector.
func one(d scatter.Sized, version string, sector int64) (*Member, error) {
	b, err := read(d, sector*sectorSize)
	if err != nil {
		return nil, err
	}
	u16, u32, u64 := binary.LittleEndian.Uint16, binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	if u32(b) != magic || u32(b[4:]) != 1 || u64(b[144:]) != uint64(sector) {
		return nil, ErrNoMember
	}
	roles := u32(b[220:])
	if roles > mostRoles {
		return nil, fmt.Errorf("superblock of md, version %s: it has %d roles, expected no more than %d", version, roles, mostRoles)
	}
	if got, want := u32(b[216:]), sum(b[:256+2*roles], 216, binary.LittleEndian); got != want {
		return nil, fmt.Errorf("superblock of md, version %s: the checksum is 0x%08x, expected 0x%08x", version, got, want)
	}
	features := u32(b[8:])
	m := &Member{
		Version: version, Array: UUID(b[16:32]), Name: string(bytes.TrimRight(b[32:64], "\x00")), Level: int(int32(u32(b[72:]))),
		Members: int(u32(b[92:])), Place: -1, Events: u64(b[200:]), number: int(u32(b[160:])), failed: map[int]bool{},
		incomplete: features&hasRecovery != 0, reshaped: features&isReshaped != 0,
	}
	for i := range int(roles) {
		switch role := u16(b[256+2*i:]); {
		case role > lastRole:
			m.failed[i] = true
		case i == m.number:
			m.Place = int(role)
		}
	}
	return m, m.lies(d, u64(b[128:]), u64(b[80:]))
}

// lies takes in where the data is, in sectors.
func (m *Member) lies(d scatter.Sized, start, length uint64) error {
	const most = math.MaxInt64 / sectorSize / 2
	if start > most || length > most || length == 0 && m.Level == RAID1 {
		return fmt.Errorf("superblock of md, version %s: %d sectors of data from sector %d on", m.Version, length, start)
	}
	m.Start, m.Whole = int64(start)*sectorSize, int64(length)*sectorSize
	m.Length = max(0, min(m.Whole, d.Size()-m.Start))
	return nil
}

// ninety is a superblock of version 0.90, which is to be at a byte.
func ninety(d scatter.Sized, at int64) (*Member, error) {
	b, err := read(d, at)
	if err != nil {
		return nil, err
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		word := func(i int) uint32 { return order.Uint32(b[4*i:]) }
		if word(0) != magic || word(1) != 0 || word(2) != 90 && word(2) != 91 {
			continue
		}
		if got, want := word(38), sum(b, 4*38, order); got != want {
			return nil, fmt.Errorf("superblock of md, version 0.90: the checksum is 0x%08x, expected 0x%08x", got, want)
		}
		m := &Member{
			Version: "0.90", Level: int(int32(word(7))), Members: int(word(10)), Place: -1, Events: order.Uint64(b[4*39:]),
			number: int(word(992)), failed: map[int]bool{}, reshaped: word(2) == 91,
		}
		for i, w := range []int{5, 13, 14, 15} {
			binary.BigEndian.PutUint32(m.Array[4*i:], word(w))
		}
		if word(996)&inSync != 0 {
			m.Place = int(word(995))
		}
		m.knowFailed(word)
		return m, m.lies(d, 0, 2*uint64(word(8)))
	}
	return nil, ErrNoMember
}

// knowFailed takes in which members have failed.
func (m *Member) knowFailed(word func(int) uint32) {
	const first, each, most, faulty, removed = 128, 32, 27, 1, 8
	for i := range most {
		if state := word(first + each*i + 4); state&(faulty|removed) != 0 {
			m.failed[i] = true
		}
	}
}

// sum is the checksum of words, and of two bytes more where these are left, without the word at
// a byte of them.
func sum(b []byte, without int, order binary.ByteOrder) uint32 {
	total := uint64(0)
	for i := 0; i+4 <= len(b); i += 4 {
		if i != without {
			total += uint64(order.Uint32(b[i:]))
		}
	}
	if len(b)%4 == 2 {
		total += uint64(order.Uint16(b[len(b)-2:]))
	}
	return uint32(total) + uint32(total>>32)
}

// levels are those that have a name.
var levels = map[int]string{-1: "linear", 0: "raid0", 1: "raid1", 4: "raid4", 5: "raid5", 6: "raid6", 10: "raid10", -4: "multipath"}

// LevelName is the level as mdadm names it.
func (m *Member) LevelName() string {
	if name := levels[m.Level]; name != "" {
		return name
	}
	return fmt.Sprint("level ", m.Level)
}

// CheckReadable is why a member cannot be read by itself; it is nil where it has all of the array's
// data.
func (m *Member) CheckReadable() error {
	refuse := func(format string, args ...any) error {
		return &MemberError{fmt.Sprintf("is a member of an md array "+format, args...)}
	}
	switch {
	case m.Level != RAID1:
		return refuse("(%s), and has a part of its data", m.LevelName())
	case m.reshaped:
		return refuse("that is being reshaped")
	case m.Place < 0:
		return refuse("that is a spare, or had failed: it lacks the array's data")
	case m.incomplete:
		return refuse("that was being rebuilt, and does not have all of the array's data")
	}
	return nil
}

// MemberError says why a member of an array cannot be read.
type MemberError struct{ Why string }

func (e *MemberError) Error() string { return e.Why }

// Newest is of members of one array the one that is not older than others: its events are the highest, and the
// others know of no failure of it. The one whose place in the array is first comes first: while members differ, the
// kernel reads that.
func Newest(all ...*Member) (newest *Member) {
	for _, m := range all {
		if newest == nil || m.Events > newest.Events || m.Events == newest.Events && m.before(newest) {
			newest = m
		}
	}
	return newest
}

func (m *Member) before(other *Member) bool {
	if m.failed[other.number] != other.failed[m.number] {
		return m.failed[other.number]
	}
	return m.CheckReadable() == nil && (other.CheckReadable() != nil || m.Place < other.Place)
}
