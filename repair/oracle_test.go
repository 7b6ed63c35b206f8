package repair_test

import (
	"fmt"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/repair"
	"dmcow/store/look"
)

// The oracle reads images with the naive reader, and knows nothing of how they are mended.

// picture is the whole chunks of a COW device, whose origin has so many chunks.
type picture struct {
	naive.Store
	origin uint64
}

func pictureOf(image []byte, origin uint64) picture {
	return pictureIn(image, naive.Of(image).Chunk, origin)
}

// pictureIn is a picture in chunks of so many bytes, whatever the header says.
func pictureIn(image []byte, chunk int, origin uint64) picture {
	return picture{naive.Store{Image: image[:len(image)/chunk*chunk], Chunk: chunk}, origin}
}

// gapless is the list with what comes back when the gaps in it are closed.
func (p picture) gapless() (all []naive.Exception) {
	e := p.PerArea()
	for area := 0; ; area++ {
		var last naive.Exception
		ended := false // an area begins with the end of the list
		for i := range e {
			x, ok := p.Slot(area*e + i)
			if !ok || i == 0 && x.New == 0 && len(all) > 0 && !p.any(area) {
				ended = true
				break
			}
			if last = x; x.New != 0 {
				all = append(all, x)
			}
		}
		if ended || last.New == 0 {
			return all
		}
	}
}

// any reports whether an area has any exceptions.
func (p picture) any(area int) bool {
	for i := range p.PerArea() {
		if x, _ := p.Slot(area*p.PerArea() + i); x.New != 0 {
			return true
		}
	}
	return false
}

// good reports whether an exception can be served.
func (p picture) good(x naive.Exception) bool {
	return p.IsData(x.New) && x.Old < p.origin && (uint32(x.Old) != format.Magic || uint32(x.New) != 1)
}

// saved is what the good exceptions of a list have saved of each chunk of the origin:
// of several, in the list's order.
func (p picture) saved(list []naive.Exception) map[uint64][]string {
	all := map[uint64][]string{}
	for _, x := range list {
		if p.good(x) {
			all[x.Old] = append(all[x.Old], string(p.Data(x.New)))
		}
	}
	return all
}

// serves wants a store to serve, of what was saved, the first or last of each chunk,
// and nothing else. Chunks in lost may be missing.
func (p picture) serves(saved map[uint64][]string, keep repair.Keep, lost map[uint64]bool) error {
	seen := map[uint64]bool{}
	for i, x := range p.List() {
		all := saved[x.Old]
		if !p.good(x) || seen[x.Old] || len(all) == 0 {
			return fmt.Errorf("exception %d, %v, is one too many", i, x)
		}
		want := all[0]
		if keep == repair.KeepLast {
			want = all[len(all)-1]
		}
		if seen[x.Old] = true; string(p.Data(x.New)) != want {
			return fmt.Errorf("exception %d, %v, has other data", i, x)
		}
	}
	for old := range saved {
		if !seen[old] && !lost[old] {
			return fmt.Errorf("the exception of chunk %d is lost", old)
		}
	}
	return nil
}

// everything is the user's word on all.
func everything(keep repair.Keep) repair.Choices {
	return repair.Choices{Warnings: true, Hidden: repair.KeepHidden, Drop: true, Keep: keep, Unshare: true, Truncate: true}
}

func options(d look.Device, origin format.Bytes, c repair.Choices) repair.Options {
	return repair.Options{Options: check.Options{Device: d, Origin: origin}, Choices: c}
}

// mend repairs a device, and wants a check to say what the plan said that it would.
func mend(t testing.TB, d *devicetest.Memory, origin format.Bytes, c repair.Choices) *repair.Plan {
	t.Helper()
	before := d.Image()
	p, err := repair.Make(options(d, origin, c))
	if err != nil {
		t.Fatal(err)
	}
	if !d.Holds(before) {
		t.Fatal("to make a plan has changed the device")
	}
	was, err := check.Make(check.Options{Device: d, Origin: origin})
	if err != nil || findings(was) != findings(p.Before) {
		t.Errorf("before it, a check says %s, and the plan %s: %v", findings(was), findings(p.Before), err)
	}
	if err := p.Apply(d, nil, nil); err != nil {
		t.Fatal(err)
	}
	r, err := check.Make(check.Options{Device: d, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := findings(r), findings(p.After); got != want {
		t.Errorf("a check says %s, and the plan said %s", got, want)
	}
	return p
}

// findings is what a report says, in a line.
func findings(r check.Report) string {
	text := fmt.Sprintf("%s, %d exceptions in %d areas", r.Outcome(), r.Exceptions, r.Areas)
	for _, t := range r.Tallies {
		text += fmt.Sprintf("; %s %d", t.Name, t.Count)
	}
	return text
}
