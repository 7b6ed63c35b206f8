// Package marks marks, in what arrays and mirrors keep on record of their regions, those whose copies may differ: in
// the bitmap beside each image of RAID (internal/raidmeta), and in the log of a mirror (internal/mirrorlog).
//
// Who writes a volume of which something is kept more than once begins by marking what is going to be written, and ends,
// when all of that is durable, by setting back what was marked. Whatever happens in between, a power cut or an error of
// one copy, the kernel brings the marked regions in sync when it activates the volume: it copies what is read, until
// then and here, to the others.
package marks

import (
	"bytes"
	"fmt"
	"io"

	"dmcow/internal/raw"
)

// Device is what a record is kept on.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	LogicalBlockSize() int64
}

// Record is what one array or mirror keeps on record.
type Record struct {
	Start, Length int64 // the bytes of the volume that are on it
	All           bool  // it is below another one: whatever is written, all of it may be
	Region        int64 // bytes
	BitsAt        int64 // from where on it has a bit for each region
	InSync        bool  // a bit that is set says that all is well there
	// Mark marks the record in its first sector. It stays marked as long as some of what was marked does.
	Mark func(head []byte)
	Logs []*Log // one for each image, or one
}

// Log is one copy of a record.
type Log struct {
	Name           string
	On             Device
	was, disk, now []byte // its beginning: before, as it is, and as it is to be
}

const (
	block  = 4096 // how much of a record is written at once, in bytes
	sector = 512
)

// Size is how much is looked at of a record of so many bytes of bits, in bytes.
func Size(bitsAt, bits int64) int64 { return raw.RoundUp(bitsAt+bits, block) }

// Marks are the records of a volume.
type Marks []*Record

// Begin marks the stretches with which each calls use, durably, before any of them is written. The first sectors of all
// logs are marked before any bit: a record of which no more is marked says that all is well, and one of whose logs not
// all have the bits can be told from one that a copy was away from.
func (m Marks) Begin(each func(use func(offset, length int64)) error) error {
	if err := m.load(); err != nil {
		return err
	}
	if err := each(m.set); err != nil {
		return err
	}
	for _, r := range m {
		for _, l := range r.Logs {
			marked := l.now
			l.now = bytes.Clone(l.disk)
			r.Mark(l.now[:sector])
			if err := l.write(); err != nil {
				return err
			}
			copy(marked[:sector], l.now)
			l.now = marked
		}
	}
	return write(m.logs())
}

// End sets back what Begin has marked, when all that was written is durable on all copies. What was marked before stays
// so: the kernel has yet to look at it. The first sectors come last, for the reason for which Begin has them first.
func (m Marks) End() error {
	logs := m.logs()
	for _, l := range logs {
		copy(l.now[sector:], l.was[sector:])
	}
	if err := write(logs); err != nil {
		return err
	}
	for _, l := range logs {
		copy(l.now, l.was)
	}
	return write(logs)
}

func (m Marks) logs() (all []*Log) {
	for _, r := range m {
		all = append(all, r.Logs...)
	}
	return all
}

func (m Marks) load() error {
	for _, r := range m {
		regions := (r.Length-1)/r.Region + 1
		for _, l := range r.Logs {
			l.disk = make([]byte, Size(r.BitsAt, (regions+7)/8))
			if n, err := l.On.ReadAt(l.disk, 0); n < len(l.disk) {
				return fmt.Errorf("%s: %w", l.Name, err)
			}
			l.was, l.now = bytes.Clone(l.disk), bytes.Clone(l.disk)
		}
	}
	return nil
}

// set marks a stretch of the volume, in memory.
func (m Marks) set(offset, length int64) {
	for _, r := range m {
		from, to := max(offset-r.Start, 0), min(offset+length-r.Start, r.Length)
		if r.All {
			from, to = 0, r.Length
		}
		if from >= to {
			continue
		}
		for n := from / r.Region; n <= (to-1)/r.Region; n++ {
			for _, l := range r.Logs {
				b, bit := &l.now[r.BitsAt+n/8], byte(1)<<(n%8)
				if *b |= bit; r.InSync {
					*b &^= bit
				}
			}
		}
	}
}

func write(logs []*Log) error {
	for _, l := range logs {
		if err := l.write(); err != nil {
			return err
		}
	}
	return nil
}

// write writes what has changed, durably.
func (l *Log) write() error {
	unit := max(block, int(l.On.LogicalBlockSize()))
	for at := 0; at < len(l.now); at += unit {
		end := min(at+unit, len(l.now))
		if bytes.Equal(l.now[at:end], l.disk[at:end]) {
			continue
		}
		if _, err := l.On.WriteAt(l.now[at:end], int64(at)); err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
		copy(l.disk[at:end], l.now[at:end])
	}
	if err := l.On.Sync(); err != nil {
		return fmt.Errorf("%s: %w", l.Name, err)
	}
	return nil
}
