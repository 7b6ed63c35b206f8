package check_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/store"
	"dmcow/store/look"
)

// FuzzCheck checks stores that are mutated in a few places. Where it calls one
// sound, the engine opens it, finds what a naive reading finds, and goes on with it
// unless it is full.
func FuzzCheck(f *testing.F) {
	var images [][]byte
	for i, c := range damaged.Load(f) {
		images = append(images, c.Image)
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte{1, 40, 1, 34, 0, 77})
	}
	f.Fuzz(func(t *testing.T, which uint8, changes []byte) {
		image := bytes.Clone(images[int(which)%len(images)])
		// Three bytes each: a sector, half of a byte's place in it, and what goes there.
		for ; len(changes) >= 3; changes = changes[3:] {
			if at := int(changes[0])*512 + 2*int(changes[1]); at < len(image) {
				image[at] = changes[2]
			}
		}
		d := devicetest.Of(image)
		r, err := check.Make(check.Options{Device: d})
		if err != nil || len(r.Unread) > 0 {
			t.Fatalf("%v, %v", err, r.Unread)
		}
		if !d.Holds(image) {
			t.Fatal("it has written")
		}
		for _, tally := range r.Tallies {
			for _, finding := range tally.Findings {
				if finding.Message() == "" {
					t.Errorf("%s says nothing", finding.Name)
				}
			}
		}
		if state := r.Identity.State; (state == look.Damaged || state == look.Foreign) && r.Count(check.Error) == 0 {
			t.Errorf("%s, and no error is told", state)
		}
		if r.Outcome() == check.Sound {
			checkSound(t, d, image, r)
		}
	})
}

// checkSound holds a store that was called sound to that.
func checkSound(t *testing.T, d *devicetest.Memory, image []byte, r check.Report) {
	t.Helper()
	s, err := store.Open(d, store.Options{Table: true})
	if err != nil {
		t.Fatalf("sound, and the engine: %v", err)
	}
	all := naive.Of(image).List()
	if uint64(len(all)) != r.Exceptions {
		t.Fatalf("%d exceptions, a naive reading finds %d", r.Exceptions, len(all))
	}
	for _, x := range all {
		if n, ok := s.Lookup(format.OldChunk(x.Old)); !ok || uint64(n) != x.New {
			t.Fatalf("sound, and the engine has %d for %v", n, x)
		}
	}
	full := slices.Contains(rules(r), "full")
	old := format.OldChunk(1 << 40)
	for n := range uint64(3) {
		p, err := s.PrepareException(old + format.OldChunk(n))
		switch {
		case errors.Is(err, store.ErrNoRoom) && (full || n > 0):
			return
		case full && err == nil:
			t.Fatal("full, and there was room")
		case err != nil:
			t.Fatalf("sound, and the engine cannot go on: %v", err)
		}
		s.CommitException(p, true, func(e error) { err = e })
		if err != nil {
			t.Fatal(err)
		}
	}
	if again := naive.Of(d.Image()).List(); len(again) != len(all)+3 || !slices.Equal(again[:len(all)], all) {
		t.Fatalf("sound, and after three exceptions more there are %d, of %d", len(again), len(all))
	}
}
