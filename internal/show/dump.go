package show

import (
	"fmt"
	"strconv"

	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

// Head is what there is to say of a store before its exceptions, and a line between.
func Head(t *Text, c *snapshot.COW, s look.Survey) error {
	rows := [][2]string{
		{"device", words.Printable(c.Text) + ", " + words.Sectors(c.Size().Sectors())},
		{"state", t.paintState(s.State(), Describe(s))},
	}
	u := s.Usage
	if g := u.Geometry; !g.IsZero() {
		rows = append(rows, [2]string{"chunk size", words.Sectors(g.ChunkSectors())})
	}
	switch exceptions := strconv.FormatUint(u.End.Exceptions, 10); {
	case c.Identity.Geometry.IsZero():
	case !s.Complete():
		rows = append(rows, [2]string{"exceptions", exceptions + " can be read"})
	case u.End.Beyond != nil:
		rows = append(rows, [2]string{"exceptions", exceptions})
	default:
		rows = append(rows,
			[2]string{"areas", strconv.FormatUint(u.Areas(), 10)},
			[2]string{"exceptions", fmt.Sprintf("%s, the store is %.2f%% full", exceptions, u.Percent())})
	}
	t.sheet(append(rows, users(c)...))
	t.Line("")
	return t.err
}
