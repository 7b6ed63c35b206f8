package repair_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/repair"
	"dmcow/store/undo"
)

// planFor plans the repair of a patient's image.
func (p patient) planFor(t testing.TB, d *devicetest.Memory) *repair.Plan {
	t.Helper()
	plan, err := repair.Make(options(d, p.origin(d.Image()), p.choices))
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestResultInParts: whatever part of the device is read as it will be, it is what it becomes.
func TestResultInParts(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 5))
	all := patients()
	all["shared, larger chunks"] = patient{"device 400\nheader chunk=4\nfill 30 0\nex 5 5 6\nex 20 20 12\ndata 9", 0, repair.Choices{Unshare: true}}
	for name, p := range all {
		d := devicetest.Of(p.image(t))
		r := p.planFor(t, d).Result()
		if err := p.planFor(t, d).Apply(d, nil, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := bytes.NewReader(d.Image())
		for range 300 {
			offset := rng.Int64N(d.Size() + 10)
			read, expected := make([]byte, rng.IntN(3000)), make([]byte, 3000)
			n, err := r.ReadAt(read, offset)
			m, _ := want.ReadAt(expected[:len(read)], offset)
			if !bytes.Equal(read[:n], expected[:m]) || (n < len(read)) != errors.Is(err, io.EOF) {
				t.Fatalf("%s: %d bytes at %d: %d of %d are there, %v, or they are others", name, len(read), offset, n, m, err)
			}
		}
	}
}

// TestBlocks has devices with logical blocks larger than a sector: what is written are whole ones, each once in a
// step, and the device becomes the same.
func TestBlocks(t *testing.T) {
	for name, p := range patients() {
		image := p.image(t)
		for block := 1024; block <= naive.Of(image).Chunk && len(image)%block == 0 && p.choices.Header == nil; block *= 2 {
			d := devicetest.Of(image)
			d.Block = int64(block)
			plan := p.planFor(t, d)
			inOrder := func(changes ...undo.Change) error {
				end := format.Bytes(0)
				for _, c := range changes {
					if c.Offset < end {
						t.Errorf("%s: byte %d is written twice, or out of order", name, c.Offset)
					}
					end = c.Offset + format.Bytes(len(c.Data))
				}
				return nil
			}
			err := plan.Apply(d, inOrder, nil)
			want := make([]byte, len(image))
			if n, _ := plan.Result().ReadAt(want, 0); err != nil || n < len(want) || !d.Holds(want) {
				t.Errorf("%s, blocks of %d: %v, or it is something else", name, block, err)
			}
		}
	}
}

// mebibyte is the most that is read and written at once.
const mebibyte = 1 << 20

// TestLargeChunks: of chunks of megabytes, a part is in memory at a time, and all of them is copied, cleared, and
// compared.
func TestLargeChunks(t *testing.T) {
	const chunk = 4 * mebibyte / 512 // sectors
	image := storespec.MustCompile(t, fmt.Sprintf("device %d\nheader chunk=%d\nex 0 0 2\nex 1 1 2\nraw 600 11*%d\nraw %d 22*%d 33*%d",
		6*chunk, chunk, 3*mebibyte, 2*chunk*512, 2*mebibyte, 2*mebibyte))
	d := devicetest.Of(image)
	p := patient{choices: repair.Choices{Unshare: true, Warnings: true}}
	plan := p.planFor(t, d)
	g := plan.Geometry()
	for name, at := range map[string]format.Bytes{"copied": g.Offset(3) - 1, "written over": g.Offset(4) - 1, "cleared": 3 * mebibyte} {
		now := devicetest.Of(image)
		now.Put(int64(at), []byte{0x5a})
		var moved *repair.MovedError
		if err := plan.Apply(now, nil, nil); !errors.As(err, &moved) || moved.Offset > at {
			t.Errorf("what is %s has changed: %v", name, err)
		}
	}
	before := len(d.Ops())
	if err := plan.Apply(d, nil, nil); err != nil {
		t.Fatal(err)
	}
	writes := 0
	for _, op := range d.Ops()[before:] {
		if op.Length > mebibyte && op.Kind != devicetest.Sync {
			t.Errorf("%d bytes at once", op.Length)
		}
		if op.Kind == devicetest.Write {
			writes++
		}
	}
	if writes > 4+1+3+2 { // parts of the chunk, the entry, and sectors behind the header's that lie side by side
		t.Errorf("%d writes", writes)
	}
	now := d.Image()
	if header := now[16:g.ChunkBytes()]; !bytes.Equal(header, make([]byte, len(header))) {
		t.Error("behind the header's fields are not only zeros")
	}
	if !bytes.Equal(now[g.Offset(2):g.Offset(3)], image[g.Offset(2):g.Offset(3)]) || !bytes.Equal(now[g.Offset(2):g.Offset(3)], now[g.Offset(3):g.Offset(4)]) {
		t.Error("the copy is something else")
	}
	for _, s := range plan.Steps {
		if len(s.Edits) > 4096 {
			t.Errorf("a step of %d edits", len(s.Edits))
		}
	}
}

// TestNothingInVain: each sector that an edit writes gets something else there than it has.
func TestNothingInVain(t *testing.T) {
	all := patients()
	const gappy = "device 600\nheader chunk=8\nfill 100 0\ndata 9\nraw 4416 00*192\nraw 5120 00*512\n"
	all["hidden ones, sectors without any between them"] = patient{gappy + "ex 128 200 120\nex 129 201 121\nex 190 202 122\nex 255 203 123", 0, repair.Choices{Hidden: repair.DropHidden}}
	for name, p := range all {
		for _, s := range p.planFor(t, devicetest.Of(p.image(t))).Steps {
			for _, e := range s.Edits {
				for at := 0; at < len(e.New); {
					next := min(len(e.New), at+512-int(e.Offset+format.Bytes(at))%512)
					if bytes.Equal(e.Old[at:next], e.New[at:next]) {
						t.Errorf("%s: %s: byte %d: nothing is changed in %d bytes from %d on", name, e.Why, e.Offset, next-at, at)
					}
					at = next
				}
			}
		}
	}
}

// TestFigures: what a plan says that it writes, and may lose.
func TestFigures(t *testing.T) {
	const store = "device 400\nheader chunk=4\nfill 40 0\ndata 9\n"
	for name, c := range map[string]struct {
		spec    string
		choices repair.Choices
		bytes   format.Bytes
		writes  int
		lines   map[string]int // by rule
		loses   bool
	}{
		"two copies, and the entries that name them": {store + "ex 5 5 6\nex 20 20 12", repair.Choices{Unshare: true}, 2*2048 + 2*16, 4, map[string]int{"duplicate-new-chunk": 2}, true},
		"twelve are dropped, ten have a line": {
			store + bad(12, 28, 40), repair.Choices{Drop: true}, 12 * 16, 1, map[string]int{"new-chunk-beyond-device": 10}, true},
		"the mark, and a sector but for the header's fields": {
			store + "raw 4 7\nraw 20 1", repair.Choices{Warnings: true}, 4 + 496, 2, map[string]int{"valid-not-one": 1, "header-padding": 1}, false},
	} {
		p := patient{spec: c.spec, choices: c.choices}
		plan := p.planFor(t, devicetest.Of(p.image(t)))
		lines := map[string]int{}
		for _, r := range plan.Repaired {
			lines[r.Rule.Name] = len(r.Lines)
		}
		if plan.Bytes() != c.bytes || plan.Writes() != c.writes || fmt.Sprint(lines) != fmt.Sprint(c.lines) || plan.Loses() != c.loses {
			t.Errorf("%s: %d bytes, %d writes, lines %v, loses %v", name, plan.Bytes(), plan.Writes(), lines, plan.Loses())
		}
	}
}

// bad are so many exceptions from a slot on whose new chunks are beyond a small device.
func bad(n, from, old int) (spec string) {
	for i := range n {
		spec += fmt.Sprintf("ex %d %d %d\n", from+i, old+i, 9000+i)
	}
	return spec
}

// TestInterrupted: whoever watches a plan being made or applied can end that at any point. What was written then is
// whole steps, and the plan of what is left ends in the same store.
func TestInterrupted(t *testing.T) {
	for name, p := range patients() {
		image := p.image(t)
		d := devicetest.Of(image)
		for n := 0; ; n++ {
			left := n
			o := options(d, p.origin(image), p.choices)
			o.Visit = func(format.AreaIndex) error {
				if left--; left < 0 {
					return errBroken
				}
				return nil
			}
			if _, err := repair.Make(o); left >= 0 && err == nil {
				break
			} else if !errors.Is(err, errBroken) || left < -1 {
				t.Fatalf("%s: ended at look %d: %v, and %d others", name, n, err, -1-left)
			}
		}
		plan := p.planFor(t, d)
		for stop := range plan.Steps {
			now := devicetest.Of(image)
			done := 0
			visit := func() error {
				if done++; done > stop {
					return errBroken
				}
				return nil
			}
			before := len(now.Ops())
			if err := plan.Apply(now, nil, visit); !errors.Is(err, errBroken) {
				t.Fatalf("%s: ended before step %d: %v", name, stop, err)
			}
			syncs := 1 // before all
			for _, s := range plan.Steps[:stop] {
				syncs += 1 + min(len(s.Copies), 1)
			}
			for _, op := range now.Ops()[before:] {
				if op.Kind == devicetest.Sync {
					syncs--
				}
			}
			if syncs != 0 || stop == 0 && !now.Holds(image) {
				t.Errorf("%s: ended before step %d: %d syncs are missing", name, stop, syncs)
			}
			now = devicetest.Of(image)
			if err := plan.Apply(now, func(...undo.Change) error { return errBroken }, nil); !errors.Is(err, errBroken) || !now.Holds(image) {
				t.Errorf("%s: nothing can be kept of what is written over, and it is written: %v", name, err)
			}
		}
	}
}
