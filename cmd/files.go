package cmd

import (
	"errors"
	"path/filepath"

	"dmcow/dump"
	"dmcow/internal/show"
	"dmcow/snapshot"
)

// filesystem is the flags of the commands that read files.
type filesystem struct {
	Partition int `placeholder:"N" help:"The file system lies in this partition of the volume (MBR or GPT)."`
}

func (f filesystem) check() error {
	if f.Partition < 0 {
		return errors.New("--partition: partitions are numbered from 1 on")
	}
	return nil
}

type filesCmd struct {
	viewing    `embed:""`
	filesystem `embed:""`
	Against    path     `placeholder:"COW2" help:"Compare with a later snapshot of the same origin instead of the origin."`
	Since      path     `placeholder:"COW2" help:"Compare with an earlier snapshot of the same origin: what changed from it to this one."`
	Path       pathname `placeholder:"PATH" help:"Show only what is in this directory, or this file."`
	Top        int      `placeholder:"N" help:"Show only the N files with the most changed bytes."`
	Content    bool     `help:"Compare the data of changed chunks first, and leave out equal ones."`
	All        bool     `help:"Compare all inodes, not only those in changed chunks."`
	Accessed   bool     `help:"List files, too, that were only read: nothing but the time of access differs."`
	Output     string   `short:"o" default:"human" enum:"human,csv,json" help:"Output format: human, csv or json."`
}

// Validate tells wrong use that single flags do not show.
func (c *filesCmd) Validate() error {
	switch {
	case c.Against != "" && c.Since != "":
		return errors.New("--against and --since cannot be combined")
	case c.Against+c.Since != "" && c.isGiven():
		return errors.New("--against and --since cannot be combined with --offset or --size")
	case c.Uncertain == "-":
		return errors.New("--uncertain needs a file: standard output has something else")
	case c.Top < 0:
		return errors.New("--top: how many files are shown is not negative")
	case c.filesystem.check() != nil:
		return c.filesystem.check()
	}
	return c.viewing.check()
}

func (c *filesCmd) Run(a *app) error {
	list, err := a.uncertainList(c.viewing, c.Against, c.Since)
	if err != nil {
		return err
	}
	x, err := a.begin(c.volumes, "").Sides(snapshot.SidesRequest{
		ViewRequest: c.view(), Against: string(c.Against), Since: string(c.Since), Partition: c.Partition, Content: c.Content,
	})
	if err != nil {
		return err
	}
	defer x.Close()
	if err := x.CheckPath(c.Path.absolute()); err != nil {
		return err
	}
	if err := writeUncertain(list, x.Snapshot); err != nil {
		return err
	}
	r, err := x.Compare(c.All, c.Accessed)
	if err != nil {
		return err
	}
	a.tell()
	n := x.Snapshot
	f := dump.Files{
		Device: n.COW.Text, State: n.COW.Identity.State.String(), Origin: n.Origin.Text, Against: string(c.Against + c.Since), Type: x.New.FS.Info().Type,
		Chunk: uint64(x.Chunk), Path: c.Path.absolute(), Top: c.Top, Result: r,
	}
	switch c.Output {
	case "csv":
		return dump.FilesCSV(a.stdout, f)
	case "json":
		return dump.FilesJSON(a.stdout, f)
	}
	return show.Files(a.text(), f)
}

// pathname is a path in a file system, byte for byte.
type pathname string

// absolute is the path from the root on, as names are put together; empty for none.
func (p pathname) absolute() string {
	if p == "" {
		return ""
	}
	return filepath.Clean("/" + string(p))
}
