package store_test

import (
	"errors"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store"
	"dmcow/store/undo"
)

// begun is a log of chunks of two sectors that has captured the first five, with the rest of its change undone.
func begun(t *testing.T) (*changed, *undo.Log) {
	t.Helper()
	c := newChanged(t, 2, false)
	u, err := undo.New(c.log, c.device, c.g, undo.Options{})
	if err == nil {
		if !u.IsEmpty() {
			t.Error("a new log has captured something")
		}
		err = u.Capture(write{0, 10, 1}.change())
	}
	if err != nil || u.IsEmpty() {
		t.Fatalf("%v, or it has captured nothing", err)
	}
	return c, u
}

// TestUndoHidden: a log behind whose list a torn commit has left exceptions goes on, and clears them, where the
// device shows that they change nothing; where it does not, nothing is cleared.
func TestUndoHidden(t *testing.T) {
	const last = deviceSectors / 2 // of one sector
	for name, c := range map[string]struct {
		old, new uint64
		data     byte // version of the sectors that it has captured
		void     bool
	}{
		"what the device holds":         {40, 90, 0, true},
		"another content":               {40, 90, 7, false},
		"of the short chunk at the end": {last, 90, 0, true},
		"another one of that":           {last, 90, 7, false},
		"past the end":                  {last + 1, 90, 0, false},
		"far past the end":              {1 << 40, 90, 0, false},
		"of what was captured":          {3, 90, 7, true},
		"in metadata":                   {40, 66, 0, false},
		"in the header":                 {40, 0x100000000000000, 0, false},
		"behind the log":                {40, logSectors/2 + 1, 0, false},
		"past any end":                  {1 << 63, 90, 0, false},
	} {
		r, u := begun(t)
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		x := make([]byte, format.ExceptionSize)
		format.Exception{Old: format.OldChunk(c.old), New: format.NewChunk(c.new)}.Encode(x)
		r.both.Put(logStart+1024+32*format.ExceptionSize, x)
		r.both.Put(logStart+90*1024, append(version(int64(2*c.old), c.data), version(int64(2*c.old+1), c.data)...))
		before := r.log.Image()
		u, err := undo.Open(r.log, r.device, undo.Options{})
		if err == nil {
			err = u.Capture(write{20, 22, 1}.change())
		}
		switch {
		case c.void && err != nil:
			t.Errorf("%s: %v", name, err)
		case !c.void && !errors.As(err, new(*store.HiddenError)):
			t.Errorf("%s: %v, and it may be needed", name, err)
		case !c.void && string(r.log.Image()[1024:2048]) != string(before[1024:2048]):
			t.Errorf("%s: the list was written", name)
		case c.void:
			if err := r.takeBack(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestUndoSays: what the errors say, and that who looks may end it.
func TestUndoSays(t *testing.T) {
	c, u := begun(t)
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	c.both.Put(4*512, version(4, 77))
	if err := undo.CheckBelongs(c.log, c.device, false, nil); err == nil || !strings.Contains(err.Error(), "byte 2048 is neither") {
		t.Errorf("%v", err)
	}
	c.both.Put(4*512, version(4, 0))
	c.device.Resize(512)
	if err := undo.CheckBelongs(c.log, c.device, false, nil); err == nil || !strings.Contains(err.Error(), "of 154112 bytes; this one has 512") {
		t.Errorf("%v", err)
	}
	c.device.Resize(deviceSectors * 512)
	for stop := 1; stop < 5; stop++ {
		calls := 0
		visit := func(format.AreaIndex) error {
			if calls++; calls == stop {
				return errBroken
			}
			return nil
		}
		if err := undo.CheckBelongs(c.log, c.device, false, visit); stop <= 2 && err != errBroken {
			t.Errorf("ended at call %d: %v", stop, err)
		}
		calls = 0
		if _, err := undo.Open(c.log, c.device, undo.Options{Visit: visit}); stop <= 4 && err != errBroken {
			t.Errorf("opening ended at call %d: %v", stop, err)
		}
	}
}

// TestUndoLargestChunk: a log may have the largest chunks that are allowed, and is one then.
func TestUndoLargestChunk(t *testing.T) {
	const size = 100 << 20
	both := devicetest.New(2 * size)
	device, log := both.Part(0, size), both.Part(size, size)
	u, err := undo.New(log, device, geometry(t, undo.MaxChunk), undo.Options{})
	if err == nil {
		err = u.Capture(write{0, 300, 1}.change())
	}
	if err == nil {
		err = u.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if is, err := undo.IsLog(log); !is || err != nil {
		t.Errorf("%v, %v", is, err)
	}
	if err := undo.CheckBelongs(log, device, false, nil); err != nil {
		t.Error(err)
	}
}

// TestUndoSyncsWhatItAmends: what will be written once more to a chunk that was captured is noted durably before.
func TestUndoSyncsWhatItAmends(t *testing.T) {
	c, u := begun(t)
	for _, again := range []bool{false, true} { // the second time there is nothing new
		ops := len(c.both.Ops())
		if err := u.Capture(write{2, 3, 5}.change()); err != nil {
			t.Fatal(err)
		}
		var kinds []devicetest.Kind
		for _, op := range c.both.Ops()[ops:] {
			if op.Kind != devicetest.Read {
				kinds = append(kinds, op.Kind)
			}
		}
		if synced := len(kinds) > 0 && kinds[len(kinds)-1] == devicetest.Sync; synced == again || again && len(kinds) > 0 {
			t.Errorf("again %v: %v", again, kinds)
		}
	}
}

// TestUndoSampleLast: the last area that has exceptions is in each sample, also where it is full and the list ends
// in the next.
func TestUndoSampleLast(t *testing.T) {
	for chunks, last := range map[int64]int64{224: 192, 223: 192, 225: 224} { // area 6 is full, not full, and not the last
		c := newChanged(t, 1, false)
		u, err := undo.New(c.log, c.device, c.g, undo.Options{})
		if err == nil {
			err = u.Capture(write{0, chunks, 1}.change())
		}
		if err == nil {
			err = u.Close()
		}
		if err == nil {
			err = undo.CheckBelongs(c.log, c.device, true, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.both.Put(last*512, version(last, 9))
		if err := undo.CheckBelongs(c.log, c.device, true, nil); !errors.As(err, new(*undo.ForeignError)) {
			t.Errorf("%d chunks, one of the last area was written: %v", chunks, err)
		}
	}
}

// TestUndoCountsAsItGoes: also while a change goes on, a log says how many exceptions were durable when the last ones
// were begun: a list that loses its end then is noticed.
func TestUndoCountsAsItGoes(t *testing.T) {
	for _, x := range []struct {
		chunk         uint32
		before, again int64 // chunks that are captured, and then some more
	}{{2, 59, 1}, {2, 60, 1}, {2, 61, 1}, {2, 62, 2}, {4, 31, 1}, {4, 62, 1}, {4, 72, 3}} {
		c := newChanged(t, x.chunk, false)
		u, err := undo.New(c.log, c.device, c.g, undo.Options{})
		size := int64(x.chunk)
		if err == nil {
			err = u.Capture(write{0, x.before * size, 1}.change())
		}
		if err == nil {
			err = u.Capture(write{x.before * size, (x.before + x.again) * size, 1}.change())
		}
		if err == nil {
			err = undo.CheckBelongs(c.log, c.device, false, nil)
		}
		if err != nil {
			t.Fatalf("%+v: %v", x, err)
		}
		full := x.before+x.again == int64(c.g.ExceptionsPerArea())
		for i := x.before / 2; i < x.before+x.again && !full; i++ {
			c.clear(uint64(i))
		}
		var cut *undo.CutOffError
		if err := undo.CheckBelongs(c.log, c.device, false, nil); !full && (!errors.As(err, &cut) || cut.Count != uint64(x.before)) {
			t.Errorf("%+v, cut off: %v", x, err)
		}
	}
}

// TestUndoCloseIsDurable: what a log says of itself when it is closed is durable, or its caller is told.
func TestUndoCloseIsDurable(t *testing.T) {
	for _, kind := range []devicetest.Kind{0, devicetest.Write, devicetest.Sync} {
		c, u := begun(t)
		if kind != 0 {
			c.both.Fault = (&devicetest.NthOp{Kinds: kind, Err: errBroken}).Fault
		}
		ops := len(c.both.Ops())
		err := u.Close()
		if kind == 0 {
			all := c.both.Ops()[ops:]
			if err != nil || len(all) != 2 || all[0].Kind != devicetest.Write || all[1].Kind != devicetest.Sync {
				t.Errorf("%v: %v", all, err)
			}
		} else if !errors.Is(err, errBroken) {
			t.Errorf("a fault of kind %v: %v", kind, err)
		}
	}
}

// TestUndoFlagsOfFullArea: also a log whose list ends with an area, or has nothing yet, notes durably that a change
// did not leave the store that it merges.
func TestUndoFlagsOfFullArea(t *testing.T) {
	for _, chunks := range []int64{0, 31, 32, 64} {
		c := newChanged(t, 1, false)
		for i, kept := range []bool{true, true, false, true} {
			var u *undo.Log
			var err error
			if i == 0 {
				if u, err = undo.New(c.log, c.device, c.g, undo.Options{Kept: kept}); err == nil && chunks > 0 {
					err = u.Capture(write{0, chunks, 1}.change())
				}
			} else {
				u, err = undo.Open(c.log, c.device, undo.Options{Kept: kept})
			}
			if err == nil {
				err = u.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := i < 2; u.Kept() != want {
				t.Errorf("%d chunks, opened %d times: kept %v", chunks, i+1, u.Kept())
			}
		}
	}
}
