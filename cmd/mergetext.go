package cmd

import (
	"errors"
	"fmt"
	"io"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/record"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
	"dmcow/store/merge"
)

// merging is the flags of the commands that merge.
type merging struct {
	COW     path     `arg:"" help:"COW device, an image of it, VG/LV (an LVM snapshot), or an undo log."`
	Into    path     `placeholder:"ORIGIN" help:"The snapshot's origin, or an image of it, to write to. Not needed for VG/LV."`
	Undo    path     `placeholder:"FILE" help:"Save what is overwritten in FILE, an undo log: dmcow merge FILE --into ORIGIN undoes the merge."`
	Force   bool     `help:"Skip these checks: the undo log does not match the device; the origin starts with a COW header, or would; the origin loses a partition table or a label; the origin's size is not the one on record; the store has exceptions past the end of the origin."`
	Lose    []string `name:"lose-snapshot" sep:"none" placeholder:"NAME" help:"Give up this other snapshot of the origin (both are logical volumes): mark it invalid. Can be repeated."`
	writing `embed:""`
}

// mergeRequest is the merge that the flags ask for.
func (m *merging) mergeRequest() snapshot.MergeRequest {
	return snapshot.MergeRequest{Request: m.request(m.COW), Into: string(m.Into), Undo: string(m.Undo), Force: m.Force, Lost: m.Lose, DryRun: m.DryRun}
}

// check says which flag is missing.
func (m *merging) check() error {
	if m.Into == "" && !m.COW.isVolume() {
		return errors.New("missing --into (only VG/LV needs none)")
	}
	return nil
}

// mergeText is a merge in words.
type mergeText struct {
	app   *app
	flags *merging
	merge *snapshot.Merge
	keeps bool // the list is left as it is
}

// emptyStore is what is to be said where there is nothing to merge.
const emptyStore = "the store is empty: nothing to merge"

// ask says what will be written to what, and what that means for others, and asks. What is said of
// what the origin bears stands in the question, unless nobody is asked.
func (t *mergeText) ask(what string) error {
	m, cow, into := t.merge, words.Printable(t.merge.COW.Text), t.merge.Origin.Text
	t.tellRest()
	if bears := t.bears(); bears != "" && t.app.flags.Yes {
		t.app.say(into, "%s", bears)
	}
	others := "Other snapshots of this origin, which dmcow cannot see from here, lose what they kept"
	if x, ok := m.Origin.Device.Target(); ok && x.Type == "snapshot-origin" {
		others = "Its other snapshots keep their data if they are active, as with any write to this device, and else lose it"
	}
	switch {
	case m.IsUndo:
		t.app.say(into, "%s will be what it was before the change that %s recorded", what, cow)
	case m.Seen:
		t.app.say(into, "%s will be replaced by the data of the snapshot %s; the file system gets its old UUID back", what, cow)
	default:
		t.app.say(into, "%s will be replaced by the data of the snapshot on %s. %s; the file system gets its old UUID back", what, cow, others)
	}
	t.tellSiblings()
	back := "this cannot be undone without --undo FILE: "
	if t.flags.Undo != "" {
		back = fmt.Sprintf("this can be undone: %s keeps what is overwritten: ", words.Printable(string(t.flags.Undo)))
	}
	return t.app.ask(into, "%s%smerge %s into it?", over(t.bears()), back, cow)
}

// bears says what the origin bears; it is empty for nothing.
func (t *mergeText) bears() string {
	switch m := t.merge; {
	case m.Replaced != "":
		return fmt.Sprintf("the merge removes or replaces its %s", m.Replaced)
	case m.Bears != "":
		return "it holds " + m.Bears
	}
	return ""
}

// tellRest says what stays in the store, and what is cleared without being merged.
func (t *mergeText) tellRest() {
	if n := t.merge.Hidden; n > 0 && !t.keeps {
		entries := fmt.Sprintf("%d slots", n)
		if n == 1 {
			entries = "1 slot"
		}
		t.app.say(t.merge.COW.Text, "%s behind the end of the list, left by a torn commit and without effect, will be cleared", entries)
	}
	if n := t.merge.Beyond; n > 0 {
		t.app.say(t.merge.COW.Text, "%s past the end of the snapshot will be left in the store", words.Count(n, "exception"))
	}
}

func (t *mergeText) tellSiblings() {
	for _, o := range t.merge.Siblings {
		switch name := o.COW.Text; {
		case o.Lost && o.COW.Identity.State == look.Damaged:
			t.app.say(name, "given up: the kernel already refuses to load it")
		case o.Lost:
			t.app.say(name, "given up: it will be marked invalid")
		case o.Saving.Chunks > 0:
			t.app.say(name, "first gets %s, and keeps its data", words.Count(o.Saving.Chunks, "exception"))
		}
	}
}

func (t *mergeText) foretell(what string) error {
	t.tellRest()
	if bears := t.bears(); bears != "" {
		t.app.say(t.merge.Origin.Text, "%s", bears)
	}
	if t.flags.isJSON() {
		return t.app.told(t.flags.result, t.record(merge.Result{}), "")
	}
	w := linesTo(t.app.stdout)
	w.line("%s: would replace %s by the data of %s", words.Printable(t.merge.Origin.Text), what, words.Printable(t.merge.COW.Text))
	for _, o := range t.merge.Siblings {
		if o.Lost {
			w.line("%s: would be given up", words.Printable(o.COW.Text))
		} else {
			w.line("%s: would first get %s", words.Printable(o.COW.Text), words.Count(o.Saving.Chunks, "exception"))
		}
	}
	return w.err
}

// record is the merge as programs are told it.
func (t *mergeText) record(r merge.Result) dump.Merged {
	return record.Merged(t.merge, r, t.flags.DryRun, t.keeps, undoOf(string(t.flags.Undo)))
}

// takingBack says how a merge with an undo log is taken back.
func (t *mergeText) takingBack() string {
	text := fmt.Sprintf("dmcow merge %s --into %s", asPath(string(t.flags.Undo)), t.app.again(t.merge.Origin.Text))
	for _, name := range t.flags.Lose {
		text += " --lose-snapshot " + words.Shell(name)
	}
	text += " takes this back"
	switch {
	case t.merge.UndoKept():
		return text + ", and nothing is lost"
	case t.merge.Seen:
		return text + "; the snapshot gets its data back"
	}
	return text + "; that restores the origin, not the snapshot (to keep both, merge with --keep)"
}

// mostShown is how many chunks that cannot be read are named on standard error.
const mostShown = 10

// tellFailed names the chunks that could not be read, and writes them to the file that was asked for.
func (t *mergeText) tellFailed(r merge.Result, list snapshot.ListFile) error {
	chunk := t.merge.COW.Identity.Geometry.ChunkSectors()
	sectorOf := func(old format.OldChunk) format.Sectors { return format.Sectors(old) * chunk }
	for i, x := range r.Failed {
		if i == mostShown {
			t.app.say(t.merge.COW.Text, "and %d more chunks cannot be read", len(r.Failed)-i)
			break
		}
		t.app.say(t.merge.COW.Text, "chunk %d cannot be read: sectors %d to %d of the origin are not merged",
			x.New, sectorOf(x.Old), min(sectorOf(x.Old+1), t.merge.Size().Sectors())-1)
	}
	return list.Write(func(w io.Writer) error { return dump.FailedCSV(w, r.Failed, chunk) })
}
