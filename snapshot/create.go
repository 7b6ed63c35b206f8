package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/words"
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
	COW          *COW
	Loss         string // what it is written over that may be of worth; empty for nothing
	Asks         bool   // there is something that could be lost
	ChunkSectors format.Sectors
	// Chunks differ, and the store takes Size; zero where that was not measured.
	Chunks uint64
	Size   format.Bytes

	session     *Session
	request     CreateRequest
	base, image *Origin
	target      *Target
	job         create.Creation
}

// PlanCreate opens two images and looks at what is to hold the store. In a dry run, and where the
// store cannot become as large as it has to, the images are compared. The error is a [*Refusal].
func (s *Session) PlanCreate(r CreateRequest) (*Create, error) {
	c := &Create{session: s, request: r}
	err := c.openImages()
	if err == nil {
		err = c.openTarget()
	}
	if err == nil && (r.DryRun || !c.target.growable) {
		err = c.measure()
	}
	if err != nil {
		c.abandon()
		c.Close()
		return nil, err
	}
	return c, nil
}

// openImages opens what is read.
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
	for _, d := range []*device.Device{base, image} {
		if err := claimToRead(d); err != nil {
			return err
		}
	}
	return nil
}

// openTarget opens or makes the COW device, and refuses one that is not to be written over.
func (c *Create) openTarget() (err error) {
	base := c.base.Device
	if least := uint32(look.FreshGeometry(base).ChunkSectors()); c.request.ChunkSectors == 0 && least > format.DefaultChunkSectors {
		c.request.ChunkSectors = least
	}
	if c.request.Stream != nil {
		err = c.openStream()
	} else {
		err = c.openOrMake()
	}
	if err != nil {
		return err
	}
	t := c.target
	c.COW, c.ChunkSectors = t.COW, t.COW.Fresh.ChunkSectors()
	if !t.stream {
		t.growable = t.COW.Volume == nil && !t.COW.Device.IsBlock() && !c.request.Part.IsGiven()
		for _, d := range []*device.Device{base, c.image.Device} {
			if t.COW.Device.Overlaps(d) {
				return refusef(t.COW.Text, Unable, "lies on the same bytes as %s, which is to be read", words.Printable(d.Path()))
			}
		}
		if err := t.checkRoom(); err != nil {
			return err
		}
		if err := t.checkWorth(c.request.Force); err != nil {
			return err
		}
		c.Loss, c.Asks = t.worth, t.COW.Size() > 0 // in an empty file there is nothing to lose
	}
	if _, err := freshGeometry(base, c.base.Text, uint32(c.ChunkSectors)); err != nil {
		return err
	}
	c.job = create.Creation{Base: base, Image: c.image.Device, Geometry: t.COW.Fresh, Confirm: c.checkQuiet}
	return nil
}

// openStream has the store go to a stream.
func (c *Create) openStream() error {
	if err := c.request.Stream.checkApart(c.base.Device, c.image.Device); err != nil {
		return err
	}
	chunk := c.request.ChunkSectors
	if chunk == 0 {
		chunk = format.DefaultChunkSectors
	}
	g, err := freshGeometry(c.base.Device, c.base.Text, chunk)
	c.target = &Target{COW: &COW{Name: Name{Text: "-"}, Device: device.Nothing(), Fresh: g}, growable: true, stream: true}
	return err
}

// openOrMake opens the COW device; if there is none, it makes an image file, or in a dry run does
// as if there were an empty one.
func (c *Create) openOrMake() (err error) {
	r, s := c.request, c.session
	if _, err := os.Stat(r.COW); !errors.Is(err, fs.ErrNotExist) || r.Part.IsGiven() || c.takesVolume() {
		c.target, err = s.openTarget(WriteRequest{Request: r.Request, DryRun: r.DryRun})
		return err
	}
	fresh := &COW{Name: Name{Text: r.COW}, Device: device.Nothing()}
	if r.DryRun {
		if err := device.Creatable(r.COW); err != nil {
			return refuse(r.COW, Unable, err)
		}
		c.target = &Target{COW: fresh}
		return s.identify(fresh, r.ChunkSectors)
	}
	d, made, err := device.CreateWritable(r.COW)
	if err != nil {
		return refuse(r.COW, Unable, err)
	}
	if c.target, err = s.targetOn(fresh, d, r.ChunkSectors); err == nil {
		c.target.made = made
	}
	return err
}

// takesVolume reports whether a name that no file has is to be taken for VG/LV: where it was said
// where to look for that, or where no file of the name could be made.
func (c *Create) takesVolume() bool {
	return IsVolume(c.request.COW) && (len(c.session.options.Where) > 0 || !exists(filepath.Dir(c.request.COW)))
}

// checkQuiet refuses images that came into use while they were read.
func (c *Create) checkQuiet() error {
	if c.request.Live {
		return nil
	}
	if err := checkQuiet(c.base.Device); err != nil {
		return err
	}
	return checkQuiet(c.image.Device)
}

// measure compares the images, and refuses a target that is too small for the store.
func (c *Create) measure() (err error) {
	w := c.session.watch(c.COW.Text, Bytes, uint64(c.image.Device.Size()))
	defer w.end()
	c.job.Visit = w.bytes
	if c.Chunks, err = c.job.Measure(); err != nil {
		return c.failed(err, nothingWritten)
	}
	c.Size = c.job.Size(c.Chunks)
	if c.request.DryRun || c.Size <= c.COW.Size() {
		return nil
	}
	return refusef(c.COW.Text, Unable, "too small: it has %d sectors, and the store takes %d (%d chunks differ)",
		c.COW.Size().Sectors(), c.Size.Sectors(), c.Chunks)
}

// Do writes the store. The error is a [*Refusal], or of the stream.
func (c *Create) Do() (err error) {
	if err := foretold(c.COW.Text, c.request.DryRun); err != nil {
		return err
	}
	w := c.session.watch(c.COW.Text, Bytes, uint64(c.image.Device.Size()))
	defer w.end()
	c.job.Visit = w.bytes
	var grow func(format.Bytes) error
	if c.target.growable {
		grow = func(size format.Bytes) error { return c.target.out.Grow(int64(size)) }
	}
	if c.target.stream {
		c.Chunks, err = c.job.Stream(streamed{c.request.Stream})
	} else {
		c.Chunks, err = c.job.Write(c.target.out, grow)
	}
	c.Size = c.job.Size(c.Chunks)
	if err != nil {
		c.abandon() // it is no store
		return c.failed(err, noStore)
	}
	c.session.detail(c.COW.Text, "%d chunks of %d sectors differ; the store takes %d bytes", c.Chunks, c.ChunkSectors, c.Size)
	return nil
}

// failed makes a refusal of the error with which a comparison or a creation ended, and says which
// device it is about.
func (c *Create) failed(err error, then string) error {
	var source *create.SourceError
	var out *streamError
	switch {
	case errors.As(err, &source) && source.Image:
		return refuse(c.image.Text, Unreadable, err)
	case errors.As(err, &source):
		return refuse(c.base.Text, Unreadable, err)
	case errors.As(err, &out):
		return out.err
	}
	return written(c.COW.Text, err, then)
}

// abandon takes away an image file that was made, and is no store.
func (c *Create) abandon() {
	if t := c.target; t != nil && t.made {
		_ = t.out.Abandon()
	}
}

// Close closes all of it.
func (c *Create) Close() {
	if c.target != nil {
		c.target.Close()
	}
	for _, o := range []*Origin{c.base, c.image} {
		if o != nil {
			o.Close()
		}
	}
}

// streamError is an error of a stream, which is about no device.
type streamError struct{ err error }

func (e *streamError) Error() string { return e.err.Error() }
func (e *streamError) Unwrap() error { return e.err }

// streamed is a stream whose errors are known as such.
type streamed struct{ *Stream }

func (s streamed) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	if err != nil {
		err = &streamError{err}
	}
	return n, err
}
