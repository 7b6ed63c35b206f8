package lvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"

	"github.com/diskfs/go-diskfs/partition/gpt"
	"github.com/diskfs/go-diskfs/partition/mbr"
)

// Disk is a device, or an image of one, on which there may be physical volumes.
type Disk interface {
	io.ReaderAt
	Size() int64 // in bytes
}

// Found is a physical volume that was found.
type Found struct {
	Disk      Disk
	Name      string // of the disk
	Start     int64  // on the disk, in bytes
	Length    int64  // in bytes
	Partition int    // 0 for the whole disk
	// ArrayMember: it ends with a superblock of md, as a part of a RAID1 does, or lies in something that [FindIn]
	// was told of. (LVM does not look at a device with such a superblock, lib/device/dev-md.c.)
	ArrayMember bool
	In          *Inner // what it lies in, or nil
	*Label
}

// Inner is a stretch of a device that is what another device shows, as the data of a RAID1 is on each of its
// members.
type Inner struct {
	Start, Length int64 // in bytes
	Of            any   // for whoever knows what it is
}

// String says where it was found.
func (f *Found) String() string {
	if f.Partition == 0 {
		return f.Name
	}
	return fmt.Sprintf("partition %d of %s", f.Partition, f.Name)
}

func (f *Found) device() Disk { return io.NewSectionReader(f.Disk, f.Start, f.Length) }

// Find finds the physical volumes on a disk: in its MBR or GPT partitions, or else the disk
// itself. (LVM ignores the label of a disk that has partitions: an earlier life has left it.)
// Messages call the disk name. A damaged label is an error, and does not keep others from being found.
func Find(d Disk, name string) (all []*Found, errs []error) { return FindIn(d, name, nil) }

// FindIn is Find for a disk that may, as a whole or in a partition, be something in which another device lies: inner
// says that of a stretch, and is nil, or returns nil, where it does not. Its error is one of the stretch, in which nothing is
// looked for, then.
func FindIn(d Disk, name string, inner func(Disk) (*Inner, error)) (all []*Found, errs []error) {
	l := finder{disk: d, name: name, inner: inner}
	for _, p := range partitions(d) {
		l.try(&Found{Disk: d, Name: name, Start: p.start, Length: p.length, Partition: p.number})
	}
	if len(l.all) == 0 {
		l.try(&Found{Disk: d, Name: name, Length: d.Size()})
	}
	return l.all, l.errs
}

// finder finds the physical volumes on a disk.
type finder struct {
	disk  Disk
	name  string
	inner func(Disk) (*Inner, error)
	all   []*Found
	errs  []error
}

// try looks at a stretch of the disk.
func (l *finder) try(f *Found) {
	in, err := l.within(f)
	if err == nil && in != nil {
		l.inside(f, in)
		return
	}
	if err == nil {
		f.Label, err = ReadLabel(f.device())
	}
	switch {
	case err == nil:
		f.ArrayMember = endsWithArray(f.device())
		l.all = append(l.all, f)
	case !errors.Is(err, ErrNoLabel):
		l.errs = append(l.errs, fmt.Errorf("%v: %w", f, err))
	}
}

// within is what lies in a stretch, as far as that is on it; nil where it is a device itself.
func (l *finder) within(f *Found) (*Inner, error) {
	if l.inner == nil {
		return nil, nil
	}
	in, err := l.inner(f.device())
	if err != nil || in == nil || in.Start < 0 || in.Start >= f.Length {
		return nil, err
	}
	in.Length = min(in.Length, f.Length-in.Start)
	return in, nil
}

// inside looks at what lies in a stretch: it may have partitions of its own.
func (l *finder) inside(f *Found, in *Inner) {
	found, errs := Find(io.NewSectionReader(l.disk, f.Start+in.Start, in.Length), f.String())
	for _, p := range found {
		p.Disk, p.Start, p.In, p.ArrayMember = l.disk, p.Start+f.Start+in.Start, in, true
		if p.Partition == 0 {
			p.Name, p.Partition = f.Name, f.Partition
		}
	}
	l.all, l.errs = append(l.all, found...), append(l.errs, errs...)
}

// endsWithArray reports whether a device ends with a superblock of md, of version 1.0 or 0.90.
func endsWithArray(d Disk) bool {
	const magic = 0xa92b4efc
	sectors := d.Size() / SectorSize
	for _, at := range []int64{(sectors - 16) &^ 7 * SectorSize, d.Size()&^0xffff - 0x10000} {
		b := make([]byte, 4)
		if at < 0 {
			continue
		}
		if _, err := d.ReadAt(b, at); err == nil && (binary.LittleEndian.Uint32(b) == magic || binary.BigEndian.Uint32(b) == magic) {
			return true
		}
	}
	return false
}

// Stretch is a partition of a disk.
type Stretch struct {
	Partition     int
	Start, Length int64 // in bytes
}

// Partitions are those of a disk that has a table of them, as far as they are on it.
func Partitions(d Disk) (all []Stretch) {
	for _, p := range partitions(d) {
		all = append(all, Stretch{p.number, p.start, p.length})
	}
	return all
}

type partition struct {
	number        int
	start, length int64    // in bytes
	kind          mbr.Type // of an MBR's
}

// partitions are those of a disk that has a table of them, as far as they are on it.
func partitions(d Disk) (all []partition) {
	for _, block := range []int64{SectorSize, 4096} {
		if all = gptPartitions(d, block); len(all) > 0 {
			return within(d, all)
		}
	}
	// An MBR does not say in which blocks it counts.
	return within(d, slices.Concat(mbrPartitions(d, SectorSize), mbrPartitions(d, 4096)))
}

// within leaves out what does not begin on the disk, and cuts off what is behind its end: an
// image may be shorter than its disk.
func within(d Disk, all []partition) (on []partition) {
	for _, p := range all {
		if p.start > 0 && p.length > 0 && p.start < d.Size() {
			p.length = min(p.length, d.Size()-p.start)
			on = append(on, p)
		}
	}
	return on
}

// A GPT has 128 entries of 128 bytes, as good as always.
const (
	mostEntries   = 4096
	largestEntry  = 4096
	smallestEntry = 128
	entryCount    = 80
	entrySize     = 84
)

// gptPartitions are those of a GPT on a disk with logical blocks of so many bytes.
func gptPartitions(d Disk, block int64) (all []partition) {
	primary, primarySane := lookAtGPT(d, block)
	backup, backupSane := lookAtGPT(d, d.Size()/block*block-block)
	if !primary && !backup || !primarySane || !backupSane {
		return nil
	}
	t, err := gpt.Read(file{io.NewSectionReader(d, 0, d.Size())}, int(block), int(block))
	if err != nil {
		return nil
	}
	for _, p := range t.Partitions {
		if p.Start <= p.End && p.End < uint64(math.MaxInt64/block) {
			all = append(all, partition{number: p.Index, start: int64(p.Start) * block, length: int64(p.End-p.Start+1) * block})
		}
	}
	return all
}

// lookAtGPT looks for a header at a byte of the disk. A header is not sane if its number of entries, or
// their size, is not credible: the library reads as many as it is told.
func lookAtGPT(d Disk, at int64) (there, sane bool) {
	b := make([]byte, entrySize+4)
	if at < 0 {
		return false, true
	}
	if _, err := d.ReadAt(b, at); err != nil || string(b[:8]) != "EFI PART" {
		return false, true
	}
	n, size := binary.LittleEndian.Uint32(b[entryCount:]), binary.LittleEndian.Uint32(b[entrySize:])
	return true, n <= mostEntries && size >= smallestEntry && size <= largestEntry
}

// mbrPartitions are those of an MBR, and the logical ones in an extended partition, on a disk
// with logical blocks of so many bytes.
func mbrPartitions(d Disk, block int64) (all []partition) {
	for _, p := range mbrEntries(d, 0, block) {
		if isExtended(p.kind) {
			all = append(all, logical(d, p.start, p.length, block)...)
			continue
		}
		all = append(all, p)
	}
	return all
}

// mbrEntries are counted from the byte of the disk at which their table begins.
func mbrEntries(d Disk, at, block int64) (all []partition) {
	t, err := mbr.Read(file{io.NewSectionReader(d, at, SectorSize)}, SectorSize, SectorSize)
	if err != nil {
		return nil
	}
	for i, p := range t.Partitions {
		if p.Type != mbr.Empty {
			all = append(all, partition{i + 1, int64(p.Start) * block, int64(p.Size) * block, p.Type})
		}
	}
	return all
}

// isExtended reports whether a partition holds others: types 5, 0xf and 0x85.
func isExtended(t mbr.Type) bool { return t == 0x05 || t == 0x0f || t == 0x85 }

const mostLogical = 256

// logical are the partitions in an extended one. They are chained: each table there has
// an entry for one partition, counted from itself, and one for the next table, counted
// from the extended partition.
func logical(d Disk, start, length, block int64) (all []partition) {
	const first = 5
	for at := start; len(all) < mostLogical; {
		next := int64(0)
		for _, e := range mbrEntries(d, at, block) {
			switch {
			case !isExtended(e.kind):
				all = append(all, partition{number: first + len(all), start: at + e.start, length: e.length})
			case next == 0:
				next = start + e.start
			}
		}
		// A chain that goes back may have no end.
		if next <= at || next >= start+length {
			break
		}
		at = next
	}
	return all
}

// file is what the library reads from: as much of a file as it looks at.
type file struct{ *io.SectionReader }

func (file) Stat() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
func (file) Close() error               { return nil }
