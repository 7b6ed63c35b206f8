package format

import (
	"errors"
	"fmt"
	"io"

	"dmcow/internal/ahead"
)

// ErrBeyondDevice is the cause of an [AreaError] where the list leads to an area that does not lie wholly on
// the device. The kernel refuses such a store.
var ErrBeyondDevice = errors.New("the list leads past the end of the device")

// AreaError tells where a walk could not go on. What was delivered before it
// stays usable.
type AreaError struct {
	Area   AreaIndex
	Chunk  NewChunk // where the area lies on the COW device
	Offset Bytes    // of the first byte that could not be read
	Read   uint64   // exceptions read before it
	Behind bool     // the list ended before it
	Err    error    // ErrBeyondDevice, or the read error
}

func (e *AreaError) Error() string {
	if e.Behind {
		return fmt.Sprintf("area %d at chunk %d, behind the list, byte %d: %v", e.Area, e.Chunk, e.Offset, e.Err)
	}
	return fmt.Sprintf("area %d at chunk %d, byte %d: %v; %d exceptions were read before it",
		e.Area, e.Chunk, e.Offset, e.Err, e.Read)
}

func (e *AreaError) Unwrap() error { return e.Err }

// Unreadable is the error of an area that cannot be read from a place on, when so many exceptions
// were read.
func (g Geometry) Unreadable(at Place, read uint64, err error) *AreaError {
	return &AreaError{Area: at.Area, Chunk: g.AreaLocation(at.Area), Offset: g.SlotOffset(at), Read: read, Err: err}
}

// End tells where a walk ended, and what it met on the way.
type End struct {
	Exceptions uint64 // live ones
	// Place is the terminator's: the kernel's current_area and current_committed. Where the walk ended
	// without one, it is the place of the slot that would have come next.
	Place
	NextFree NewChunk // the kernel's next_free after loading
	Highest  NewChunk // highest new chunk of an exception, 0 if there is none
	// Beyond is the first exception whose new chunk does not lie wholly on the
	// device, nil where all do.
	Beyond *Place
}

// Walk is a way through the metadata of a store, from area 0 to the
// terminator. It reads the areas and nothing between them.
type Walk struct {
	Device   io.ReaderAt // must allow concurrent calls; may be a Prefetcher, and a ManyReader
	Size     Bytes       // of the device
	Geometry Geometry
	Hidden   bool // also hand out what lies behind the terminator, to the end of its area
	// Live is for a device that the kernel may be adding exceptions to
	// meanwhile: what was read ahead of that is read again.
	Live bool
}

// Each walks. For every batch it calls prepare, where there is one, then deliver. Calls of deliver come one
// at a time, in the list's order; calls of prepare run ahead of them, several at once, in any order, also on
// batches that are never delivered, and with Live twice on the same. What prepare makes of a batch it leaves
// in *T for deliver; a T is used again for later batches, one at a time.
//
// Batches, and how many are on their way at once, grow with the number of full
// areas met, so that a small store costs one small read.
//
// The error is an [*AreaError], or what deliver returned. End is valid in either
// case: it counts what was delivered.
func Each[T any](w Walk, prepare func(*T, Batch), deliver func(*T, Batch) error) (End, error) {
	l := newLayout(w)
	r := &runner[T]{
		live:    w.Live,
		layout:  l,
		plan:    plan{layout: l, count: min(l.slots, batchBytes/ExceptionSize)},
		reader:  reader{device: w.Device, many: manyReader(w)},
		prepare: prepare,
		deliver: deliver,
		end:     End{NextFree: FirstData},
	}
	r.line = ahead.New(maxWindow, r.load)
	defer r.line.Close() // nothing touches the device once the walk has returned
	err := r.run()
	r.end.NextFree = w.Geometry.SkipMetadata(r.end.NextFree)
	return r.end, err
}

// Scan walks for the sake of its End alone. It calls visit after each batch
// with the area that it has come to, and stops with the error that it returns.
func Scan(w Walk, visit func(AreaIndex) error) (End, error) {
	return Each(w, nil, func(_ *struct{}, b Batch) error { return visit(b.Area) })
}
