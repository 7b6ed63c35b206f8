package view

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/bitmap"
)

// UncertainError says that it is not certain what the snapshot holds in a chunk.
type UncertainError struct {
	Old    format.OldChunk
	Offset format.Bytes // of the chunk in the snapshot
	Why    string       // which exception or area leaves the doubt, and why
}

func (e *UncertainError) Error() string {
	return fmt.Sprintf("chunk %d of the snapshot, at byte %d, is not certain: %s", e.Old, e.Offset, e.Why)
}

// doubts are what a check has found that leaves doubt about chunks.
type doubts struct {
	some     bool                     // single exceptions have to be judged
	garbage  bitmap.Set               // areas that hold no exceptions
	shared   map[format.NewChunk]bool // data chunks that several exceptions may name
	unlisted string                   // why chunks without an exception are uncertain; empty where they are not
}

// note notes what a finding means for chunks of the snapshot.
func (d *doubts) note(f check.Finding) {
	switch f.Name {
	case "implausible-area":
		d.some = true
		d.garbage.Add(uint64(f.Area))
		d.unlist(fmt.Sprintf("area %d holds no exceptions: %s", f.Area, f.Name))
	case "wrong-chunk-size":
		d.unlist(fmt.Sprintf("%s: %s", f.Message(), f.Name))
	case "duplicate-new-chunk", "duplicate-old-chunk": // an exception may break both rules, and is told once
		d.some = true
		if d.shared == nil {
			d.shared = map[format.NewChunk]bool{}
		}
		d.shared[f.New] = true
	case "new-chunk-over-56-bits", "new-chunk-is-metadata", "new-chunk-beyond-device", "old-chunk-beyond-origin":
		d.some = true
	}
}

// unlist says why chunks without an exception are uncertain. The first reason is told.
func (d *doubts) unlist(why string) {
	if d.unlisted == "" {
		d.unlisted = why
	}
}

// judge gives exceptions of an area their values; it is nil where each is its new chunk.
func (d *doubts) judge(v *View) func(format.AreaIndex, format.Exception) value {
	if !d.some {
		return nil
	}
	onCOW, onOrigin := v.onCOW(), v.chunks()
	return func(area format.AreaIndex, x format.Exception) value {
		switch {
		case d.garbage.Has(uint64(area)) || uint64(x.Old) >= onOrigin:
			return 0
		case !v.geometry.Plausible(onCOW, x) || d.shared[x.New]:
			return doubtful
		}
		return value(x.New)
	}
}

// uncertain is the error of a chunk that is not certain. It looks for the exceptions that
// name it.
func (v *View) uncertain(old format.OldChunk, value value) error {
	e := &UncertainError{Old: old, Offset: format.Bytes(old) * v.geometry.ChunkBytes(), Why: v.doubts.unlisted}
	if value != 0 {
		e.Why = v.explain(old)
	}
	return e
}

// named is an exception with its place.
type named struct {
	format.Place
	format.Exception
}

func (n named) String() string {
	return fmt.Sprintf("area %d, exception %d (data chunk %d)", n.Area, n.Index, n.New)
}

var errEnough = errors.New("enough was found")

// explain says which exceptions leave doubt about a chunk, and why. They are looked for on
// the device: to remember all of them would take more memory than the table.
func (v *View) explain(old format.OldChunk) string {
	var first *named
	var why string
	_, err := format.Each(v.walk(false), nil, func(_ *struct{}, b format.Batch) error {
		for at, x := range b.Exceptions() {
			if x.Old != old || v.doubts.garbage.Has(uint64(at.Area)) {
				continue
			}
			if why = v.doubt(first, &named{at, x}); why != "" {
				return errEnough
			}
			first = &named{at, x}
		}
		return nil
	})
	if why == "" {
		why = fmt.Sprintf("its exception was not found again (%v)", err)
	}
	return why
}

// doubt says what is wrong with an exception, or with it and another one of the same chunk,
// which may be nil; it is empty where nothing is.
func (v *View) doubt(first, x *named) string {
	chunks := v.onCOW()
	switch {
	case v.geometry.IsMetadata(x.New):
		return fmt.Sprintf("%v: the data chunk is a metadata area", x)
	case !v.geometry.Plausible(chunks, x.Exception):
		return fmt.Sprintf("%v: the data chunk is not on the COW device, which has %d chunks", x, chunks)
	case first != nil && first.New != x.New:
		return fmt.Sprintf("%v and %v are both of this chunk", first, x)
	case v.doubts.shared[x.New]:
		return v.sharer(x)
	}
	return ""
}

// sharer says which other exception has the data chunk of this one. It is empty where that
// is none: then x shares its old chunk.
func (v *View) sharer(x *named) (why string) {
	_, _ = format.Each(v.walk(false), nil, func(_ *struct{}, b format.Batch) error {
		for at, y := range b.Exceptions() {
			if y.New == x.New && y.Old != x.Old {
				why = fmt.Sprintf("%v has the data chunk of area %d, exception %d, too, which is of chunk %d", x, at.Area, at.Index, y.Old)
				return errEnough
			}
		}
		return nil
	})
	return why
}
