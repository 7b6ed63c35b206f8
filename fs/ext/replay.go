package ext

import (
	"encoding/binary"
	"fmt"
)

// replay does what the kernel does in its three passes (fs/jbd2/recovery.c): it looks for the last transaction that was
// committed, gathers what was revoked, and takes the blocks of all transactions that were not.
func (j *journal) replay() {
	end := j.scan()
	j.pass(end, func(kind uint32, b block, sequence uint32, _ uint64) {
		if kind == kindRevoke {
			j.revoke(b, sequence)
		}
	})
	j.pass(end, func(kind uint32, b block, sequence uint32, at uint64) {
		if kind == kindDescriptor {
			j.take(b, sequence, at)
		}
	})
	j.findFast(end)
}

// pass goes through the journal's own blocks of the transactions before end, at most once around the ring.
func (j *journal) pass(end uint32, use func(kind uint32, b block, sequence uint32, at uint64)) {
	at := j.start
	left := int64(j.last - j.first)
	for sequence := j.sequence; sequence != end && left > 0; {
		b, _, err := j.read(at)
		if err != nil || b.u32(0) != journalMagic || b.u32(8) != sequence {
			return
		}
		kind, size := b.u32(4), uint64(1)
		switch kind {
		case kindDescriptor:
			size += uint64(len(j.tags(b)))
		case kindCommit:
			sequence++
		case kindRevoke:
		default:
			return
		}
		use(kind, b, b.u32(8), at)
		at = j.after(at, size)
		left -= int64(size)
	}
}

// scan looks for the end of what was committed: the first transaction that was not.
func (j *journal) scan() (end uint32) {
	at, left := j.start, int64(j.last-j.first)
	end = j.sequence
	sum := ^uint32(0) // of a whole transaction, in old journals
	var committed uint64
	fits := true
	for left > 0 {
		b, where, err := j.read(at)
		if err != nil {
			j.lose("%v", err)
			break
		}
		if b.u32(0) != journalMagic || b.u32(8) != end {
			break
		}
		size := uint64(1)
		switch b.u32(4) {
		case kindDescriptor:
			fits = fits && j.tail(b)
			n := uint64(len(j.tags(b)))
			sum = j.sumOld(sum, b, at, n)
			size += n
		case kindRevoke:
			fits = fits && j.tail(b)
		case kindCommit:
			time, whole := b.u64(0x30), fits && j.commitFits(b, sum)
			if !whole {
				// An older one is from the ring's last time round. One that was not written to its end is damage only
				// where the commit block waits for the others.
				if time >= committed && (!fits || j.incompat&journalAsync == 0) {
					j.lose("transaction %d, at byte %d, is damaged, and it and those behind it were left out", end, where)
				}
				return end
			}
			committed, sum = time, ^uint32(0)
			end++
		default:
			return end
		}
		at = j.after(at, size)
		left -= int64(size)
	}
	return end
}

func (j *journal) lose(format string, args ...any) {
	j.lost = append(j.lost, fmt.Sprintf("The journal was replayed in part: "+format+".", args...))
}

// commitFits verifies the checksum of a commit block; in old journals that of the whole transaction.
func (j *journal) commitFits(b block, begun uint32) bool {
	switch {
	case j.hasCsum():
		return b.u32(0x10) == checksumBut(j.seed, b, 0x10, 4)
	case j.compat&journalCompatCsum == 0:
		return true
	}
	kind, size, sum := b[0xc], b[0xd], b.u32(0x10)
	return kind == 1 && size == 4 && sum == begun || kind == 0 && size == 0 && sum == 0
}

// sumOld continues the checksum of a transaction over a descriptor block and what it describes.
func (j *journal) sumOld(begun uint32, b block, at, count uint64) uint32 {
	if j.hasCsum() || j.compat&journalCompatCsum == 0 {
		return begun
	}
	begun = checksumBE(begun, b)
	for n := range min(count, j.last-j.first) {
		if data, _, err := j.read(j.after(at, n+1)); err == nil {
			begun = checksumBE(begun, data)
		}
	}
	return begun
}

// revoke notes the blocks that were freed: what older transactions, and this one, wrote to them is not to be replayed.
func (j *journal) revoke(b block, sequence uint32) {
	size, end := 4, int(b.u32(0xc))
	if j.incompat&journal64Bit != 0 {
		size = 8
	}
	room := len(b)
	if j.hasCsum() {
		room -= 4
	}
	if end > room {
		j.lose("a list of revoked blocks, of transaction %d, has %d bytes, of %d", sequence, end, room)
		end = room
	}
	for at := 16; at+size <= end; at += size {
		n := uint64(b.u32(at))
		if size == 8 {
			n = b.u64(at)
		}
		if last, ok := j.revoked[n]; !ok || int32(sequence-last) > 0 {
			j.revoked[n] = sequence
		}
	}
}

// isRevoked reports whether what a transaction wrote to a block was revoked by itself or a later one.
func (j *journal) isRevoked(n uint64, sequence uint32) bool {
	last, ok := j.revoked[n]
	return ok && int32(sequence-last) <= 0
}

// take notes where the blocks are that a descriptor block describes.
func (j *journal) take(b block, sequence uint32, at uint64) {
	for n, t := range j.tags(b) {
		if j.isRevoked(t.block, sequence) {
			continue
		}
		data, where, err := j.read(j.after(at, uint64(n)+1))
		switch {
		case err != nil:
			j.lose("%v", err)
		case t.block >= j.f.blocks:
			j.lose("transaction %d writes to block %d, of %d", sequence, t.block, j.f.blocks)
		case !j.tagFits(t, data, sequence):
			j.lose("the checksum of block %d, of transaction %d, at byte %d does not match", t.block, sequence, where)
		default:
			j.found[t.block] = logged{where, t.escaped}
		}
	}
}

// The tags of fast commits, which are little-endian.
const (
	fastHead = 9
)

// findFast looks for fast commits behind the last transaction. They describe what was done in other words than blocks, and
// are not replayed.
func (j *journal) findFast(next uint32) {
	if j.incompat&journalFastCommit == 0 || j.last+1 >= j.end {
		return
	}
	b, at, err := j.read(j.last + 1) // the block between is not used
	if err != nil {
		j.lose("%v", err)
		return
	}
	tag, size := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
	if tag != fastHead || size < 8 || binary.LittleEndian.Uint32(b[8:]) != next {
		return
	}
	j.lose("there are fast commits behind its last transaction, at byte %d, and they are not replayed: what was done in the last moments is missing", at)
}
