package cmd

import (
	"errors"
	"fmt"
	"io"

	"dmcow/dump"
	"dmcow/internal/record"
	"dmcow/internal/show"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/merge"
)

// merging is the flags of the commands that merge.
type merging struct {
	Into    path     `placeholder:"ORIGIN" help:"The snapshot's origin, or an image of it, to write to. Not needed for VG/LV."`
	Undo    path     `placeholder:"FILE" help:"Save what is overwritten in FILE, an undo log: dmcow merge FILE --into ORIGIN undoes the merge. In a directory, the log is named after the snapshot."`
	Force   bool     `help:"Skip these checks: the undo log does not match the device; the origin starts with a COW header, or would after the merge; the origin loses a partition table or a label; the origin's size is not the one on record; the store has exceptions past the end of the origin."`
	Lose    []string `name:"lose-snapshot" sep:"none" placeholder:"NAME" help:"Give up this other snapshot of the origin (both are logical volumes): mark it invalid. Can be repeated."`
	writing `embed:""`
}

// mergeRequest is the merge of a COW device that the flags ask for.
func (m *merging) mergeRequest(cow path) snapshot.MergeRequest {
	return snapshot.MergeRequest{Request: m.request(cow), Into: string(m.Into), Undo: string(m.Undo), Force: m.Force, Lost: m.Lose, DryRun: m.DryRun}
}

// check says which flag is missing.
func (m *merging) check(cow path) error {
	if m.Into == "" && !cow.isVolume() {
		return errors.New("missing --into (only VG/LV needs none)")
	}
	return nil
}

// mergeText is a merge in words.
type mergeText struct {
	app   *app
	flags *merging
	show.Merge
}

// text is a merge that is planned in words.
func (m *merging) text(a *app, plan *snapshot.Merge) *mergeText {
	t := &mergeText{app: a, flags: m, Merge: show.Merge{Merge: plan, Undo: plan.UndoName()}}
	t.Back = fmt.Sprintf("dmcow merge %s --into %s", asPath(t.Undo), a.again(plan.Origin.Text))
	for _, name := range plan.GivenUp() {
		t.Back += " --lose-snapshot " + words.Shell(name)
	}
	return t
}

// announce says what will be written.
func (t *mergeText) announce() {
	t.Facts(t.app.say, !t.app.flags.Yes)
	t.Announce(t.app.say)
}

// ask says what will be written, and asks.
func (t *mergeText) ask() error {
	t.announce()
	return t.app.ask(t.Origin.Text, "%s", t.Question())
}

// foretell says what would be done, to people.
func (t *mergeText) foretell() error {
	t.Facts(t.app.say, false)
	if t.flags.isJSON() {
		return nil
	}
	return t.Foretell(t.app.text())
}

// record is the merge as programs are told it.
func (t *mergeText) record(r merge.Result) dump.Merged {
	return record.Merged(t.Merge.Merge, r, t.flags.DryRun, t.Keeps, undoOf(t.Undo))
}

// listUnread names the chunks that could not be read, and writes them to the file that was asked for.
func (t *mergeText) listUnread(r merge.Result, list snapshot.ListFile) error {
	t.Unread(t.app.say, r)
	chunk := t.COW.Identity.Geometry.ChunkSectors()
	return list.Write(func(w io.Writer) error { return dump.FailedCSV(w, r.Failed, chunk) })
}
