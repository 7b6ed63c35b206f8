package show

import (
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

var listHead = []column{
	{Head: "name"}, {Head: "state"}, {Head: "active"}, {Head: "full"}, {Head: "size", Right: true}, {Head: "chunk", Right: true}, {Head: "origin"}, {Head: "created"},
}

// List is the stores in sight, a row each.
func List(t *Text, all []*snapshot.Listed) error {
	return table(t, listHead, all, t.listRow)
}

func (t *Text) listRow(l *snapshot.Listed, cells int) []string {
	row := []string{words.Printable(l.Name), "cannot be read", "no", "-", "-", "-", words.Printable(l.Origin), clock(l.Created())}
	if l.Active {
		row[2] = "yes"
	}
	if l.COW == nil { // LVM's record says how large it is
		if l.Merging {
			row[1] += ", merging"
		}
		if size, chunk := l.Recorded(); size > 0 {
			row[4], row[5] = words.Size(size), words.Size(chunk*512)
		}
	} else {
		state, u := l.Survey.State(), l.Survey.Usage
		row[1], row[4] = t.stateOf(l.Used()), words.Size(uint64(u.Total())*512)
		if !u.Geometry.IsZero() {
			row[5] = words.Size(u.Geometry.ChunkBytes())
		}
		if l.Survey.Complete() && state != look.Damaged {
			row[3] = t.bar(l.Survey, cells, inTable)
		}
	}
	return row
}
