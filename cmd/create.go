package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store"
)

type createCmd struct {
	COW       path      `arg:"" help:"COW device to write, or an image file, which is made where there is none, or - for standard output."`
	Origin    path      `required:"" placeholder:"BASE" help:"What the snapshot's origin holds."`
	From      path      `required:"" placeholder:"IMAGE" help:"What the snapshot is to read as: as large as BASE."`
	ChunkSize chunkSize `placeholder:"SIZE" help:"Chunk size of the store. Default: 32 sectors, or the logical block if that is larger."`
	Force     bool      `help:"Write over a store or over whatever else the device holds."`
	Live      bool      `help:"Read also images that somebody else is using: what is written meanwhile shows in part."`
	writing   `embed:""`
}

func (createCmd) Help() string {
	return `
Compares two images and writes a store of the chunks in which they differ: the
kernel's snapshot of BASE with that store reads as IMAGE. COW is refused as by
initialize. An image file is made as large as it has to be, and never cut; a
device that is too small is refused before anything is written.

  dmcow create changes.cow --origin old.img --from new.img
  dmcow create /dev/vg0/cow --origin /dev/vg0/base --from new.img --chunk-size 4K
  dmcow create changes.cow --origin old.img --from new.img --dry-run
  dmcow create - --origin old.img --from new.img | zstd >changes.cow.zst

--dry-run only compares, and prints the size that the store takes. A run that is
cut off leaves no store, and can be run again.
`
}

// Validate tells wrong use that single flags do not show.
func (c *createCmd) Validate() error {
	if c.COW == "-" && c.given() {
		return errors.New("--offset and --size: expected a device or an image, not standard output")
	}
	return nil
}

func (c *createCmd) Run(a *app) error {
	if c.COW != "-" {
		if err := a.permission(c.writing); err != nil {
			return err
		}
	}
	base, err := a.openOrigin(string(c.Origin), c.volumes)
	if err != nil {
		return err
	}
	defer base.Close()
	image, err := a.openOrigin(string(c.From), c.volumes)
	if err != nil {
		return err
	}
	defer image.Close()
	if err := sameSize(base, image); err != nil {
		return err
	}
	if !c.Live {
		for _, d := range []*device.Device{base, image} {
			if err := claimPath(d); err != nil {
				return err
			}
		}
	}
	t, err := c.openTarget(a, base, image)
	if err != nil {
		return err
	}
	defer t.close()
	job := store.Creation{Base: base, Image: image, Geometry: t.fresh, Confirm: func() error { return c.quiet(base, image) }}
	if t.stream && !c.DryRun {
		return c.write(a, t, job)
	}
	if c.DryRun || !t.growable {
		chunks, err := c.measure(a, t, job)
		if err != nil || c.DryRun {
			return err
		}
		if need := job.Size(chunks); need > t.size() {
			return &failure{t.path, statusFailed, fmt.Errorf("too small: it has %d sectors, and the store takes %d (%d chunks differ)",
				t.size().Sectors(), need.Sectors(), chunks)}
		}
	}
	if t.size() > 0 { // in an empty file there is nothing to lose
		if err := a.ask(t.path, "%swrite a store here, with chunks of %d sectors?", t.loss(), t.fresh.ChunkSectors()); err != nil {
			return err
		}
	}
	return c.write(a, t, job)
}

// quiet refuses images that came into use while they were read.
func (c *createCmd) quiet(images ...*device.Device) error {
	for _, d := range images {
		if err := quietDevice(d); err != nil && !c.Live {
			return err
		}
	}
	return nil
}

// sameSize is the failure of images of different sizes.
func sameSize(base, image *device.Device) error {
	if base.Size() == image.Size() {
		return nil
	}
	return &failure{image.Path(), statusFailed, fmt.Errorf("%w: it has %d bytes, and %s has %d",
		store.ErrOtherSize, image.Size(), printable(base.Path()), base.Size())}
}

// openTarget opens or makes the COW device, and refuses one that is not to be
// written over.
func (c *createCmd) openTarget(a *app, base, image *device.Device) (*target, error) {
	chunk := c.ChunkSize
	if least := store.FreshGeometry(base).ChunkSectors(); chunk == 0 && least > format.DefaultChunkSectors {
		chunk = chunkSize(least)
	}
	if c.COW == "-" {
		if err := a.apartFromOutput(base, image); err != nil {
			return nil, err
		}
		return c.toStream(a, base, chunk)
	}
	t, err := c.openOrMake(a, chunk)
	if err != nil {
		return nil, err
	}
	t.growable = t.volume == nil && !t.device.IsBlock() && !c.given()
	if err = t.isNone(base, image); err == nil {
		err = a.refuse(t, c.Force)
	}
	if err == nil {
		_, err = freshGeometry(base, base.Path(), chunkSize(t.fresh.ChunkSectors()))
	}
	if err != nil {
		if t.made {
			_ = t.out.Abandon() // nothing was written to it
		}
		t.close()
		return nil, err
	}
	return t, nil
}

// toStream has the store go to standard output.
func (c *createCmd) toStream(a *app, base *device.Device, chunk chunkSize) (*target, error) {
	if isTerminal(a.stdout.file()) && !c.DryRun {
		return nil, usageError{errors.New("standard output is a terminal: expected COW, or a pipe")}
	}
	w := &cow{named: named{path: "-"}, device: device.Nothing()}
	if chunk == 0 {
		chunk = format.DefaultChunkSectors
	}
	g, err := freshGeometry(base, base.Path(), chunk)
	w.fresh = g
	return &target{cow: w, growable: true, stream: true}, err
}

// isNone is the failure of a target that is one of the devices that are read.
func (t *target) isNone(sources ...*device.Device) error {
	for _, d := range sources {
		if t.device.Overlaps(d) {
			return &failure{t.path, statusFailed, fmt.Errorf("lies on the same bytes as %s, which is to be read", printable(d.Path()))}
		}
	}
	return nil
}

// takesVolume reports whether a name that no file has is to be taken for VG/LV: where it was said
// where to look for that, or where no file of the name could be made.
func (c *createCmd) takesVolume(name string) bool {
	return isVolumeName(name) && (len(c.PV) > 0 || !exists(filepath.Dir(name)))
}

// openOrMake opens the COW device; where there is none, it makes an image file,
// or in a dry run does as if there were an empty one.
func (c *createCmd) openOrMake(a *app, chunk chunkSize) (*target, error) {
	path := string(c.COW)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || c.given() || c.takesVolume(path) {
		return a.openTarget(path, c.writing, chunk)
	}
	if c.DryRun {
		if err := device.Creatable(path); err != nil {
			return nil, &failure{path, statusFailed, err}
		}
		w := &cow{named: named{path: path}, device: device.Nothing()}
		return &target{cow: w}, a.identify(w, c.section, chunk)
	}
	d, made, err := device.CreateWritable(path)
	if err != nil {
		return nil, &failure{path, statusFailed, err}
	}
	t, err := a.target(&cow{named: named{path: path}}, d, c.writing, chunk)
	if err == nil {
		t.made = made
	}
	return t, err
}

// measure compares the images, and in a dry run prints what the store takes.
func (c *createCmd) measure(a *app, t *target, job store.Creation) (chunks uint64, err error) {
	p := a.newProgress(t.path, "byte", uint64(job.Image.Size()), true)
	defer p.end()
	job.Visit = p.bytes
	chunks, err = job.Measure()
	switch {
	case errors.Is(err, errInterrupted):
		return 0, &failure{t.path, statusInterrupted, fmt.Errorf("%w: nothing was written", err)}
	case err != nil:
		return 0, c.failed(a, t, err)
	}
	if c.DryRun {
		p.end()
		_, err = fmt.Fprintf(a.stdout, "required size: %d bytes, %d sectors\nchunks that differ: %d of %d sectors\n",
			job.Size(chunks), job.Size(chunks).Sectors(), chunks, job.Geometry.ChunkSectors())
	}
	return chunks, err
}

// write writes the store.
func (c *createCmd) write(a *app, t *target, job store.Creation) error {
	p := a.newProgress(t.path, "byte", uint64(job.Image.Size()), true)
	defer p.end()
	job.Visit = p.bytes
	var grow func(format.Bytes) error
	if t.growable {
		grow = func(size format.Bytes) error { return t.out.Grow(int64(size)) }
	}
	var chunks uint64
	var err error
	if t.stream {
		chunks, err = job.Stream(a.stdout)
	} else {
		chunks, err = job.Write(t.out, grow)
	}
	p.end()
	if err != nil {
		if t.made {
			_ = t.out.Abandon() // it is no store
		}
		return c.failed(a, t, err)
	}
	a.verbose(t.path, "%d chunks of %d sectors differ; the store takes %d bytes", chunks, t.fresh.ChunkSectors(), job.Size(chunks))
	return nil
}

// failed makes a failure of the error with which a comparison or a creation
// ended, and says which device it is about.
func (c *createCmd) failed(a *app, t *target, err error) error {
	var s *store.SourceError
	switch {
	case errors.As(err, &s) && s.Image:
		return a.unreadable(string(c.From), err)
	case errors.As(err, &s):
		return a.unreadable(string(c.Origin), err)
	case errors.As(err, new(*outputError)):
		return err
	case errors.Is(err, errInterrupted):
		return t.cutOff()
	}
	return a.done(t.path, err)
}
