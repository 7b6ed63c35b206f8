package xfs

import (
	"fmt"

	"dmcow/fs"
	"dmcow/internal/raw"
)

// The log is a ring of sectors of 512 bytes, whatever a sector of the volume has. Each begins with the number of the round
// in which it was written, or, if it is the first of a record, with a magic number and that.
const (
	logSector   = 512
	recordMagic = 0xfeedbabe
	// recordHead is how much of a record one sector of its header stands for: of each sector it keeps the first four bytes.
	recordHead = 32 << 10
	// maxRecord is how large a record can be, maxUnfinished how many can be on their way at once.
	maxRecord     = 256 << 10
	maxUnfinished = 8
)

// journal is the log, on the volume.
type journal struct {
	*FS
	at      int64
	sectors uint64
}

// lookAtLog finds out whether the log has changes that were not written back.
func (f *FS) lookAtLog() {
	if f.logStart == 0 {
		f.recovery = fs.Needed
		f.note("The log is on a device of its own: whether it has changes that were not written back is not known. Files are read as far as written back.")
		return
	}
	j := journal{f, int64(f.logStart) * f.blockSize, f.logBlocks * uint64(f.blockSize) / logSector}
	state, err := j.state()
	switch {
	case err != nil:
		f.recovery = fs.Needed
		f.note("The log cannot be read, and is not replayed: %v. Files are read as far as written back.", err)
	case state == logDirty:
		f.recovery = fs.Needed
		f.note("The log has changes that were not written back. It is not replayed: files are read as far as written back.")
	case state == logCovered:
		f.note("The log is that of a file system in use, and has nothing but the superblock: all else was written back, as when it is frozen.")
	}
}

func (j journal) damaged(n uint64, format string, args ...any) error {
	return &fs.DamageError{What: "log", At: j.at + int64(n)*logSector, Why: fmt.Sprintf(format, args...)}
}

// sector reads a sector, and in which round it was written.
func (j journal) sector(n uint64) (record, uint32, error) {
	at := j.at + int64(n)*logSector
	r := make(record, logSector)
	if err := raw.ReadFull(&j.dev, r, at); err != nil {
		return nil, 0, &fs.ReadError{What: "log", At: at, Err: err}
	}
	round := r.u32(0)
	if round == recordMagic {
		round = r.u32(4)
	}
	return r, round, nil
}

// logState is what a log asks for.
type logState int

const (
	logClean   logState = iota
	logCovered          // nothing but the superblock
	logDirty
)

// state looks at the last record: that of an unmount is alone, and ends the log.
func (j journal) state() (logState, error) {
	head, err := j.head()
	if err != nil {
		return logDirty, err
	}
	if head == j.sectors { // it was never written
		return logClean, nil
	}
	n, r, err := j.lastRecord(head)
	if err != nil {
		return logDirty, err
	}
	size, data := j.sizes(r)
	if (n+size+data)%j.sectors == head && r.u32(40) == 1 {
		op, _, err := j.sector((n + size) % j.sectors)
		if err != nil {
			return logDirty, err
		}
		if op[9]&opUnmount != 0 {
			return logClean, nil
		}
	}
	if tail := r.u64(24); j.isCovered(tail, head, r) {
		return logCovered, nil
	}
	return logDirty, nil
}

// head is the sector that would be written next: behind it, all are of the round before, or were never written. It is the
// number of sectors for a log that has nothing.
func (j journal) head() (uint64, error) {
	_, first, err := j.sector(0)
	if err != nil {
		return 0, err
	}
	_, last, err := j.sector(j.sectors - 1)
	switch {
	case err != nil:
		return 0, err
	case first == 0:
		return j.sectors, nil
	case first == last:
		return 0, nil
	}
	lo, hi := uint64(0), j.sectors-1 // first is of this round, hi is not
	for hi-lo > 1 {
		mid := lo + (hi-lo)/2
		_, round, err := j.sector(mid)
		if err != nil {
			return 0, err
		}
		if round == first {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi, nil
}

// sizes are how many sectors the header of a record has, and its data.
func (j journal) sizes(r record) (head, data uint64) {
	head = 1
	if size := r.u32(320); r.u32(8)&2 != 0 && size > recordHead {
		head = uint64(min(size, maxRecord)+recordHead-1) / recordHead
	}
	return head, (uint64(r.u32(12)) + logSector - 1) / logSector
}

// lastRecord is the last header of a record before a sector.
func (j journal) lastRecord(before uint64) (uint64, record, error) {
	for back := uint64(1); back <= min(j.sectors, 2*maxUnfinished*maxRecord/logSector); back++ {
		n := (before + j.sectors - back) % j.sectors
		r, _, err := j.sector(n)
		if err != nil {
			return 0, nil, err
		}
		if r.u32(0) == recordMagic {
			return n, r, j.checkRecord(n, r)
		}
	}
	return 0, nil, j.damaged(before, "there is no record before its end")
}

// checkRecord checks the header of a record.
func (j journal) checkRecord(n uint64, r record) error {
	switch version := r.u32(8); {
	case version == 0 || version > 3:
		return j.damaged(n, "the version of a record is %d", version)
	case r.u32(20) != uint32(n) || r.u32(16) != r.u32(4):
		return j.damaged(n, "a record is meant for sector %d", r.u32(20))
	case string(r[304:320]) != string(j.uuid[:]):
		return j.damaged(n, "a record belongs to the file system %x", r[304:320])
	}
	return nil
}
