// Package look finds out what a COW device holds, and writes nothing.
//
// [Identify] tells it by the header, [Identity.Examine] by the list too: a [Survey], whose
// [Usage] is the kernel's accounting of the space. [Behind] reads what stands behind the list's end.
package look

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"dmcow/format"
	"dmcow/internal/raw"
)

// State is what a device holds.
type State string

// The states, in the words of every output for programs. A store that is damaged is one that the kernel would
// refuse, or that cannot serve all its exceptions; faults that only a look at every exception shows are not
// among them.
const (
	Valid         State = "valid"
	Invalid       State = "invalid" // valid is 0: the snapshot is lost
	Uninitialized State = "uninitialized"
	Damaged       State = "damaged"
	Foreign       State = "foreign" // not a store; String has "damaged"
)

// String is the state as programs are told it: to them, a device without a store has a damaged
// one.
func (s State) String() string {
	if s == Foreign {
		return string(Damaged)
	}
	return string(s)
}

// lvmZeroes is how much of a fresh COW device LVM zeroes, in bytes. The rest
// may hold anything.
const lvmZeroes = 4096

// UnfinishedMark is what a creation leaves in place of the header until that is written. It stands behind the
// header's fields, which are zero: to the kernel the device is a new one.
const UnfinishedMark = "dmcow: this store was not finished\n"

// Identity is what the start of a device says about it.
type Identity struct {
	State  State
	Header format.Header
	// Geometry is the zero value where there is no list to walk. Otherwise there
	// is one, whatever the state.
	Geometry format.Geometry
	// Fresh is the geometry of the store that the kernel would make here on
	// loading it, losing what there is: where magic is 0. Else it is zero.
	Fresh format.Geometry
	// Fault says in one line why the state is Damaged or Foreign: what stands
	// there, and what was expected.
	Fault string
	// Blank is true where magic is 0, and so is all that LVM zeroes of a fresh
	// COW device, as far as the device goes.
	Blank bool
	// Unfinished is true where the device has the mark of a creation that was cut
	// off. It is uninitialized then, or damaged where it is too small.
	Unfinished bool
	// Leftover is true for an uninitialized device that is zero only as far as
	// LVM zeroes a fresh one.
	Leftover bool
}

// Device is what Identify needs to know about a device.
type Device interface {
	io.ReaderAt
	Size() int64             // in bytes
	LogicalBlockSize() int64 // in bytes
}

// FreshGeometry is the geometry of the store that the kernel makes on a blank
// device when it is not told a chunk size: 32 sectors, or the logical block
// where that is larger (dm_exception_store_create in dm-exception-store.c).
func FreshGeometry(d Device) format.Geometry {
	n := max(format.DefaultChunkSectors, uint32(format.Bytes(d.LogicalBlockSize()).Sectors()))
	g, err := format.NewGeometry(n)
	if err != nil {
		panic(err) // logical blocks are powers of two, and small
	}
	return g
}

// Identify reads a device's header as the kernel does on loading it
// (read_header in dm-snap-persistent.c). fresh is the geometry of the store
// that the kernel would make of a blank device. The error is one of reading.
func Identify(d Device, fresh format.Geometry) (Identity, error) {
	head := make([]byte, min(d.Size(), lvmZeroes))
	if err := raw.ReadFull(d, head, 0); err != nil {
		return Identity{}, fmt.Errorf("header at byte 0: %w", err)
	}
	if d.Size() < format.SectorSize {
		fault := fmt.Sprintf("the device has %d bytes, too few for a header", d.Size())
		return Identity{State: Damaged, Fault: fault, Blank: raw.IsZero(head)}, nil
	}
	id := Identity{Header: format.DecodeHeader(head)}
	if id.Header.Magic == 0 {
		return id.unformatted(d, head, fresh)
	}
	id.judge(d)
	return id, nil
}

// Loadable identifies a store of which the kernel serves a snapshot. The error is
// [ErrInvalid] or a [*StateError] if there is none, or one of reading.
func Loadable(d Device) (Identity, error) {
	id, err := Identify(d, FreshGeometry(d))
	if err == nil {
		err = id.CheckLoadable()
	}
	return id, err
}

// CheckLoadable is the error of a device on which the kernel serves no snapshot: [ErrInvalid]
// or a [*StateError].
func (id Identity) CheckLoadable() error {
	switch id.State {
	case Valid:
		return nil
	case Invalid:
		return ErrInvalid
	}
	return &StateError{State: id.State, Fault: id.Fault}
}

// CheckFits wants the device to be large enough for an empty store. The error
// is a [*TooSmallError].
func CheckFits(d Device, g format.Geometry) error {
	size := format.Bytes(d.Size())
	if g.Areas(g.Chunks(size)) == 0 {
		return &TooSmallError{Sectors: size.Sectors(), Least: 2 * g.ChunkSectors()}
	}
	return nil
}

// Survives reports whether all fields of a header but the magic look as they should, and
// nothing but zeros stands behind them in their sector: then the magic alone is lost.
func (id Identity) Survives(d Device) bool {
	h := id.Header
	g, err := format.NewGeometry(h.ChunkSectors)
	if err != nil || h.Version != format.Version || h.Valid > 1 || CheckFits(d, g) != nil {
		return false
	}
	stray, err := NonZero(d, format.HeaderSize, format.SectorSize)
	return err == nil && stray < 0
}

// judge sets state, geometry and fault of a header whose magic is not 0.
func (id *Identity) judge(d Device) {
	h := id.Header
	id.State = Damaged
	if h.Magic != format.Magic {
		id.State = Foreign
		id.Fault = fmt.Sprintf("not a COW store: the magic is 0x%08x, not 0x%08x (SnAp)", h.Magic, uint32(format.Magic))
		return
	}
	g, err := format.NewGeometry(h.ChunkSectors)
	if err == nil {
		id.Geometry = g
		err = format.CheckChunkSectors(h.ChunkSectors, format.Bytes(d.LogicalBlockSize()))
	}
	switch {
	case err != nil:
		id.Fault = fmt.Sprintf("header: chunk size of %d sectors: %v", h.ChunkSectors, err)
	case h.Version != format.Version:
		id.Fault = fmt.Sprintf("header: version %d, not %d", h.Version, format.Version)
	case h.Valid == 0:
		id.State = Invalid
	default:
		id.State = Valid
	}
}

// unformatted tells a blank device, of which the kernel would make a new
// store, from one whose header or content starts with four zeros.
func (id Identity) unformatted(d Device, head []byte, g format.Geometry) (Identity, error) {
	small := CheckFits(d, g)
	if small == nil {
		id.Fresh = g
	}
	id.Blank = raw.IsZero(head)
	id.Unfinished = raw.IsZero(head[:format.HeaderSize]) && bytes.HasPrefix(head[format.HeaderSize:], []byte(UnfinishedMark))
	switch {
	case id.Unfinished && small == nil:
		id.State = Uninitialized
	case id.Unfinished:
		id.State = Damaged
		id.Fault = "dmcow create was interrupted here, and the device is " + small.Error()
	case !id.Blank:
		id.State = Foreign
		id.Fault = "not a COW store: the magic is 0, but the device is not blank. The kernel would write a new store over it"
	case small != nil:
		id.State = Damaged
		id.Fault = "blank, and " + small.Error()
	default:
		left, err := leftover(d, g)
		if err != nil {
			return id, err
		}
		id.State, id.Leftover = Uninitialized, left
	}
	return id, nil
}

// leftover reports whether anything but zeros stands where header and area 0 would be. Of chunks larger than
// any of LVM's it looks at the beginning, where the header's fields and the first exceptions stand: nobody
// waits for gigabytes of zeros.
func leftover(d Device, g format.Geometry) (bool, error) {
	const most = 1 << 20
	for _, chunk := range []format.NewChunk{0, g.AreaLocation(0)} {
		if blank, err := blank(d, g.Offset(chunk), min(g.ChunkBytes(), most)); err != nil || !blank {
			return !blank, err
		}
	}
	return false, nil
}

func blank(d Device, offset, length format.Bytes) (bool, error) {
	at, err := NonZero(d, offset, offset+length)
	return at < 0 && err == nil, err
}

// NonZero is the first byte of a device, from start up to end, that is not zero, -1
// if there is none. The error is one of reading, and says where.
func NonZero(d Device, start, end format.Bytes) (int64, error) {
	if start >= end {
		return -1, nil
	}
	buf := make([]byte, min(end-start, 64<<10))
	for at := start; at < end; at += format.Bytes(len(buf)) {
		buf = buf[:min(format.Bytes(len(buf)), end-at)]
		if err := raw.ReadFull(d, buf, at); err != nil {
			return -1, fmt.Errorf("byte %d: %w", at, err)
		}
		if raw.IsZero(buf) {
			continue
		}
		return int64(at) + int64(slices.IndexFunc(buf, func(b byte) bool { return b != 0 })), nil
	}
	return -1, nil
}

// ErrInvalid: valid is 0, the snapshot is lost.
var ErrInvalid = errors.New("the snapshot is marked invalid")

// StateError says that a device holds no store that can be opened.
type StateError struct {
	State State
	Fault string // as in Identity
}

func (e *StateError) Error() string {
	if e.Fault != "" {
		return e.Fault
	}
	return "no store: the device is " + string(e.State)
}

// TooSmallError says that a device cannot hold header and area 0.
type TooSmallError struct{ Sectors, Least format.Sectors }

func (e *TooSmallError) Error() string {
	return fmt.Sprintf("too small for a store: it has %d of the %d sectors that two chunks need", e.Sectors, e.Least)
}
