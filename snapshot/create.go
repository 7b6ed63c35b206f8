package snapshot

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/raw"
	"dmcow/internal/words"
	"dmcow/lvm"
	"dmcow/store/create"
	"dmcow/store/look"
)

// CreateRequest says which images a store is made of, and where.
type CreateRequest struct {
	Request         // an image file is made if there is none
	Stream  *Stream // or the store goes to a stream
	Base    string  // what the snapshot's origin holds
	Image   string  // what the snapshot is to read as
	Force   bool    // write over whatever the COW device holds
	Live    bool    // read also images that somebody else is using
	DryRun  bool    // open nothing for writing
}

// Create is a store that is to be made of two images.
type Create struct {
	*Target
	Asks bool // there is something that could be lost
	// Chunks differ, and the store takes Size; zero where that was not measured.
	Chunks uint64
	Size   format.Bytes

	session     *Session
	request     CreateRequest
	base, image *Origin
	growable    bool // an image file that may become as large as it has to, or a stream
	made        bool // an image file that this session made, and that has no store yet
	job         create.Creation
}

// PlanCreate opens two images and looks at what is to hold the store. In a dry run, and where the
// store cannot become as large as it has to, the images are compared. The error is a [*Refusal].
func (s *Session) PlanCreate(r CreateRequest) (*Create, error) {
	c := &Create{session: s, request: r}
	err := inTurn(c.openImages, c.checkEnds, c.openTarget, c.checkTarget)
	if err == nil && (r.DryRun || !c.growable) {
		err = c.measure()
	}
	return orClose(c, err)
}

func (c *Create) openImages() (err error) {
	if c.base, err = c.session.LookAtOrigin(c.request.Base); err != nil {
		return err
	}
	if c.image, err = c.session.LookAtOrigin(c.request.Image); err != nil {
		return err
	}
	base, image := c.base.Device, c.image.Device
	if base.Size() != image.Size() {
		return refusef(c.image.Text, Unable, "%w: it has %d bytes, and %s has %d", create.ErrOtherSize, image.Size(), words.Printable(c.base.Text), base.Size())
	}
	if c.request.Live {
		return nil
	}
	if err := claimToRead(base); err != nil {
		return err
	}
	return claimToRead(image)
}

// checkEnds refuses images that differ behind their last whole sector: a device has whole sectors only, so no
// snapshot shows that.
func (c *Create) checkEnds() error {
	size := c.base.Device.Size()
	end := size / format.SectorSize * format.SectorSize
	var tails [2][]byte
	for i, o := range []*Origin{c.base, c.image} {
		tails[i] = make([]byte, size-end)
		if err := raw.ReadFull(o.Device, tails[i], end); err != nil {
			return refuse(o.Text, Unreadable, &create.SourceError{Offset: format.Bytes(end), Err: err})
		}
	}
	if bytes.Equal(tails[0], tails[1]) {
		return nil
	}
	return refusef(c.image.Text, Unable, "refused: it differs from %s behind byte %d, where its last whole sector ends: a snapshot has whole sectors only",
		words.Printable(c.base.Text), end)
}

// openTarget opens or makes the COW device, or has the store go to a stream.
func (c *Create) openTarget() (err error) {
	least := uint32(look.FreshGeometry(c.base.Device).ChunkSectors())
	if c.request.ChunkSectors == 0 && least > format.DefaultChunkSectors {
		c.request.ChunkSectors = least
	}
	if c.request.Stream == nil {
		return c.openOrMake()
	}
	if err := c.request.Stream.checkApart(c.base.Device, c.image.Device); err != nil {
		return err
	}
	t := &Target{COW: &COW{Name: Name{Text: "-"}, Device: device.Nothing()}}
	t.COW.Fresh, err = freshGeometry(c.base.Device, c.base.Text, cmp.Or(c.request.ChunkSectors, format.DefaultChunkSectors))
	c.Target = t
	return err
}

// checkTarget refuses a COW device that is not to be written over, and chunks that the origin cannot have.
func (c *Create) checkTarget() error {
	base, image, cow := c.base.Device, c.image.Device, c.COW
	c.growable = cow.Volume == nil && !cow.Device.IsBlock() && !c.request.Part.IsGiven()
	if c.request.Stream == nil {
		if err := checkApart(cow.Text, cow.Device, base, image); err != nil {
			return err
		}
		if err := c.checkRoom(); err != nil && !c.growable {
			return err
		}
		if err := c.checkWorth(c.request.Force); err != nil {
			return err
		}
		c.Asks = cow.Size() > 0 // in an empty file there is nothing to lose
	}
	c.job = create.Creation{Base: base, Image: image, Geometry: cow.Fresh, Confirm: c.checkQuiet}
	_, err := freshGeometry(base, c.base.Text, uint32(cow.Fresh.ChunkSectors()))
	return err
}

// openOrMake opens the COW device; if there is none, it makes an image file, or in a dry run does
// as if there were an empty one.
func (c *Create) openOrMake() (err error) {
	r, s := c.request, c.session
	if _, err := os.Stat(r.COW); !errors.Is(err, fs.ErrNotExist) || r.Part.IsGiven() || c.takesVolume() {
		c.Target, err = s.openTarget(WriteRequest{Request: r.Request, DryRun: r.DryRun})
		return err
	}
	fresh := &COW{Name: Name{Text: r.COW}, Device: device.Nothing()}
	if r.DryRun {
		if err := device.CheckCreatable(r.COW); err != nil {
			return refuse(r.COW, Unable, err)
		}
		c.Target = &Target{COW: fresh}
		return s.identify(fresh, r.ChunkSectors)
	}
	d, made, err := device.CreateWritable(r.COW)
	if err != nil {
		return refuse(r.COW, Unable, err)
	}
	c.Target, err = s.targetOn(fresh, d, r.ChunkSectors)
	c.made = err == nil && made
	return err
}

// takesVolume reports whether a name that no file has is to be taken for VG/LV: where no file of the name could be made, or
// it was said where to look for volumes, and a group may have the name.
func (c *Create) takesVolume() bool {
	group, _, ok := lvm.SplitName(c.request.COW)
	switch {
	case !ok:
		return false
	case !exists(filepath.Dir(c.request.COW)):
		return true
	case len(c.session.options.Where) == 0:
		return false
	}
	sight, err := c.session.sees()
	if err != nil {
		return true // which is told then
	}
	_, err = sight.Groups.Named(group)
	return !errors.As(err, new(*lvm.NoGroupError)) || !sight.IsWhole()
}

func (c *Create) checkQuiet() error {
	if c.request.Live {
		return nil
	}
	return checkQuiet(c.base.Device, c.image.Device)
}

// measure compares the images, and refuses a target that is too small for the store.
func (c *Create) measure() (err error) {
	w := c.session.watch(c.COW.Text, Bytes, uint64(c.image.Device.Size()))
	defer w.End()
	c.job.Visit = w.bytes
	if c.Chunks, err = c.job.Measure(); err != nil {
		return c.failed(err, nothingWritten)
	}
	c.Size = c.job.Size(c.Chunks)
	if c.request.DryRun || c.Size <= c.COW.Size() {
		return nil
	}
	return refusef(c.COW.Text, Unable, "too small: %d sectors; the store needs %d (%d chunks differ)",
		c.COW.Size().Sectors(), c.Size.Sectors(), c.Chunks)
}

// Do writes the store. The error is a [*Refusal], or of the stream.
func (c *Create) Do() (err error) {
	if err := checkReal(c.COW.Text, c.request.DryRun); err != nil {
		return err
	}
	w := c.session.watch(c.COW.Text, Bytes, uint64(c.image.Device.Size()))
	defer w.End()
	c.job.Visit = w.bytes
	var grow func(format.Bytes) error
	if c.growable {
		grow = func(size format.Bytes) error { return c.out.Grow(int64(size)) }
	}
	if c.request.Stream != nil {
		c.Chunks, err = c.job.Stream(streamed{c.request.Stream})
	} else {
		c.Chunks, err = c.job.Write(c.out, grow)
	}
	c.Size = c.job.Size(c.Chunks)
	if err != nil {
		return c.failed(err, noStore)
	}
	c.made = false
	return nil
}

// failed makes a refusal of the error with which a comparison or a creation ended, and says which
// device it is about.
func (c *Create) failed(err error, then string) error {
	var source *create.SourceError
	var out calledError
	switch {
	case errors.As(err, &source) && source.Image:
		return refuse(c.image.Text, Unreadable, err)
	case errors.As(err, &source):
		return refuse(c.base.Text, Unreadable, err)
	case errors.As(err, &out):
		return out.error
	}
	return written(c.COW.Text, err, then)
}

// Close closes all of it, and takes away an image file that was made and does not hold a store.
func (c *Create) Close() {
	if c.made {
		_ = c.out.Abandon()
	}
	if c.Target != nil {
		c.Target.Close()
	}
	for _, o := range []*Origin{c.base, c.image} {
		if o != nil {
			o.Close()
		}
	}
}

// streamed is a stream whose errors are known as such.
type streamed struct{ *Stream }

func (s streamed) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	return n, ofCalled(err)
}
