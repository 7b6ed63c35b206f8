package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/words"
	"dmcow/store/delta"
	"dmcow/store/lvmsync"
	"dmcow/view"
)

// SendRequest says what is to be sent, and to what.
type SendRequest struct {
	ViewRequest
	To        string // the other snapshot of the origin, in place of the origin; empty for none
	Back      bool   // what makes the origin, or the other snapshot, into this one
	Full      bool   // all of this snapshot that is not zero
	Chunk     uint32 // the delta's chunk size, in sectors; 0 for the store's, or 4 KiB where that is less
	AllChunks bool   // also chunks that are equal after all
	Lvmsync   bool   // a stream of lvmsync, not a delta
	Output    OutputRequest
	Continue  bool         // the file has the beginning of it
	Skip      format.Bytes // of a stream: only what follows
}

// mostChunk is the delta's chunk size unless another is asked for, in sectors, or the store's if that is less: of
// large chunks most often little has changed.
const mostChunk = 8

// Send is a delta that is to be sent.
type Send struct {
	Head    delta.Head
	Changes *view.Changes // the chunks that are sent; with a dry run, at most
	Equal   uint64        // chunks that are equal after all, and left out
	Size    format.Bytes  // of the stream
	Output  *Parcel

	session   *Session
	request   SendRequest
	snapshots []*Snapshot // this one, and the other
	this      side
	other     side
}

// side is what a delta makes into another, or out of one.
type side struct {
	delta.Side
	io.ReaderAt
}

// PlanSend opens what is to be sent, and compares it, unless that is a dry run. The error is a [*Refusal].
func (s *Session) PlanSend(r SendRequest) (*Send, error) {
	x := &Send{session: s, request: r}
	return orClose(x, inTurn(x.openOutput, x.openThis, x.openOther, x.checkSizes, x.checkOutput, x.begin, x.compare, x.finishHead))
}

// openThis opens the snapshot, which has to be certain throughout.
func (x *Send) openThis() error {
	n, err := x.read(x.request.ViewRequest)
	if err == nil {
		x.this = side{n.side(), n.View}
	}
	return err
}

// read opens a snapshot. What others may read all the same is not sent: the receiver could not tell.
func (x *Send) read(r ViewRequest) (*Snapshot, error) {
	n, err := x.session.Read(r)
	if err == nil {
		x.snapshots = append(x.snapshots, n)
		err = n.checkCertain()
	}
	if r := (*Refusal)(nil); errors.As(err, &r) {
		r.Remedies = slices.DeleteFunc(r.Remedies, func(x Remedy) bool {
			return x.Do == AllowLive || x.Do == AllowInvalid || x.Do == AllowDamaged
		})
	}
	return n, err
}

// openOther opens what is on the other side.
func (x *Send) openOther() error {
	n := x.snapshots[0]
	switch {
	case x.request.Full:
		x.other = side{}
		return nil
	case x.request.To == "":
		x.other = side{delta.Side{Name: n.Origin.Text, UUID: uuidOf(n.Origin.Name)}, n.View.Origin()}
		return nil
	}
	r := x.request.ViewRequest
	r.COW, r.Part = x.request.To, Part{}
	r.Origin = cmp.Or(r.Origin, n.Origin.Text)
	to, err := x.read(r)
	if err != nil {
		return err
	}
	x.other = side{to.side(), to.View}
	if !to.COW.Volume.Apart(n.COW.Volume) && to.COW.Device.Overlaps(n.COW.Device) {
		return refusef(to.COW.Text, Unable, "overlaps %s: name another snapshot", words.Printable(n.COW.Text))
	}
	return nil
}

// side is the snapshot as the side of a delta.
func (n *Snapshot) side() delta.Side {
	s := delta.Side{Name: n.COW.Text, UUID: uuidOf(n.COW.Name)}
	if v := n.COW.Volume; v != nil {
		s.Moment = int64(v.Created)
	}
	return s
}

func uuidOf(n Name) string {
	if n.Volume == nil || n.Volume.Logical == nil {
		return ""
	}
	return n.Volume.Logical.UUID
}

// checkSizes refuses sides that are not of one size: no delta makes a device larger.
func (x *Send) checkSizes() error {
	n, size := x.snapshots[0], x.snapshots[0].View.Size()
	switch {
	case x.request.Full:
	case len(x.snapshots) > 1:
		if to := x.snapshots[1]; to.View.Size() != size {
			return refusef(to.COW.Text, Unable, "refused: it has %d bytes, and %s has %d: send one of them whole (--full)", to.View.Size(), words.Printable(n.COW.Text), size)
		}
	case n.Origin.Device.Size()/format.SectorSize*format.SectorSize != size:
		return refusef(n.Origin.Text, Unable, "refused: it has %d bytes, and the snapshot has %d: send it whole (--full)", n.Origin.Device.Size(), size)
	}
	if size == 0 {
		return refusef(n.COW.Text, Unable, "refused: the snapshot has no bytes")
	}
	return nil
}

// begin notes what the delta is, and what may differ.
func (x *Send) begin() error {
	n := x.snapshots[0]
	h := &x.Head
	h.Size, h.AllChunks = format.Bytes(n.View.Size()), x.request.AllChunks
	sectors := uint32(mostChunk)
	for _, n := range x.snapshots {
		sectors = min(sectors, uint32(n.View.Geometry().ChunkSectors()))
	}
	sectors = cmp.Or(x.request.Chunk, sectors)
	g, err := format.NewGeometry(sectors)
	if err == nil && sectors > delta.MaxChunk {
		err = delta.ErrChunk
	}
	if err != nil {
		return refuse(n.COW.Text, WrongUse, err).about(TheChunkSize)
	}
	h.Geometry = g
	switch {
	case x.request.Full:
		h.Kind, h.Source = delta.Full, x.this.Side
	case x.request.Back:
		h.Kind, h.Base, h.Source = delta.Back, x.other.Side, x.this.Side
	default:
		h.Kind, h.Base, h.Source = delta.Forward, x.this.Side, x.other.Side
	}
	if len(x.snapshots) > 1 && !x.request.Full {
		h.Kind = delta.Between
	}
	x.Changes = view.ChangesIn(g.ChunkBytes(), h.Size, views(x.snapshots)...)
	if x.request.Full {
		return x.addData(n.Origin.Device)
	}
	return nil
}

func views(all []*Snapshot) (views []*view.View) {
	for _, n := range all {
		views = append(views, n.View)
	}
	return views
}

// addData adds what of the origin is not a hole.
func (x *Send) addData(origin *device.Device) error {
	for at := int64(0); ; {
		start, end, err := origin.NextData(at)
		if err != nil {
			return refuse(x.snapshots[0].Origin.Text, Unreadable, err)
		}
		if start == end {
			return nil
		}
		x.Changes.Add(view.Range{Offset: format.Bytes(start), Length: format.Bytes(end - start)})
		at = end
	}
}

// compare leaves out what is equal. That takes as long as to read it, so a dry run does not.
func (x *Send) compare() error {
	if x.request.AllChunks || x.request.Output.DryRun {
		return nil
	}
	w := x.session.watch(x.snapshots[0].COW.Text, Bytes, uint64(x.Changes.Bytes()))
	defer w.End()
	other := x.other.ReaderAt
	if other == nil {
		other = nothing{}
	}
	changes, r, err := x.Changes.Compare(x.this, other, w.bytes)
	switch {
	case err != nil:
		return failed(x.snapshots[0].COW.Text, Unable, err, "nothing was sent")
	case r.Unread > 0:
		return x.failed(r.Failure)
	}
	x.Changes, x.Equal = changes, r.Equal
	return nil
}

// nothing reads as zeros.
type nothing struct{}

func (nothing) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// finishHead notes how much it is.
func (x *Send) finishHead() error {
	x.Head.Count, x.Head.Bytes = x.Changes.Chunks(), x.Changes.Bytes()
	x.Size = x.Head.Layout().Size()
	if x.request.Lvmsync {
		x.Size = lvmsync.StreamSize(x.Head.Count, x.Head.Bytes)
	}
	if x.request.Skip > x.Size {
		return refusef(x.snapshots[0].COW.Text, WrongUse, "there are only %d bytes to send", x.Size)
	}
	return x.Output.checkRoom(x.Size)
}

// isSource reports whether this snapshot is what the receiver shall have.
func (x *Send) isSource() bool { return x.request.Full || x.request.Back }

// sides are the base, which may be nil, and the source.
func (x *Send) sides() (base, source io.ReaderAt) {
	if x.isSource() {
		return x.other.ReaderAt, x.this.ReaderAt
	}
	return x.this.ReaderAt, x.other.ReaderAt
}

// Names are what is sent, by name.
func (x *Send) Names() (names struct{ COW, Origin, To string }) {
	names.COW, names.Origin = x.snapshots[0].COW.Text, x.snapshots[0].Origin.Text
	if len(x.snapshots) > 1 {
		names.To = x.snapshots[1].COW.Text
	}
	return names
}

// Format is the name of the stream's format.
func (x *Send) Format() string {
	if x.request.Lvmsync {
		return "lvmsync"
	}
	return "delta"
}

// LargestRuns are the largest stretches that are sent, the largest first, no more than n of them.
func (x *Send) LargestRuns(n int) (runs []view.Range) {
	for r := range x.Changes.Ranges() {
		at, _ := slices.BinarySearchFunc(runs, r, func(a, b view.Range) int { return cmp.Compare(b.Length, a.Length) })
		for at < len(runs) && runs[at].Length == r.Length {
			at++ // the first of equal ones comes first
		}
		if runs = slices.Insert(runs, at, r); len(runs) > n {
			runs = runs[:n]
		}
	}
	return runs
}

// Close closes all of it.
func (x *Send) Close() {
	if x.Output != nil {
		x.Output.Close()
	}
	for _, n := range x.snapshots {
		n.Close()
	}
}

// Do sends it. The error is a [*Refusal], or of the stream.
func (x *Send) Do() error {
	name := x.snapshots[0].COW.Text
	if err := x.Output.open(x.Size, x.Head.Geometry.ChunkBytes(), x.request.Skip); err != nil {
		return err
	}
	w := x.session.watch(name, Bytes, uint64(x.Head.Bytes))
	defer w.End()
	err := x.stream(w.bytes)
	if err == nil {
		err = x.checkQuiet()
	}
	if err == nil {
		err = x.Output.finish()
	}
	if errors.Is(err, ErrInterrupted) {
		return failed(name, Unable, ErrInterrupted, x.Output.cutOff())
	}
	return x.failed(err)
}

func (x *Send) stream(visit func(format.Bytes) error) error {
	base, source := x.sides()
	if x.request.Lvmsync {
		w := lvmsync.Writer{Source: source, Size: x.Head.Size, Chunk: x.Head.Geometry.ChunkBytes(), Chunks: x.Changes.Grains(), Visit: visit}
		return w.Stream(x.Output)
	}
	w := delta.Writer{Head: x.Head, Base: base, Source: source, Chunks: x.Changes.Grains(), Visit: visit}
	return w.Stream(x.Output)
}

func (x *Send) checkQuiet() error {
	for _, n := range x.snapshots {
		if err := n.CheckQuiet(); err != nil {
			return err
		}
	}
	return nil
}

// failed makes a refusal of the error of reading a side; others it passes on.
func (x *Send) failed(err error) error {
	var s *delta.SideError
	n := x.snapshots[0]
	if errors.As(err, &s) {
		if len(x.snapshots) > 1 && s.Source != x.isSource() {
			n = x.snapshots[1]
		}
		err = s.Err
	}
	if failed := n.Failed(err); failed != err {
		return failed
	}
	var r *Refusal
	if err != nil && s != nil && !errors.As(err, &r) {
		return refuse(n.COW.Text, Unreadable, fmt.Errorf("cannot be read: %w", err))
	}
	return err
}
