package volume

import (
	"cmp"
	"errors"
	"fmt"

	"dmcow/internal/device"
	"dmcow/internal/mirrorlog"
	"dmcow/internal/words"
	"dmcow/lvm"
)

// mirror makes the parts of a segment of type mirror: one of the older kind, or what pvmove is at work on.
func (t *tree) mirror(l *lvm.Logical, p lvm.Part) ([]device.Part, error) {
	if len(p.Places) < 1 {
		return nil, t.Group.Unsupported(l, p.Segment, "which cannot be read: it has no legs")
	}
	if l.Moving && len(p.Places) > 1 && t.purpose != toPlace {
		return t.moving(p)
	}
	lines, err := t.lines(p.Places, p.Length)
	if err != nil {
		return nil, err
	}
	if t.purpose == toPlace {
		return copiesOf(lines, false), nil
	}
	if t.purpose == toWrite {
		return t.writtenLegs(l, p, lines)
	}
	return t.legs(l, p, lines)
}

// moving makes the parts of a segment that pvmove is moving: what has been moved is where it was moved to, and all
// else where it was. Until then, the kernel writes to both, and LVM begins again where it was cut off.
func (t *tree) moving(p lvm.Part) ([]device.Part, error) {
	at := p.Places[0]
	if p.Number("extents_moved") == p.Count {
		at = p.Places[1]
	}
	lines, err := t.lines([]lvm.Place{at}, p.Length)
	if err != nil {
		return nil, err
	}
	return lines[0], nil
}

// legs makes the parts of a mirror. Each is read from the first leg, and where that is missing, from the others,
// but only where the log has them as the same (mirror_map): a log in memory is lost.
func (t *tree) legs(l *lvm.Logical, p lvm.Part, lines [][]device.Part) ([]device.Part, error) {
	first := firstGone(lines[0])
	if first == nil && len(lines) > 1 {
		return t.firstLeg(l, p, lines)
	}
	if first == nil {
		return lines[0], nil
	}
	runs, err := t.log(p)
	if err != nil {
		return afterFirst(lines, []device.Part{{Length: p.Length, Stripes: []device.Stripe{{Gone: err}}}}), nil
	}
	if t.purpose == toRead {
		t.sight.say(t.Name, "the first leg of %s is not whole: %v; it is read from the others where they are in sync", t.InGroup(l), first)
	}
	return afterFirst(lines, t.inSync(p, runs)), nil
}

// firstLeg is a mirror whose first leg is there. Where it cannot be read, others are, if they are in sync.
func (t *tree) firstLeg(l *lvm.Logical, p lvm.Part, lines [][]device.Part) ([]device.Part, error) {
	runs, err := t.log(p)
	synced := err == nil
	for _, r := range runs {
		synced = synced && r.InSync
	}
	for _, line := range lines[1:] {
		if why := firstGone(line); why != nil && t.purpose == toRead {
			t.sight.say(t.Name, "a leg of %s is not whole: %v; the first is read", t.InGroup(l), why)
		}
	}
	if synced {
		return copiesOf(lines, false), nil
	}
	if t.purpose == toRead {
		why := "they are not in sync"
		if err != nil {
			why = err.Error()
		}
		t.sight.say(t.Name, "the legs of %s may differ, because %s: the first is read, as the kernel would", t.InGroup(l), why)
	}
	return lines[0], nil
}

// writtenLegs makes the parts of a mirror that is to be written: all legs are, and must be there and in sync. Where a
// merge was cut off, they may differ, as those of a mirror may whose log was in memory: then the first is read.
func (t *tree) writtenLegs(l *lvm.Logical, p lvm.Part, lines [][]device.Part) ([]device.Part, error) {
	name := t.InGroup(l)
	for i, line := range lines {
		if missing := firstGone(line); missing != nil {
			return nil, words.Hint(fmt.Errorf("leg %d of %s is not whole: %w", i, name, missing), "lvchange --activate y %[1]s; lvconvert --repair %[1]s", name)
		}
	}
	log := t.Group.Find(p.Text("mirror_log"))
	if log == nil || len(lines) == 1 {
		return copiesOf(lines, true), nil
	}
	runs, err := t.log(p)
	if err != nil && !errors.Is(err, mirrorlog.ErrNone) {
		return nil, err
	}
	stale := err != nil || len(runs) != 1 || !runs[0].InSync
	if stale {
		d, err := t.open(log)
		if err != nil {
			return nil, err
		}
		if marked, err := mirrorlog.ReadMark(d); err != nil || !marked {
			return nil, cmp.Or(err, notInSync(name))
		}
		t.sayCutOff(l)
	}
	return copiesOf(lines, stale), t.recordLog(l, p, log)
}

// log reads a mirror's log.
func (t *tree) log(p lvm.Part) ([]mirrorlog.Run, error) {
	name, size := p.Text("mirror_log"), int64(p.Number("region_size"))*lvm.SectorSize
	log := t.Group.Find(name)
	if log == nil || size == 0 {
		return nil, errors.New("the mirror's log was in memory, and is lost")
	}
	d, err := t.open(log)
	if err != nil {
		return nil, err
	}
	runs, err := mirrorlog.Read(d, uint64((p.Length+size-1)/size))
	if err != nil {
		return nil, fmt.Errorf("the mirror's log, %s: %w", name, err)
	}
	return runs, nil
}

// inSync is a line that is gone where a mirror is not in sync.
func (t *tree) inSync(p lvm.Part, runs []mirrorlog.Run) (line []device.Part) {
	left := p.Length
	for _, r := range runs {
		n := min(int64(r.Regions)*int64(p.Number("region_size"))*lvm.SectorSize, left)
		s := device.Stripe{}
		if !r.InSync {
			s.Gone = errors.New("the mirror is not in sync there, and its first leg is missing")
		}
		if left -= n; n > 0 {
			line = append(line, device.Part{Length: n, Stripes: []device.Stripe{s}})
		}
	}
	return line
}

// afterFirst makes a line of legs, of which those after the first are read only where may is not gone.
func afterFirst(lines [][]device.Part, may []device.Part) (line []device.Part) {
	for _, s := range slabs(append([][]device.Part{may}, lines...)) {
		legs := s.stripes[1:]
		stripe := legs[0]
		for _, leg := range legs[1:] {
			if stripe.Gone != nil && s.stripes[0].Gone == nil && leg.Gone == nil {
				stripe = leg
			}
		}
		if stripe.Gone != nil && s.stripes[0].Gone != nil {
			stripe.Gone = fmt.Errorf("%w, and %w", stripe.Gone, s.stripes[0].Gone)
		}
		line = append(line, device.Part{Length: s.length, Stripes: []device.Stripe{stripe}})
	}
	return line
}
