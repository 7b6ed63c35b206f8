package cmd

import (
	"errors"
	"fmt"

	"dmcow/format"
	"dmcow/internal/device"
	"dmcow/repair"
	"dmcow/store"
)

// planned is a plan, and the COW device that it is for.
type planned struct {
	*app
	*target
	offset  format.Bytes // of the store on the device
	plan    *repair.Plan
	undoing undoing
}

func (p *planned) close() {
	p.undoing.close()
	p.target.close()
}

// keep has what is overwritten be kept in an undo log. Where it has no name, it is named
// after the device. The error is the failure of one that cannot be.
func (p *planned) keep(name path) error {
	g := undoGeometry(max(8, format.Bytes(p.device.LogicalBlockSize()).Sectors()))
	p.undoing = undoing{
		app: p.app, name: string(name), changed: &p.whole.Device, geometry: g,
		chunks: uint64(p.plan.Bytes()/g.ChunkBytes()) + 2*uint64(p.plan.Writes()),
	}
	if name == "" {
		return p.undoing.nameIt(p.path, p.logName())
	}
	return p.undoing.refuse()
}

// write applies the plan to the device, and keeps what it overwrites. Whatever comes of
// it, it says how that is taken back.
func (p *planned) write() error {
	if err := p.undoing.open(p.whole); err != nil {
		return err
	}
	err := p.undoing.end(p.apply(p.out, "run the same command again, and it goes on"))
	if name := p.undoing.name; name != "" && !p.undoing.isUnused() {
		p.say(p.path, "dmcow merge %s --into %s takes this back", asPath(name), p.again())
	}
	return err
}

// apply applies the plan to a device. again says what to do when it was interrupted.
func (p *planned) apply(to *device.Writable, again string) error {
	bar := p.newProgress(p.path, "step", uint64(len(p.plan.Steps)), true)
	defer bar.end()
	done := uint64(0)
	visit := func() error {
		err := bar.visit(done)
		done++
		return err
	}
	err := p.plan.Apply(to, p.capture(), visit)
	if errors.Is(err, errInterrupted) {
		return &failure{p.path, statusInterrupted, fmt.Errorf("%w: %s", err, again)}
	}
	return p.done(p.path, err)
}

// capture keeps what is overwritten in the undo log, nil where there is none. The log is
// about the whole device.
func (p *planned) capture() func(...store.Change) error {
	undo := p.undoing.undo
	if undo == nil {
		return nil
	}
	return func(changes ...store.Change) error {
		whole := make([]store.Change, len(changes))
		for i, c := range changes {
			whole[i] = store.Change{Offset: p.offset + c.Offset, Data: c.Data}
		}
		return undoFailure(p.undoing.name, undo.Capture(whole...))
	}
}
