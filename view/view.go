package view

import (
	"errors"
	"io"
	"sync"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/internal/memory"
	"dmcow/store/look"
)

// Reader is a device that is read. It must allow concurrent calls, and may be a
// format.ManyReader.
type Reader interface {
	io.ReaderAt
	Size() int64 // in bytes
}

// COW is a COW device that is only read.
type COW interface {
	Reader
	LogicalBlockSize() int64 // in bytes
}

// Options say what to open, and how.
type Options struct {
	COW    COW
	Origin Reader
	// Size is the snapshot's own size, in bytes, where that is less than the origin's; else 0.
	Size format.Bytes
	// To is the COW device once more, open for writing. Where it is set, the view can be
	// written to.
	To WriteDevice
	// InvalidOK also opens a snapshot that is marked invalid, for reading. What was written
	// to the origin since it was lost shows in it: [View.Uncertain] says where that may be.
	InvalidOK bool
	// DamagedOK shows what is not certain all the same: by the first exception of a chunk whose
	// data lies on the device, else as the origin has it. [View.Uncertain] says where.
	DamagedOK bool
	// Live is for a COW device that the kernel may be writing to: then the exceptions are
	// those of some moment, and what is read is not to be relied on.
	Live bool
	// ListOnly is for [View.Changes] alone: nothing can be read or written then, and memory is
	// a bit for each chunk, and no table.
	ListOnly bool
	// Visit, where set, is called now and then with the area that the walk through the list
	// has come to. Open stops with the error that it returns.
	Visit func(format.AreaIndex) error
}

// View is a snapshot as a device. It may be used by several goroutines at once.
type View struct {
	cow      COW
	origin   Reader
	geometry format.Geometry
	size     format.Bytes // of the snapshot: whole sectors
	report   check.Report
	end      format.End // of the list, as far as it was read
	doubts   doubts

	damagedOK bool
	invalid   bool // it is marked so

	mu     sync.RWMutex // of table, where the view is written to
	table  *table       // nil with Options.ListOnly
	listed bitmap.Paged // chunks that have an exception, with Options.ListOnly
	writer
}

// Open checks the store and reads its list. A damaged one can be read as far as it is
// certain (see the package comment), and not be written to; [View.Report] tells what is
// wrong.
//
// The error is look.ErrInvalid, a [*look.StateError] where there is no store to be read,
// ErrDamaged where it was to be written to, one of Visit, or one of reading.
func Open(o Options) (*View, error) {
	if o.Visit == nil {
		o.Visit = func(format.AreaIndex) error { return nil }
	}
	v := &View{cow: o.COW, origin: o.Origin, damagedOK: o.DamagedOK, doubts: doubts{reasons: map[format.OldChunk]string{}}}
	v.size = format.Bytes(o.Origin.Size()) / format.SectorSize * format.SectorSize
	if o.Size > 0 {
		v.size = min(v.size, o.Size)
	}
	id, err := look.Identify(o.COW, look.FreshGeometry(o.COW))
	switch {
	case err != nil:
		return nil, err
	case id.State == look.Invalid && (!o.InvalidOK || o.To != nil):
		return nil, look.ErrInvalid
	case id.State != look.Valid && id.State != look.Invalid:
		return nil, &look.StateError{State: id.State, Fault: id.Fault}
	}
	v.geometry, v.invalid = id.Geometry, id.State == look.Invalid
	if err := v.check(o); err != nil {
		return nil, err
	}
	if err := v.load(o); err != nil {
		return nil, err
	}
	if o.To != nil {
		if err := v.openToWrite(o.To); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Close makes durable what was written, and gives memory back. Nothing may use the view any
// more.
func (v *View) Close() error {
	err := v.Sync()
	if v.table != nil {
		v.table.close()
	}
	return err
}

// Size is the size of the snapshot, and of its origin, in bytes: whole sectors.
func (v *View) Size() int64 { return int64(v.size) }

// Geometry is where things lie in the store.
func (v *View) Geometry() format.Geometry { return v.geometry }

// Report is what the check of the store has found.
func (v *View) Report() check.Report { return v.report }

// check checks the store, and notes of what it finds what leaves doubt.
func (v *View) check(o Options) (err error) {
	c := check.Options{Device: o.COW, Origin: v.size, Content: o.Origin, Live: o.Live, Visit: o.Visit}
	if o.Live {
		c.Content = nil // which moves
	}
	v.report.Result, err = check.Run(c, func(f check.Finding) error {
		v.report.Add(f)
		v.doubts.note(v, f)
		return nil
	})
	v.report.Sort()
	for _, err := range v.report.Unread {
		v.doubts.unlist(err.Error())
	}
	return err
}

func (v *View) load(o Options) (err error) {
	read := v.tabulate
	if o.ListOnly {
		read = v.list
	}
	if v.end, err = read(o); errors.As(err, new(*format.AreaError)) {
		v.doubts.unlist(err.Error())
		return nil
	}
	return err
}

func (v *View) tabulate(o Options) (format.End, error) {
	v.table = newTable(v.report.Exceptions, v.chunks(), v.onCOW(), memory.LargePages)
	judge := v.judge
	if v.report.Certain() && !o.Live {
		judge = nil
	}
	defer v.table.settle()
	gather := func(h *halves, b format.Batch) { v.table.gather(h, b, judge) }
	return format.Each(v.walk(o.Live), gather, func(h *halves, b format.Batch) error {
		v.table.add(h)
		v.doubts.noteSharers(b)
		return o.Visit(b.Area)
	})
}

func (v *View) list(o Options) (format.End, error) {
	return format.Each(v.walk(o.Live), nil, func(_ *struct{}, b format.Batch) error {
		for at, x := range b.Exceptions() {
			if _, ok := v.judge(at.Area, x); ok {
				v.listed.Add(uint64(x.Old), 1)
			}
		}
		v.doubts.noteSharers(b)
		return o.Visit(b.Area)
	})
}

func (v *View) walk(live bool) format.Walk {
	return format.Walk{Device: v.cow, Size: format.Bytes(v.cow.Size()), Geometry: v.geometry, Live: live}
}

// Usage is how the space of the COW device is used; of a view that is written to, with the
// exceptions that were not committed yet.
func (v *View) Usage() look.Usage {
	if v.store != nil {
		return v.store.Usage()
	}
	return look.Usage{Geometry: v.geometry, Size: format.Bytes(v.cow.Size()), End: v.end}
}

func (v *View) onCOW() uint64 { return v.geometry.Chunks(format.Bytes(v.cow.Size())) }

// chunks is the number of chunks of the snapshot. The last one may be short.
func (v *View) chunks() uint64 {
	chunk := v.geometry.ChunkBytes()
	return uint64((v.size + chunk - 1) / chunk)
}
