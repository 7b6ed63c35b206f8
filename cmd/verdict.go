package cmd

import "dmcow/store"

// survey walks through the store's metadata. The error is the failure of an
// interruption.
func (a *app) survey(c *cow) (store.Survey, error) {
	p := a.walking(c, true)
	defer p.end()
	s, err := c.id.Examine(c.walk(), p.area)
	return s, ended(c.path, err)
}

// conclude tells what is wrong with a store, and adds the status for what it
// is.
func (a *app) conclude(c *cow, s store.Survey) {
	for _, fault := range s.Faults() {
		a.say(c.path, "%s", fault)
	}
	if err := s.Unreadable(); err != nil {
		a.fail(a.unreadable(c.path, err))
	}
	// A store can be both damaged and marked invalid.
	a.status |= a.outcomes.of(s.Identity.State) | a.outcomes.of(s.State())
}

// describe says what a state means.
func describe(s store.Survey) string {
	switch s.State() {
	case store.Invalid:
		return "the snapshot is marked invalid: the kernel serves nothing of it"
	case store.Uninitialized:
		if s.Identity.Leftover {
			return "uninitialized: the kernel would make a new store here. The first 4096 bytes are zero and what follows is not: " +
				"a new LVM snapshot over old blocks, or a header that was wiped"
		}
		return "uninitialized: the device is blank, and the kernel would make a new store here"
	}
	return s.State().String()
}
