package store_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/undo"
)

// TestUndoOfAnotherDevice: a log is neither gone on with nor applied where the
// device is another one, or was written to by somebody else.
func TestUndoOfAnotherDevice(t *testing.T) {
	var foreign *undo.ForeignError
	made := func() *changed {
		c := newChanged(t, 8, false)
		if err := c.goOn(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := made()
	c.device.Resize(c.device.Size() - 512)
	if _, err := undo.Open(c.log, c.device, undo.Options{}); !errors.As(err, &foreign) {
		t.Errorf("a smaller device: %v", err)
	}
	if _, err := undo.Open(c.log, c.device, undo.Options{Force: true}); err != nil {
		t.Errorf("a smaller device, by force: %v", err)
	}
	for _, s := range []int64{0, 3, 41, 100, 300} {
		c = made()
		c.both.Put(s*512, version(s, 77))
		if err := undo.CheckBelongs(c.log, c.device, false, nil); !errors.As(err, &foreign) || foreign.Offset != format.Bytes(s)*512 {
			t.Errorf("sector %d was written to: %v", s, err)
		}
	}
	// What lies in no chunk that was captured may be anything.
	c = made()
	c.both.Put(250*512, version(250, 77))
	if err := undo.CheckBelongs(c.log, c.device, false, nil); err != nil {
		t.Error(err)
	}
	// A store that is none
	other := newChanged(t, 8, false)
	if err := store.Initialize(other.log, other.g, nil); err != nil {
		t.Fatal(err)
	}
	if err := undo.CheckBelongs(other.log, other.device, true, nil); !errors.Is(err, undo.ErrNoLog) {
		t.Errorf("an empty store: %v", err)
	}
	if is, err := undo.IsLog(other.log); is || err != nil {
		t.Errorf("an empty store is an undo log: %v, %v", is, err)
	}
	if _, err := undo.Open(other.log, other.device, undo.Options{}); !errors.Is(err, undo.ErrNoLog) {
		t.Errorf("an empty store: %v", err)
	}
}

// TestUndoRefuses changes that are no whole sectors, out of order or beyond the
// device, and says when there is no room; the device may then not be written.
func TestUndoRefuses(t *testing.T) {
	sector := make([]byte, 512)
	for name, changes := range map[string][]undo.Change{
		"not in order":       {{Offset: 1024, Data: sector}, {Offset: 0, Data: sector}},
		"overlapping":        {{Offset: 0, Data: make([]byte, 1024)}, {Offset: 512, Data: sector}},
		"no sector":          {{Offset: 256, Data: sector}},
		"no whole sector":    {{Offset: 0, Data: sector[:100]}},
		"beyond the device":  {{Offset: deviceSectors * 512, Data: sector}},
		"reaching beyond it": {{Offset: (deviceSectors - 1) * 512, Data: make([]byte, 1024)}},
	} {
		c := newChanged(t, 1, false)
		u, err := undo.New(c.log, c.device, c.g, undo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Capture(changes...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c := newChanged(t, 1, false)
	c.log.Resize(60 * 512)
	u, err := undo.New(c.log, c.device, c.g, undo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Capture(write{0, 100, 1}.change()); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("100 chunks into 60: %v", err)
	}
	if err := c.takeBack(); err != nil {
		t.Error(err)
	}
}

// TestUndoForce: force takes a log for that of another device, but no other store
// for a log.
func TestUndoForce(t *testing.T) {
	c := newChanged(t, 8, false)
	if err := store.Initialize(c.log, c.g, nil); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(c.log, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.PrepareException(3)
	if err != nil {
		t.Fatal(err)
	}
	s.CommitException(p, true, func(e error) { err = e })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := undo.Open(c.log, c.device, undo.Options{Force: true}); !errors.Is(err, undo.ErrNoLog) {
		t.Errorf("a store that is no log: %v", err)
	}
}

// TestIsUndoIsCheap: to look whether a store is an undo log takes no memory for
// the label that one of its chunk size would have.
func TestIsUndoIsCheap(t *testing.T) {
	d := devicetest.New(4 << 30)
	if err := store.Initialize(d, geometry(t, 2048), nil); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if is, err := undo.IsLog(d); is || err != nil {
		t.Errorf("%v, %v", is, err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

// TestUndoOfManyAreas: from some area on, labels lie around metadata areas. The log
// is as good there, also when it is gone on with.
func TestUndoOfManyAreas(t *testing.T) {
	const sectors, logSectors = 2000, 4000
	both := devicetest.New((sectors + logSectors) * 512)
	device, log := both.Part(0, sectors*512), both.Part(sectors*512, logSectors*512)
	for s := range int64(sectors) {
		both.Put(s*512, version(s, 0))
	}
	u, err := undo.New(log, device, geometry(t, 1), undo.Options{})
	for s := int64(0); err == nil && s < sectors; s += 10 {
		ch := write{s, s + 10, 1}.change()
		if err = u.Capture(ch); err == nil {
			_, err = device.WriteAt(ch.Data, int64(ch.Offset))
		}
		if err == nil && s%30 == 0 {
			u, err = undo.Open(log, device, undo.Options{})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := look.Identify(log, look.FreshGeometry(log)); err != nil {
		t.Fatal(err)
	}
	all, err := exceptions(log)
	if err != nil || len(all) != sectors {
		t.Fatalf("%d exceptions, want %d (%v)", len(all), sectors, err)
	}
	saved := naive.Of(log.Image())
	for _, x := range all {
		if !bytes.Equal(saved.Data(uint64(x.New)), version(int64(x.Old), 0)) {
			t.Fatalf("%v: other data", x)
		}
	}
	for _, sample := range []bool{false, true} {
		if err := undo.CheckBelongs(log, device, sample, nil); err != nil {
			t.Errorf("sample %v: %v", sample, err)
		}
	}
	// Area 3 is in no sample, and the last area is in each.
	for area, bySample := range map[int]bool{3: false, (sectors - 1) / 32: true} {
		s := int64(all[area*32].Old)
		both.Put(s*512, version(s, 9))
		for _, sample := range []bool{false, true} {
			var foreign *undo.ForeignError
			want := !sample || bySample
			if err := undo.CheckBelongs(log, device, sample, nil); errors.As(err, &foreign) != want {
				t.Errorf("a sector of area %d changed, sample %v: %v", area, sample, err)
			}
		}
		both.Put(s*512, version(s, 1))
	}
}

// TestUndoHostile: what looks like a log, or like nothing, is an error and no more.
func TestUndoHostile(t *testing.T) {
	for name, spoil := range map[string]func(*changed){
		"blank":             func(c *changed) { c.both.Put(logStart, make([]byte, 4096)) },
		"no store":          func(c *changed) { c.both.Put(logStart, []byte("something else")) },
		"no label":          func(c *changed) { c.both.Put(logStart+2*512, make([]byte, 16)) },
		"first new chunk 2": func(c *changed) { c.both.Put(logStart+512+8, []byte{2, 0}) },
		"first new chunk out of reach": func(c *changed) {
			c.both.Put(logStart+512+8, []byte{0, 0, 0, 0, 0, 0, 0, 0x80})
		},
		"old chunk beyond the device": func(c *changed) { c.both.Put(logStart+512, []byte{0, 0, 0, 0, 0, 0, 0, 0x10}) },
		"old chunk at its end":        func(c *changed) { c.both.Put(logStart+512, []byte{0x2d, 1}) },
		"its end is gone":             func(c *changed) { c.log.Resize(40 * 512) },
	} {
		c := newChanged(t, 1, false)
		if err := c.goOn(); err != nil {
			t.Fatal(err)
		}
		spoil(c)
		if err := undo.CheckBelongs(c.log, c.device, false, nil); err == nil {
			t.Errorf("%s: it belongs to the device", name)
		}
		if u, err := undo.Open(c.log, c.device, undo.Options{}); err == nil {
			t.Errorf("%s: it was opened: %v", name, u != nil)
		}
		if _, err := undo.Open(c.log, c.device, undo.Options{Force: true}); err == nil && !strings.HasPrefix(name, "old chunk") {
			t.Errorf("%s: it was opened by force", name)
		}
	}
	c := newChanged(t, 1, false)
	if _, err := undo.New(c.log, c.device, geometry(t, 256), undo.Options{}); !errors.Is(err, undo.ErrChunk) {
		t.Errorf("256-sector chunks: %v", err)
	}
}
