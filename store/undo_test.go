package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/undo"
)

// changed is a device that is changed, and the undo log of that. Content tells
// sectors apart: sector n of the device is n at first.
type changed struct {
	both        *devicetest.Memory
	device, log *devicetest.Part
	g           format.Geometry
	grows       bool // the log
}

// deviceSectors and logSectors are the sizes of the two.
const deviceSectors, logSectors = 301, 2000

// logStart is where the log begins in the memory that holds both, in bytes.
const logStart = deviceSectors * 512

func newChanged(t testing.TB, chunk uint32, grows bool) *changed {
	c := on(t, devicetest.New((deviceSectors+logSectors)*512), chunk, grows)
	c.both.Put(0, original())
	return c
}

func on(t testing.TB, both *devicetest.Memory, chunk uint32, grows bool) *changed {
	c := &changed{
		both:   both,
		device: both.Part(0, deviceSectors*512),
		log:    both.Part(deviceSectors*512, logSectors*512),
		g:      geometry(t, chunk),
		grows:  grows,
	}
	if grows {
		c.log.Resize(0)
		if id, err := look.Identify(both.Part(deviceSectors*512, logSectors*512), c.g); err == nil && id.State == look.Valid {
			c.log.Resize(logSectors * 512)
		}
	}
	return c
}

// version v of sector s.
func version(s int64, v byte) []byte {
	b := bytes.Repeat([]byte{byte(s), byte(s >> 8), v, 1}, 128)
	return b
}

func (c *changed) grow() func(format.Bytes) error {
	if !c.grows {
		return nil
	}
	return func(size format.Bytes) error {
		if size > logSectors*512 {
			return store.ErrNoRoom
		}
		c.log.Resize(max(c.log.Size(), int64(size)))
		return nil
	}
}

// write is a change of sectors from first up to end to a version.
type write struct {
	first, end int64
	v          byte
}

func (w write) change() undo.Change {
	var data []byte
	for s := w.first; s < w.end; s++ {
		data = append(data, version(s, w.v)...)
	}
	return undo.Change{Offset: format.Bytes(w.first) * 512, Data: data}
}

// steps are a change as merge and repair make them: captured in batches, and
// each batch written once it is durable in the log. Some sectors are written
// twice, some chunks in two batches.
var steps = [][]write{
	{{0, 1, 1}, {5, 9, 1}},
	{{9, 40, 1}},
	{{1, 5, 1}, {40, 41, 1}, {300, 301, 1}},
	{{5, 6, 2}, {100, 180, 1}},
	{{41, 90, 3}},
	{{5, 6, 3}, {41, 44, 1}},
	{{5, 6, 4}},
}

// run makes the change, from whichever step: to begin again does no harm.
func (c *changed) run(u *undo.Log) error {
	for _, batch := range steps {
		var changes []undo.Change
		for _, w := range batch {
			changes = append(changes, w.change())
		}
		if err := u.Capture(changes...); err != nil {
			return err
		}
		for _, ch := range changes {
			if _, err := c.device.WriteAt(ch.Data, int64(ch.Offset)); err != nil {
				return err
			}
		}
		if err := c.device.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// goOn runs the change with the log that is there, or begins one.
func (c *changed) goOn() error {
	id, err := look.Identify(c.log, look.FreshGeometry(c.log))
	if err != nil {
		return err
	}
	var u *undo.Log
	if id.State == look.Valid {
		// No cut leaves a store that does not say that it is a log, or of what.
		if err := undo.CheckBelongs(c.log, c.device, false, nil); err != nil {
			return fmt.Errorf("belongs: %w", err)
		}
		if u, err = undo.Open(c.log, c.device, undo.Options{Grow: c.grow()}); err != nil {
			return fmt.Errorf("open: %w", err)
		}
	}
	if u == nil {
		if u, err = undo.New(c.log, c.device, c.g, undo.Options{Grow: c.grow()}); err != nil {
			return fmt.Errorf("new: %w", err)
		}
	}
	return c.run(u)
}

// takeBack applies the log to a copy of the device, and wants it to be what it
// was at first.
func (c *changed) takeBack() error {
	id, err := look.Identify(c.log, look.FreshGeometry(c.log))
	switch {
	case err != nil:
		return err
	case id.State != look.Valid:
		return c.device.Lend(isOriginal)
	}
	return c.log.Lend(func(log []byte) error {
		s := naive.Of(log)
		if _, err := listed(s); err != nil {
			return err
		}
		return c.device.Lend(func(now []byte) error {
			content, err := s.View(now)
			if err != nil {
				return err
			}
			return isOriginal(content)
		})
	})
}

// isOriginal wants each sector of the device to hold its version 0.
func isOriginal(content []byte) error {
	for s := range int64(deviceSectors) {
		if !bytes.Equal(content[s*512:][:512], original()[s*512:][:512]) {
			return fmt.Errorf("sector %d is not what it was", s)
		}
	}
	return nil
}

// original is what the device holds at first.
var original = sync.OnceValue(func() (all []byte) {
	for s := range int64(deviceSectors) {
		all = append(all, version(s, 0)...)
	}
	return all
})

// TestUndoTakesBack: what was captured takes the change back, for chunks smaller
// and larger than the changes, and it belongs to the device before, amid and
// after.
func TestUndoTakesBack(t *testing.T) {
	for _, chunk := range []uint32{1, 2, 8, 32} {
		for _, grows := range []bool{false, true} {
			c := newChanged(t, chunk, grows)
			if err := c.goOn(); err != nil {
				t.Fatalf("chunk %d: %v", chunk, err)
			}
			if err := c.takeBack(); err != nil {
				t.Errorf("chunk %d: %v", chunk, err)
			}
			for _, sample := range []bool{true, false} {
				if err := undo.CheckBelongs(c.log, c.device, sample, nil); err != nil {
					t.Errorf("chunk %d: %v", chunk, err)
				}
			}
			if is, err := undo.IsLog(c.log); !is || err != nil {
				t.Errorf("chunk %d: is an undo log: %v, %v", chunk, is, err)
			}
			// To go on with the same captures nothing new, and changes nothing.
			was := c.log.Size()
			if err := c.goOn(); err != nil || c.log.Size() != was {
				t.Errorf("chunk %d: again: %v, the log has grown from %d to %d bytes", chunk, err, was, c.log.Size())
			}
			if err := c.takeBack(); err != nil {
				t.Errorf("chunk %d: again: %v", chunk, err)
			}
		}
	}
}

// TestUndoBeginsAgain: a log whose beginning is cut off is no store, or a log. Begun
// again with the same command, it is one: what a command takes it for in between is the
// mark of an unfinished store, or a blank device.
func TestUndoBeginsAgain(t *testing.T) {
	for _, chunk := range []uint32{1, 2, 8, 16} {
		c := newChanged(t, chunk, false)
		record := c.both.Record()
		if _, err := undo.New(c.log, c.device, c.g, undo.Options{Grow: c.grow()}); err != nil {
			t.Fatal(err)
		}
		unfinished := 0
		for crash := range record.Crashes(50, rand.New(rand.NewPCG(devicetest.Seed(t), 0))) {
			now := on(t, crash.Device(), chunk, false)
			id, err := look.Identify(now.log, now.g)
			if err != nil {
				t.Fatal(err)
			}
			is, err := undo.IsLog(now.log)
			switch {
			case err != nil || is != (id.State == look.Valid):
				t.Errorf("chunk %d, %v: %+v, an undo log: %v, %v", chunk, crash, id, is, err)
			case id.Unfinished:
				unfinished++
			case !is && (!id.Blank || id.Leftover):
				t.Errorf("chunk %d, %v: %+v", chunk, crash, id)
			}
		}
		if unfinished == 0 {
			t.Errorf("chunk %d: never unfinished", chunk)
		}
	}
}

// TestOpenUndoSyncs: what a run that was killed has left of a log in the page cache is
// durable before the next one goes by it.
func TestOpenUndoSyncs(t *testing.T) {
	c := newChanged(t, 2, false)
	if err := c.goOn(); err != nil {
		t.Fatal(err)
	}
	record := c.both.Record()
	const last = (logSectors - 1) * 512
	if _, err := c.log.WriteAt(version(1, 1), last); err != nil {
		t.Fatal(err)
	}
	if _, err := undo.Open(c.log, c.device, undo.Options{Grow: c.grow(), Force: true}); err != nil {
		t.Fatal(err)
	}
	record.Mark("opened")
	for crash := range record.Crashes(10, rand.New(rand.NewPCG(1, 1))) {
		if len(crash.Marks) > 0 && !bytes.Equal(crash.Device().Image()[logStart+last:], version(1, 1)) {
			t.Errorf("%v: not durable", crash)
		}
	}
}

// TestUndoCrash cuts off a change at every point, and sometimes, when it is run
// again with the log that is there, cuts it off again, and again: each time the
// log belongs to the device and takes the change back.
func TestUndoCrash(t *testing.T) {
	for _, chunk := range []uint32{2, 1, 8} {
		if testing.Short() && chunk != 2 {
			continue // on a processor that is emulated
		}
		t.Run(fmt.Sprint("chunk ", chunk), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			c := newChanged(t, chunk, false)
			record := c.both.Record()
			if err := c.goOn(); err != nil {
				t.Fatal(err)
			}
			states := 0
			for crash := range record.Crashes(8, rng) {
				states++
				history := fmt.Sprint(crash)
				cuts := 1
				if rng.IntN(12) == 0 {
					cuts = 4
				}
				for cut := range cuts {
					now := on(t, crash.Device(), chunk, false)
					again := now.both.Record()
					err := now.takeBack()
					if err == nil {
						err = now.goOn()
					}
					if err == nil {
						err = now.takeBack()
					}
					if err != nil {
						t.Fatalf("%s: %v", history, err)
					}
					if cut < cuts-1 {
						crash = oneOf(again, rng)
						history += fmt.Sprint(", then ", crash)
					}
				}
			}
			t.Logf("%d states, some of them the first of four", states)
		})
	}
}

// oneOf is one of the states that a power cut may have left, at random.
func oneOf(record *devicetest.Record, rng *rand.Rand) (one devicetest.Crash) {
	n := 0
	for c := range record.Crashes(1, rng) {
		if n++; rng.IntN(n) == 0 {
			one = c
		}
	}
	return one
}

// TestUndoFaults has each operation fail: nothing is changed of which the log
// does not have what was there.
func TestUndoFaults(t *testing.T) {
	for _, chunk := range []uint32{1, 8} {
		var c *changed
		var err error
		everyFault(t,
			func() *devicetest.Memory {
				c = newChanged(t, chunk, false)
				return c.both
			},
			func(*devicetest.Memory) { err = c.goOn() },
			func(_ *devicetest.Memory, fault string, n int) {
				if err != nil && !errors.Is(err, errBroken) {
					t.Fatalf("%s: number %d failed, and the error is %v", fault, n, err)
				}
				if err := c.takeBack(); err != nil {
					t.Fatalf("%s: number %d failed: %v", fault, n, err)
				}
				if err := c.goOn(); err != nil {
					t.Fatalf("%s: number %d failed, and again: %v", fault, n, err)
				}
				if err := c.takeBack(); err != nil {
					t.Fatalf("%s: number %d failed, and again: %v", fault, n, err)
				}
			})
	}
}

// TestUndoIsSticky: after a failure to capture, the log captures nothing more.
func TestUndoIsSticky(t *testing.T) {
	var c *changed
	var u *undo.Log
	var err error
	for _, kind := range []devicetest.Kind{devicetest.Sync, devicetest.Read} { // the read is of the device
		c = newChanged(t, 1, false)
		if u, err = undo.New(c.log, c.device, c.g, undo.Options{}); err != nil {
			t.Fatal(err)
		}
		c.both.Fault = (&devicetest.NthOp{Kinds: kind, Err: errBroken}).Fault
		for range 2 {
			if err := u.Capture(write{0, 1, 1}.change()); !errors.Is(err, errBroken) {
				t.Error(err)
			}
		}
	}
}

// TestUndoSize: a log of the size that was told has room for so many chunks, and hardly
// any of it is left over.
func TestUndoSize(t *testing.T) {
	for _, chunk := range []uint32{1, 4} {
		for _, n := range []int64{1, 31, 32, 33, 64, 75, 200, 300} {
			if n*int64(chunk) > deviceSectors {
				continue
			}
			c := newChanged(t, chunk, false)
			size := undo.Size(c.g, uint64(n))
			c.log.Resize(int64(size))
			u, err := undo.New(c.log, c.device, c.g, undo.Options{})
			if err == nil {
				err = u.Capture(write{0, n * int64(chunk), 1}.change())
			}
			if err != nil {
				t.Errorf("%d chunks of %d: %v", n, chunk, err)
			}
			// A label that the next area would have, and its area.
			if end, err := format.Scan(format.Walk{Device: c.log, Size: size, Geometry: c.g}, func(format.AreaIndex) error { return nil }); err != nil ||
				uint64(end.NextFree)+40 < c.g.Chunks(size) {
				t.Errorf("%d chunks of %d: %d of %d chunks are used (%v)", n, chunk, end.NextFree, c.g.Chunks(size), err)
			}
		}
	}
}
