package fs

import (
	"fmt"
	"iter"

	"dmcow/internal/bitmap"
)

// Link is a name of an inode.
type Link struct {
	Ino    Ino
	Parent Ino // the directory that has it
	Name   string
}

// Names finds the names of inodes. wanted says of each how many it has ([Attr].Links; one for a directory), and counts down
// as they are found: Names ends early if none is left. The likely directories are read first, then the tree from its root on.
// Errors are those of directories; what they hold is not found.
func Names(f FileSystem, wanted map[Ino]uint32, likely iter.Seq[Ino]) iter.Seq2[Link, error] {
	return func(yield func(Link, error) bool) {
		s := search{f: f, wanted: wanted, yield: yield}
		for dir := range likely {
			if !s.read(dir) {
				return
			}
		}
		s.queued.Add(uint64(f.Root()), 1)
		s.next = append(s.next, f.Root())
		for n := 0; n < len(s.next); n++ {
			if !s.read(s.next[n]) {
				return
			}
			if n > 1024 && n > len(s.next)/2 { // what was read is not kept
				s.next, n = append([]Ino(nil), s.next[n+1:]...), -1
			}
		}
	}
}

type search struct {
	f      FileSystem
	wanted map[Ino]uint32
	yield  func(Link, error) bool
	done   bitmap.Paged // directories that were read
	queued bitmap.Paged
	next   []Ino
}

// read reports whether to go on.
func (s *search) read(dir Ino) bool {
	if len(s.wanted) == 0 {
		return false
	}
	if s.done.Has(uint64(dir)) { // as a likely one; what lies below it is queued
		return true
	}
	s.done.Add(uint64(dir), 1)
	d, err := s.f.Inode(dir)
	if err != nil {
		return s.yield(Link{Ino: dir}, err)
	}
	for e, err := range d.Entries() {
		if err != nil {
			if !s.yield(Link{Parent: dir}, err) {
				return false
			}
			continue
		}
		if !s.queued.Has(uint64(e.Ino)) && s.isDirectory(e) {
			s.queued.Add(uint64(e.Ino), 1)
			s.next = append(s.next, e.Ino)
		}
		if !s.found(Link{e.Ino, dir, e.Name}) {
			return false
		}
	}
	return true
}

func (s *search) isDirectory(e Entry) bool {
	if e.Type != TypeUnknown {
		return e.Type == TypeDirectory
	}
	i, err := s.f.Inode(e.Ino)
	return err == nil && i.Attr().Type == TypeDirectory
}

func (s *search) found(l Link) bool {
	left, ok := s.wanted[l.Ino]
	if !ok {
		return true
	}
	if left > 1 {
		s.wanted[l.Ino] = left - 1
	} else {
		delete(s.wanted, l.Ino)
	}
	return s.yield(l, nil) && len(s.wanted) > 0
}

// Paths are the paths of directories. It keeps what it has found: the names of all directories that lie in one that it
// had to read. It is for one goroutine at a time.
type Paths struct {
	f     FileSystem
	names map[Ino]Link
	read  map[Ino]error
}

// NewPaths knows the root alone.
func NewPaths(f FileSystem) *Paths {
	return &Paths{f, map[Ino]Link{}, map[Ino]error{}}
}

// Path is the path of a directory: "/" for the root, else with a slash before it and none behind. The error is
// ErrNotDirectory, a [*DamageError] also for a directory that its parent does not have, or one of reading.
func (p *Paths) Path(dir Ino) (string, error) {
	path := ""
	seen := map[Ino]bool{}
	for dir != p.f.Root() {
		if seen[dir] {
			return "", &DamageError{What: fmt.Sprintf("directory %d", dir), At: p.place(dir), Why: `".." leads back to it`}
		}
		seen[dir] = true
		l, err := p.link(dir)
		if err != nil {
			return "", err
		}
		path = "/" + l.Name + path
		dir = l.Parent
	}
	if path == "" {
		path = "/"
	}
	return path, nil
}

func (p *Paths) place(i Ino) int64 {
	slot, err := p.f.Slot(i)
	if err != nil {
		return -1
	}
	return slot.Start
}

// link is the name of a directory in its parent.
func (p *Paths) link(dir Ino) (Link, error) {
	if l, ok := p.names[dir]; ok {
		return l, nil
	}
	d, err := p.f.Inode(dir)
	if err != nil {
		return Link{}, err
	}
	parent, err := d.Parent()
	if err != nil {
		return Link{}, err
	}
	if _, done := p.read[parent]; !done {
		p.read[parent] = p.readNames(parent)
	}
	if l, ok := p.names[dir]; ok && l.Parent == parent {
		return l, nil
	}
	if err := p.read[parent]; err != nil {
		return Link{}, err
	}
	return Link{}, &DamageError{What: fmt.Sprintf("directory %d", parent), At: p.place(parent), Why: fmt.Sprintf("it does not have directory %d, whose \"..\" it is", dir)}
}

// readNames keeps the names of the directories in a directory. The error is the first one.
func (p *Paths) readNames(dir Ino) (first error) {
	for e, err := range entries(p.f, dir) {
		switch {
		case err == nil && e.Type == TypeDirectory:
			p.names[e.Ino] = Link{e.Ino, dir, e.Name}
		case err != nil && first == nil:
			first = err
		}
	}
	return first
}
