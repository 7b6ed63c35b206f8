package cmd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dmcow/dump"
	"dmcow/fs"
	"dmcow/internal/extract"
	"dmcow/internal/show"
	"dmcow/internal/words"
	"dmcow/snapshot"
)

type getCmd struct {
	seeing `embed:""`
	result `embed:""`
	Paths  []pathname `arg:"" name:"path" help:"Files to copy, and last where to: a directory, a new name, or - for standard output. Default: the current directory."`
	Force  bool       `help:"Replace files that exist."`
}

// Validate tells wrong use that single flags do not show.
func (c *getCmd) Validate() error {
	from, to := c.names()
	switch {
	case to == "-" && (len(from) > 1 || c.Recursive):
		return errors.New("standard output takes the content of one file")
	case to == "-" && c.isJSON():
		return errors.New("--output json needs a directory for the files: standard output has their content")
	}
	return c.seeing.check()
}

// names are the files to copy, and where to.
func (c *getCmd) names() (from []string, to string) {
	for _, p := range c.Paths {
		from = append(from, string(p))
	}
	if last := len(from) - 1; last > 0 {
		return from[:last], from[last]
	}
	return from, "."
}

func (c *getCmd) Run(a *app) error {
	from, to := c.names()
	if c.Force && to != "-" {
		if err := a.ask(to, "replace files that exist there?"); err != nil {
			return err
		}
	}
	t, err := c.open(a)
	if err != nil {
		return err
	}
	defer t.Close()
	if to == "-" {
		err = c.print(a, t, from[0])
	} else {
		err = c.copy(a, t, from, to)
	}
	if err != nil {
		return err
	}
	return t.CheckQuiet()
}

// print writes the content of a file to standard output.
func (c *getCmd) print(a *app, t *snapshot.Tree, name string) error {
	i, err := t.Find(name, true)
	if err != nil {
		return err
	}
	if err := t.CheckApart(a.stream()); err != nil {
		return err
	}
	switch i.Attr().Type {
	case fs.TypeFile:
		return t.FailedAt(name, extract.WriteTo(a.stdout, i, a.interruption))
	case fs.TypeDirectory:
		return t.FailedAt(name, errors.New("is a directory: standard output takes the content of one file"))
	}
	return t.FailedAt(name, fs.ErrNotFile)
}

// copy copies files to a directory, or one to a new name.
func (c *getCmd) copy(a *app, t *snapshot.Tree, from []string, to string) error {
	info, err := os.Stat(to)
	isDir := err == nil && info.IsDir()
	if !isDir && (len(from) > 1 || strings.HasSuffix(to, "/")) {
		return unable(to, errors.New("is not a directory that exists"))
	}
	dir := to
	if !isDir {
		dir = filepath.Dir(to)
	}
	x, err := extract.Into(dir, extract.Options{
		FS: t.FS, Recursive: c.Recursive, Force: c.Force, Root: os.Geteuid() == 0, Keep: t.Keep, Interrupted: a.interruption,
		Failed: func(path string, err error) error { return c.failed(a, t, to, path, err) },
	})
	if err != nil {
		return unable(dir, err)
	}
	defer x.Close()
	for _, name := range from {
		i, err := t.Find(name, strings.HasSuffix(name, "/"))
		if err != nil {
			if len(from) == 1 {
				return err
			}
			a.fail(err)
			continue
		}
		name = filepath.Clean("/" + name)
		switch base := filepath.Base(name); {
		case name != "/" && isDir:
			err = x.Copy(i, name, base)
		case !isDir:
			err = x.Copy(i, name, filepath.Base(to))
		default:
			err = x.CopyContent(i, name)
		}
		if err != nil {
			return t.Failed(err)
		}
	}
	if err := x.Sync(); err != nil {
		return unable(dir, err)
	}
	return c.told(a, t, x.Tally, to)
}

// failed tells what could not be copied. The others are.
func (c *getCmd) failed(a *app, t *snapshot.Tree, to, path string, err error) error {
	switch {
	case errors.Is(err, extract.ErrRoot):
		a.say(t.Name, "%s: not copied: %v", words.Printable(path), err)
	case errors.As(err, new(*extract.DestinationError)):
		err = fmt.Errorf("%s: %w", words.Printable(path), err)
		if errors.Is(err, extract.ErrExists) {
			err = words.Hint(err, "--force to replace it")
		}
		a.fail(unable(to, err))
	case errors.Is(err, extract.ErrDirectory):
		a.fail(unable(t.Name, words.Hint(fmt.Errorf("%s: %w", words.Printable(path), err), "-r")))
	default:
		a.fail(t.FailedAt(path, err))
	}
	return nil
}

func (c *getCmd) told(a *app, t *snapshot.Tree, y extract.Tally, to string) error {
	if y.Skipped > 0 {
		a.say(to, "%s could not be set; the first is %v", words.Count(y.Skipped, "extended attribute"), y.Why)
	}
	if c.isJSON() {
		return dump.ResultJSON(a.stdout, dump.Got{
			Device: t.Name, Type: t.FS.Info().Type, Destination: to, Files: y.Files, Directories: y.Directories, Symlinks: y.Symlinks,
			Specials: y.Specials, Links: y.Links, Bytes: uint64(y.Bytes), Skipped: y.Skipped,
		})
	}
	a.say(to, "%s", show.Got(y.Files+y.Links+y.Symlinks+y.Specials, y.Directories, y.Bytes))
	return nil
}
