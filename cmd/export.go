package cmd

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/store"
	"dmcow/view"
)

type exportCmd struct {
	viewing  `embed:""`
	File     path   `arg:"" optional:"" help:"File or block device to write, or - for standard output. Default: standard output."`
	Force    bool   `help:"Replace a file that is there, or write over what a block device holds."`
	Hash     string `default:"" enum:",sha256,sha1,md5" placeholder:"NAME" help:"Print the digest of what was written: sha256, sha1 or md5."`
	Progress bool   `help:"Show progress also where standard error is no terminal: a line every ten seconds."`
	DryRun   bool   `help:"Print what would be done, and write nothing."`
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

Of a damaged store the export ends where it is not certain what the snapshot holds, and
nothing is left of it; mount shows all the rest.
`
}

// digests are the hashes by their names.
var digests = map[string]func() hash.Hash{"sha256": sha256.New, "sha1": sha1.New, "md5": md5.New}

func (c *exportCmd) Run(a *app) error {
	o, err := c.look(a)
	if err != nil {
		return err
	}
	s, err := a.openSnapshot(c.viewing, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	defer o.close()
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
	sum := newChecksum(c.Hash)
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
	if err == nil {
		err = s.stillQuiet()
	}
	if err == nil {
		err = o.finish()
	}
	p.end()
	if errors.As(err, new(*view.UncertainError)) {
		err = fmt.Errorf("%w; dmcow mount shows the rest, and dmcow repair --output COPY mends a copy", err)
	}
	if err != nil {
		return s.failed(err)
	}
	c.report(s, o, time.Since(p.start))
	return sum.tell(s.app, o)
}

// stillQuiet is the failure of a snapshot that came into use while it was read: its origin may
// have been written then, and what was read of that is no snapshot.
func (s *snapshot) stillQuiet() error {
	if by := s.cow.device.Holders(); len(by) > 0 && s.id.State == store.Valid {
		return &failure{s.path, statusFailed, fmt.Errorf("came into use by %s while it was read", strings.Join(by, ", "))}
	}
	return nil
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

// checksum computes a hash while what it is of is written.
type checksum struct{ hash.Hash }

func newChecksum(name string) checksum {
	if name == "" {
		return checksum{}
	}
	return checksum{digests[name]()}
}

// add adds to the digest; what it returns waits for that.
func (d checksum) add(b []byte) (done func()) {
	if d.Hash == nil {
		return func() {}
	}
	added := make(chan struct{})
	go func() {
		d.Write(b)
		close(added)
	}()
	return func() { <-added }
}

// tell prints the digest, as sha256sum does; where the image went to standard output, on
// standard error.
func (d checksum) tell(a *app, o *output) error {
	if d.Hash == nil {
		return nil
	}
	w := a.stdout
	if o.stream == a.stdout {
		w = a.stderr
	}
	_, err := fmt.Fprintf(w, "%x  %s\n", d.Sum(nil), printable(o.name))
	return err
}

// look finds out what is to be written to, before anything is read.
func (c *exportCmd) look(a *app) (*output, error) {
	if c.File == "" || c.File == "-" {
		if isTerminal(a.stdout) && !c.DryRun {
			return nil, usageError{errors.New("standard output is a terminal: expected FILE, or a pipe")}
		}
		return &output{name: "-", stream: a.stdout}, nil
	}
	o, err := lookAt(string(c.File))
	if err == nil {
		err = o.refuseLoss(c.Force)
	}
	if err == nil && o.overwrites() {
		err = a.permission(writing{DryRun: c.DryRun})
	}
	return o, err
}
