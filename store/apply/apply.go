package apply

import (
	"errors"
	"io"

	"dmcow/format"
	"dmcow/internal/ahead"
	"dmcow/store/delta"
	"dmcow/store/undo"
)

// Reader is a target that is only looked at.
type Reader interface {
	io.ReaderAt
	Size() int64 // in bytes
	// ReadMany reads p[i] from offset at[i], in bytes, for each i. Where some
	// cannot be read whole, it returns the index of the first of them, and why.
	ReadMany(p [][]byte, at []int64) (failed int, err error)
}

// Target is the device that is written.
type Target interface {
	Reader
	// WriteMany writes p[i] to offset at[i], as ReadMany reads.
	WriteMany(p [][]byte, at []int64) (failed int, err error)
	// Sync makes durable what was written.
	Sync() error
}

// Options say how a stream is applied.
type Options struct {
	Full  bool // whatever the stream does not name is zero
	Force bool // write also where the target does not hold what it must
	Blind bool // the stream does not say what the target must hold

	// Undo is given what is overwritten, before; may be nil.
	Undo *undo.Log
	// Explain says of stretches of the target which of them an undo log explains as torn ([undo.Explain]). It may be nil.
	Explain func([]undo.Stretch) ([]bool, error)
	// Before, where set, is told what is going to be overwritten, before it is.
	Before func([]undo.Change) error
	// NextData is the next stretch of the target, from offset on, that is not a hole; nil where it has none.
	NextData func(offset int64) (start, end int64, err error)
	// Done, where set, is told now and then of how many more bytes of the stream's data have been dealt with.
	Done func(format.Bytes)
	// Pause, where set, is called between windows. Its error ends the work.
	Pause func() error
}

// Result is what was done, or would be. Pieces are a delta's chunks.
type Result struct {
	Pieces  uint64       // dealt with
	Held    uint64       // held already what the stream puts there
	Written uint64       // the others
	Torn    uint64       // among those
	Foreign uint64       // among those
	Bytes   format.Bytes // written
	Cleared format.Bytes // made zero, where a full delta has nothing
	// Upto is how far the target is what it is to be.
	Upto format.Bytes
}

// Changed reports whether the target was written to.
func (r Result) Changed() bool { return r.Written > 0 || r.Cleared > 0 }

const (
	windows = 3 // that are on their way
	workers = 2
)

type applier struct {
	Options
	source Source
	reader Reader
	target Target // nil to look
	turn   <-chan struct{}
	quit   chan struct{}
	ended  error // why nothing more can be read; for whose turn it is
	result Result
}

// Look finds out what Run would do, and whether it would end well. The error is as Run's.
func Look(source Source, target Reader, o Options) (Result, error) {
	a := &applier{Options: o, source: source, reader: target}
	err := a.each()
	return a.result, err
}

// Run applies a stream. Whatever the error, what the result tells of was written, and is durable but for a [*SyncError].
//
// The error is the source's, a [*ForeignError], a [*TransferError], a [*SyncError], an [*UndoError], or one of Before,
// Explain or Pause.
func Run(source Source, target Target, o Options) (Result, error) {
	a := &applier{Options: o, source: source, reader: target, target: target}
	err := a.each()
	if err != nil && !a.result.Changed() {
		return a.result, err
	}
	// What a run that was killed has written is made durable, too, where this one finds it done.
	if failed := target.Sync(); failed != nil {
		return a.result, errors.Join(err, &SyncError{failed})
	}
	return a.result, err
}

func (a *applier) each() error {
	jobs := make([]*window, windows)
	for i := range jobs {
		jobs[i] = &window{summer: delta.NewSummer()}
		defer jobs[i].Free()
	}
	first := make(chan struct{})
	close(first)
	a.turn, a.quit = first, make(chan struct{})
	line := ahead.New(workers, a.work, jobs...)
	defer line.Close()
	defer close(a.quit)
	for {
		line.Fill(windows, a.queue)
		w := line.Take()
		if w.err == io.EOF {
			return a.end()
		}
		if w.err != nil {
			return w.err
		}
		a.source.Add(&w.Window)
		if err := a.use(w); err != nil {
			return err
		}
	}
}

// queue has a window be read when the one before was.
func (a *applier) queue(w *window) bool {
	w.turn, w.read = a.turn, make(chan struct{})
	a.turn = w.read
	return true
}

// work reads a window, in its turn, and compares it, beside others.
func (a *applier) work(w *window) {
	select {
	case <-w.turn:
	case <-a.quit: // and nobody takes it
		return
	}
	if a.ended == nil {
		a.ended = a.source.Next(&w.Window)
	}
	w.err = a.ended
	close(w.read)
	if w.err == nil {
		w.err = a.source.Check(&w.Window)
	}
	if w.err == nil {
		w.err = a.compare(w)
	}
}

// end sees to what comes behind the last window.
func (a *applier) end() error {
	if err := a.source.End(); err != nil {
		return err
	}
	return a.clear(format.Bytes(a.reader.Size()) / format.SectorSize * format.SectorSize)
}

// use writes of a window what is due.
func (a *applier) use(w *window) error {
	if err := a.judge(w); err != nil {
		return err
	}
	if err := a.clearBetween(w); err != nil {
		return err
	}
	if err := a.write(w); err != nil {
		return err
	}
	a.count(w)
	if a.Pause != nil {
		return a.Pause()
	}
	return nil
}

// write writes what is due, when it is kept wherever it has to be.
func (a *applier) write(w *window) error {
	changes := w.due()
	if a.target == nil || len(changes) == 0 {
		return nil
	}
	if err := a.keep(changes); err != nil {
		return err
	}
	bufs, offsets := make([][]byte, len(changes)), make([]int64, len(changes))
	for i, c := range changes {
		bufs[i], offsets[i] = c.Data, int64(c.Offset)
	}
	if failed, err := a.target.WriteMany(bufs, offsets); err != nil {
		a.result.Written++ // some of it may be there
		return &TransferError{Write: true, Offset: format.Bytes(offsets[failed]), Err: err}
	}
	return nil
}

// keep has others keep what is going to be overwritten.
func (a *applier) keep(changes []undo.Change) error {
	if a.Before != nil {
		if err := a.Before(changes); err != nil {
			return err
		}
	}
	if a.Undo != nil {
		if err := a.Undo.Capture(changes...); err != nil {
			return &UndoError{err}
		}
	}
	return nil
}

func (a *applier) count(w *window) {
	bytes := format.Bytes(0)
	for i := range w.Pieces {
		p := &w.Pieces[i]
		a.result.Pieces++
		a.result.Upto = max(a.result.Upto, p.end())
		bytes += p.length()
		switch s := w.states[i]; {
		case s == held:
			a.result.Held++
			continue
		case s == torn:
			a.result.Torn++
		case s == foreign:
			a.result.Foreign++
		}
		a.result.Written++
		a.result.Bytes += p.length()
	}
	if a.Done != nil {
		a.Done(bytes)
	}
}
