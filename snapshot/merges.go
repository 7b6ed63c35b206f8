package snapshot

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"dmcow/internal/volume"
	"dmcow/internal/words"
)

// Merges are merges of snapshots into an origin each, that were all found to be possible.
type Merges []*Merge

// Close closes the devices of all.
func (all Merges) Close() {
	for _, m := range all {
		m.Close()
	}
}

// Refusals are why several things are not done. Nothing was written then.
type Refusals []error

func (all Refusals) Error() string   { return errors.Join(all...).Error() }
func (all Refusals) Unwrap() []error { return all }

// PlanMerges plans merges that are to be done in one go. If one is refused, none is begun, and the error has all
// refusals; but an interruption ends it. A single one is planned as by [Session.PlanMerge].
func (s *Session) PlanMerges(all []MergeRequest) (merges Merges, err error) {
	if len(all) == 1 {
		m, err := s.PlanMerge(all[0])
		return Merges{m}, err
	}
	if err := checkManyLogs(all[0].Undo); err != nil {
		return nil, err
	}
	p := planning{Session: s}
	for _, r := range all {
		if err := p.find(r); isInterruption(err) {
			return nil, err
		}
	}
	p.checkLost()
	for _, r := range p.requests {
		m, err := s.PlanMerge(r)
		switch {
		case isInterruption(err):
			merges.Close()
			return nil, err
		case err != nil:
			p.refused = append(p.refused, err)
		default:
			merges = append(merges, m)
		}
	}
	if len(p.refused) > 0 {
		merges.Close()
		return nil, p.refused
	}
	return merges, nil
}

func isInterruption(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Code == Interrupted
}

// planning is several merges that are planned together.
type planning struct {
	*Session
	names    []Name
	requests []MergeRequest // of those that may be planned
	lost     []string       // the snapshots that are given up
	refused  Refusals
}

// find finds one of the snapshots, and refuses it where another is merged into the same origin: which of both the
// origin would be is not said then.
func (p *planning) find(r MergeRequest) error {
	n, err := p.Session.find(r.COW, !r.DryRun)
	switch {
	case err != nil:
	case n.Volume == nil:
		err = refusef(n.Text, WrongUse, "several snapshots must all be logical volumes, whose origins are known")
	default:
		err = inTurn(func() error { return checkCOWName(n, r.Part) }, func() error { return p.checkOneOrigin(n) })
	}
	if err != nil {
		p.refused = append(p.refused, err)
		return err
	}
	p.names, p.requests, p.lost = append(p.names, n), append(p.requests, r), r.Lost
	return nil
}

// checkManyLogs refuses an undo log for several merges: they have one each.
func checkManyLogs(undo string) error {
	if info, err := os.Stat(undo); undo == "" || err == nil && info.IsDir() {
		return nil
	}
	return refuse(undo, WrongUse, errors.New("not a directory: each of several merges needs its own undo log"), MakeDirectory)
}

func (p *planning) checkOneOrigin(n Name) error {
	for _, o := range p.names {
		if sameOrigin(o.Volume, n.Volume) {
			return refusef(n.Text, Unable, "refused: %s is merged into the same origin, %s: merge one of them, or one after the other",
				words.Printable(o.Text), words.Printable(n.Volume.OriginName()))
		}
	}
	return nil
}

func sameOrigin(a, b *volume.Volume) bool {
	return a.Snapshot != nil && b.Snapshot != nil && a.Group.UUID == b.Group.UUID && a.Snapshot.Origin.Name == b.Snapshot.Origin.Name
}

// checkLost finds out of which origin each snapshot is that is to be given up, and refuses a name of none, or of
// several.
func (p *planning) checkLost() {
	for i := range p.requests {
		p.requests[i].Lost = nil
	}
	for _, name := range p.lost {
		var of []int
		for i, n := range p.names {
			if calledAmong(n.Volume, name) {
				of = append(of, i)
			}
		}
		switch len(of) {
		case 1:
			r := &p.requests[of[0]]
			r.Lost = append(slices.Clip(r.Lost), name)
		case 0:
			p.refused = append(p.refused, refusef(name, WrongUse, "not another snapshot of any of the origins").about(TheLost))
		default:
			p.refused = append(p.refused, refusef(name, WrongUse, "several snapshots have this name: name it as VG/LV (%s)", p.asVolumes(of, name)).about(TheLost))
		}
	}
}

// calledAmong reports whether a name is one of the snapshots of a snapshot's origin.
func calledAmong(v *volume.Volume, name string) bool {
	if v.Snapshot == nil {
		return false
	}
	for _, s := range v.Group.Of(v.Snapshot.Origin) {
		if calls(v, s, name) {
			return true
		}
	}
	return false
}

func (p *planning) asVolumes(of []int, name string) string {
	var all []string
	for _, i := range of {
		all = append(all, fmt.Sprintf("%s/%s", p.names[i].Volume.Group.Name, name))
	}
	return strings.Join(all, ", ")
}
