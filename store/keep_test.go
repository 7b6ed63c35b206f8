package store_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store"
)

// TestKeep overwrites an origin little by little, and has a snapshot keep each time what is overwritten: it shows what
// it showed, also where it is of another chunk size, blank, or was cut off and goes on.
func TestKeep(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 1))
	for _, spec := range []string{
		"device 400\nheader chunk=2\nfill 20 3\ndata 9\n", "device 400\n", "device 600\nheader chunk=8\nfill 5 1\ndata 9\n",
		"device 900\nheader chunk=1\nfill 31 3\ndata 9\n",
	} {
		image, origin := storespec.MustCompile(t, spec), originOf(203)
		cow, on := devicetest.Of(image), devicetest.Of(origin)
		before, _, err := viewOf(cow, origin)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // each goes on with what the one before has left
			s, err := saver(cow, 2, origin, nil)
			if err != nil {
				t.Fatal(err)
			}
			k, err := s.Keep(cow, on, func(format.AreaIndex) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				start := rng.IntN(203)
				end := start + 1 + rng.IntN(min(12, 203-start))
				if err := k.Save(format.Bytes(start*512), format.Bytes(end*512)); err != nil {
					t.Fatalf("%q: %v", spec, err)
				}
				on.Put(int64(start*512), bytes.Repeat([]byte{byte(rng.Uint32())}, (end-start)*512))
				view, _, err := viewOf(cow, on.Image())
				if err != nil || !bytes.Equal(view, before) {
					t.Fatalf("%q: the snapshot shows something else (%v)", spec, err)
				}
			}
			k.Close()
			s.Close()
		}
	}
}

// TestKeepFails: where there is no room, or a write fails, nothing is said to be kept; the snapshot stays.
func TestKeepFails(t *testing.T) {
	origin := originOf(200)
	keep := func(cow *devicetest.Memory) error {
		s, err := saver(cow, 1, origin, nil)
		if err != nil {
			return err
		}
		defer s.Close()
		k, err := s.Keep(cow, devicetest.Of(origin), func(format.AreaIndex) error { return nil })
		if err != nil {
			return err
		}
		defer k.Close()
		for at := range format.Bytes(20) {
			if err := k.Save(at*10*512, (at*10+3)*512); err != nil {
				return err
			}
		}
		return nil
	}
	if err := keep(devicetest.Of(storespec.MustCompile(t, "device 50\nheader chunk=1\n"))); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("a store that becomes full: %v", err)
	}
	failed := errors.New("failed")
	for n := 0; ; n++ {
		cow := devicetest.Of(storespec.MustCompile(t, "device 500\nheader chunk=1\nfill 3\ndata 9\n"))
		before, _, _ := viewOf(cow, origin)
		f := &devicetest.NthOp{N: n, Err: failed}
		cow.Fault = f.Fault
		err := keep(cow)
		cow.Fault = nil
		if view, _, verr := viewOf(cow, origin); verr != nil || !bytes.Equal(view, before) {
			t.Fatalf("operation %d failed: the snapshot shows something else (%v)", n, verr)
		}
		if !f.Failed() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		if !errors.Is(err, failed) {
			t.Errorf("operation %d failed: %v", n, err)
		}
	}
}
