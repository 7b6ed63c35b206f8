package show

import (
	"cmp"
	"fmt"
	"time"

	"dmcow/internal/words"
	"dmcow/store/delta"
)

// Delta says what a delta is.
func Delta(h delta.Head) string {
	base, source := side(h.Base, "an unnamed volume"), side(h.Source, "an unnamed volume")
	what := words.Size(h.Bytes) + " in " + words.Count(h.Count, "chunk")
	if h.Kind == delta.Full {
		return fmt.Sprintf("a full delta of %s: %s", source, what)
	}
	return fmt.Sprintf("a delta of %s into %s: %s", base, source, what)
}

// side is the base or the source of a delta, with the moment that it shows.
func side(s delta.Side, unnamed string) string {
	text := words.Printable(cmp.Or(s.Name, unnamed))
	if s.Moment != 0 {
		text += " (" + clock(time.Unix(s.Moment, 0)) + ")"
	}
	return text
}
