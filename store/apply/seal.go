package apply

import (
	"bytes"

	"dmcow/format"
	"dmcow/store/undo"
)

// seal is the piece that is written last, when all else is durable: the first one that differs from what it replaces.
type seal struct {
	found bool
	set   bool          // the target had it before: an earlier run came to its end
	last  []undo.Change // what is yet to be written; empty where nothing is
}

// findSeal looks for the seal in the windows as they come, and takes as foreign what a witness has shown to be torn where
// it shows nothing: in a target that has the seal everything was durable once, and of the seal there is no telling.
// It returns the seal's place in the window, or -1.
func (a *applier) findSeal(w *window) int {
	at := -1
	for i := range w.Pieces {
		if p := &w.Pieces[i]; !a.seal.found && p.Before != p.After {
			a.seal.found, a.seal.set, at = true, w.states[i] == held, i
		}
	}
	for i := range w.states {
		if w.states[i] == torn && (a.seal.set || i == at) {
			w.states[i] = foreign
		}
	}
	return at
}

// keepSeal keeps the seal for the end, if it is due.
func (a *applier) keepSeal(w *window) {
	if a.target == nil || w.seal < 0 || w.states[w.seal] == held {
		w.seal = -1
		return
	}
	p := &w.Pieces[w.seal]
	a.seal.last = []undo.Change{{Offset: p.Offset, Data: bytes.Clone(p.Data)}}
	a.result.Pending, a.result.Last = true, p.Offset
}

// writeSeal makes all else durable, and writes the seal.
func (a *applier) writeSeal() error {
	if len(a.seal.last) == 0 {
		return nil
	}
	if err := a.target.Sync(); err != nil {
		return &SyncError{err}
	}
	if err := a.writeChanges(a.seal.last); err != nil {
		return err
	}
	a.result.Written++
	a.result.Bytes += format.Bytes(len(a.seal.last[0].Data))
	a.result.Pending, a.result.Last = false, 0
	return nil
}
