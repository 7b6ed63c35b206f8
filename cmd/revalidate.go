package cmd

import (
	"errors"
	"fmt"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/repair"
	"dmcow/store"
)

type revalidateCmd struct {
	COW       path `arg:"" help:"COW device, an image of one, or VG/LV, a snapshot of LVM."`
	Unchanged bool `name:"assume-origin-unchanged" help:"You know that the origin was not written since the snapshot was lost: it was read-only or is zero, or the write that found no room went to the snapshot. Required."`
	Undo      path `placeholder:"FILE" help:"Keep what is overwritten in FILE, an undo log. (dmcow invalidate takes it back as well.)"`
	theOrigin `embed:""`
	writing   `embed:""`
}

func (revalidateCmd) Help() string {
	return `
Takes back that a snapshot is marked invalid, if the rest of its store is sound. First
it tells what that may cost; it cannot know whether the origin was written after the
snapshot was lost, so you have to say that it was not.

  dmcow revalidate --dry-run snap.cow
  dmcow revalidate --assume-origin-unchanged vg0/snap
`
}

// Validate tells wrong use that single flags do not show.
func (c *revalidateCmd) Validate() error { return c.theOrigin.invalid() }

func (c *revalidateCmd) Run(a *app) error {
	if err := a.permission(c.writing); err != nil {
		return err
	}
	n, err := a.named(string(c.COW), c.volumes, !c.DryRun)
	if err != nil {
		return err
	}
	base, err := a.baseOf(c.theOrigin, n)
	if err != nil {
		return err
	}
	defer base.close()
	t, err := a.openNamedTarget(n, c.writing, 0)
	if err != nil {
		return err
	}
	m := &planned{app: a, target: t, offset: format.Bytes(c.Offset)}
	defer m.close()
	switch id := t.id; id.State {
	case store.Valid, store.Invalid:
		return c.revalidate(m, base)
	case store.Uninitialized:
		return &failure{t.path, a.outcomes.blank, fmt.Errorf("%s: there is no snapshot to mark", id.State)}
	default:
		return &failure{t.path, a.outcomes.of(id.State), errors.New(id.Fault)}
	}
}

// revalidate marks the snapshot valid, if that is well.
func (c *revalidateCmd) revalidate(m *planned, b base) error {
	err := m.planMark(b)
	if errors.Is(err, repair.ErrNotInvalid) {
		m.say(m.path, "the snapshot is marked valid: nothing to do")
		m.status |= m.outcomes.sound
		return nil
	}
	if err != nil {
		return err
	}
	s, err := m.survey(m.cow)
	if err != nil {
		return err
	}
	if err := m.tellCost(s.Usage); err != nil {
		return err
	}
	switch {
	case !c.Unchanged:
		return &failure{m.path, statusFailed, errors.New("refused: nothing on the COW device tells whether the origin was written after the snapshot was lost; " +
			"if you know that it was not, say so with --assume-origin-unchanged")}
	case c.DryRun:
		_, err := fmt.Fprintf(m.stdout, "%s: would mark the snapshot valid\n", printable(m.path))
		return err
	}
	if c.Undo != "" {
		if err := m.keep(c.Undo); err != nil {
			return err
		}
	}
	if err := m.ask(m.path, "mark the snapshot valid, so that the kernel serves it?"); err != nil {
		return err
	}
	if err := m.write(); err != nil {
		return err
	}
	m.say(m.path, "the snapshot is marked valid")
	return nil
}

// planMark plans to mark the snapshot valid. The error is the failure of a store that is
// not sound.
func (m *planned) planMark(b base) (err error) {
	p := m.walking(m.cow, true)
	defer p.end()
	m.plan, err = repair.Revalidate(check.Options{
		Device: m.device, Origin: b.size, Content: b.content(m.cow), Live: len(m.holders) > 0, Words: device.Words, Visit: p.area,
	})
	var u *repair.UnsoundError
	switch {
	case errors.As(err, &u):
		return &failure{m.path, m.outcomes.damaged, fmt.Errorf("refused: %w; dmcow repair %s first", err, m.again())}
	case errors.Is(err, errInterrupted):
		return ended(m.path, err)
	case err != nil && !errors.Is(err, repair.ErrNotInvalid):
		return m.unreadable(m.path, err)
	}
	return err
}

// tellCost tells, from what there is to see, what it may cost to take the snapshot back.
func (m *planned) tellCost(u store.Usage) error {
	w := &lines{w: m.stdout}
	w.line("%s: invalid: %s in %s, the store is %.2f%% full", printable(m.path),
		count(u.End.Exceptions, "exception"), count(u.Areas(), "area"), u.Percent())
	if free := u.Free(); free == 0 {
		enough := u.Enough(1)
		w.line("  There is no room for one more exception: most likely a write found none.")
		w.line("  The next new chunk drops the snapshot again. First grow the device by %s at least, to %d", count(uint64(enough-u.Total()), "sector"), enough)
		w.line("  (lvextend; truncate for an image file).")
	} else {
		w.line("  By the list there is room for %s. Chunks that were being copied when the snapshot", count(free, "more exception"))
		w.line("  was lost are not in it: it may have run full with them, or the device was grown since, or a read or")
		w.line("  write of it failed, or somebody marked the snapshot invalid, as a merge does with one that it gives up.")
	}
	w.line("  Chunks of the origin that were first written after the snapshot was lost have no copy: of those")
	w.line("  it would show what was written then. Nothing here tells whether there are any.")
	return w.err
}
