package snapshot

import (
	"fmt"

	"dmcow/internal/words"
	"dmcow/store/look"
)

// A merge that LVM has begun stands in the group's metadata. The kernel goes on with it whenever the
// origin is activated, until the list is empty; then LVM removes the snapshot. Where it was cut off, the
// store is what any merge leaves that was cut off, so that it can be ended here as well. LVM's metadata
// stays as it is: at the next activation LVM finds that nothing is left.

// IsMerging reports whether LVM has begun to merge the snapshot, and the kernel is not at it here.
func (n Name) IsMerging() bool {
	return n.Volume != nil && n.Volume.Merging && n.Volume.Active == nil
}

// checkNotMerging refuses to mark a snapshot that LVM is merging, or to write a new store or other data over
// it: what the merge has left to do would be lost, or be something else.
func (n Name) checkNotMerging() error {
	if !n.IsMerging() {
		return nil
	}
	r := refusef(n.Text, Unable, "refused: LVM has begun to merge it into %s", n.Volume.OriginName())
	r.Remedies = []Remedy{{Do: FinishMerge}}
	return r
}

// noteMerging says how far a merge is that LVM has begun, and what goes on with it. The error is the
// refusal of an interruption.
func (s *Session) noteMerging(c *COW, remedies ...Deed) error {
	if c.Volume == nil || !c.Volume.Merging {
		return nil
	}
	survey, err := s.Survey(c)
	if err == nil {
		s.noteLeft(c, survey, c.Volume.OriginName(), c.Volume.Active != nil, remedies...)
	}
	return err
}

// noteLeft says how much is left of a merge into an origin that LVM has begun, or that the kernel is at. What
// can be done about it is not said of a store that is at fault: that is to be seen to first.
func (s *Session) noteLeft(c *COW, survey look.Survey, origin string, active bool, remedies ...Deed) {
	left := "the number of exceptions left cannot be read"
	if survey.Complete() {
		left = "left to merge: " + words.Count(survey.Usage.End.Exceptions, "exception")
	}
	if active {
		s.note(c.Text, Fine, "the kernel is merging it into its origin; %s", left)
		return
	}
	s.note(c.Text, Fine, "LVM has begun to merge it into %s, and the kernel resumes that when the origin is activated; %s", origin, left)
	if survey.Complete() && survey.Usage.End.Exceptions == 0 {
		return // what is left to do is LVM's
	}
	for _, d := range remedies {
		if n := &s.notes[len(s.notes)-1]; survey.State() == look.Valid {
			n.Remedies = append(n.Remedies, Remedy{Do: d})
		}
	}
}

// noteBegun says that a merge goes on with one that LVM has begun.
func (m *Merge) noteBegun() {
	if !m.COW.IsMerging() || m.IsEmpty() {
		return
	}
	text := fmt.Sprintf("LVM has begun to merge it into %s; this resumes that", m.COW.Volume.OriginName())
	if m.request.Undo != "" {
		text += ". What the kernel has merged already is not in the undo log"
	}
	m.session.note(m.COW.Text, Fine, "%s", text)
}

// checkMergingSibling refuses to overwrite an origin into which LVM has begun to merge another snapshot: it
// would go on with that at the next activation, and nothing would be left of this one. An undo of that
// merge is allowed: the snapshot gets its data back.
func (d *Changed) checkMergingSibling(sibling Name, lost bool) error {
	switch {
	case !sibling.IsMerging():
		return nil
	case !d.IsUndo:
		r := refusef(sibling.Text, Unable, "refused: LVM has begun to merge this other snapshot into %s, and would go on with that over this", sibling.Volume.OriginName())
		r.Remedies = []Remedy{{Do: FinishMerge, Origin: sibling.Volume.OriginName()}}
		return r
	case lost:
		return refusef(sibling.Text, Unable, "refused: LVM has begun to merge it, and cannot remove it if it is given up")
	}
	return nil
}
