package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"

	"dmcow/fs"
	"dmcow/internal/words"
)

// Entry is a file of a tree.
type Entry struct {
	Path   string // with a slash before it
	Attr   fs.Attr
	Target string // where a symbolic link leads
}

// Find finds a file by its path. What is a link on the way is followed, and the file itself if follow is set. The error is a
// [*Refusal].
func (t *Tree) Find(name string, follow bool) (fs.Inode, error) {
	i, err := fs.Resolve(t.FS, name, follow)
	if err != nil {
		return nil, t.FailedAt(name, err)
	}
	return i, nil
}

// FailedAt makes a refusal of an error about a file of the tree.
func (t *Tree) FailedAt(name string, err error) error {
	var r *Refusal
	if !errors.As(t.Failed(err), &r) || r.Code == Interrupted {
		return t.Failed(err)
	}
	at := *r
	at.Err = fmt.Errorf("%s: %w", words.Printable(name), err)
	return &at
}

// Entries calls use with what is in a directory, by their names, or with recursive also below it; a file is its own entry.
// What cannot be read is told to failed, and costs no more than itself. The error is a [*Refusal], or one of use or failed.
func (t *Tree) Entries(name string, recursive bool, use func(Entry) error, failed func(error)) error {
	i, err := t.Find(name, true)
	if err != nil {
		return err
	}
	l := lister{t, use, failed, map[fs.Ino]bool{}}
	name = path.Clean("/" + name)
	if a := i.Attr(); a.Type != fs.TypeDirectory {
		return use(Entry{Path: name, Attr: a})
	}
	rest := []spot{{i.Attr().Ino, name}}
	for len(rest) > 0 {
		d := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		below, err := l.directory(d)
		if err != nil {
			return err
		}
		if recursive {
			slices.Reverse(below)
			rest = append(rest, below...)
		}
	}
	return nil
}

type lister struct {
	tree   *Tree
	use    func(Entry) error
	failed func(error)
	seen   map[fs.Ino]bool
}

type spot struct {
	ino  fs.Ino
	path string
}

// directory lists one, and returns the directories in it that were not listed yet.
func (l *lister) directory(d spot) (below []spot, err error) {
	l.seen[d.ino] = true
	entries, err := l.read(d)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := l.tree.session.options.Interrupted(); err != nil {
			return nil, l.tree.Failed(err)
		}
		at := path.Join(d.path, e.Name)
		i, err := l.tree.FS.Inode(e.Ino)
		if err != nil {
			if err = l.tree.FailedAt(at, err); wasInterrupted(err) {
				return nil, err
			}
			l.failed(err)
			continue
		}
		x := Entry{Path: at, Attr: i.Attr()}
		if x.Attr.Type == fs.TypeSymlink {
			if x.Target, err = i.Target(); err != nil {
				l.failed(l.tree.FailedAt(at, err))
			}
		}
		if err := l.use(x); err != nil {
			return nil, err
		}
		if x.Attr.Type == fs.TypeDirectory && !l.seen[e.Ino] {
			l.seen[e.Ino] = true
			below = append(below, spot{e.Ino, at})
		}
	}
	return below, nil
}

// read is what is in a directory, by their names.
func (l *lister) read(d spot) (all []fs.Entry, err error) {
	i, err := l.tree.FS.Inode(d.ino)
	if err != nil {
		return nil, l.tree.FailedAt(d.path, err)
	}
	for e, err := range i.Entries() {
		if err == nil {
			all = append(all, e)
			continue
		}
		if err = l.tree.FailedAt(d.path, err); wasInterrupted(err) {
			return nil, err
		}
		l.failed(err)
	}
	slices.SortFunc(all, func(a, b fs.Entry) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func wasInterrupted(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Code == Interrupted
}
