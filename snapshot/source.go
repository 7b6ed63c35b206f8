package snapshot

import (
	"errors"
	"io"
	"iter"

	"dmcow/internal/device"
	"dmcow/lvm"
	"dmcow/view"
)

// Source is what an image is made of, or a file that is mounted: a [Snapshot], or a [Whole].
type Source interface {
	io.ReaderAt
	Size() int64 // in bytes
	// About is its name, as it was named, and What says what kind of thing it is.
	About() string
	What() What
	// Uncertain are the stretches of it that are not certain.
	Uncertain() iter.Seq[view.Range]
	// CheckQuiet refuses what came into use while it was read.
	CheckQuiet() error
	// Failed makes a refusal of the error with which reading ended; others it passes on.
	Failed(error) error
	// Unlock gives back LVM's lock of the group.
	Unlock() error
	Close() error

	checkCertain() error
	reads() []*device.Device
	isLent() bool // somebody may write to it meanwhile: that is allowed
}

// What is a kind of [Source].
type What string

// The kinds.
const (
	OfSnapshot What = "snapshot"
	OfVolume   What = "volume" // a logical volume as it is, which is not a snapshot
	OfStore    What = "store"  // the COW device itself
)

// See opens what is to be read: a snapshot; a logical volume that is not one, as it is; or with [ViewRequest.Store]
// the COW device itself, whatever is on it. The error is a [*Refusal].
func (s *Session) See(r ViewRequest) (Source, error) {
	name, err := s.find(r.COW, false)
	if none := (*lvm.NoVolumeError)(nil); errors.As(err, &none) {
		none.Any = true
	}
	switch {
	case err != nil:
		return nil, err
	case r.Store:
		return sourceOrNot(s.store(name, r))
	case name.Volume != nil && name.Volume.NoSnapshot() != nil:
		return sourceOrNot(s.plain(name, r))
	}
	return sourceOrNot(s.Read(r))
}

// sourceOrNot keeps a nil of a type from being a source.
func sourceOrNot[T Source](opened T, err error) (Source, error) {
	if err != nil {
		return nil, err
	}
	return opened, nil
}

// ReadAt reads what the snapshot shows, where that is certain.
func (n *Snapshot) ReadAt(p []byte, offset int64) (int, error) { return n.View.ReadAt(p, offset) }

// Size is the size of the snapshot, in bytes.
func (n *Snapshot) Size() int64 { return n.View.Size() }

// About is the name of the COW device.
func (n *Snapshot) About() string { return n.COW.Text }

// What is that it is a snapshot.
func (n *Snapshot) What() What { return OfSnapshot }

// Uncertain are the stretches of the snapshot that are not certain.
func (n *Snapshot) Uncertain() iter.Seq[view.Range] { return n.View.Uncertain() }

func (n *Snapshot) reads() []*device.Device { return []*device.Device{n.COW.Device, n.Origin.Device} }
func (n *Snapshot) isLent() bool            { return n.request.Live }
