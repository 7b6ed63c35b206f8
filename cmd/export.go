package cmd

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
	"time"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/view"
)

type exportCmd struct {
	viewing  `embed:""`
	File     path     `arg:"" optional:"" help:"File or block device to write, or - for standard output. Default: standard output."`
	Force    bool     `help:"Replace a file that is there, or write over what a block device holds."`
	Hash     []string `enum:"sha256,sha1,md5" placeholder:"NAME" help:"Print the digest of what was written: sha256, sha1 or md5. May be given several times."`
	Progress bool     `help:"Show progress also where standard error is no terminal: a line every ten seconds."`
	DryRun   bool     `help:"Print what would be done, and write nothing."`
}

func (exportCmd) Help() string {
	return `
Writes what the snapshot holds as a raw image: the volume as it was. Neither COW nor
ORIGIN is written to.

  dmcow export vg0/snap that-day.img
  dmcow export snap.cow --origin origin.img that-day.img --hash sha256
  dmcow export vg0/snap | zstd >that-day.img.zst
  dmcow export vg0/snap /dev/vg1/copy

Zeros become holes in a file. A file gets its name when all of it is written and
durable; what is cut off leaves nothing. One that is there is replaced with --force, and
--yes where nobody can be asked. A block device is refused as by initialize,
and where it is smaller than the snapshot.

Of a damaged store of which it is not certain what the snapshot holds nothing is written:
mount shows the rest. With --damaged-ok, all of it is written as the list has it, and
--uncertain FILE gets a list of the stretches that may be wrong.
`
}

// Validate tells wrong use that single flags do not show.
func (c *exportCmd) Validate() error {
	if c.toStream() && c.Uncertain == "-" {
		return errors.New("--uncertain: standard output has the image: expected a file")
	}
	return nil
}

// toStream reports whether the image goes to standard output.
func (c *exportCmd) toStream() bool { return c.File == "" || c.File == "-" }

// digests are the hashes by their names.
var digests = map[string]func() hash.Hash{"sha256": sha256.New, "sha1": sha1.New, "md5": md5.New}

func (c *exportCmd) Run(a *app) error {
	o, err := c.look(a)
	if err != nil {
		return err
	}
	c.dryRun, c.output = c.DryRun, []path{c.File}
	s, err := a.openSnapshot(c.viewing, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	defer o.close()
	if c.toStream() {
		if err := a.apartFromOutput(s.cow.device, s.origin); err != nil {
			return err
		}
	}
	if err := s.view.FirstUncertain(); err != nil {
		return s.failed(fmt.Errorf("refused: %w; --damaged-ok exports it all the same, dmcow mount shows the rest, and dmcow repair --copy-to COPY mends a copy", err))
	}
	if err := o.open(s, s.view.Size(), overwriting{c.Force, c.DryRun}); err != nil {
		return err
	}
	if c.DryRun {
		_, err := fmt.Fprintf(a.stdout, "%s: would write %s of %s\n", printable(o.name), binarySize(format.Bytes(s.view.Size())), printable(s.path))
		return err
	}
	if o.overwrites() {
		if err := a.ask(o.name, "%swrite the snapshot over it?", o.loss()); err != nil {
			return err
		}
	}
	return c.write(s, o)
}

// write writes the snapshot.
func (c *exportCmd) write(s *snapshot, o *output) error {
	p := s.newProgress(s.path, "byte", uint64(s.view.Size()), true)
	defer p.end()
	if c.Progress {
		p.every = 10 * time.Second
	}
	sum := newChecksums(c.Hash)
	var buffers device.Buffers
	defer buffers.Free()
	err := view.Stream(s.view, s.view.Size(), buffers.New, func(b []byte, offset int64) error {
		if err := p.visit(uint64(offset)); err != nil {
			return &failure{s.path, statusInterrupted, fmt.Errorf("%w: %s", err, o.cutOff())}
		}
		done := sum.add(b)
		defer done()
		return o.write(b, offset)
	})
	if err == nil && !c.Live {
		err = s.quiet()
	}
	if err == nil {
		err = o.finish()
	}
	p.end()
	if err != nil {
		return s.failed(err)
	}
	c.report(s, o, time.Since(p.start))
	return sum.tell(s.app, o)
}

// report says what was done, and how fast.
func (c *exportCmd) report(s *snapshot, o *output, took time.Duration) {
	size := format.Bytes(s.view.Size())
	rate := binarySize(format.Bytes(float64(size) / max(took.Seconds(), 0.001)))
	text := fmt.Sprintf("exported %s: %s in %.1f s (%s/s)", printable(s.path), binarySize(size), took.Seconds(), rate)
	if o.holes > 0 {
		text += fmt.Sprintf(", %s of it holes", binarySize(o.holes))
	}
	s.say(o.name, "%s", text)
}

// checksum is a hash that is computed while what it is of is written.
type checksum struct{ hash.Hash }

// checksums are several at once.
type checksums []checksum

func newChecksums(names []string) (all checksums) {
	for i, name := range names {
		if !slices.Contains(names[:i], name) {
			all = append(all, checksum{digests[name]()})
		}
	}
	return all
}

// add adds to the digests; what it returns waits for that.
func (all checksums) add(b []byte) (done func()) {
	var added sync.WaitGroup
	for _, d := range all {
		added.Go(func() { d.Write(b) })
	}
	return added.Wait
}

// tell prints the digests, as sha256sum does; where the image went to standard output, on
// standard error.
func (all checksums) tell(a *app, o *output) error {
	var w io.Writer = a.stdout
	if o.stream == w {
		w = a.stderr
	}
	for _, d := range all {
		if _, err := fmt.Fprintf(w, "%x  %s\n", d.Sum(nil), printable(o.name)); err != nil {
			return err
		}
	}
	return nil
}

// look finds out what is to be written to, before anything is read.
func (c *exportCmd) look(a *app) (*output, error) {
	if c.toStream() {
		if isTerminal(a.stdout.file()) && !c.DryRun {
			return nil, usageError{errors.New("standard output is a terminal: expected FILE, or a pipe")}
		}
		return &output{name: "-", stream: a.stdout}, nil
	}
	o, err := lookAt(string(c.File), private)
	if err == nil {
		err = o.refuseLoss(c.Force)
	}
	if err == nil && o.overwrites() {
		err = a.permission(writing{DryRun: c.DryRun})
	}
	return o, err
}
