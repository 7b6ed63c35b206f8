package cmd

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"dmcow/internal/record"
	"dmcow/internal/show"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

type exportCmd struct {
	viewing  `embed:""`
	result   `embed:""`
	File     path     `arg:"" optional:"" help:"File or block device to write, or - for standard output. Default: standard output."`
	Force    bool     `help:"Replace an existing file, or write over the data of a block device."`
	Hash     []string `enum:"sha256,sha1,md5" placeholder:"NAME" help:"Print the digest of what was written: sha256, sha1 or md5. May be given several times."`
	Progress bool     `help:"Show progress even if standard error is not a terminal: a line every ten seconds."`
	DryRun   bool     `help:"Print what would be done, and write nothing."`
}

// Validate tells wrong use that single flags do not show.
func (c *exportCmd) Validate() error {
	switch {
	case c.toStream() && c.Uncertain == "-":
		return errors.New("--uncertain needs a file: standard output has the image")
	case c.toStream() && c.isJSON():
		return errors.New("--output json needs a file for the image, which standard output has")
	case c.isJSON() && c.Uncertain == "-":
		return errors.New("--uncertain needs a file: standard output has the result")
	}
	return c.viewing.check()
}

// toStream reports whether the image goes to standard output.
func (c *exportCmd) toStream() bool { return c.File == "" || c.File == "-" }

var digests = map[string]func() hash.Hash{"sha256": sha256.New, "sha1": sha1.New, "md5": md5.New}

func (c *exportCmd) Run(a *app) error {
	r := snapshot.ExportRequest{ViewRequest: c.view(), Output: snapshot.OutputRequest{Name: string(c.File), Mode: snapshot.Private, Force: c.Force, DryRun: c.DryRun}}
	if c.toStream() {
		if isTerminal(a.stdout.File()) && !c.DryRun {
			return misused("export", "refusing to write an image to a terminal: redirect standard output, or name a file")
		}
		r.Output.Stream = a.stream()
	}
	list, err := a.uncertainList(c.viewing, c.File)
	if err != nil {
		return err
	}
	p, err := a.begin(c.volumes, "").PlanExport(r)
	if err != nil {
		return err
	}
	defer p.Close()
	if c.DryRun {
		return a.told(c.result, record.Exported(p, c.DryRun, nil), fmt.Sprintf("%s: would write %s of %s", words.Printable(p.Output.Name), words.Size(p.Snapshot.View.Size()), words.Printable(p.Snapshot.COW.Text)))
	}
	if p.Output.Replaces {
		if err := a.ask(p.Output.Name, "%swrite the snapshot over it?", over(p.Output.Loss)); err != nil {
			return err
		}
	}
	if err := writeUncertain(list, p.Snapshot); err != nil {
		return err
	}
	if c.Progress {
		a.often = 10 * time.Second
	}
	sums := map[string]hash.Hash{}
	for _, name := range c.Hash {
		sums[name] = digests[name]()
	}
	start := time.Now()
	if err := p.Do(slices.Collect(maps.Values(sums))...); err != nil {
		return err
	}
	a.say(p.Output.Name, "%s", show.Exported(p, time.Since(start)))
	a.evidence.Digests = record.Exported(p, false, sums).Digests
	if c.isJSON() {
		return a.told(c.result, record.Exported(p, c.DryRun, sums), "")
	}
	return c.printSums(a, p.Output, sums)
}

// printSums prints digests, as sha256sum does; where the image went to standard output, on standard error.
func (c *exportCmd) printSums(a *app, o *snapshot.Output, sums map[string]hash.Hash) error {
	var w io.Writer = a.stdout
	if o.Name == "-" {
		w = a.stderr
	}
	for i, name := range c.Hash {
		if slices.Contains(c.Hash[:i], name) {
			continue
		}
		if _, err := fmt.Fprintf(w, "%x  %s\n", sums[name].Sum(nil), words.Printable(o.Name)); err != nil {
			return err
		}
	}
	return nil
}
