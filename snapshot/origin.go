package snapshot

import (
	"errors"
	"fmt"
	"io"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/words"
)

// Origin is the origin of a snapshot, or an image of it, open for reading.
type Origin struct {
	Name
	Device *device.Device
}

// Close closes the device.
func (o *Origin) Close() { o.Device.Close() }

// LookAtOrigin opens an origin for reading. The error is a [*Refusal].
func (s *Session) LookAtOrigin(name string) (*Origin, error) {
	n, err := s.find(name, false)
	if err != nil {
		return nil, err
	}
	return s.lookAtOrigin(n)
}

func (s *Session) lookAtOrigin(n Name) (*Origin, error) {
	d, err := s.open(n)
	if err != nil {
		return nil, err
	}
	o := &Origin{n, d}
	return orClose(o, o.check())
}

var errSwapped = errors.New("starts with a COW header, so it is not an origin: are COW and ORIGIN swapped?")

// question asks, behind what a wrong origin would explain, too. A logical volume is the origin that LVM says it is.
func (o *Origin) question() string {
	if o.Volume != nil {
		return ""
	}
	return fmt.Sprintf(": is %s the right origin?", words.Printable(o.Text))
}

// checkHolds is [COW.checkStore], and asks whether COW and origin are swapped where the other one holds a store.
func (s *Session) checkHolds(c *COW, origin, lack string, remedies ...Deed) error {
	err := c.checkStore(lack, remedies...)
	var r *Refusal
	if origin == "" || !errors.As(err, &r) || r.Code != Foreign && r.Code != Damaged && r.Code != Blank {
		return err
	}
	n, found := s.find(origin, false)
	if found != nil {
		return err
	}
	d, opened := s.open(n)
	if opened != nil {
		return err
	}
	defer d.Close()
	if beginsAsStore(d, 0) {
		return refusef(r.Device, r.Code, "%w; %s starts with a COW header: are COW and ORIGIN swapped?", r.Err, words.Printable(origin))
	}
	return err
}

// check refuses a device that cannot be an origin. One that cannot be read where a COW store has
// its header may be one: the rest of it is as good as before.
func (o *Origin) check() error {
	if o.Device.Size() < format.SectorSize {
		return refusef(o.Text, Unable, "too small for an origin: %d bytes", o.Device.Size())
	}
	if beginsAsStore(o.Device, 0) {
		return refuse(o.Text, Unable, errSwapped)
	}
	if what, err := containerOf(o.Device); err == nil && what != "" {
		return refuse(o.Text, Unable, errors.New(what))
	}
	return nil
}

// beginsAsStore reports whether a COW store's header stands at an offset, and can be read.
func beginsAsStore(d *device.Device, offset format.Bytes) bool {
	head := make([]byte, format.HeaderSize)
	_, err := d.ReadAt(head, int64(offset))
	return err == nil && format.DecodeHeader(head).Magic == format.Magic
}

// checkTarget refuses a device that shows a snapshot, or an origin while one is merged into it.
func (o *Origin) checkTarget() error {
	t, _ := o.Device.Target()
	return checkShowsOrigin(o.Text, t)
}

// checkShowsOrigin is checkTarget by the device's target, the zero one where it is not one of device-mapper.
func checkShowsOrigin(name string, t inuse.Target) error {
	if t.Type == "snapshot" || t.Type == "snapshot-merge" {
		return refusef(name, Unable, "is a %s device, not the origin", t.Type)
	}
	return nil
}

// IsServed reports whether the kernel serves the device as the origin of snapshots: what is written to it, active
// snapshots keep.
func (o *Origin) IsServed() bool {
	t, ok := o.Device.Target()
	return ok && t.Type == "snapshot-origin"
}

// checkSize refuses an origin that is not as large as LVM says the snapshot's is.
func (o *Origin) checkSize(c *COW, remedies ...Deed) error {
	v := c.Volume
	if v == nil || v.OriginSize == 0 || v.OriginSize == o.Device.Size() {
		return nil
	}
	return refusef(o.Text, Unable, "refused: it has %d bytes; the origin of %s has %d",
		o.Device.Size(), words.Printable(c.Text), v.OriginSize).with(remedies...)
}

// checkOtherOrigin refuses a logical volume that is not the origin of the snapshot.
func checkOtherOrigin(cow, origin Name) error {
	v, o := cow.Volume, origin.Volume
	if v == nil || o == nil || v.Snapshot == nil || o.Group == nil || v.Group.UUID == o.Group.UUID && v.Snapshot.Origin.Name == o.Logical.Name {
		return nil
	}
	return refusef(origin.Text, Unable, "refused: not the origin of %s; that is %s", words.Printable(cow.Text), v.OriginName())
}

// originOf finds out which origin a snapshot has: the one that is named, or of a logical volume the
// one that is known. writes is as in find. The error is a refusal.
func (s *Session) originOf(cow Name, named string, writes bool) (Name, error) {
	switch {
	case named != "":
		origin, err := s.find(named, writes)
		if err == nil {
			err = checkOtherOrigin(cow, origin)
		}
		return origin, err
	case cow.Volume == nil:
		return Name{}, refuse(cow.Text, WrongUse, errors.New("its origin is not known (only VG/LV needs none named)"), NameOrigin)
	case cow.Volume.Active != nil:
		return Name{Text: deviceName(cow.Volume.OriginNumber)}, nil
	}
	return cow.beside(cow.Volume.Snapshot.Origin), nil
}

// Base is what is known of the origin of a snapshot that is judged.
type Base struct {
	Size   format.Bytes   // of the snapshot: its own, which may be less than the origin's; 0 where it is not known
	device *device.Device // the origin; nil where it cannot be read
}

// BaseRequest says what is known of it.
type BaseRequest struct {
	Origin string        // its name, or
	Size   *format.Bytes // its size
}

// baseOf finds out about the origin of a snapshot. What was said of it comes first; of a volume of
// LVM it is known. The error is a refusal.
func (s *Session) baseOf(r BaseRequest, cow Name) (b Base, err error) {
	var o *Origin
	switch v := cow.Volume; {
	case r.Size != nil:
		b.Size = *r.Size
	case r.Origin != "":
		if o, err = s.LookAtOrigin(r.Origin); err != nil {
			return b, err
		}
		b.device, b.Size = o.Device, format.Bytes(o.Device.Size())
	case v != nil && v.Snapshot != nil && v.Active == nil:
		if o, err = s.lookAtOrigin(cow.beside(v.Snapshot.Origin)); err == nil {
			b.device = o.Device
		} else {
			s.detail(cow.Text, "its origin cannot be read: %v", err)
		}
	}
	if v := cow.Volume; v != nil && (b.Size == 0 || b.Size == format.Bytes(v.OriginSize)) {
		b.Size = cow.ownSize()
	}
	return b, nil
}

// Close closes the origin, where it is open.
func (b Base) Close() {
	if b.device != nil {
		b.device.Close()
	}
}

// content is the origin, where its data can be relied on: nobody writes to it, or adds to the store.
func (b Base) content(c *COW) io.ReaderAt {
	if b.device == nil || len(c.Holders) > 0 || len(b.device.Writers()) > 0 {
		return nil
	}
	return b.device
}

// checkApart refuses an origin that shares bytes with the COW device.
func (o *Origin) checkApart(cow Name, d *device.Device) error {
	if o.Volume.Apart(cow.Volume) || !o.Device.Overlaps(d) {
		return nil
	}
	return refusef(o.Text, Unable, "overlaps %s: name the snapshot's origin", words.Printable(cow.Text))
}

// checkApart refuses a device that is to be written and shares bytes with one of those that are read.
func checkApart(name string, d *device.Device, read ...*device.Device) error {
	for _, r := range read {
		if d.Overlaps(r) {
			return refusef(name, Unable, "overlaps %s, which the command reads", words.Printable(r.Path()))
		}
	}
	return nil
}
