package view

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
)

// scribble writes to a view and syncs now and then. It ends with the first error.
func scribble(rng *rand.Rand, v *View, n int, mark func(any)) error {
	for range n {
		p := make([]byte, 1+rng.IntN(3*sector))
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		at := rng.IntN(min(80*sector, int(v.Size())) - len(p)) // often in the same chunks
		mark(written{at, p})                                   // before: it may be there as soon as it was begun
		if _, err := v.WriteAt(p, int64(at)); err != nil {
			return err
		}
		if rng.IntN(4) == 0 {
			if err := v.Sync(); err != nil {
				return err
			}
			mark(synced{})
		}
	}
	return nil
}

// may holds what a snapshot reads as to what it may be: sector by sector, what it was when it
// was last synced, or what was written since.
func may(before []byte, marks []any, got []byte) error {
	base := bytes.Clone(before)
	var since []written
	for _, m := range marks {
		switch m := m.(type) {
		case written:
			since = append(since, m)
		case synced:
			for _, w := range since {
				copy(base[w.at:], w.p)
			}
			since = nil
		}
	}
	for at := 0; at < len(base); at += sector {
		now := bytes.Clone(base[at : at+sector])
		ok := bytes.Equal(got[at:at+sector], now)
		for _, w := range since {
			if start, end := max(at, w.at), min(at+sector, w.at+len(w.p)); start < end {
				copy(now[start-at:], w.p[start-w.at:end-w.at])
				ok = ok || bytes.Equal(got[at:at+sector], now)
			}
		}
		if !ok {
			return fmt.Errorf("sector %d is neither what was synced nor what was written since", at/sector)
		}
	}
	return nil
}

// writeRig is a store with some exceptions, in whose last area a torn commit has left some.
func writeRig(t testing.TB) *rig {
	r := newRig(t, "device 200\nheader chunk=2\nfill 20\ndata 9", 400*sector)
	b := make([]byte, format.ExceptionSize)
	format.Exception{Old: 150, New: 40}.Encode(b)
	r.all.Put(3*sector, b) // the second one of area 0
	return r
}

// TestWriteCrashes cuts power everywhere in a life of writes and syncs: what was synced is
// there, and what was written since may be. The store is sound, the origin is untouched, and the
// view can be written again.
func TestWriteCrashes(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, devicetest.Seed(t)))
	lives, states := 8, 0
	if testing.Short() {
		lives = 1
	}
	for range lives {
		r := newRig(t, "device 200\nheader chunk=2\nfill 58\ndata 9", 400*sector)
		before, origin := content(t, r.open(t)), r.originImage()
		v, err := r.openToWrite()
		if err != nil {
			t.Fatal(err)
		}
		record := r.all.Record()
		if err := scribble(rng, v, 10, record.Mark); err != nil {
			t.Fatal(err)
		}
		for c := range record.Crashes(10, rng) {
			states++
			after := r.in(c.Device())
			after.sound(t)
			w := after.goOn(t)
			if err := may(before, c.Marks, content(t, w)); err != nil {
				t.Fatalf("%v: %v", c, err)
			}
			if !after.origin.Holds(origin) {
				t.Fatalf("%v: the origin has changed", c)
			}
			if _, err := w.WriteAt([]byte("again"), 77); err != nil {
				t.Fatalf("%v: %v", c, err)
			}
			if err := w.Sync(); err != nil {
				t.Fatalf("%v: %v", c, err)
			}
			after.sound(t)
		}
	}
	t.Logf("%d states", states)
}

// TestWriteFaults has the Nth read, write or sync fail, for all N: nobody is told that something
// is durable which is not, and what was synced before is there.
func TestWriteFaults(t *testing.T) {
	seed := devicetest.Seed(t)
	for kind, name := range map[devicetest.Kind]string{devicetest.Read: "read", devicetest.Write: "write", devicetest.Sync: "sync"} {
		for _, part := range []int{0, sector} {
			for n := 0; ; n++ {
				r := newRig(t, "device 200\nheader chunk=2\nfill 58\ndata 9", 400*sector)
				before, origin := content(t, r.open(t)), r.originImage()
				f := &devicetest.NthOp{N: n, Kinds: kind, Part: part, Err: errBroken}
				r.all.Fault = f.Fault
				var marks []any
				v, err := r.openToWrite()
				if err == nil {
					rng := rand.New(rand.NewPCG(6, seed))
					err = scribble(rng, v, 20, func(m any) { marks = append(marks, m) })
				}
				r.all.Fault = nil
				// A check gets over some reads that fail.
				if f.Failed() && err == nil && kind != devicetest.Read {
					t.Fatalf("%s %d failed, and nobody said so", name, n)
				}
				after := r.in(r.all.Clone())
				after.sound(t)
				w, err := after.openToWrite()
				if err != nil {
					t.Fatalf("%s %d: %v", name, n, err)
				}
				if err := may(before, marks, content(t, w)); err != nil {
					t.Fatalf("%s %d: %v", name, n, err)
				}
				if !after.origin.Holds(origin) {
					t.Fatalf("%s %d: the origin has changed", name, n)
				}
				if !f.Failed() {
					break
				}
			}
		}
	}
}

// TestWriteAfterFailure: after a commit has failed nothing more is written, and every sync says so.
func TestWriteAfterFailure(t *testing.T) {
	r := newRig(t, "device 200\nheader chunk=2", 240*sector)
	v, err := r.openToWrite()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.WriteAt([]byte("lost"), 0); err != nil {
		t.Fatal(err)
	}
	r.all.Fault = (&devicetest.NthOp{Kinds: devicetest.Sync, Err: errBroken}).Fault
	for range 2 {
		if err := v.Sync(); !errors.Is(err, errBroken) {
			t.Errorf("sync: %v", err)
		}
		r.all.Fault = nil
	}
	before := r.cowImage()
	if _, err := v.WriteAt([]byte("more"), 0); !errors.Is(err, errBroken) {
		t.Errorf("write: %v", err)
	}
	if err := v.Close(); !errors.Is(err, errBroken) {
		t.Errorf("close: %v", err)
	}
	if !bytes.Equal(r.cowImage(), before) {
		t.Error("the COW device was written to")
	}
}

// TestWriteGoesOn: a write that fails costs its own exceptions; what is written then is durable
// after a sync.
func TestWriteGoesOn(t *testing.T) {
	r := newRig(t, "device 200\nheader chunk=2", 240*sector)
	want := content(t, r.open(t))
	v, err := r.openToWrite()
	if err != nil {
		t.Fatal(err)
	}
	r.all.Fault = (&devicetest.NthOp{Kinds: devicetest.Write, Err: errBroken}).Fault
	var e *WriteError
	if n, err := v.WriteAt(bytes.Repeat([]byte("lost"), 2000), 100); n != 0 || !errors.As(err, &e) {
		t.Errorf("%d, %v", n, err)
	}
	for _, at := range []int{50 * sector, 0} {
		if _, err := v.WriteAt([]byte("there"), int64(at)); err != nil {
			t.Fatal(err)
		}
		copy(want[at:], "there")
	}
	if err := v.Sync(); err != nil {
		t.Fatal(err)
	}
	r.sound(t)
	if !bytes.Equal(r.naiveView(t), want) {
		t.Error("the store holds something else")
	}
}
