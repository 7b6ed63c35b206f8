package show

import (
	"fmt"
	"strings"
	"time"

	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/apply"
)

// Receive is a delta that is planned to be applied, or was.
type Receive struct {
	*snapshot.Receive
	Undo string // the undo log; empty for none
	Back string // the command line that undoes it with the log
}

// What says what is received.
func (m *Receive) What() string {
	if m.In.Lvmsync {
		return "a stream of lvmsync"
	}
	return Delta(m.In.Head)
}

// Nothing is what is to be said where the target holds all of it already.
func (m *Receive) Nothing() string {
	return "nothing to write: it is already what the delta makes of it"
}

// Announce says what will be written to what, and what that means for others.
func (m *Receive) Announce(say words.Say) {
	target := m.Origin.Text
	if m.Creates {
		say(target, "will be made, %s", words.Bytes(m.In.Head.Size))
	}
	say(target, "receives %s%s", m.What(), m.least())
	if n := m.Foreseen.Torn; n > 0 {
		say(target, "%s: an earlier run was cut off while writing", m.count(n, "is torn", "are torn"))
	}
	if n := m.Foreseen.Foreign; n > 0 {
		say(target, "%s neither what the delta replaces nor what it writes, and will be overwritten", m.count(n, "holds", "hold"))
	}
	if n := m.Foreseen.Cleared; n > 0 {
		say(target, "%s will be made zero, where the full delta has nothing", words.Size(n))
	}
	for _, o := range m.Siblings {
		switch name := o.COW.Text; {
		case o.Lost:
			say(name, "given up: it will be marked invalid")
		case o.Saving.Chunks > 0:
			say(name, "first gets %s, and keeps its data", words.Count(o.Saving.Chunks, "exception"))
		case !m.Compared || m.In.IsStream():
			say(name, "gets exceptions as the stream comes, and keeps its data")
		}
	}
}

// least says how much of it there is to write, where that is known and not all.
func (m *Receive) least() string {
	if !m.Compared || m.Foreseen.Held == 0 {
		return ""
	}
	return fmt.Sprintf(", of which the target already holds %s", words.Count(m.Foreseen.Held, "chunk"))
}

func (m *Receive) count(n uint64, one, many string) string {
	if n == 1 {
		return "1 chunk " + one
	}
	return words.Count(n, "chunk") + " " + many
}

// Question is what is asked, about the target.
func (m *Receive) Question() string {
	back := "this cannot be undone without --undo FILE"
	switch {
	case m.Undo != "":
		back = words.Printable(m.Undo) + " saves what is overwritten"
	case m.Creates:
		return "make it?"
	}
	return fmt.Sprintf("%s. Write to %s?", back, words.Printable(m.Origin.Text))
}

// Foretell writes what would be done.
func (m *Receive) Foretell(t *Text) error {
	r := m.Foreseen
	t.Line("%s: would write %s in %s of %s%s", words.Printable(m.Origin.Text), words.Size(r.Bytes+r.Cleared), words.Count(r.Written, "chunk"), m.What(), m.least())
	return t.err
}

// Received says what was written, and how fast.
func (m *Receive) Received(r apply.Result, took time.Duration) string {
	parts := []string{fmt.Sprintf("received %s: %s written", words.Count(r.Pieces, "chunk"), words.Size(r.Bytes))}
	if m.In.Lvmsync {
		parts[0] = fmt.Sprintf("received a stream of lvmsync: %s written", words.Size(r.Bytes))
	}
	if r.Held > 0 {
		parts = append(parts, words.Count(r.Held, "chunk")+" already there")
	}
	if r.Torn > 0 {
		parts = append(parts, m.count(r.Torn, "was torn", "were torn"))
	}
	if r.Foreign > 0 {
		parts = append(parts, m.count(r.Foreign, "of another base overwritten", "of another base overwritten"))
	}
	if r.Cleared > 0 {
		parts = append(parts, words.Size(r.Cleared)+" made zero")
	}
	return strings.Join(parts, ", ") + " " + speed(r.Bytes, took)
}
