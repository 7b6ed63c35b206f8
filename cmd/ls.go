package cmd

import (
	"errors"

	"dmcow/dump"
	"dmcow/fs"
	"dmcow/internal/show"
	"dmcow/snapshot"
)

// seeing is the flags of the commands that look into one file system.
type seeing struct {
	viewing    `embed:""`
	filesystem `embed:""`
	OriginSide bool `help:"Take the files of the origin, as they are now."`
	Recursive  bool `short:"r" help:"Also what is in directories."`
}

func (s seeing) check() error {
	if s.Uncertain == "-" {
		return errors.New("--uncertain needs a file: standard output has something else")
	}
	if err := s.filesystem.check(); err != nil {
		return err
	}
	return s.viewing.check()
}

// open opens the file system.
func (s seeing) open(a *app) (*snapshot.Tree, error) {
	list, err := a.uncertainList(s.viewing)
	if err != nil {
		return nil, err
	}
	t, err := a.begin(s.volumes, "").Tree(snapshot.TreeRequest{ViewRequest: s.view(), Partition: s.Partition, OriginSide: s.OriginSide})
	if err != nil {
		return nil, err
	}
	if err := writeUncertain(list, t.Source()); err != nil {
		t.Close()
		return nil, err
	}
	a.tell()
	return t, nil
}

type lsCmd struct {
	seeing `embed:""`
	Path   pathname `arg:"" optional:"" help:"Directory to list, or file. Default: the root directory."`
	Output string   `short:"o" default:"human" enum:"human,csv,json" help:"Output format: human, csv or json."`
}

// Validate tells wrong use that single flags do not show.
func (c *lsCmd) Validate() error { return c.seeing.check() }

// lister writes files.
type lister interface {
	Add(path string, a fs.Attr, target string) error
	Close() error
}

func (c *lsCmd) Run(a *app) error {
	t, err := c.open(a)
	if err != nil {
		return err
	}
	defer t.Close()
	var l lister
	use := func(e snapshot.Entry) error {
		if l == nil {
			l = c.lister(a, t)
		}
		return l.Add(e.Path, e.Attr, e.Target)
	}
	err = t.Entries(string(c.Path), c.Recursive, use, a.fail)
	if err == nil && l == nil {
		l = c.lister(a, t)
	}
	if l != nil {
		err = errors.Join(err, l.Close())
	}
	if err != nil {
		return err
	}
	return t.CheckQuiet()
}

func (c *lsCmd) lister(a *app, t *snapshot.Tree) lister {
	if c.Output == "human" {
		return show.NewListing(a.text())
	}
	return dump.NewListing(a.stdout, c.Output == "csv", t.Name, t.FS.Info().Type)
}
