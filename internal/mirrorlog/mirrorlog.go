// Package mirrorlog reads the log that dm-mirror keeps on a device: which regions of the legs are the same.
//
// It is one header and a bit for each region (drivers/md/dm-log.c), little-endian:
//
//	byte    0  u32  0x4d695272, "rRiM"
//	        4  u32  version, 2
//	        8  u64  number of regions
//	     1024  the bits, in words of 32; 1: the legs are the same there
package mirrorlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	magic   = 0x4d695272
	version = 2
	start   = 1024
	block   = 64 << 10
)

// What writes the legs without the kernel marks the log's header with this, where the kernel keeps zeros as it found
// them. It says that all was in sync before, and stays when the kernel has made it so again.
const (
	mark   = "dmcow: regions are marked"
	markAt = 480
)

// BitsAt is the byte of the log from which on it has the bits.
const BitsAt = start

// Mark marks the log in its first 512 bytes.
func Mark(header []byte) { copy(header[markAt:], mark) }

// ReadMark reports whether the log on a device is marked.
func ReadMark(r io.ReaderAt) (bool, error) {
	b := make([]byte, 512)
	if _, err := r.ReadAt(b, 0); err != nil {
		return false, err
	}
	return string(b[markAt:][:len(mark)]) == mark, nil
}

// ErrNone is the error of a device without a log: LVM has made it, and the mirror was never active.
var ErrNone = errors.New("it has no log of dm-mirror")

// A Run is a stretch of regions that are all in sync, or all not.
type Run struct {
	Regions uint64
	InSync  bool
}

// MaxRegions is how many regions are looked at: LVM makes them larger where there would be more.
const MaxRegions = 1 << 28

// maxRuns is how many runs are told apart. What is behind them is taken for not in sync.
const maxRuns = 1 << 16

// Read reads which of so many regions are in sync. Those that the log has none of are not (disk_resume).
func Read(r io.ReaderAt, regions uint64) (runs []Run, err error) {
	if regions > MaxRegions {
		return nil, fmt.Errorf("the mirror has %d regions", regions)
	}
	head := make([]byte, 512)
	if _, err := r.ReadAt(head, 0); err != nil {
		return nil, err
	}
	switch {
	case binary.LittleEndian.Uint32(head) != magic:
		return nil, ErrNone
	case binary.LittleEndian.Uint32(head[4:]) != version:
		return nil, fmt.Errorf("its log is of version %d, expected %d", binary.LittleEndian.Uint32(head[4:]), version)
	}
	known := min(regions, binary.LittleEndian.Uint64(head[8:]))
	add := func(n uint64, inSync bool) {
		if last := len(runs) - 1; last >= 0 && (runs[last].InSync == inSync || len(runs) == maxRuns) {
			runs[last].Regions += n
			runs[last].InSync = runs[last].InSync && inSync
		} else if n > 0 {
			runs = append(runs, Run{n, inSync})
		}
	}
	b := make([]byte, min((known+31)/32*4, block))
	for at := uint64(0); at < known; {
		n := min((known-at+31)/32*4, block)
		if _, err := r.ReadAt(b[:n], start+int64(at/8)); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		} else if err != nil {
			return nil, io.ErrUnexpectedEOF
		}
		for i := uint64(0); i < n*8 && at < known; i++ {
			add(1, b[i/8]>>(i%8)&1 != 0)
			at++
		}
	}
	add(regions-known, false)
	return runs, nil
}
