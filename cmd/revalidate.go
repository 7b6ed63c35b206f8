package cmd

import (
	"os"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/show"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

type revalidateCmd struct {
	COW       path `arg:"" help:"COW device, an image of it, or VG/LV (an LVM snapshot)."`
	Unchanged bool `name:"assume-origin-unchanged" help:"You know that the origin was not written after the snapshot was lost: it was read-only or is zero, or the write that found no room went to the snapshot (Overflow). Required."`
	Undo      path `placeholder:"FILE" help:"Save what is overwritten in FILE, an undo log. (dmcow invalidate undoes it, too.)"`
	theOrigin `embed:""`
	writing   `embed:""`
}

// Validate tells wrong use that single flags do not show.
func (c *revalidateCmd) Validate() error { return c.theOrigin.check() }

func (c *revalidateCmd) Run(a *app) error {
	r := snapshot.RevalidateRequest{Request: c.request(c.COW), Base: c.base(), Undo: string(c.Undo), OriginUnchanged: c.Unchanged, DryRun: c.DryRun}
	p, err := plan(a, c.writing, r, (*snapshot.Session).PlanRevalidate)
	if err != nil {
		return err
	}
	defer p.Close()
	name := p.COW.Text
	record := dump.Marked{Device: name, DryRun: c.DryRun, State: look.Valid.String(), Changed: !p.Marked}
	if p.Marked {
		a.say(name, "already marked valid: nothing to do")
		return a.told(c.result, record, "")
	}
	if err := show.Cost(a.words(c.result), name, p.Usage); err != nil {
		return err
	}
	if c.DryRun && !c.Unchanged {
		return a.preview(name)
	}
	if err := p.Check(); err != nil {
		return err
	}
	if c.DryRun {
		return a.told(c.result, record, words.Printable(name)+": would mark the snapshot valid")
	}
	if err := a.ask(name, "mark the snapshot valid, so that the kernel serves it?"); err != nil {
		return err
	}
	undo, err := p.Do()
	a.tellUndo(name, undo)
	if err != nil {
		return err
	}
	a.tellMarked(name, undo, p.Usage)
	record.Kept = undoOf(undo).Record()
	return a.told(c.result, record, "")
}

// preview says what it takes to do what was only looked at. Its status is of a command that was refused for that.
func (a *app) preview(name string) error {
	a.status |= statusFailed
	t := a.text()
	t.Line("%s: would mark the snapshot valid, if you know that the origin was not written after it was lost", words.Printable(name))
	a.tellHints("--assume-origin-unchanged, if you know that it was not")
	return t.Err()
}

// tellMarked says what was done, how it is undone, and what comes next.
func (a *app) tellMarked(name, undo string, u look.Usage) {
	a.say(name, "the snapshot is now marked valid")
	if undo == "" {
		a.tellHints("dmcow invalidate " + a.again(name) + " undoes this")
	}
	if u.Free() == 0 {
		a.say(name, "it is still full: grow it before you activate it, or the next new chunk loses it again")
	}
}

// tellUndo says how what was written to a device is taken back.
func (a *app) tellUndo(name, undo string) {
	if undo != "" {
		a.madeUndo(undo)
		a.say(name, "dmcow merge %s --into %s undoes this", asPath(undo), a.again(name))
	}
}

// madeUndo says that an undo log was written, if one was.
func (a *app) madeUndo(name string) {
	if name != "" {
		a.made(name, "an undo log", format.Bytes(undoOf(name).Bytes))
	}
}

// undoOf is an undo log that was written; the size of one that is a block device is not known.
func undoOf(name string) dump.Undo {
	u := dump.Undo{Name: name}
	if info, err := os.Stat(name); name != "" && err == nil && info.Mode().IsRegular() {
		u.Bytes = uint64(info.Size())
	}
	return u
}
