package fs

import (
	"iter"
	"strings"

	"dmcow/internal/bitmap"
)

// Step is what Walk comes past.
type Step struct {
	Dir  Ino    // the directory that has the entry
	Path string // from the directory on in which the walk began, without a slash before it
	Entry
}

// Walk goes through all that is in and below a directory. What one directory has comes together, before what lies
// below. Each directory is read once, whatever leads to it. Errors are in between.
func Walk(f FileSystem, from Ino) iter.Seq2[Step, error] {
	return func(yield func(Step, error) bool) {
		type place struct {
			ino  Ino
			path string
		}
		var seen bitmap.Paged
		seen.Add(uint64(from), 1)
		for rest := []place{{from, ""}}; len(rest) > 0; {
			dir := rest[len(rest)-1]
			rest = rest[:len(rest)-1]
			for e, err := range entries(f, dir.ino) {
				step := Step{dir.ino, dir.path + e.Name, e}
				if !yield(step, err) {
					return
				}
				if err == nil && e.Type == TypeDirectory && !seen.Has(uint64(e.Ino)) {
					seen.Add(uint64(e.Ino), 1)
					rest = append(rest, place{e.Ino, step.Path + "/"})
				}
			}
		}
	}
}

// entries are those of a directory, all with their type as far as it can be known.
func entries(f FileSystem, dir Ino) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		d, err := f.Inode(dir)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for e, err := range d.Entries() {
			if err == nil && e.Type == TypeUnknown {
				if i, err := f.Inode(e.Ino); err == nil {
					e.Type = i.Attr().Type
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Lookup finds a name in a directory. The error is ErrNotExist, ErrNotDirectory, or the first one of reading the directory,
// if the name was not found.
func Lookup(f FileSystem, dir Ino, name string) (Entry, error) {
	d, err := f.Inode(dir)
	if err != nil {
		return Entry{}, err
	}
	var first error
	for e, err := range d.Entries() {
		switch {
		case err == nil && e.Name == name:
			return e, nil
		case err != nil && first == nil:
			first = err
		}
	}
	if first == nil {
		first = ErrNotExist
	}
	return Entry{}, first
}

// maxLinks is how many symbolic links may lead on, as in path_resolution(7).
const maxLinks = 40

// Resolve finds an inode by its path from the root on. Symbolic links lead on within the file system, as if it were
// mounted on "/"; one that the path ends with does so if follow is set.
func Resolve(f FileSystem, path string, follow bool) (Inode, error) {
	at := []Ino{f.Root()} // the directories on the way
	rest := strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = at[:max(len(at)-1, 1)]
			continue
		}
		e, err := Lookup(f, at[len(at)-1], name)
		if err != nil {
			return nil, err
		}
		i, err := f.Inode(e.Ino)
		if err != nil {
			return nil, err
		}
		last := len(rest) == 0 // what ends with a slash leads on, too
		if i.Attr().Type != TypeSymlink || last && !follow {
			at = append(at, e.Ino)
			continue
		}
		target, err := i.Target()
		if links++; err == nil && links > maxLinks {
			err = ErrLinks
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(target, "/") {
			at = at[:1]
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return f.Inode(at[len(at)-1])
}
