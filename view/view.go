package view

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/bitmap"
	"dmcow/store"
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
	// To is the COW device once more, open for writing. Where it is set, the view can be
	// written to.
	To WriteDevice
	// InvalidOK also opens a snapshot that is marked invalid, for reading. What was written
	// to the origin since it was lost shows in it.
	InvalidOK bool
	// Live is for a COW device that the kernel may be writing to: then the exceptions are
	// those of some moment, and what is read is not to be relied on.
	Live bool
	// ListOnly is for [View.Changes] alone: nothing can be read or written then, and memory is
	// a bit for each chunk, and no table.
	ListOnly bool
	// Words is as in check.Options, and Memory is the same for memory of which all is going
	// to be used. Both may be nil.
	Words, Memory func(n int) (words []uint64, free func())
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
	doubts   doubts

	mu     sync.RWMutex // of table, where the view is written to
	table  *table       // nil with Options.ListOnly
	listed bitmap.Paged // chunks that have an exception, with Options.ListOnly
	writer
}

// Open checks the store and reads its list. A damaged one can be read as far as it is
// certain (see the package comment), and not be written to; [View.Report] tells what is
// wrong.
//
// The error is store.ErrInvalid, a [*store.StateError] where there is no store to be read,
// ErrDamaged where it was to be written to, a [*store.HiddenError] likewise, that of Visit,
// or one of reading.
func Open(o Options) (*View, error) {
	v := &View{cow: o.COW, origin: o.Origin, size: format.Bytes(o.Origin.Size()) / format.SectorSize * format.SectorSize}
	id, err := store.Identify(o.COW, store.FreshGeometry(o.COW))
	switch {
	case err != nil:
		return nil, err
	case id.State == store.Invalid && (!o.InvalidOK || o.To != nil):
		return nil, store.ErrInvalid
	case id.State != store.Valid && id.State != store.Invalid:
		return nil, &store.StateError{State: id.State, Fault: id.Fault}
	}
	v.geometry = id.Geometry
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

// Geometry is that of the store.
func (v *View) Geometry() format.Geometry { return v.geometry }

// Report is what the check of the store has found.
func (v *View) Report() check.Report { return v.report }

// check checks the store, and notes of what it finds what leaves doubt.
func (v *View) check(o Options) (err error) {
	v.report.Result, err = check.Run(check.Options{
		Device: o.COW, Origin: v.size, Live: o.Live, Words: o.Words, Visit: o.Visit,
	}, func(f check.Finding) error {
		v.report.Add(f)
		v.doubts.note(f)
		return nil
	})
	v.report.Sort()
	return err
}

// load reads the list.
func (v *View) load(o Options) error {
	read := v.tabulate
	if o.ListOnly {
		read = v.list
	}
	end, err := read(o)
	var area *format.AreaError
	switch {
	case errors.As(err, &area):
		v.doubts.unlist(err.Error())
		return nil
	case err != nil:
		return err
	}
	h, err := store.LookBehind(o.COW, v.geometry, end)
	switch {
	case err != nil:
		v.doubts.unlist(err.Error())
	case h.Count > 0 && h.Why != "":
		v.doubts.unlist(fmt.Sprintf("area %d, exception %d: the list ends, and no torn commit explains what stands behind that (%s): hidden-exceptions", h.Area, h.Index, h.Why))
	}
	return nil
}

// tabulate reads the list into the table.
func (v *View) tabulate(o Options) (format.End, error) {
	v.table = newTable(v.report.Exceptions, v.chunks(), v.onCOW(), o.Memory)
	judge := v.doubts.judge(v)
	gather := func(h *halves, b format.Batch) { v.table.gather(h, b, judge) }
	return format.Each(v.walk(o.Live), gather, func(h *halves, b format.Batch) error {
		v.table.add(h)
		return visit(o, b)
	})
}

// list reads the list into the set of chunks that have an exception.
func (v *View) list(o Options) (format.End, error) {
	judge := v.doubts.judge(v)
	return format.Each(v.walk(o.Live), nil, func(_ *struct{}, b format.Batch) error {
		for at, x := range b.Exceptions() {
			if judge == nil || judge(at.Area, x) != 0 {
				v.listed.Add(uint64(x.Old), 1)
			}
		}
		return visit(o, b)
	})
}

func visit(o Options, b format.Batch) error {
	if o.Visit == nil {
		return nil
	}
	return o.Visit(b.Area)
}

func (v *View) walk(live bool) format.Walk {
	return format.Walk{Device: v.cow, Size: format.Bytes(v.cow.Size()), Geometry: v.geometry, Live: live}
}

// onCOW is the number of chunks on the COW device.
func (v *View) onCOW() uint64 { return v.geometry.Chunks(format.Bytes(v.cow.Size())) }

// chunks is the number of chunks of the snapshot. The last one may be short.
func (v *View) chunks() uint64 {
	chunk := v.geometry.ChunkBytes()
	return uint64((v.size + chunk - 1) / chunk)
}
