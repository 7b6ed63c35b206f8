package snapshot

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/store/apply"
)

// TestReceiveHistories: of random histories, a copy is made by a full delta, follows moment by moment to the origin, and
// goes back, by files and by pipes. A delta whose turn it is not is refused and writes no chunk that is of neither
// moment, or comes to the same in the end; one that was applied changes nothing.
func TestReceiveHistories(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRig(t)
			rng := rand.New(rand.NewPCG(seed, devicetest.Seed(t)))
			h := newHistory(r, rng, (1+rng.IntN(900))*512)
			for range 2 + rng.IntN(2) {
				h.take(1 << rng.IntN(7))
				h.write(rng, 1+rng.IntN(12))
			}
			h.files()
			h.follow(rng)
		})
	}
}

// step is a delta of a history, and the images that it leads from and to.
type step struct {
	delta      []byte
	base, want []byte
}

// steps are the deltas from moment to moment, and to the origin.
func (h *history) steps(rng *rand.Rand, back bool) (all []step) {
	for i, m := range h.snaps {
		x := SendRequest{ViewRequest: of(m.name), Chunk: 1 << rng.IntN(11), Back: back, AllChunks: rng.IntN(3) == 0}
		want := h.now
		if i+1 < len(h.snaps) {
			x.To, want = h.snaps[i+1].name, h.snaps[i+1].shows
		}
		s := step{h.send(x), m.shows, want}
		if back {
			s.base, s.want = s.want, s.base
		}
		all = append(all, s)
	}
	return all
}

func (h *history) follow(rng *rand.Rand) {
	h.receive(rng, h.send(SendRequest{ViewRequest: of(h.snaps[0].name), Full: true}), h.snaps[0].shows)
	forward := h.steps(rng, false)
	h.wrongOrder(rng, forward)
	for _, s := range forward {
		h.receive(rng, s.delta, s.want)
		h.receive(rng, s.delta, s.want) // once more
	}
	back := h.steps(rng, true)
	for i := range back {
		s := back[len(back)-1-i]
		h.receive(rng, s.delta, s.want)
	}
}

// receive applies a delta to the copy by a file or a pipe, and wants it to become an image.
func (h *history) receive(rng *rand.Rand, d, want []byte) {
	h.Helper()
	if _, err := h.apply(rng, d, "copy"); err != nil || !bytes.Equal(h.read("copy"), want) {
		h.Fatalf("the copy is another image (%v)", err)
	}
}

func (h *history) apply(rng *rand.Rand, d []byte, into string) (apply.Result, error) {
	in := IncomingRequest{Name: "applied"}
	if h.file("applied", d); rng.IntN(2) == 0 {
		in = h.piped(d)
	}
	return h.received(ReceiveRequest{IncomingRequest: in, Into: into})
}

// wrongOrder applies the last step to the first moment.
func (h *history) wrongOrder(rng *rand.Rand, all []step) {
	h.Helper()
	last := all[len(all)-1]
	h.file("wrong", all[0].base)
	_, err := h.apply(rng, last.delta, "wrong")
	x := asRefusal(err)
	switch {
	case err == nil:
	case x == nil || x.Code != Damaged:
		h.Fatal(err)
	}
	for at, b := range h.read("wrong") {
		if b != all[0].base[at] && b != last.want[at] {
			h.Fatalf("byte %d is of neither moment", at)
		}
	}
	for _, s := range all {
		if _, err := h.apply(rng, s.delta, "wrong"); err != nil {
			return // the last step wrote what the first ones replace, in windows before the one that was refused
		}
	}
	if !bytes.Equal(h.read("wrong"), last.want) {
		h.Fatal("the wrong order was not refused, and leads elsewhere")
	}
}
