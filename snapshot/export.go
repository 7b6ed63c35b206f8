package snapshot

import (
	"fmt"
	"hash"
	"sync"

	"dmcow/view"
)

// ExportRequest says which snapshot is to be written as a raw image, and to what.
type ExportRequest struct {
	ViewRequest
	Output OutputRequest
}

// Export is a snapshot that is to be written.
type Export struct {
	Snapshot *Snapshot
	Output   *Output
	live     bool
}

// PlanExport opens a snapshot and looks at what it is to be written to. The error is a [*Refusal].
func (s *Session) PlanExport(r ExportRequest) (*Export, error) {
	o, err := s.lookAt(r.Output)
	if err != nil {
		return nil, err
	}
	n, err := s.Read(r.ViewRequest)
	if err != nil {
		return nil, err
	}
	x := &Export{n, o, r.Live}
	if err = n.View.FirstUncertain(); err != nil {
		err = uncertain(n.Failed(err))
	}
	if err == nil {
		err = o.check(n.View.Size(), n.COW.Device, n.Origin.Device)
	}
	if err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// uncertain is the refusal of a snapshot that is not certain throughout.
func uncertain(err error) error {
	if r, ok := err.(*Refusal); ok {
		return refuse(r.Device, r.Code, fmt.Errorf("refused: %w", r.Err), AllowDamaged, MountRest, RepairCopy)
	}
	return err
}

// Close closes all of it.
func (x *Export) Close() {
	x.Output.Close()
	x.Snapshot.Close()
}

// Do writes the image, and adds it to digests. The error is a [*Refusal], or of the stream.
func (x *Export) Do(digests ...hash.Hash) error {
	n := x.Snapshot
	if err := x.Output.Open(n.View.Size()); err != nil {
		return err
	}
	w := n.session.watch(n.COW.Text, Bytes, uint64(n.View.Size()))
	defer w.end()
	err := view.Stream(n.View, n.View.Size(), func(b []byte, offset int64) error {
		if err := w.visit(uint64(offset)); err != nil {
			return failed(n.COW.Text, Unable, err, x.Output.cutOff())
		}
		var added sync.WaitGroup
		defer added.Wait()
		for _, d := range digests {
			added.Go(func() { d.Write(b) })
		}
		return x.Output.Write(b, offset)
	})
	if err == nil && !x.live {
		err = n.CheckQuiet()
	}
	if err == nil {
		err = x.Output.Finish()
	}
	return n.Failed(err)
}

// Output looks at what a picture of the snapshot or the like is to be written to. The error is a
// [*Refusal].
func (n *Snapshot) Output(r OutputRequest) (*Output, error) {
	o, err := n.session.lookAt(r)
	if err == nil && o.kind == blockDevice {
		err = refusef(o.Name, Unable, "is a block device, expected a file")
	}
	if err == nil {
		err = o.check(0, n.COW.Device, n.Origin.Device)
	}
	return o, err
}
