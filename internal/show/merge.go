package show

import (
	"fmt"
	"strings"
	"time"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/words"
	"dmcow/snapshot"
	"dmcow/store/look"
	"dmcow/store/merge"
)

// Merge is a merge that is planned, or was done.
type Merge struct {
	*snapshot.Merge
	Keeps bool   // the list is left as it is
	Steps uint64 // runs that are merged at most; 0 for all
	Undo  string // the undo log; empty for none
	Back  string // the command line that undoes the merge with it
}

// Nothing is what is to be said of an empty store.
func (m *Merge) Nothing() string {
	text := "the store is empty: nothing to merge"
	if m.COW.IsMerging() {
		text += "; " + lvmRemoves(m.COW)
	}
	return text
}

// lvmRemoves says how LVM ends a merge that it has begun, and of which nothing is left.
func lvmRemoves(c *snapshot.COW) string {
	return fmt.Sprintf("LVM removes the snapshot when the origin is activated%s (lvchange -ay %s)", elsewhere(c), words.Shell(c.Volume.OriginName()))
}

// elsewhere is where LVM has something to do with a volume. By the names in an image, it would act on what this
// machine has of those names.
func elsewhere(c *snapshot.COW) string {
	if c.Volume.OnBlocks() {
		return ""
	}
	return " on the machine that uses these physical volumes"
}

// Facts are what has to be known before a merge: what stays in the store, what is cleared without being merged, and
// what the origin bears. That stands in the question, too, for who is asked.
func (m *Merge) Facts(say words.Say, asked bool) {
	if n := m.Hidden; n > 0 && !m.Keeps {
		say(m.COW.Text, "%s behind the end of the list, left by a torn commit and without effect, will be cleared", words.Count(n, "slot"))
	}
	if n := m.Beyond; n > 0 {
		say(m.COW.Text, "%s past the end of the snapshot will be left in the store", words.Count(n, "exception"))
	}
	if bears := m.bears(); bears != "" && !asked {
		say(m.Origin.Text, "%s", bears)
	}
}

// bears says what the origin bears; it is empty for nothing.
func (m *Merge) bears() string {
	switch {
	case m.Replaced != "":
		return fmt.Sprintf("the merge removes or replaces its %s", m.Replaced)
	case m.Bears != "":
		return "it holds " + m.Bears
	}
	return ""
}

// Announce says what will be written to what, and what that means for others.
func (m *Merge) Announce(say words.Say) {
	what, cow, into := m.what(), words.Printable(m.COW.Text), m.Origin.Text
	others := "If the origin has other snapshots, which dmcow cannot see from here, they lose what they kept"
	if m.Origin.IsServed() {
		others = "Its other snapshots keep their data if they are active, as with any write to this device, and lose it otherwise"
	}
	if m.COW.Delta != nil {
		say(m.COW.Text, "%s; merge does not verify that %s is the copy for it: dmcow receive does", Delta(*m.COW.Delta), words.Printable(into))
	}
	switch {
	case m.IsUndo:
		say(into, "%s will be what it was before the change that %s recorded", what, cow)
	case m.Seen:
		say(into, "%s will be replaced by the data of the snapshot %s; a file system on it gets its old UUID back", what, cow)
	default:
		say(into, "%s will be replaced by the data of the snapshot on %s; a file system on it gets its old UUID back. %s", what, cow, others)
	}
	for _, o := range m.Siblings {
		switch name := o.COW.Text; {
		case o.Lost && o.COW.Identity.State == look.Damaged:
			say(name, "given up: the kernel already refuses to load it")
		case o.Lost:
			say(name, "given up: it will be marked invalid")
		case o.Saving.Chunks > 0:
			say(name, "first gets %s, and keeps its data", words.Count(o.Saving.Chunks, "exception"))
		}
		if o.COW.IsMerging() {
			say(o.COW.Text, "LVM has begun to merge it into %s: the kernel merges again what is undone, when that is activated", words.Printable(into))
		}
	}
}

// what is how much is merged.
func (m *Merge) what() string {
	all := fmt.Sprintf("%s in %s", words.Size(m.Bytes), words.Count(m.Chunks, "chunk"))
	if m.Steps > 0 {
		return fmt.Sprintf("up to %s of %s", words.Count(m.Steps, "run"), all)
	}
	return all
}

// QuestionOf is what is asked before several merges; undo is the directory of their undo logs, empty for none.
func QuestionOf(all []*Merge, undo string) string {
	back := "this cannot be undone without --undo DIRECTORY"
	if undo != "" {
		back = "undo logs in " + words.Printable(undo) + " save what is overwritten"
	}
	var names []string
	for _, m := range all {
		names = append(names, words.Printable(m.COW.Text))
	}
	return fmt.Sprintf("%s. Merge %s, each into its origin?", back, strings.Join(names, ", "))
}

// Question is what is asked, about the origin, before the merge.
func (m *Merge) Question() string {
	back := "this cannot be undone without --undo FILE"
	switch {
	case m.Undo != "":
		back = words.Printable(m.Undo) + " saves what is overwritten"
	case m.IsUndo && !m.Seen:
		back = "without --undo FILE, what is overwritten is lost"
	}
	if bears := m.bears(); bears != "" {
		back = bears + "; " + back
	}
	return fmt.Sprintf("%s. Merge %s into %s?", back, words.Printable(m.COW.Text), words.Printable(m.Origin.Text))
}

// Foretell writes what the merge would do.
func (m *Merge) Foretell(t *Text) error {
	t.Line("%s: would replace %s by the data of %s", words.Printable(m.Origin.Text), m.what(), words.Printable(m.COW.Text))
	for _, o := range m.Siblings {
		switch {
		case o.Lost:
			t.Line("%s: would be given up", words.Printable(o.COW.Text))
		case o.Saving.Chunks > 0:
			t.Line("%s: would first get %s", words.Printable(o.COW.Text), words.Count(o.Saving.Chunks, "exception"))
		}
	}
	return t.err
}

// Step writes which run a step has merged, or would merge.
func Step(t *Text, s dump.SteppedRun, dryRun bool) error {
	verb := "merged"
	if dryRun {
		verb = "would merge"
	}
	t.Line("%s %s: old chunk %d, new chunk %d; %d bytes of the origin from byte %d on",
		verb, words.Count(s.Chunks, "chunk"), s.OldChunk, s.NewChunk, s.Length, s.Offset)
	return t.err
}

// mostUnread is how many chunks that cannot be read are named.
const mostUnread = 10

// Unread names the chunks that could not be read.
func (m *Merge) Unread(say words.Say, r merge.Result) {
	chunk := m.COW.Identity.Geometry.ChunkSectors()
	sectorOf := func(old format.OldChunk) format.Sectors { return format.Sectors(old) * chunk }
	for i, x := range r.Failed {
		if i == mostUnread {
			say(m.COW.Text, "and %d more chunks cannot be read", len(r.Failed)-i)
			return
		}
		say(m.COW.Text, "chunk %d cannot be read: sectors %d to %d of the origin are not merged",
			x.New, sectorOf(x.Old), min(sectorOf(x.Old+1), m.Size().Sectors())-1)
	}
}

// Merged says what was merged, and how fast.
func (m *Merge) Merged(r merge.Result, took time.Duration) string {
	text := fmt.Sprintf("merged %s: %s written %s", words.Count(r.Chunks, "chunk"), words.Size(r.Written), speed(r.Written+r.Shared, took))
	if r.Shared > 0 {
		text += ", " + words.Size(r.Shared) + " shared"
	}
	if r.Holes > 0 {
		text += ", " + words.Size(r.Holes) + " made holes"
	}
	if r.Identical > 0 {
		text += ", " + words.Count(r.Identical, "chunk") + " identical"
	}
	return text
}

// Next says what can be done now.
func (m *Merge) Next(r merge.Result) string {
	switch v := m.COW.Volume; {
	case len(r.Failed) > 0:
		return fmt.Sprintf("%s cannot be read and stay in the store: keep the snapshot", words.Count(len(r.Failed), "chunk")) + m.kernelFails()
	case r.Beyond > 0:
		return fmt.Sprintf("left in the store: %s past the end of the snapshot; keep the snapshot until you know what they are", words.Count(r.Beyond, "exception")) + m.kernelFails()
	case m.Keeps && m.COW.IsMerging():
		return "the list is unchanged, and the origin now holds the same: when it is activated, the kernel merges that once more, and LVM removes the snapshot"
	case m.Keeps:
		return "the list is unchanged: the snapshot stays, and the origin now holds the same"
	case m.IsUndo:
		return "the undo log is empty now; you can remove it"
	case m.COW.IsMerging():
		return "the store is empty now; " + lvmRemoves(m.COW)
	case v != nil && v.Group != nil:
		return fmt.Sprintf("the store is empty now, but LVM still lists the snapshot: remove it with lvremove %s/%s%s, and use the origin", v.Group.Name, v.Logical.Name, elsewhere(m.COW))
	}
	return "the store is empty now; you can remove the snapshot (LVM: lvremove VG/SNAPSHOT) and use the origin"
}

// kernelFails says what the kernel does with what is left in the store of a snapshot that LVM is merging.
func (m *Merge) kernelFails() string {
	if !m.COW.IsMerging() {
		return ""
	}
	return "; when the origin is activated, the kernel resumes LVM's merge, and fails at them"
}

// Undone says how the merge is undone.
func (m *Merge) Undone() string {
	text := m.Back + " undoes this"
	switch {
	case m.UndoKept():
		return text + ", and nothing is lost"
	case m.COW.IsMerging():
		return text + "; the snapshot gets its data back, and the kernel merges it again when the origin is activated"
	case m.Seen:
		return text + "; the snapshot gets its data back"
	}
	return text + "; that restores the origin, not the snapshot (with an --undo of its own, it keeps what the snapshot held)"
}
