package xfs

import "encoding/binary"

// An operation in a record is for transactions, or for the log itself. It has flags.
const (
	opTransaction = 0x69

	opStart   = 0x01
	opCommit  = 0x02
	opUnmount = 0x20
)

// What is logged in the machine's own order, which is little-endian nearly everywhere, has these numbers.
const (
	transactionMagic = 0x5452414e
	bufferItem       = 0x123c
)

// isCovered reports whether all records from a tail up to the head of the log have changes of the superblock alone. So
// it is when a file system in use is frozen, for a snapshot: all was written back, and the kernel writes the superblock
// twice, to make room in the log. last is the last record.
func (j journal) isCovered(tail, head uint64, last record) bool {
	n := tail & (1<<32 - 1)
	left := uint64(1 << 10) // sectors: the superblock takes few
	for n < j.sectors && n != head {
		r, _, err := j.sector(n)
		if err != nil || r.u32(0) != recordMagic || j.checkRecord(n, r) != nil || r.u32(300) != 1 {
			return false
		}
		size, data := j.sizes(r)
		if size+data > left {
			return false
		}
		left -= size + data
		p := make(record, 0, data*logSector)
		for k := range data {
			s, _, err := j.sector((n + size + k) % j.sectors)
			if err != nil || k >= uint64(recordHead/logSector) {
				return false
			}
			copy(s, r[44+4*k:48+4*k]) // what it began with
			p = append(p, s...)
		}
		if !isSuperblock(p, int(r.u32(40))) {
			return false
		}
		n = (n + size + data) % j.sectors
	}
	return n == head
}

// isSuperblock reports whether operations log the superblock alone. An operation has a header and its data; a transaction
// has a header of its own, then an item, whose first part says of what, and the parts that it has.
func isSuperblock(p record, count int) bool {
	parts := 0 // of the item, yet
	for range count {
		if len(p) < 12 {
			return false
		}
		size, client, flags := int64(p.u32(4)), p[8], p[9]
		if size > int64(len(p)-12) {
			return false
		}
		body := p[12 : 12+size]
		p = p[12+size:]
		switch {
		case client != opTransaction, flags&^(opStart|opCommit) != 0: // it goes on in another record
			return false
		case len(body) == 0: // the beginning or the end of a transaction
		case parts > 0:
			parts--
		case len(body) >= 16 && binary.LittleEndian.Uint32(body) == transactionMagic:
		case len(body) >= 24 && binary.LittleEndian.Uint16(body) == bufferItem && binary.LittleEndian.Uint64(body[8:]) == 0:
			parts = int(binary.LittleEndian.Uint16(body[2:])) - 1
		default:
			return false
		}
	}
	return parts <= 0
}
