package snapshot

import (
	"fmt"
	"time"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/internal/inuse"
	"dmcow/internal/volume"
)

// Options say where a session looks, and who is told how far it has come.
type Options struct {
	// Where has the physical volumes, disks or images on which volumes of LVM are looked for, directories that
	// have some, or patterns of their names; all block devices of the machine if it is empty.
	Where []string
	// Usual says that Where holds for all runs, and was not named for this one: a name that a file has is a file's.
	Usual bool
	// Host is the system ID of another host, whose volume groups are written to, too.
	Host string
	// Pieces are a COW device in several pieces, none if All is empty. All requests of the session that name it mean it.
	Pieces Pieces
	// Patience is how long a lock of LVM's is waited for.
	Patience time.Duration
	// Watch begins a stretch of work: what it is about, what is counted, and how many there are at
	// most. It may be nil.
	Watch func(device string, unit Unit, most uint64) Watcher
	// Interrupted is asked now and then where nothing is counted, and ends the work with its error,
	// [ErrInterrupted]. It may be nil.
	Interrupted func() error
}

// Unit is what is counted of work.
type Unit string

// The units.
const (
	Areas  Unit = "area"
	Bytes  Unit = "byte"
	Chunks Unit = "chunk"
	Steps  Unit = "step"
)

// Watcher is told how far a stretch of work has come.
type Watcher interface {
	Visit(done uint64) error // its error, [ErrInterrupted], ends the work
	Ending()                 // Visit's error was heard, and the batch comes to its end first
	End()                    // may be called more than once
}

// Session is a look at a machine. What a name stands for is found out once, so that it is the same
// device throughout; what LVM has is looked at once. It is not for several goroutines.
type Session struct {
	options Options
	sight   *volume.Sight
	unseen  error // why it is not all
	notes   []Note
	opened  []*device.Device // what pieces are on
	showing *inuse.Showing   // when an inventory was made; else nil
	host    *volume.Host     // LVM's configuration, where it was asked for
	silent  error            // why dmeventd is not asked again
}

// Open begins a session.
func Open(o Options) *Session {
	if o.Interrupted == nil {
		o.Interrupted = func() error { return nil }
	}
	return &Session{options: o}
}

// Close gives back locks, and closes what is kept on volumes of LVM.
func (s *Session) Close() {
	if s.sight != nil {
		s.sight.Close()
		s.sight = nil
	}
	for _, d := range s.opened {
		d.Close()
	}
	s.opened = nil
}

// Note is something that a user should know of a device.
type Note struct {
	Device string
	Text   string
	Code   Code // other than [Fine] where it bears on how the work ends
	Detail bool // only who wants to know everything is told
	// Remedies are what can be done about it.
	Remedies []Remedy
}

// Notes are the notes since they were asked for last.
func (s *Session) Notes() []Note {
	all := s.notes
	s.notes = nil
	return all
}

func (s *Session) note(device string, code Code, format string, args ...any) {
	s.notes = append(s.notes, Note{Device: device, Text: fmt.Sprintf(format, args...), Code: code})
}

func (s *Session) detail(device, format string, args ...any) {
	s.notes = append(s.notes, Note{Device: device, Text: fmt.Sprintf(format, args...), Detail: true})
}

func (s *Session) watch(device string, unit Unit, most uint64) *stretch {
	w := &stretch{Watcher: nobody{}}
	if s.options.Watch != nil {
		if by := s.options.Watch(device, unit, most); by != nil {
			w.Watcher = by
		}
	}
	return w
}

// walking watches a walk through a store's metadata. How long the list is shows only at its end.
func (s *Session) walking(c *COW) *stretch {
	return s.watch(c.Text, Areas, c.Areas())
}

type nobody struct{}

func (nobody) Visit(uint64) error { return nil }
func (nobody) Ending()            {}
func (nobody) End()               {}

// stretch is a stretch of work.
type stretch struct {
	Watcher
	done uint64
}

func (w *stretch) visit(done uint64) error {
	w.done = done
	return w.Visit(done)
}

func (w *stretch) area(k format.AreaIndex) error { return w.visit(uint64(k)) }
func (w *stretch) bytes(b format.Bytes) error    { return w.visit(uint64(b)) }

// between is visit for work that ends between batches alone: copied is told how much more is done,
// and pause, between two batches, says whether to go on.
func (w *stretch) between() (copied func(format.Bytes), pause func() error) {
	var ended error
	copied = func(n format.Bytes) {
		if err := w.visit(w.done + uint64(n)); err != nil && ended == nil {
			ended = err
			w.End()
			w.Ending()
		}
	}
	return copied, func() error {
		if ended != nil {
			return ended
		}
		return w.visit(w.done)
	}
}
