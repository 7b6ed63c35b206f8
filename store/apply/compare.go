package apply

import (
	"bytes"
	"slices"

	"dmcow/format"
	"dmcow/internal/memory"
	"dmcow/internal/raw"
	"dmcow/store/delta"
	"dmcow/store/undo"
)

// window is a window, and what the target holds in its place.
type window struct {
	Window
	err    error
	now    []byte // what the target holds, piece after piece
	states []state
	which  []int // pieces to look at once more

	summer *delta.Summer
	turn   <-chan struct{} // the window before was read
	read   chan struct{}   // this one was
}

// state is what the target holds of a piece.
type state int

const (
	held    state = iota // what is put there
	due                  // what is replaced
	torn                 // some of both
	foreign              // something else
)

// compare finds out what the target holds. What only an undo log can tell is foreign.
func (a *applier) compare(w *window) error {
	w.states = w.states[:0]
	if a.Blind { // and what a window before may yet write is not to be compared with
		w.states = append(w.states, slices.Repeat([]state{due}, len(w.Pieces))...)
		return nil
	}
	if err := a.readTarget(w); err != nil {
		return err
	}
	witness := false
	for i, now := range w.held() {
		p, s := &w.Pieces[i], due
		switch {
		case bytes.Equal(now, p.Data):
			s = held
			witness = witness || p.Before != p.After
		case w.summer.Sum(p.Old, now).Digest() != p.Before:
			s = foreign
		}
		w.states = append(w.states, s)
	}
	for i, now := range w.held() {
		if w.states[i] == foreign && witness && sameSectors(now, w.Pieces[i].Data) > 0 {
			w.states[i] = torn
		}
	}
	return nil
}

// held yields what the target holds in the place of each piece.
func (w *window) held() func(yield func(int, []byte) bool) {
	return func(yield func(int, []byte) bool) {
		at := 0
		for i := range w.Pieces {
			n := len(w.Pieces[i].Data)
			if !yield(i, w.now[at:at+n]) {
				return
			}
			at += n
		}
	}
}

// readTarget reads the target, in stretches as large as they come.
func (a *applier) readTarget(w *window) error {
	size := 0
	for i := range w.Pieces {
		size += len(w.Pieces[i].Data)
	}
	if len(w.now) < size {
		w.now = w.Memory(raw.RoundUp(size, memory.Alignment)) // the first windows are the largest
	}
	var bufs [][]byte
	var offsets []int64
	start := 0 // of the stretch
	for i := range w.Pieces {
		p := &w.Pieces[i]
		if i == 0 || w.Pieces[i-1].end() != p.Offset {
			bufs, offsets = append(bufs, w.now[start:start]), append(offsets, int64(p.Offset))
		}
		last := &bufs[len(bufs)-1]
		*last = (*last)[:len(*last)+len(p.Data)]
		start += len(p.Data)
	}
	if failed, err := a.reader.ReadMany(bufs, offsets); err != nil {
		return &TransferError{Offset: format.Bytes(offsets[failed]), Err: err}
	}
	return nil
}

// sameSectors is how many sectors of both are equal.
func sameSectors(a, b []byte) (n format.Sectors) {
	for at := 0; at+format.SectorSize <= len(a); at += format.SectorSize {
		if bytes.Equal(a[at:at+format.SectorSize], b[at:at+format.SectorSize]) {
			n++
		}
	}
	return n
}

// judge refuses a window of which the target holds something foreign, also by the undo log.
func (a *applier) judge(w *window) error {
	if a.Blind {
		return nil
	}
	var unknown []undo.Stretch
	w.which = w.which[:0]
	for i, now := range w.held() {
		if w.states[i] == foreign {
			unknown = append(unknown, undo.Stretch{Offset: w.Pieces[i].Offset, Now: now, New: w.Pieces[i].Data})
			w.which = append(w.which, i)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if a.Explain != nil {
		explained, err := a.Explain(unknown)
		if err != nil {
			return &UndoError{err}
		}
		for n, i := range w.which {
			if explained[n] {
				w.states[i] = torn
			}
		}
	}
	for n, i := range w.which {
		if p := &w.Pieces[i]; w.states[i] == foreign && !a.Force {
			return &ForeignError{Offset: p.Offset, Length: p.length(), Same: sameSectors(unknown[n].Now, p.Data)}
		}
	}
	return nil
}

// due are the changes that a window makes.
func (w *window) due() (all []undo.Change) {
	for i := range w.Pieces {
		if p := &w.Pieces[i]; w.states[i] != held {
			all = append(all, undo.Change{Offset: p.Offset, Data: p.Data})
		}
	}
	return all
}
