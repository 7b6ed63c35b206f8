package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"dmcow/format"
	"dmcow/internal/device"
)

// What a device is shows in what it bears: a disk has a partition table, a physical volume of LVM a
// label, and an origin mostly neither. A slip with the name of the origin is seen there. Logical
// volumes are what they are named, whatever they bear.

// refuseBearing refuses a merge that would remove what the origin bears, or replace it by
// something else.
func (j *job) refuseBearing() error {
	if j.isUndo || j.to.volume != nil {
		return nil
	}
	all, err := device.Bearings(j.origin, j.origin.Size())
	if err != nil || len(all) == 0 {
		return nil // what cannot be read, the merge will tell
	}
	replaced, err := j.replaced(all)
	if err != nil {
		return j.failed(err)
	}
	switch {
	case len(replaced) == 0:
		j.bears = fmt.Sprintf("it bears %s: ", bearingNames(all))
	case !j.Force:
		return &failure{string(j.Into), statusFailed, fmt.Errorf("refused: it bears %s, which the merge would remove or replace: is it the snapshot's origin, "+
			"and not the disk or the physical volume that has that? --force merges it all the same", bearingNames(replaced))}
	default:
		j.bears = fmt.Sprintf("it bears %s, which the merge removes or replaces: ", bearingNames(replaced))
	}
	return nil
}

// bearingNames are the names of what is borne, each once.
func bearingNames(all []device.Bearing) string {
	var names []string
	for _, b := range all {
		if !slices.Contains(names, b.Name) {
			names = append(names, b.Name)
		}
	}
	return strings.Join(names, ", ")
}

// replaced are those of which the snapshot holds something else.
func (j *job) replaced(all []device.Bearing) (replaced []device.Bearing, err error) {
	chunk := int64(j.id.Geometry.ChunkBytes())
	differs := make([]bool, len(all))
	p := j.walking(j.cow, true)
	defer p.end()
	_, err = format.Each(j.walk(), nil, func(_ *struct{}, batch format.Batch) error {
		for _, x := range batch.Exceptions() {
			for i, b := range all {
				first, last := b.Offset/chunk, (b.Offset+b.Length-1)/chunk
				if differs[i] || int64(x.Old) < first || int64(x.Old) > last {
					continue
				}
				start := max(b.Offset, int64(x.Old)*chunk)
				end := min(b.Offset+b.Length, (int64(x.Old)+1)*chunk)
				from := int64(j.id.Geometry.Offset(x.New)) + start%chunk
				differs[i] = differ(j.device, from, j.origin, start, end-start)
			}
		}
		return p.area(batch.Area)
	})
	for i, b := range all {
		if differs[i] {
			replaced = append(replaced, b)
		}
	}
	return replaced, err
}

// differ reports whether stretches of two devices differ, or cannot be compared.
func differ(a io.ReaderAt, from int64, b io.ReaderAt, at, length int64) bool {
	const piece = 64 << 10
	x, y := make([]byte, min(piece, length)), make([]byte, min(piece, length))
	for length > 0 {
		x, y = x[:min(piece, length)], y[:min(piece, length)]
		if n, _ := a.ReadAt(x, from); n < len(x) {
			return true
		}
		if n, _ := b.ReadAt(y, at); n < len(y) || !bytes.Equal(x, y) {
			return true
		}
		n := int64(len(x))
		from, at, length = from+n, at+n, length-n
	}
	return false
}

// refuseLacking refuses a snapshot that lacks what its origin bears: then that is mostly
// no origin, but the disk that has it.
func (s *snapshot) refuseLacking(v viewing, origin named) error {
	if s.isUndo || origin.volume != nil {
		return nil
	}
	before, err := device.Bearings(s.origin, s.origin.Size())
	if err != nil || len(before) == 0 {
		return nil
	}
	after, err := device.Bearings(s.view, s.view.Size())
	if err != nil {
		return nil // reading will tell
	}
	lost := slices.DeleteFunc(before, func(b device.Bearing) bool {
		return slices.ContainsFunc(after, func(a device.Bearing) bool { return a.Name == b.Name && a.Offset == b.Offset })
	})
	if len(lost) == 0 {
		return nil
	}
	what := fmt.Sprintf("it bears %s, which the snapshot does not: is it the snapshot's origin, and not the disk or the physical volume that has that?", bearingNames(lost))
	if v.DamagedOK {
		s.say(s.origin.Path(), "%s", what)
		s.status |= s.outcomes.damaged
		return nil
	}
	return &failure{s.origin.Path(), s.outcomes.damaged, errors.New("refused: " + what + " --damaged-ok shows it all the same")}
}
