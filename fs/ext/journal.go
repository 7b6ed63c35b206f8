package ext

import (
	"encoding/binary"
	"fmt"
	"sort"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// The journal's integers are big-endian.
type block []byte

func (b block) u16(at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
func (b block) u32(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
func (b block) u64(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }

// journalMagic begins each of the journal's own blocks.
const journalMagic = 0xc03b3998

var escapedMagic = []byte{0xc0, 0x3b, 0x39, 0x98}

// The kinds of the journal's own blocks.
const (
	kindDescriptor = 1
	kindCommit     = 2
	kindSuper1     = 3
	kindSuper2     = 4
	kindRevoke     = 5
)

// The journal's features.
const (
	journalCompatCsum = 0x1
	journalRevoke     = 0x1
	journal64Bit      = 0x2
	journalAsync      = 0x4
	journalCsum2      = 0x8
	journalCsum3      = 0x10
	journalFastCommit = 0x20
	journalSupported  = journalRevoke | journal64Bit | journalAsync | journalCsum2 | journalCsum3 | journalFastCommit
	fastCommitBlocks  = 256  // where the superblock does not say
	leastBlocks       = 1024 // that the kernel leaves for transactions
)

var journalNames = map[int]string{0: "revoke", 1: "64bit", 2: "async_commit", 3: "checksum_v2", 4: "checksum_v3", 5: "fast_commit"}

// journal is the journal of a file system, as it is read.
type journal struct {
	f                *FS
	extents          []run
	compat, incompat uint32
	seed             uint32
	first, last, end uint64 // of the ring, without the block at last; of all blocks
	sequence         uint32 // of the first transaction that may have to be replayed
	start            uint64 // its block; 0 where there is none
	revoked          map[uint64]uint32
	found            map[uint64]logged
	lost             []string
}

// recover replays the journal in memory: afterwards, blocks are read from it. needed is set where the superblock says
// that the file system needs it; else only the journal knows.
func (f *FS) recover(needed bool) {
	if f.journal == 0 {
		if needed {
			f.recovery = fs.Needed
			f.note("The journal is on another device, and was not replayed: what is read is as far as it was written back.")
		}
		return
	}
	j := &journal{f: f, revoked: map[uint64]uint32{}, found: map[uint64]logged{}}
	if err := j.open(); err != nil {
		f.recovery = fs.Needed
		f.note("The journal was not replayed, so what is read is as far as it was written back: %v.", err)
		return
	}
	if j.start == 0 {
		return
	}
	j.replay()
	f.dev.overlay = j.found
	f.dev.forget()
	f.recovery = fs.Replayed
	if len(j.lost) > 0 {
		f.recovery = fs.Partly
		f.notes = append(f.notes, j.lost...)
	}
	f.reread()
}

// open finds the journal's blocks and reads its superblock.
func (j *journal) open() error {
	i, err := j.f.inode(j.f.journal)
	if err != nil {
		return err
	}
	if i.attr.Type != fs.TypeFile {
		return i.damaged(i.at, "it should be the journal, and is not a regular file")
	}
	for r, err := range i.runs(0, false) {
		if err != nil {
			return err
		}
		if r.use == fs.Data {
			j.extents = append(j.extents, r)
		}
	}
	b, at, err := j.read(0)
	if err != nil {
		return err
	}
	return j.parse(b, at, i.f.blocksOf(i.attr.Size))
}

func (j *journal) parse(b block, at int64, blocks uint64) error {
	damaged := func(format string, args ...any) error {
		return &fs.DamageError{What: "superblock of the journal", At: at, Why: fmt.Sprintf(format, args...)}
	}
	kind := b.u32(4)
	if b.u32(0) != journalMagic || kind != kindSuper1 && kind != kindSuper2 {
		return damaged("its magic number is 0x%08x, its kind %d", b.u32(0), kind)
	}
	if kind == kindSuper2 {
		j.compat, j.incompat = b.u32(0x24), b.u32(0x28)
	}
	if got, want := b.u32(0xfc), checksumBut(^uint32(0), b[:1024], 0xfc, 4); j.hasCsum() && got != want {
		return damaged("the checksum is 0x%08x, expected 0x%08x", got, want)
	}
	if unknown := j.incompat &^ journalSupported; unknown != 0 {
		return &fs.UnsupportedError{Features: named(unknown, journalNames, "journal feature")}
	}
	if got := int64(b.u32(0xc)); got != j.f.blockSize {
		return damaged("its blocks have %d bytes, and the file system's %d", got, j.f.blockSize)
	}
	j.seed = checksum(^uint32(0), b[0x30:0x40])
	j.end, j.first = uint64(b.u32(0x10)), uint64(b.u32(0x14))
	j.last = j.end
	if j.incompat&journalFastCommit != 0 {
		fast := uint64(b.u32(0x54))
		if fast == 0 {
			fast = fastCommitBlocks
		}
		if j.end >= fast+leastBlocks { // else they have no place
			j.last -= fast
		}
	}
	j.sequence, j.start = b.u32(0x18), uint64(b.u32(0x1c))
	if j.first == 0 || j.first >= j.last || j.end > blocks || j.start != 0 && (j.start < j.first || j.start >= j.last) {
		return damaged("it has the blocks from %d to %d, of %d, and begins with %d", j.first, j.last, blocks, j.start)
	}
	return nil
}

// hasCsum reports whether blocks of the journal have checksums each.
func (j *journal) hasCsum() bool { return j.incompat&(journalCsum2|journalCsum3) != 0 }

// read reads a block of the journal, as the volume has it, and says where it is.
func (j *journal) read(n uint64) (block, int64, error) {
	what := fmt.Sprintf("block %d of the journal", n)
	k := sort.Search(len(j.extents), func(k int) bool { return j.extents[k].logical > n }) - 1
	if k < 0 || n-j.extents[k].logical >= j.extents[k].count {
		return nil, 0, &fs.DamageError{What: what, At: -1, Why: "it is a hole"}
	}
	r := j.extents[k]
	b := make(block, j.f.blockSize)
	at := int64(r.physical+n-r.logical) * j.f.blockSize
	if err := raw.ReadFull(j.f.dev.v, b, at); err != nil {
		return nil, 0, &fs.ReadError{What: what, At: at, Err: err}
	}
	return b, at, nil
}

// after is the block so many blocks behind another one, in the ring.
func (j *journal) after(n, count uint64) uint64 {
	if n += count; n >= j.last {
		n = j.first + (n-j.last)%(j.last-j.first)
	}
	return n
}

// tail reports whether the last four bytes of a block are its checksum.
func (j *journal) tail(b block) bool {
	return !j.hasCsum() || b.u32(len(b)-4) == checksumBut(j.seed, b, len(b)-4, 4)
}

// tag names a block of the file system, whose content is in the journal.
type tag struct {
	block    uint64
	checksum uint32
	escaped  bool
}

// The flags of a tag.
const (
	tagEscaped = 0x1
	tagSame    = 0x2 // no UUID follows
	tagLast    = 0x8
)

// tags are those in a descriptor block.
func (j *journal) tags(b block) (all []tag) {
	size, end := 8, len(b)
	switch {
	case j.incompat&journalCsum3 != 0:
		size = 16
	case j.incompat&journalCsum2 != 0:
		size = 10
	}
	if j.incompat&journalCsum3 == 0 && j.incompat&journal64Bit != 0 {
		size += 4
	}
	if j.hasCsum() {
		end -= 4
	}
	for at := 12; at+size <= end; {
		t := tag{block: uint64(b.u32(at))}
		flags := uint32(b.u16(at + 6))
		if j.incompat&journalCsum3 != 0 {
			flags = b.u32(at + 4)
			t.checksum = b.u32(at + 12)
		} else {
			t.checksum = uint32(b.u16(at + 4))
		}
		if j.incompat&journal64Bit != 0 {
			t.block |= uint64(b.u32(at+8)) << 32
		}
		t.escaped = flags&tagEscaped != 0
		all = append(all, t)
		at += size
		if flags&tagSame == 0 {
			at += 16
		}
		if flags&tagLast != 0 {
			break
		}
	}
	return all
}

// tagFits reports whether a block in the journal is what its tag says.
func (j *journal) tagFits(t tag, b block, sequence uint32) bool {
	if !j.hasCsum() {
		return true
	}
	sum := checksum(j.seed, binary.BigEndian.AppendUint32(nil, sequence))
	sum = checksum(sum, b)
	if j.incompat&journalCsum3 == 0 {
		sum &= 0xffff
	}
	return sum == t.checksum
}
