package cmd

import (
	"errors"
	"io"

	"dmcow/format"
	"dmcow/internal/device"
)

// theOrigin names the snapshot's origin, or tells its size.
type theOrigin struct {
	Origin     path  `placeholder:"DEV" help:"The snapshot's origin: its size and its data tell what the list does not. It is only read."`
	OriginSize *size `placeholder:"SIZE" help:"The origin's size, in place of the origin."`
}

// invalid is what is wrong with the flags, nil where nothing is.
func (o theOrigin) invalid() error {
	switch {
	case o.Origin != "" && o.OriginSize != nil:
		return errors.New("--origin and --origin-size: expected one of them")
	case o.OriginSize != nil && *o.OriginSize == 0:
		return errors.New("--origin-size 0: expected the size of an origin")
	}
	return nil
}

// base is what is known of the origin of a snapshot that is judged.
type base struct {
	size   format.Bytes   // of the snapshot: its own, which may be less than the origin's; 0 where it is not known
	device *device.Device // the origin; nil where it cannot be read
}

// baseOf finds out about the origin of the snapshot on cow. What was said of it comes first; of a
// volume of LVM it is known. The error is a failure.
func (a *app) baseOf(o theOrigin, cow named) (b base, err error) {
	switch v := cow.volume; {
	case o.OriginSize != nil:
		b.size = format.Bytes(*o.OriginSize)
	case o.Origin != "":
		if b.device, err = a.openOrigin(string(o.Origin), cow.where); err != nil {
			return b, err
		}
		b.size = format.Bytes(b.device.Size())
	case v != nil && v.Snapshot != nil && v.Active == nil:
		origin := v.Beside(v.Snapshot.Origin)
		if b.device, err = a.openNamedOrigin(named{path: origin.Name, volume: origin, where: cow.where}); err != nil {
			a.verbose(cow.path, "what its origin holds is not known: %v", err)
			b.device = nil
		}
	}
	if v := cow.volume; v != nil && (b.size == 0 || b.size == format.Bytes(v.OriginSize)) {
		b.size = cow.ownSize()
	}
	return b, nil
}

func (b base) close() {
	if b.device != nil {
		b.device.Close()
	}
}

// content is the origin, where its data can be relied on: nobody writes to it, or adds to the store.
func (b base) content(c *cow) io.ReaderAt {
	if b.device == nil || len(c.holders) > 0 || len(b.device.Writers()) > 0 {
		return nil
	}
	return b.device
}
