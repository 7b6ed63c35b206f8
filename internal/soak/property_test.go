package soak_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/naive"
	"dmcow/repair"
	"dmcow/store/look"
)

// property is something that is held against the driver. It says how the two disagree, in words; it is
// empty where they do not.
type property struct {
	name   string
	differ func(*trial) string
}

// served are the properties of any store, in the order in which they are tried.
var served = []property{
	{"load", (*trial).load},     // a rule says: refuses, formats, or neither
	{"status", (*trial).status}, // usage has the driver's status line
	{"view", (*trial).view},     // what is certain reads as the driver shows it
	{"export", (*trial).export}, // a sound store is exported, and whatever is reads so throughout
	{"fate", (*trial).fate},     // a damaged store of which a rule says that it is served is served right
	{"write", (*trial).write},   // the engine writes what the driver writes, and says when there is no room
	{"reload", (*trial).reload}, // and what the driver has written is what dmcow says again
	{"merge", (*trial).merge},   // merge-step leaves what the driver leaves, and a sound store merges
}

// properties are all of them.
var properties = append(served,
	property{"repair", (*trial).repair},     // what is repaired has all of those, and nothing certain has changed
	property{"commands", (*trial).commands}, // the commands say, export and merge the same
	property{"cut", (*trial).powerCut},      // behind a power cut, what was not written over reads as before
)

// trial is a sample in front of both.
type trial struct {
	sample
	driver *driver
	desk   desk
	says   claims
	saw    *seen
	writes []write
}

// chunkOf is the chunk size that the header names, 1 where that is not to be used.
func chunkOf(image []byte) uint64 {
	if n := naive.Of(image).Chunk / kernellab.SectorSize; n > 0 && n <= 64 && n&(n-1) == 0 {
		return uint64(n)
	}
	return 1
}

func (d *driver) try(on desk, s sample) (*trial, error) {
	t := &trial{sample: s, driver: d, desk: on}
	rng, sectors := t.chance(1), uint64(len(s.origin)/kernellab.SectorSize)
	for range 1 + rng.IntN(6) {
		w := write{toOrigin: rng.IntN(2) == 0, count: 1}
		if rng.IntN(2) == 0 {
			w.count = chunkOf(s.image)
		}
		w.first = rng.Uint64N(sectors) / w.count * w.count
		t.writes = append(t.writes, w)
	}
	var err error
	if t.says, err = ask(s.image, s.origin); err != nil {
		return nil, err
	}
	t.saw = d.serve(s.image, s.origin, t.writes)
	return t, nil
}

// chance is what chance does in one part of the trial: the same when it is tried again.
func (t *trial) chance(part uint64) *rand.Rand { return rand.New(rand.NewPCG(t.seed, part)) }

func (t *trial) outcome() check.Outcome { return t.says.report.Outcome() }

// isServed reports whether the driver has loaded the store and shows the snapshot.
func (t *trial) isServed() bool {
	return t.saw.refused == "" && !t.saw.formatted && t.saw.status != "Invalid"
}

// list is the list as it stands on the image, whatever the header says besides the chunk size.
func (t *trial) list() []naive.Exception {
	return naive.Store{Image: t.image, Chunk: int(chunkOf(t.image)) * kernellab.SectorSize}.List()
}

func (t *trial) rules() string { return rulesOf(t.says.report) }

func rulesOf(r check.Report) string {
	var names []string
	for _, x := range r.Tallies {
		names = append(names, x.Name)
	}
	return fmt.Sprintf("%s: %s", r.Outcome(), strings.Join(names, " "))
}

func (t *trial) load() string {
	fate := check.Serves
	for _, x := range t.says.report.Tallies {
		fate = max(fate, x.Fate)
	}
	switch t.says.report.Identity.State {
	case look.Uninitialized:
		fate = check.Formats
	case look.Invalid:
		fate = check.Serves // nothing; the driver does not come to the list
	}
	switch {
	case fate == check.Formats && tableChunk(t.image) == 0 && len(t.image) < 2*freshChunk*kernellab.SectorSize:
		// A table with a smaller chunk size would have the driver format it.
	case fate == check.Formats != t.saw.formatted, fate == check.Refuses != (t.saw.refused != ""):
		return fmt.Sprintf("check says %q; the driver: refused %q, formatted %v", t.rules(), t.saw.refused, t.saw.formatted)
	case t.says.report.Of(check.BadMagic) != nil && !strings.Contains(t.saw.refused, "Invalid or corrupt snapshot"):
		return "bad-magic is refused with other words: " + t.saw.refused
	}
	return ""
}

func (t *trial) status() string {
	if t.saw.formatted && t.outcome() == check.Damaged {
		return "" // which usage has no status for
	}
	if t.says.status != t.saw.status {
		return fmt.Sprintf("usage says %q; the driver %q %s", t.says.status, t.saw.status, t.saw.refused)
	}
	return ""
}

// hasRunLengths reports whether an exception has a new chunk of which the driver takes the top byte for
// the length of a run: then it shows wrong data elsewhere, too (new-chunk-over-56-bits).
func (t *trial) hasRunLengths() bool {
	return slices.ContainsFunc(t.list(), func(x naive.Exception) bool { return x.New>>56 != 0 })
}

func (t *trial) view() string {
	if !t.isServed() || t.says.certain == nil || t.hasRunLengths() {
		return ""
	}
	if t.says.report.Of(check.ImplausibleArea) != nil {
		t.doubtRepeated()
	}
	if diff := t.says.certain.against(t.saw.view); diff != "" {
		return "the view and the driver show " + diff
	}
	return ""
}

// doubtRepeated leaves out chunks with several exceptions: the driver may go by one that stands among
// garbage, which counts for nothing to dmcow.
func (t *trial) doubtRepeated() {
	seen := map[uint64]bool{}
	chunk := chunkOf(t.image)
	for _, x := range t.list() {
		for i := uint64(0); seen[x.Old] && i < chunk; i++ {
			t.says.certain.bad[int(x.Old*chunk+i)] = true
		}
		seen[x.Old] = true
	}
}

func (t *trial) export() string {
	switch {
	case t.outcome() == check.Sound && t.says.exported == nil:
		return fmt.Sprintf("a sound store is not exported: %v", t.says.refusal)
	case t.says.exported == nil || t.hasRunLengths():
		return ""
	case !t.isServed():
		return "the driver does not serve what export writes: " + t.saw.refused + t.saw.status
	}
	if diff := (content{bytes: t.says.exported}).against(t.saw.view); diff != "" {
		return "export and the driver have " + diff
	}
	return ""
}

func (t *trial) fate() string {
	if t.outcome() != check.Damaged || t.says.report.Fate() > check.Loses || !t.isServed() {
		return ""
	}
	want, err := naive.Of(t.image).View(t.origin)
	if err != nil {
		return err.Error()
	}
	if diff := (content{bytes: want}).against(t.saw.view); diff != "" {
		return fmt.Sprintf("check says %s; the list and the driver show %s", t.rules(), diff)
	}
	return ""
}

// isPlain reports whether the store has no error, and nothing in its last area behind the list's end: the
// driver keeps that, and an old chunk alone, without a new one, becomes an odd terminator.
func (t *trial) isPlain() bool {
	if t.outcome() != check.Sound || !t.isServed() {
		return false
	}
	s := naive.Of(t.image)
	n := len(s.List())
	for slot := n; slot < (n/s.PerArea()+1)*s.PerArea(); slot++ {
		if x, _ := s.Slot(slot); x != (naive.Exception{}) {
			return false
		}
	}
	return true
}

func (t *trial) write() string {
	if !t.isPlain() {
		return ""
	}
	cow, origin, lost, err := written(t.image, t.origin, chunkOf(t.image), t.writes)
	news := map[uint64]bool{}
	for _, w := range t.writes {
		old := w.first / chunkOf(t.image)
		news[old] = !slices.ContainsFunc(t.list(), func(x naive.Exception) bool { return x.Old == old })
	}
	needed := uint64(0)
	for _, isNew := range news {
		if isNew {
			needed++
		}
	}
	isLost := t.saw.wrote == "Invalid"
	switch {
	case err != nil:
		return fmt.Sprintf("the engine does not write to a sound store: %v", err)
	case isLost != lost, isLost != (needed > t.says.room):
		return fmt.Sprintf("of %d new chunks, usage has room for %d, the engine lost %v, the driver's status is %q", needed, t.says.room, lost, t.saw.wrote)
	case isLost:
		return ""
	case t.saw.failed > 0:
		return fmt.Sprintf("%d writes to a sound store failed", t.saw.failed)
	case !bytes.Equal(origin, t.saw.origin):
		return "after the same writes, the origins differ"
	}
	if diff := t.withoutTail(cow).against(content{bytes: t.saw.cow}); diff != "" {
		return "after the same writes, the engine and the driver have on the COW device " + diff
	}
	return ""
}

// withoutTail is a COW device without what stands behind the data of a short last chunk of the origin: the
// driver leaves there what was, and the engine puts zeros.
func (t *trial) withoutTail(cow []byte) content {
	c := content{cow, map[int]bool{}}
	chunk, sectors := int(chunkOf(cow)), len(t.origin)/kernellab.SectorSize
	for _, x := range naive.Of(cow).List() {
		for i := sectors % chunk; sectors%chunk > 0 && x.Old == uint64(sectors/chunk) && i < chunk; i++ {
			c.bad[int(x.New)*chunk+i] = true
		}
	}
	return c
}

func (t *trial) reload() string {
	if !t.isServed() || t.saw.again == nil {
		return ""
	}
	c, err := ask(t.saw.cow, t.saw.origin)
	if err != nil {
		return err.Error()
	}
	if t.isPlain() && c.report.Outcome() == check.Damaged {
		return fmt.Sprintf("check calls it sound (%s), and once the driver has written to it %s", t.rules(), rulesOf(c.report))
	}
	next := &trial{sample: t.sample, driver: t.driver, says: c, saw: t.saw.again}
	next.image, next.origin = t.saw.cow, t.saw.origin
	if diff := firstOf(next.load(), next.status(), next.view(), next.export(), next.fate()); diff != "" {
		return "after writes: " + diff
	}
	return ""
}

func firstOf(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

func (t *trial) merge() string {
	if !t.isServed() {
		return ""
	}
	k := t.driver.merge(t.image, t.origin, t.chance(2))
	isSound := t.outcome() == check.Sound
	if k.failed || k.refused {
		if isSound {
			return "the driver does not merge a sound store: " + k.last
		}
		return ""
	}
	left := uint64(len(naive.Of(k.cow).List()))
	cow, origin, err := t.says.stepped(t.image, t.origin, left, false)
	var whole []byte
	if err == nil && k.ended {
		_, whole, err = t.says.stepped(t.image, t.origin, 0, true)
	}
	switch {
	case err != nil && isSound:
		return fmt.Sprintf("merge-step does not merge a sound store as the driver did: %v", err)
	case err != nil:
		return ""
	case !bytes.Equal(origin, k.origin):
		return fmt.Sprintf("merged until %d exceptions are left, the origins differ", left)
	case t.says.report.Of(check.HiddenExceptions) == nil && !bytes.Equal(cow, k.cow):
		return fmt.Sprintf("merged until %d exceptions are left, the COW devices differ", left)
	case k.ended && !bytes.Equal(origin, whole):
		return "merge and merge-step leave different origins"
	case isSound && k.ended && t.says.exported != nil && !bytes.Equal(origin, t.says.exported):
		return "merged to its end, the origin is not what was exported"
	}
	return ""
}

// choices are a user's word on all that can be repaired, or on nothing.
func (t *trial) choices() repair.Choices {
	rng := t.chance(3)
	c := repair.Choices{}
	if rng.IntN(4) > 0 {
		c = repair.Choices{Warnings: true, Hidden: repair.KeepHidden, Drop: true, Keep: repair.KeepFirst, Unshare: true, Truncate: rng.IntN(2) == 0, Rebuild: rng.IntN(2) == 0}
		if rng.IntN(2) == 0 {
			c.Hidden = repair.DropHidden
		}
		if rng.IntN(2) == 0 {
			c.Keep = repair.KeepLast
		}
	}
	if t.says.report.Identity.State != look.Valid && t.says.report.Identity.State != look.Invalid {
		if e, err := check.Probe(devicetest.Of(t.image), nil); err == nil && e != nil {
			c.Header = &repair.Header{Geometry: e.Geometry, Valid: true}
		}
	}
	return c
}

// repair has a copy repaired, and tries that as any other store. What a check found in it before may
// have hidden more, which is in doubt then. A check looks at the area behind the list: where a repair
// makes the list shorter, it loses sight of a misplaced one until the list comes there again.
func (t *trial) repair() string {
	if t.outcome() == check.Sound || t.outcome() == check.Uninitialized || t.says.report.Of(check.MisplacedArea) != nil {
		return ""
	}
	c := t.choices()
	image, after, err := t.repaired(c)
	if err != nil || image == nil {
		return words(err)
	}
	s := t.sample
	s.image, s.cut = image, nil
	next, err := t.driver.try(t.desk, s)
	if err != nil {
		return err.Error()
	}
	said := fmt.Sprintf("with hidden %q, keep %q, rebuild %v, truncate %v, header %v (%s): ",
		c.Hidden, c.Keep, c.Rebuild, c.Truncate, c.Header != nil, next.rules())
	if next.outcome() != after {
		return said + "it was to be " + string(after)
	}
	if before, now := t.says.certain, next.says.certain; before != nil && now != nil && t.keeps(c) {
		maps.Copy(before.bad, now.bad)
		if diff := before.against(*now); diff != "" {
			return said + "what was certain has become " + diff
		}
	}
	for _, p := range served {
		if diff := p.differ(next); diff != "" {
			return said + p.name + ": " + diff
		}
	}
	return ""
}

// keeps reports whether what is certain stays as it is. What is behind the list's end, or rebuilt, speaks
// against it; who cuts a list gives up what it has there, and who says that the header was another one, all
// of it.
func (t *trial) keeps(c repair.Choices) bool {
	return c.Header == nil && !c.Truncate && !c.Rebuild &&
		(c.Hidden != repair.KeepHidden || t.says.report.Of(check.HiddenExceptions) == nil)
}

// repaired is a copy that was repaired, and what a check is to say of it; nil where there is nothing to write.
func (t *trial) repaired(c repair.Choices) (image []byte, after check.Outcome, err error) {
	d := devicetest.Of(t.image)
	p, err := repair.Make(repair.Options{Choices: c, Options: check.Options{
		Device: d, Origin: format.Bytes(len(t.origin)), Content: devicetest.Of(t.origin),
	}})
	if errors.As(err, new(*repair.HeaderError)) {
		return nil, "", nil
	}
	if err == nil {
		err = p.Apply(d, nil, nil)
	}
	if err != nil || len(p.Steps) == 0 {
		return nil, "", err
	}
	return d.Image(), p.After.Outcome(), nil
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
