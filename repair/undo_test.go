package repair_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
	"dmcow/store/merge"
	"dmcow/store/undo"
)

// logged is a COW device and its undo log, two devices in one memory.
type logged struct {
	all      *devicetest.Memory
	cow, log *devicetest.Part
	grown    *int64 // how large the log has become
}

// logSectors is how long a log may become.
const logSectors = 2000

func newLogged(image []byte) *logged {
	all := devicetest.New(int64(len(image)) + logSectors*format.SectorSize)
	all.Put(0, image)
	return onDevice(all, int64(len(image)), new(int64))
}

func onDevice(all *devicetest.Memory, size int64, grown *int64) *logged {
	return &logged{all, all.Part(0, size), all.Part(size, *grown), grown}
}

// in is the same in another memory.
func (l *logged) in(all *devicetest.Memory) *logged { return onDevice(all, l.cow.Size(), l.grown) }

func (l *logged) content() []byte { return l.all.Image()[:l.cow.Size()] }

// open opens the log, or makes one.
func (l *logged) open() (*undo.Log, error) {
	grow := func(size format.Bytes) error {
		*l.grown = max(*l.grown, int64(size))
		l.log.Resize(*l.grown)
		return nil
	}
	is, err := undo.IsLog(l.log)
	switch {
	case err != nil:
		return nil, err
	case is:
		return undo.Open(l.log, l.cow, undo.Options{Grow: grow})
	}
	g, err := format.NewGeometry(1)
	if err != nil {
		return nil, err
	}
	return undo.New(l.log, l.cow, g, undo.Options{Grow: grow})
}

// mend mends with the log.
func (l *logged) mend(o repair.Options) error {
	o.Device = l.cow
	p, err := repair.Make(o)
	if err != nil {
		return err
	}
	u, err := l.open()
	if err != nil {
		return err
	}
	return p.Apply(l.cow, u.Capture, nil)
}

// takeBack merges the log, where there is one.
func (l *logged) takeBack() error {
	is, err := undo.IsLog(l.log)
	if err != nil || !is {
		return err
	}
	m, err := merge.Open(l.log, l.cow, merge.Opening{HiddenVoid: true})
	if err == nil {
		_, err = m.Run(merge.Options{Memory: merge.MinMemory})
	}
	return err
}

// wantBack wants the device to be what it was when the log is merged.
func (l *logged) wantBack(image []byte) error {
	if err := l.takeBack(); err != nil {
		return fmt.Errorf("taking it back: %w", err)
	}
	if !bytes.Equal(l.content(), image) {
		return errors.New("taken back, it is not what it was")
	}
	return nil
}

// undone are the patients whose repairs are cut off with a log.
func undone() map[string]patient {
	all := patients()
	return map[string]patient{
		"of one chunk, last": all["of one chunk, last"], "shared": all["shared"], "gaps": all["gaps"], "a lost header": all["a lost header"],
	}
}

// TestUndoCrashes cuts off a repair with a log at every point, on both devices: the log
// takes it back then, and the same repair goes on with it.
func TestUndoCrashes(t *testing.T) {
	for name, p := range undone() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := p.image(t)
			o := options(nil, p.origin(image), p.choices)
			l := newLogged(image)
			record := l.all.Record()
			if err := l.mend(o); err != nil {
				t.Fatal(err)
			}
			after := pictureOf(l.content(), crashOrigin)
			kept := after.content(after.List())
			states := 0
			for crash := range record.Crashes(30, rand.New(rand.NewPCG(devicetest.Seed(t), 4))) {
				states++
				if err := p.cutOff(l.in(crash.Device()), l, image, o, kept); err != nil {
					t.Fatalf("%v: %v", crash, err)
				}
			}
			t.Logf("%d states", states)
		})
	}
}

// cutOff looks at what a repair that was cut off has left.
func (p patient) cutOff(now, whole *logged, image []byte, o repair.Options, kept map[uint64]map[string]bool) error {
	if err := keeps(pictureOf(image, crashOrigin), pictureOf(now.content(), crashOrigin), kept); err != nil {
		return err
	}
	if err := whole.in(now.all.Clone()).wantBack(image); err != nil {
		return err
	}
	if err := now.mend(o); err != nil {
		return fmt.Errorf("again: %w", err)
	}
	after := pictureOf(now.content(), crashOrigin)
	if fmt.Sprint(after.content(after.List())) != fmt.Sprint(kept) {
		return errors.New("mended again, it is another store")
	}
	return now.wantBack(image)
}

// TestUndoFaults has the Nth operation fail that writes, on either device.
func TestUndoFaults(t *testing.T) {
	for name, p := range undone() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := p.image(t)
			o := options(nil, p.origin(image), p.choices)
			whole := newLogged(image)
			if err := whole.mend(o); err != nil {
				t.Fatal(err)
			}
			after := pictureOf(whole.content(), crashOrigin)
			kept := after.content(after.List())
			for _, kind := range []devicetest.Kind{devicetest.Write, devicetest.Sync} {
				for n := 0; ; n++ {
					f := &devicetest.NthOp{N: n, Kinds: kind, Part: 512, Err: errBroken}
					l := newLogged(image)
					l.all.Fault = f.Fault
					err := l.mend(o)
					l.all.Fault = nil
					if !f.Failed() {
						break
					}
					if !errors.Is(err, errBroken) {
						t.Fatalf("operation %d of kind %d failed, and the error is %v", n, kind, err)
					}
					if err := p.cutOff(l, l, image, o, kept); err != nil {
						t.Fatalf("operation %d of kind %d failed: %v", n, kind, err)
					}
				}
			}
		})
	}
}

// TestMoved: a device that has changed since the plan was made is not written to.
func TestMoved(t *testing.T) {
	p := patients()["shared"]
	image := p.image(t)
	plan, err := repair.Make(options(devicetest.Of(image), p.origin(image), p.choices))
	if err != nil {
		t.Fatal(err)
	}
	c := plan.Steps[0].Copies[0]
	g := plan.Geometry()
	for name, at := range map[string]format.Bytes{
		"an entry": plan.Steps[0].Edits[0].Offset, "what is copied": g.Offset(c.From), "what is written over": g.Offset(c.To),
	} {
		now := bytes.Clone(image)
		now[at+3] ^= 1
		d := devicetest.Of(now)
		err := plan.Apply(d, nil, nil)
		var moved *repair.MovedError
		if !errors.As(err, &moved) || moved.Offset > at || moved.Offset+g.ChunkBytes() <= at {
			t.Errorf("%s: %v", name, err)
		}
		if !d.Holds(now) {
			t.Errorf("%s: it was written to", name)
		}
	}
}

// TestRevalidate marks a snapshot valid, and nothing else. Cut off anywhere, the header is
// the old one or the new one.
func TestRevalidate(t *testing.T) {
	const spec = "device 100\nheader chunk=2 valid=0\nraw 16 11 22 33\nfill 20\ndata 9"
	image := storespec.MustCompile(t, spec)
	want := bytes.Clone(image)
	want[4] = 1
	d := devicetest.Of(image)
	p, err := repair.Revalidate(check.Options{Device: d})
	if err != nil {
		t.Fatal(err)
	}
	record := d.Record()
	if err := p.Apply(d, nil, nil); err != nil || !d.Holds(want) {
		t.Errorf("%v; or more than the mark was changed", err)
	}
	for crash := range record.Crashes(10, rand.New(rand.NewPCG(1, 1))) {
		if now := crash.Device().Image(); !bytes.Equal(now, image) && !bytes.Equal(now, want) {
			t.Errorf("%v: neither old nor new", crash)
		}
	}
	if _, err := repair.Revalidate(check.Options{Device: d}); !errors.Is(err, repair.ErrNotInvalid) {
		t.Errorf("again: %v", err)
	}
	bad := devicetest.Of(storespec.MustCompile(t, spec+"\nex 3 3 77"))
	if _, err := repair.Revalidate(check.Options{Device: bad}); !errors.As(err, new(*repair.UnsoundError)) {
		t.Errorf("damaged: %v", err)
	}
	broken := devicetest.Of(image)
	broken.Fault = devicetest.BadByte(1100, errBroken)
	if _, err := repair.Revalidate(check.Options{Device: broken}); !errors.Is(err, errBroken) {
		t.Errorf("unreadable: %v", err)
	}
}

// TestSyncsFirst: what a repair that was killed has left in a cache is durable before it
// is built on.
func TestSyncsFirst(t *testing.T) {
	p := patients()["repeated"]
	image := p.image(t)
	d := devicetest.Of(image)
	plan, err := repair.Make(options(d, p.origin(image), p.choices))
	if err != nil {
		t.Fatal(err)
	}
	before := len(d.Ops())
	if err := plan.Apply(d, nil, nil); err != nil {
		t.Fatal(err)
	}
	if first := d.Ops()[before]; first.Kind != devicetest.Sync {
		t.Errorf("the first operation is %+v", first)
	}
}
