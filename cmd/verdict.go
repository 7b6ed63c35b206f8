package cmd

import (
	"errors"

	"dmcow/format"
	"dmcow/store"
)

// walk is the way through the store's metadata.
func (c cow) walk() format.Walk {
	return format.Walk{
		Device:   c.Device,
		Size:     format.Bytes(c.Device.Size()),
		Geometry: c.Geometry,
		Live:     len(c.Holders()) > 0,
	}
}

// usage is the store's usage when a walk through it ended in end.
func (c cow) usage(end format.End) store.Usage {
	return store.Usage{Geometry: c.Geometry, Size: format.Bytes(c.Device.Size()), End: end}
}

// scan walks through the store's metadata. That of a blank device is what the
// kernel would make there; where there is none to walk, the error is nil too.
func (a *app) scan(c cow) (store.Usage, error) {
	if c.State == store.Uninitialized {
		return store.FreshUsage(c.Fresh, format.Bytes(c.Device.Size())), nil
	}
	if c.Geometry.IsZero() {
		return c.usage(format.End{}), nil
	}
	p := a.newProgress(c, true)
	defer p.end()
	end, err := format.Scan(c.walk(), p.visit)
	return c.usage(end), err
}

// state is the store's state after a walk that ended in u and err.
func (c cow) state(u store.Usage, err error) store.State {
	if errors.Is(err, format.ErrBeyondDevice) || u.Fault() != "" {
		return store.Damaged
	}
	return c.State
}

// conclude tells what is wrong with a store after a walk that ended in u and
// err, and adds the exit statuses for it.
func (a *app) conclude(c cow, u store.Usage, err error) {
	var area *format.AreaError
	switch {
	case err == nil:
	case errors.Is(err, errInterrupted):
		a.say(c.Path(), "%v", err)
		a.exit(statusInterrupted)
	case errors.Is(err, format.ErrBeyondDevice):
		a.fault(c, damaged, err.Error())
	case errors.As(err, &area):
		a.say(c.Path(), "%v", err)
		a.found(unreadable)
	default:
		a.written(err)
	}
	if c.Fault != "" {
		what := damaged
		if c.Foreign {
			what = foreign
		}
		a.fault(c, what, c.Fault)
	}
	if f := u.Fault(); f != "" {
		a.fault(c, damaged, f)
	}
	switch c.State {
	case store.Invalid:
		a.found(invalid)
	case store.Uninitialized:
		a.found(blank)
	}
}

func (a *app) fault(c cow, what content, text string) {
	a.say(c.Path(), "%s", text)
	a.found(what)
}
