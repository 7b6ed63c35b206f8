package show

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
)

// usageHead is over what compares stores.
var usageHead = []column{{Head: "device"}, {Head: "state"}, {Head: "full"}, {Head: "chunks left", Right: true}, {Head: "lost", Right: true}, {Head: "size", Right: true}, {Head: "shrink to", Right: true}, {Head: "at most", Right: true}}

// Stores compares how stores are used, a row each.
func Stores(t *Text, all []*snapshot.Used) error {
	return table(t, usageHead, all, t.usageRow)
}

func (t *Text) usageRow(r *snapshot.Used, cells int) []string {
	s, u := r.Survey, r.Survey.Usage
	row := []string{words.Printable(r.COW.Text), t.stateOf(r), "-", "-", "-", words.Size(uint64(u.Total()) * 512), "-", "-"}
	if !s.Complete() || s.State() == look.Damaged {
		return row
	}
	row[2], row[4] = t.bar(s, cells, inTable), strconv.FormatUint(u.Leaked(), 10)
	if s.State() != look.Invalid { // nothing is left of a snapshot that is lost
		row[3] = strconv.FormatUint(u.Free(), 10)
	}
	// Sizes to be typed are exact, too: nobody is to shrink a device to a rounded one.
	if least, ok := u.Minimum(); ok {
		row[6] = sized(least)
	}
	if most, ok := s.Maximum(r.Origin.Sectors); ok {
		row[7] = sized(most)
	}
	return row
}

// Store is all there is to say of one store and its use; created is zero where that is not known. What is not known
// is left out, and of a damaged store what is only an artefact of the damage.
func Store(t *Text, r *snapshot.Used, created time.Time, extends *snapshot.Extension) error {
	u := r.Survey.Usage
	rows := [][2]string{
		{"device", words.Printable(r.COW.Text)},
		{"state", t.paintState(r.Survey.State(), Describe(r.Survey))},
		{"kernel's status", statusText(r.Survey)},
		{"size", words.Sectors(u.Total())},
	}
	if !u.Geometry.IsZero() {
		rows = append(rows,
			[2]string{"chunk size", words.Sectors(u.Geometry.ChunkSectors())},
			[2]string{"exceptions", strconv.FormatUint(u.End.Exceptions, 10)})
	}
	if r.COW.Delta != nil {
		rows = append(rows, [2]string{"holds", Delta(*r.COW.Delta)})
	}
	if n, known := r.LeftToMerge(); known {
		rows = append(rows, [2]string{"left to merge", words.Count(n, "exception") + " (a merge into the origin was begun)"})
	}
	if r.Survey.Complete() && r.Survey.State() != look.Damaged {
		rows = append(rows, t.room(r)...)
	}
	if !created.IsZero() {
		rows = append(rows, [2]string{"created", clock(created)})
	}
	t.sheet(slices.Concat(rows, extension(extends), users(r.COW)))
	return t.err
}

// extension is a row on whether a snapshot is extended by itself, and what has it so.
func extension(e *snapshot.Extension) [][2]string {
	if e == nil {
		return nil
	}
	text := fmt.Sprintf("at %d%%, by dmeventd", e.Threshold)
	var missing []string
	if !e.Monitored && e.Unknown == nil {
		missing = append(missing, "dmeventd does not monitor it: lvchange --monitor y "+words.Shell(e.Name))
	}
	if e.Threshold >= 100 {
		missing = append(missing, "in lvm.conf, section activation: snapshot_autoextend_threshold = 70")
	}
	switch {
	case e.Unknown != nil && e.Threshold < 100:
		text = fmt.Sprintf("at %d%%, if dmeventd monitors it, which is not known: %v", e.Threshold, e.Unknown)
	case !e.Works():
		text = "off (" + strings.Join(missing, "; ") + ")"
	}
	return [][2]string{{"extends itself", text}}
}

// statusText is the kernel's status line, or why there is none.
func statusText(s look.Survey) string {
	line, loads := s.Status()
	switch {
	case s.Unreadable() != nil && !loads:
		return "not known: the list cannot be read to its end"
	case !loads && s.Identity.Leftover:
		return "none: the kernel would write an empty store over it"
	case !loads:
		return "none: the kernel refuses it"
	case !s.Identity.Fresh.IsZero():
		return line + " (of the new store that the kernel would write here)"
	}
	return line
}

// room is how the space of a store that can be read is used.
func (t *Text) room(r *snapshot.Used) [][2]string {
	u := r.Survey.Usage
	rows := [][2]string{{"full", t.bar(r.Survey, 20, 0)}}
	if r.Survey.State() == look.Invalid {
		rows[0][1] += fmt.Sprintf(" (lvs shows this for every invalid snapshot); the list itself fills %.2f%%", u.Percent())
		return rows // the snapshot is lost: nothing can be won or lost any more
	}
	if r.COW.Delta != nil { // nothing is to be added to it, and its end must stay
		return append(rows, [2]string{"chunks lost", fmt.Sprintf("%d (digests and labels of the delta)", u.Leaked())})
	}
	left := fmt.Sprintf("%d (then the snapshot is lost)", u.Free())
	if u.Free() == 0 {
		left = "0: the next new chunk loses the snapshot"
	}
	rows = append(rows,
		[2]string{"chunks left", left},
		[2]string{"chunks lost", fmt.Sprintf("%d (data chunks without an exception)", u.Leaked())})
	if least, ok := u.Minimum(); ok {
		rows = append(rows, [2]string{"can shrink to", words.Sectors(least) + "; then it is full"})
	}
	if most, ok := r.Survey.Maximum(r.Origin.Sectors); ok {
		rows = append(rows, [2]string{"needs at most", words.Sectors(most) + ", if the whole origin changes"})
	}
	return rows
}
