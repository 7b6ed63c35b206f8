package repair_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/repair"
	"dmcow/store/look"
)

// The oracle reads images straight from the description of the format, and knows
// nothing of how they are mended.

// entry is an exception.
type entry struct{ old, new uint64 }

// picture is an image of a COW device, of so many chunks of the origin.
type picture struct {
	image  []byte
	chunk  int // bytes
	origin uint64
}

func pictureOf(image []byte, origin uint64) picture {
	return picture{image, int(binary.LittleEndian.Uint32(image[12:])) * 512, origin}
}

func (p picture) chunks() uint64  { return uint64(len(p.image) / p.chunk) }
func (p picture) perArea() uint64 { return uint64(p.chunk / 16) }

// slot is the entry at a position; ok is false where its area does not lie wholly on
// the device.
func (p picture) slot(position uint64) (x entry, ok bool) {
	e := p.perArea()
	area := 1 + position/e*(e+1)
	if area >= p.chunks() {
		return x, false
	}
	at := int(area)*p.chunk + int(position%e)*16
	u64 := binary.LittleEndian.Uint64
	return entry{u64(p.image[at:]), u64(p.image[at+8:])}, true
}

// list is what the kernel reads, as far as the device goes.
func (p picture) list() (all []entry) {
	for {
		x, ok := p.slot(uint64(len(all)))
		if !ok || x.new == 0 {
			return all
		}
		all = append(all, x)
	}
}

// gapless is the list with what comes back when the gaps in it are closed.
func (p picture) gapless() (all []entry) {
	e := p.perArea()
	for area := uint64(0); ; area++ {
		var last entry
		ended := false // an area begins with the end of the list
		for i := range e {
			x, ok := p.slot(area*e + i)
			if !ok || i == 0 && x.new == 0 && len(all) > 0 && !p.any(area) {
				ended = true
				break
			}
			if last = x; x.new != 0 {
				all = append(all, x)
			}
		}
		if ended || last.new == 0 {
			return all
		}
	}
}

// any reports whether an area has any exceptions.
func (p picture) any(area uint64) bool {
	for i := range p.perArea() {
		if x, _ := p.slot(area*p.perArea() + i); x.new != 0 {
			return true
		}
	}
	return false
}

// good reports whether an exception can be served.
func (p picture) good(x entry) bool {
	return x.new >= 2 && x.new < p.chunks() && x.new%(p.perArea()+1) != 1 && x.old < p.origin &&
		(uint32(x.old) != format.Magic || uint32(x.new) != 1)
}

func (p picture) data(new uint64) []byte { return p.image[int(new)*p.chunk:][:p.chunk] }

// saved is what the good exceptions of a list have saved of each chunk of the origin:
// of several, in the list's order.
func (p picture) saved(list []entry) map[uint64][]string {
	all := map[uint64][]string{}
	for _, x := range list {
		if data := string(p.data(min(x.new, p.chunks()-1))); p.good(x) {
			all[x.old] = append(all[x.old], data)
		}
	}
	return all
}

// serves wants a store to serve, of what was saved, the first or last of each chunk,
// and nothing else. Chunks in lost may be missing.
func (p picture) serves(saved map[uint64][]string, keep repair.Keep, lost map[uint64]bool) error {
	seen := map[uint64]bool{}
	for i, x := range p.list() {
		all := saved[x.old]
		if !p.good(x) || seen[x.old] || len(all) == 0 {
			return fmt.Errorf("exception %d, %v, is one too many", i, x)
		}
		want := all[0]
		if keep == repair.KeepLast {
			want = all[len(all)-1]
		}
		if seen[x.old] = true; string(p.data(x.new)) != want {
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
	if !bytes.Equal(d.Image(), before) {
		t.Fatal("to make a plan has changed the device")
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
