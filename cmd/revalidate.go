package cmd

import (
	"io"
	"os"

	"dmcow/dump"
	"dmcow/format"
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
	if err := a.tellCost(a.words(c.result), name, p.Usage); err != nil {
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
	w := linesTo(a.stdout)
	w.line("%s: would mark the snapshot valid, if you know that the origin was not written after it was lost", words.Printable(name))
	a.tellHints("--assume-origin-unchanged, if you know that it was not")
	return w.err
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
		a.made(undo, "an undo log", format.Bytes(undoOf(undo).Bytes))
		a.say(name, "dmcow merge %s --into %s undoes this", asPath(undo), a.again(name))
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

// tellCost tells, from what there is to see, what it may cost to take the snapshot back.
func (a *app) tellCost(to io.Writer, name string, u look.Usage) error {
	w := linesTo(to)
	w.line("%s: invalid: %s in %s, the store is %.2f%% full", words.Printable(name),
		words.Count(u.End.Exceptions, "exception"), words.Count(u.Areas(), "area"), u.Percent())
	if free := u.Free(); free == 0 {
		enough := u.Enough(1)
		w.line("  The store is full: most likely a write found no room, and the kernel dropped the snapshot. "+
			"The next new chunk would drop it again: first grow the device by at least %s, to %d sectors (lvextend; truncate for an image file).",
			words.Count(uint64(enough-u.Total()), "sector"), enough)
	} else {
		w.line("  The list has room for %s. Chunks that were being copied when the snapshot was lost are not in the list. "+
			"Possible causes: these chunks filled it, the device was grown later, a read or write of it failed, "+
			"or the snapshot was marked invalid on purpose, as a merge does with one that it gives up.", words.Count(free, "more exception"))
	}
	w.line("  The snapshot has no copy of origin chunks that were first written after it was lost: there it would show the new data. " +
		"Nothing on the COW device shows whether there are any; dmcow-recovery(7) says when there are none.")
	return w.err
}
