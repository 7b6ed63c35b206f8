package store_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/undo"
)

// ended is a log whose change has been made.
func ended(t *testing.T, o undo.Options) *changed {
	t.Helper()
	c := newChanged(t, 8, false)
	u, err := undo.New(c.log, c.device, c.g, o)
	if err == nil {
		err = c.run(u)
	}
	if err == nil {
		err = u.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inLog is how many exceptions a log has.
func inLog(t *testing.T, c *changed) uint64 {
	t.Helper()
	if _, err := look.Identify(c.log, c.g); err != nil {
		t.Fatal(err)
	}
	all, err := exceptions(c.log)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(len(all))
}

// clear clears an exception of the log.
func (c *changed) clear(i uint64) {
	s := naive.Of(c.log.Image())
	clear(s.Entry(int(i)))
	c.both.Put(logStart, s.Image)
}

// TestUndoLogCutOff: a log that lost the end of its list is told from one that ends there, by all who
// open it; one that is being taken back has a shorter list, and belongs.
func TestUndoLogCutOff(t *testing.T) {
	var cut *undo.CutOffError
	all := inLog(t, ended(t, undo.Options{}))
	for left := range all {
		c := ended(t, undo.Options{})
		for i := left; i < all; i++ {
			c.clear(i)
		}
		for _, sample := range []bool{true, false} {
			if err := undo.CheckBelongs(c.log, c.device, sample, nil); !errors.As(err, &cut) || cut.Count != all {
				t.Errorf("%d of %d are left: %v", left, all, err)
			}
		}
		if _, err := undo.Open(c.log, c.device, undo.Options{}); !errors.As(err, &cut) {
			t.Errorf("%d of %d are left, to go on: %v", left, all, err)
		}
	}
	c := ended(t, undo.Options{})
	if err := undo.BeginTakingBack(c.log); err != nil {
		t.Fatal(err)
	}
	for i := all / 2; i < all; i++ {
		c.clear(i)
	}
	if err := undo.CheckBelongs(c.log, c.device, false, nil); err != nil {
		t.Errorf("taken back in part: %v", err)
	}
	// To go on with the change makes it a log like any other again, of what is left and what comes.
	u, err := undo.Open(c.log, c.device, undo.Options{})
	if err == nil {
		err = undo.CheckBelongs(c.log, c.device, false, nil) // a power cut may come now
	}
	if err == nil {
		err = c.captureMore(u, 0)
	}
	if err == nil {
		err = u.Close()
	}
	if err == nil {
		err = undo.CheckBelongs(c.log, c.device, false, nil)
	}
	if err != nil {
		t.Errorf("taken back in part, and gone on with: %v", err)
	}
	c.clear(all / 2)
	if err := undo.CheckBelongs(c.log, c.device, false, nil); !errors.As(err, &cut) {
		t.Errorf("gone on with, and cut off: %v", err)
	}
}

// captureMore captures a chunk that the change does not touch.
func (c *changed) captureMore(u *undo.Log, n int64) error {
	first := 200 + 8*n
	return u.Capture(write{first, first + 1, 9}.change())
}

// TestUndoOverOlderLog: what an earlier log has left on the device is not taken for the label of an
// area that this one has not begun.
func TestUndoOverOlderLog(t *testing.T) {
	c := newChanged(t, 1, false)
	var err error
	for _, chunks := range []int64{50, 31, 32, 33} { // of 32 an area
		var u *undo.Log
		if u, err = undo.New(c.log, c.device, c.g, undo.Options{}); err == nil {
			err = u.Capture(write{0, chunks, 1}.change())
		}
		if err == nil {
			err = u.Close()
		}
		if err == nil {
			err = undo.CheckBelongs(c.log, c.device, false, nil)
		}
		if err != nil {
			t.Fatalf("%d chunks: %v", chunks, err)
		}
	}
}

// TestUndoKept: a log knows whether all that it has captured came from changes that left the store
// which they merged.
func TestUndoKept(t *testing.T) {
	for _, c := range []struct{ first, second, want bool }{
		{true, true, true}, {false, true, false}, {true, false, false}, {false, false, false},
	} {
		log := ended(t, undo.Options{Kept: c.first})
		for n := range int64(2) { // that it is opened again changes nothing
			u, err := undo.Open(log.log, log.device, undo.Options{Kept: c.second})
			if err == nil {
				err = log.captureMore(u, n)
			}
			if err == nil {
				err = u.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			if u.Kept() != c.want {
				t.Errorf("%+v: %v", c, u.Kept())
			}
		}
		if c.first && !c.second {
			u, err := undo.Open(log.log, log.device, undo.Options{Kept: true})
			if err != nil || u.Kept() {
				t.Errorf("%+v, and once more with a store that is left: %v", c, err)
			}
		}
	}
}

// TestUndoClosedAtAnyTime: whenever a power cut comes, a log that ends early is taken for none that was
// cut off: what it says of itself is durable no earlier than its list.
func TestUndoClosedAtAnyTime(t *testing.T) {
	c := newChanged(t, 1, false)
	record := c.both.Record()
	u, err := undo.New(c.log, c.device, c.g, undo.Options{})
	if err == nil {
		err = c.run(u)
	}
	if err == nil {
		err = u.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	states := 0
	for crash := range record.Crashes(6, rand.New(rand.NewPCG(devicetest.Seed(t), 18))) {
		states++
		now := on(t, crash.Device(), 1, false)
		is, err := undo.IsLog(now.log)
		if err != nil || !is {
			continue
		}
		if err := undo.CheckBelongs(now.log, now.device, false, nil); err != nil {
			t.Fatalf("%v: %v", crash, err)
		}
	}
	t.Logf("%d states", states)
}

// TestWithdraw: exceptions that are given up cost no chunk, and none that was prepared before waits for
// them.
func TestWithdraw(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 30"))
	s := open(t, d)
	free := s.Usage().Free()
	prepare := func(old format.OldChunk) store.Pending {
		p, err := s.PrepareException(old)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := prepare(200)
	var given []store.Pending
	for old := range format.OldChunk(5) { // over the end of the area
		given = append(given, prepare(300+old))
	}
	committed := false
	s.CommitException(first, true, func(err error) { committed = err == nil })
	s.Withdraw(given)
	if !committed {
		t.Error("the one before waits for those that were given up")
	}
	if got := s.Usage().Free(); got != free-1 {
		t.Errorf("%d free, expected %d", got, free-1)
	}
	if again := prepare(300); again.New != given[0].New {
		t.Errorf("the next one gets chunk %d, expected %d", again.New, given[0].New)
	}
	if u := open(t, d).Usage(); u.Leaked() != 0 || u.End.Exceptions != 31 {
		t.Errorf("%d chunks are lost, %d exceptions", u.Leaked(), u.End.Exceptions)
	}
}

// TestSaveLargeChunk: a chunk that is larger than what is copied at a time, and of which the origin has
// a part alone, is saved, with zeros behind that.
func TestSaveLargeChunk(t *testing.T) {
	const chunk = 4096 // sectors: 2 MiB
	for _, sectors := range []int{chunk + 3, 2*chunk + 2049, 3*chunk - 1, 2*chunk + 1} {
		origin := originOf(sectors)
		d := devicetest.Of(storespec.MustCompile(t, "device 24576\nheader chunk=4096\ndata 7"))
		if _, err := saveAll(d, chunk, origin, []stretch{{0, 1 << 40}}); err != nil {
			t.Fatalf("%d sectors: %v", sectors, err)
		}
		whole := sectors / chunk
		last := d.Image()[(2+whole)*chunk*512:][:chunk*512]
		want := make([]byte, chunk*512)
		copy(want, origin[whole*chunk*512:])
		if !bytes.Equal(last, want) {
			t.Errorf("%d sectors: the last chunk is something else", sectors)
		}
	}
}
