package repair_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// patient is a damaged store, and what is to be done with it.
type patient struct {
	spec    string
	sectors int64 // the device is cut to so many, where that is not 0
	choices repair.Choices
}

func (p patient) image(t testing.TB) []byte {
	image := storespec.MustCompile(t, p.spec)
	if p.sectors > 0 {
		image = image[:p.sectors*format.SectorSize]
	}
	return image
}

// patients have each kind of damage, also where many areas are changed.
func patients() map[string]patient {
	const long = "device 400\nheader chunk=1\nfill 100 0\ndata 9\n"
	all, last := everything(repair.KeepFirst), everything(repair.KeepLast)
	var many strings.Builder // two of three exceptions cannot be served
	for i := range 66 {
		fmt.Fprintf(&many, "ex %d %d 5000\n", i*3/2, 7000+i)
	}
	const wide = "device 600\nheader chunk=2\nfill 66 0\ndata 9\nex 66 77 0\n"
	var odd, twice strings.Builder
	for i := range 40 {
		fmt.Fprintf(&odd, "ex %d %d 5000\n", 20+i, 20+i)
		fmt.Fprintf(&twice, "ex %d 0 2\nex %d 0 2\n", i+10, i+140)
	}
	return map[string]patient{
		"a bad exception":                     {long + "ex 40 7 9999", 0, all},
		"bad exceptions, many":                {long + many.String(), 0, all},
		"bad ones, and half a one behind":     {"device 400\nheader chunk=4\nfill 100 0\ndata 9\nex 110 77 0\n" + many.String(), 0, repair.Choices{Drop: true}},
		"the last one is bad":                 {long + "ex 99 99 34", 0, all},
		"repeated":                            {long + "ex 10 2 4\nex 50 2 4\nex 99 2 4", 0, repair.Choices{Keep: repair.KeepFirst}},
		"of one chunk, first":                 {long + "ex 5 60 200\nex 98 60 210", 0, all},
		"of one chunk, last":                  {long + "ex 5 60 200\nex 98 60 210", 0, last},
		"of one chunk, last, and bad":         {long + "ex 3 3 0x100000000\nex 5 60 200\nex 98 60 210\nex 99 60 211\nex 40 9 1", 0, last},
		"shared":                              {long + "ex 20 20 60\nex 21 21 60", 0, all},
		"a gap":                               {long + "ex 20 0 0", 0, all},
		"gaps":                                {long + "ex 32 0 0\nex 40 0 0\nex 41 0 0\nex 97 0 0\nex 50 9 9", 0, last},
		"a gap, dropped":                      {long + "ex 70 0 0", 0, repair.Choices{Hidden: repair.DropHidden}},
		"a gap with an odd end, dropped":      {"device 400\nheader chunk=2\nfill 100 0\ndata 9\nex 20 20 0\nraw 1360 00*176", 0, repair.Choices{Hidden: repair.DropHidden}},
		"a torn commit":                       {"device 400\nheader chunk=4\nfill 100 0\ndata 9\nex 28 0 0\nex 29 0 0\nex 30 0 0\nex 31 0 0", 0, repair.Choices{Hidden: repair.DropHidden}},
		"cut short":                           {long, 110, all},
		"cut at an area":                      {long, 100, all},
		"garbage":                             {"device 400\nheader chunk=2\nfill 128 0\ndata 9\nraw 0x20800 a5*1024", 0, repair.Choices{Drop: true}},
		"some garbage":                        {"device 1000\nheader chunk=4\nfill 128 0\ndata 9\nraw 0x41000 a5*72 00*100 a6*400", 0, repair.Choices{Drop: true}},
		"cut short, flags it needs":           {"device 600\nheader chunk=2\nfill 128 0\ndata 9", 190, repair.Choices{Drop: true, Truncate: true}},
		"an odd end":                          {wide + odd.String(), 0, repair.Choices{Drop: true}},
		"an odd end, warnings":                {wide + odd.String(), 0, repair.Choices{Drop: true, Warnings: true}},
		"an odd end, many sectors":            {"device 1000\nheader chunk=4\nfill 100 0\ndata 9\nex 100 77 0\n" + odd.String(), 0, repair.Choices{Drop: true}},
		"repeated, more than half":            {"device 3000\nheader chunk=4\nfill 380 0\n" + twice.String() + "data 9", 0, repair.Choices{Keep: repair.KeepFirst}},
		"shared, just enough room":            {"device 76\nheader chunk=1\nfill 70 0\nex 5 5 6\nex 40 40 42\ndata 9", 0, repair.Choices{Unshare: true}},
		"gaps, and a choice left":             {long + "ex 20 0 0\nex 50 0 0\nex 3 60 200\nex 45 60 210\nex 46 60 210", 0, repair.Choices{Hidden: repair.KeepHidden}},
		"garbage, cut short":                  {"device 600\nheader chunk=2\nfill 128 0\ndata 9\nraw 1024 a5*528\nraw 67584 a5*1024", 138, repair.Choices{Drop: true, Truncate: true}},
		"bad ones behind a gap":               {"device 600\nheader chunk=4\nfill 66 0\ndata 9\nex 0 0x170416e53 0x400000001\nraw 2560 00*512", 258, repair.Choices{Hidden: repair.KeepHidden}},
		"a choice left":                       {long + "ex 1 0 9999\nex 20 400 120\nex 30 400 130\nex 39 400 130", 0, repair.Choices{Drop: true}},
		"lost, rebuilt":                       {long + "raw 0x4400 00*128\nex 60 60 64\nex 80 80 9999", 0, repair.Choices{Rebuild: true}},
		"an area of ones and others, rebuilt": {long + "raw 0x8600 ff*512\nex 10 10 9999\nex 40 40 9999", 0, repair.Choices{Rebuild: true}},
		"a lost header":                       {long + "raw 0 00 00 00 00\nex 40 7 9999", 0, all},
		"a bad magic":                         {long + "raw 0 ff", 0, withHeader(all, 1)},
		"warnings":                            {"device 400\nheader chunk=8 valid=7\nfill 10 0\ndata 9\nraw 600 11*100\nraw 4000 12\nex 10 77 0", 0, all},
	}
}

func withHeader(c repair.Choices, chunk uint32) repair.Choices {
	g, err := format.NewGeometry(chunk)
	if err != nil {
		panic(err)
	}
	c.Header = &repair.Header{Geometry: g, Valid: true}
	return c
}

const crashOrigin = 500 // chunks

// origin is the size of the origin, in bytes.
func (p patient) origin(image []byte) format.Bytes {
	return format.Bytes(crashOrigin * naive.Of(image).Chunk)
}

// TestCrashes cuts off the repair of each at every point, with any of what was not synced
// written. What the repair keeps is there in each state, and the same repair ends it.
func TestCrashes(t *testing.T) {
	for name, p := range patients() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crashes(t, p.image(t), p.choices, 60)
		})
	}
}

// TestResult: what a plan says that a device will be is what it becomes.
func TestResult(t *testing.T) {
	for name, p := range patients() {
		image := p.image(t)
		d := devicetest.Of(image)
		plan, err := repair.Make(options(d, p.origin(image), p.choices))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		foretold := make([]byte, len(image))
		if n, err := plan.Result().ReadAt(foretold, 0); n < len(foretold) {
			t.Fatalf("%s: %v", name, err)
		}
		if err := plan.Apply(d, nil, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !d.Holds(foretold) {
			t.Errorf("%s: it is something else", name)
		}
	}
}

// TestCrashesOfAny does the same with stores that are damaged at random, and with any of
// the user's words.
func TestCrashesOfAny(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 1))
	for range 60 {
		chunk := 1 + rng.IntN(2)
		image := storespec.MustCompile(t, fmt.Sprintf("device 400\nheader chunk=%d\nfill 100 0\ndata 9", chunk))
		hurt(image, rng, 1+rng.IntN(12))
		if rng.IntN(3) == 0 { // cut short
			image = image[:(60*chunk+rng.IntN(80*chunk))*512]
		}
		crashes(t, image, anyChoices(rng), 20)
	}
}

// anyChoices are any of the user's words.
func anyChoices(rng *rand.Rand) repair.Choices {
	maybe := func() bool { return rng.IntN(2) == 0 }
	return repair.Choices{
		Warnings: maybe(), Drop: maybe(), Unshare: maybe(), Truncate: maybe(),
		Hidden: []repair.Hidden{repair.AskHidden, repair.KeepHidden, repair.DropHidden}[rng.IntN(3)],
		Keep:   []repair.Keep{repair.AskWhich, repair.KeepFirst, repair.KeepLast}[rng.IntN(3)],
	}
}

// hurt damages exceptions of an image with 100 of them.
func hurt(image []byte, rng *rand.Rand, times int) {
	s := naive.Of(image)
	slot := func() []byte { return s.Entry(rng.IntN(100)) }
	for range times {
		at := slot()
		values := []uint64{0, 1, 2, rng.Uint64N(450), rng.Uint64N(450), rng.Uint64()}
		binary.LittleEndian.PutUint64(at[8*rng.IntN(2):], values[rng.IntN(len(values))])
		if rng.IntN(6) == 0 { // a copy of another entry
			copy(at, slot())
		}
		if rng.IntN(20) == 0 {
			sector := s.At(rng.IntN(100)) / 512 * 512
			clear(image[sector:][:512])
		}
	}
}

func crashes(t *testing.T, image []byte, c repair.Choices, limit int) {
	t.Helper()
	seed := devicetest.Seed(t)
	d := devicetest.Of(image)
	record := d.Record()
	want, err := run(d, patient{}.origin(image), c)
	if err != nil {
		t.Fatal(err)
	}
	states := 0
	for crash := range record.Crashes(limit, rand.New(rand.NewPCG(seed, 2))) {
		states++
		if err := want.cutOff(image, crash.Device(), c); err != nil {
			t.Fatalf("%+v: %v: %v", c, crash, err)
		}
	}
	t.Logf("%d states", states)
}

// result is what a repair has come to.
type result struct {
	kept      map[uint64]map[string]bool // the data of each chunk of the origin
	undecided []string                   // rules
	repeated  bool                       // an exception that stands twice is to be decided
}

// run repairs a device.
func run(d *devicetest.Memory, origin format.Bytes, c repair.Choices) (r result, err error) {
	p, err := repair.Make(options(d, origin, c))
	if err == nil {
		err = p.Apply(d, nil, nil)
	}
	if err != nil {
		return r, err
	}
	for _, m := range p.Undecided {
		if m.Rule == check.RepeatedException { // a copy may be left of one that was moved, also of a bad one
			r.repeated = true
		} else {
			r.undecided = append(r.undecided, m.Rule.Name)
		}
	}
	after := pictureOf(d.Image(), crashOrigin)
	r.kept = after.content(after.List())
	return r, nil
}

// cutOff looks at what a repair that was cut off has left of an image, and runs it again.
func (r result) cutOff(image []byte, now *devicetest.Memory, c repair.Choices) error {
	if err := keeps(pictureOf(image, crashOrigin), pictureOf(now.Image(), crashOrigin), r.kept); err != nil {
		return err
	}
	got, err := run(now, patient{}.origin(image), c)
	if err != nil {
		return fmt.Errorf("again: %w", err)
	}
	if !got.keptAs(r) {
		return errors.New("mended again, it is another store")
	}
	if repeated := got.repeated || r.repeated; got.decide(repeated) != r.decide(repeated) {
		return fmt.Errorf("mended again, there is to be decided: %s; before: %s", got.decide(repeated), r.decide(repeated))
	}
	return nil
}

// keptAs reports whether two repairs keep the same data of the same chunks.
func (r result) keptAs(other result) bool {
	return maps.EqualFunc(r.kept, other.kept, maps.Equal[map[string]bool, map[string]bool])
}

// decide are the rules that are to be decided. Where an exception stands twice, what is shared waits
// until that is decided, and is not told before.
func (r result) decide(repeated bool) (rules string) {
	for _, name := range r.undecided {
		if !repeated || name != check.DuplicateNewChunk.Name {
			rules += name + "; "
		}
	}
	return rules
}

// content is the data of each chunk of the origin that a list has good exceptions of.
func (p picture) content(list []naive.Exception) map[uint64]map[string]bool {
	all := map[uint64]map[string]bool{}
	for old, data := range p.saved(list) {
		all[old] = map[string]bool{}
		for _, one := range data {
			all[old][one] = true
		}
	}
	return all
}

// keeps wants what a repair keeps to be as good as before it: in the list, or behind a
// gap.
func keeps(before, now picture, kept map[uint64]map[string]bool) error {
	for _, lists := range [][2][]naive.Exception{{before.List(), now.List()}, {before.gapless(), now.gapless()}} {
		was, is := before.content(lists[0]), now.content(lists[1])
		for old, all := range kept {
			for data := range all {
				if was[old][data] && !is[old][data] {
					return fmt.Errorf("chunk %d, which is kept, is not there", old)
				}
			}
		}
	}
	return nil
}

// TestFaults has the Nth operation fail. The repair says so, and what it keeps is there;
// run again, it ends.
func TestFaults(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 7
	}
	for name, p := range patients() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := p.image(t)
			want, err := run(devicetest.Of(image), p.origin(image), p.choices)
			if err != nil {
				t.Fatal(err)
			}
			before := devicetest.Of(image)
			for _, f := range []*devicetest.NthOp{
				{Kinds: devicetest.Write}, {Kinds: devicetest.Write, Part: 1 << 20}, {Kinds: devicetest.Sync}, {Kinds: devicetest.Read},
			} {
				for n := 0; p.fault(t, image, before.Clone(), want, &devicetest.NthOp{N: n, Kinds: f.Kinds, Part: f.Part, Err: errBroken}); n += step {
				}
			}
		})
	}
}

var errBroken = errors.New("broken")

// fault has one operation of a repair fail, on a device that holds the image, and reports whether there
// was one. A repair without a fault comes to what is wanted.
func (p patient) fault(t *testing.T, image []byte, d *devicetest.Memory, want result, f *devicetest.NthOp) bool {
	t.Helper()
	d.Fault = f.Fault
	got, err := run(d, p.origin(image), p.choices)
	d.Fault = nil
	// What was read ahead, and then not asked for, may fail.
	if err != nil != f.Failed() && f.Kinds != devicetest.Read || err != nil && !errors.Is(err, errBroken) {
		t.Fatalf("operation %d of kind %d failed: %v, and the error is %v", f.N, f.Kinds, f.Failed(), err)
	}
	// Data that cannot be read to be compared or copied is for the user to decide about.
	if err == nil && slices.Equal(got.undecided, want.undecided) && !got.keptAs(want) {
		t.Fatalf("operation %d of kind %d failed: nothing is said of it, and it is another store", f.N, f.Kinds)
	}
	if err := want.cutOff(image, d, p.choices); err != nil {
		t.Fatalf("operation %d of kind %d failed: %v", f.N, f.Kinds, err)
	}
	return f.Failed()
}
