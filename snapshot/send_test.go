package snapshot

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/store"
	"dmcow/store/delta"
)

// history is an origin that is written to, with snapshots of it that are made now and then.
type history struct {
	rig
	now   []byte
	snaps []*moment
}

// moment is a snapshot, and what it shows.
type moment struct {
	name   string
	shows  []byte
	device *devicetest.Memory
	store  *store.Store
	chunk  int
}

func newHistory(r rig, rng *rand.Rand, size int) *history {
	h := &history{rig: r, now: make([]byte, size)}
	h.write(rng, 20)
	return h
}

// take makes a snapshot, with chunks of so many sectors.
func (h *history) take(sectors uint32) {
	g, err := format.NewGeometry(sectors)
	if err != nil {
		h.Fatal(err)
	}
	chunks := uint64(len(h.now))/uint64(g.ChunkBytes()) + 2
	m := &moment{name: fmt.Sprintf("snap%d", len(h.snaps)), shows: bytes.Clone(h.now), chunk: int(g.ChunkBytes())}
	m.device = devicetest.New(int64(g.ChunksFor(chunks, chunks)) * int64(m.chunk))
	if err := store.Initialize(m.device, g, nil); err != nil {
		h.Fatal(err)
	}
	if m.store, err = store.Open(m.device, store.Options{Table: true}); err != nil {
		h.Fatal(err)
	}
	h.snaps = append(h.snaps, m)
}

// write writes to the origin some times, and the snapshots keep what was there, as the kernel has them do. Some
// writes change nothing.
func (h *history) write(rng *rand.Rand, times int) {
	for range times {
		at := rng.IntN(len(h.now))
		b := h.now[at:min(len(h.now), at+1+rng.IntN(9000))]
		for _, m := range h.snaps {
			m.keep(h.rig, h.now, at, at+len(b))
		}
		switch rng.IntN(6) {
		case 0:
		case 1:
			clear(b)
		default:
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
		}
	}
}

func (m *moment) keep(r rig, origin []byte, start, end int) {
	for old := start / m.chunk; old*m.chunk < end; old++ {
		if _, has := m.store.Lookup(format.OldChunk(old)); has {
			continue
		}
		p, err := m.store.PrepareException(format.OldChunk(old))
		if err != nil {
			r.Fatal(err)
		}
		data := make([]byte, m.chunk)
		copy(data, origin[old*m.chunk:])
		if _, err := m.device.WriteAt(data, int64(p.New)*int64(m.chunk)); err != nil {
			r.Fatal(err)
		}
		m.store.CommitException(p, true, func(err error) {
			if err != nil {
				r.Fatal(err)
			}
		})
	}
}

// files writes all of it to files.
func (h *history) files() {
	h.file("origin", h.now)
	for _, m := range h.snaps {
		h.file(m.name, m.device.Image())
	}
}

// send sends something to a file, and checks that this is a sound delta, which is returned.
func (h *history) send(x SendRequest) []byte {
	h.Helper()
	x.Output = OutputRequest{Name: "delta", Mode: Private, Force: true}
	p, err := h.PlanSend(x)
	if err != nil {
		h.Fatalf("%+v: %v", x, err)
	}
	defer p.Close()
	if err := p.Do(); err != nil {
		h.Fatalf("%+v: %v", x, err)
	}
	d := h.read("delta")
	head, err := delta.Check(bytes.NewReader(d), nil)
	if err != nil || head != p.Head || format.Bytes(len(d)) != p.Size {
		h.Fatalf("%+v: %v: %+v; want %+v", x, err, head, p.Head)
	}
	return d
}

// makes wants a delta to make an image out of another, and to have no chunk that is equal, unless all is wanted. It is
// read by what knows nothing of deltas.
func (h *history) makes(d, base, want []byte, x SendRequest) {
	h.Helper()
	s := naive.Of(d)
	view, err := s.View(base)
	if err != nil || !bytes.Equal(view, want) {
		h.Fatalf("%+v: the view of the delta is another image (%v)", x, err)
	}
	for _, e := range s.List() {
		at, end := int(e.Old)*s.Chunk, min(int(e.Old+1)*s.Chunk, len(base))
		if !x.AllChunks && bytes.Equal(base[at:end], want[at:end]) {
			h.Fatalf("%+v: chunk %d is equal", x, e.Old)
		}
	}
}

// TestSendHistories: deltas of snapshots of random histories, in all directions and in chunks of all sizes, make of one
// side the other; several in a row make of the first moment the last.
func TestSendHistories(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := newRig(t)
			rng := rand.New(rand.NewPCG(seed, devicetest.Seed(t)))
			h := newHistory(r, rng, (1+rng.IntN(900))*512)
			for range 1 + rng.IntN(3) {
				h.take(1 << rng.IntN(7))
				h.write(rng, rng.IntN(12))
			}
			h.files()
			h.sendAll(rng)
			h.sendChain(rng)
		})
	}
}

func (h *history) sendAll(rng *rand.Rand) {
	for _, m := range h.snaps {
		x := SendRequest{ViewRequest: of(m.name), Chunk: 1 << rng.IntN(11), AllChunks: rng.IntN(3) == 0}
		if rng.IntN(3) == 0 {
			x.Chunk = 0
		}
		h.makes(h.send(x), m.shows, h.now, x)
		x.Back = true
		h.makes(h.send(x), h.now, m.shows, x)
		to := h.snaps[rng.IntN(len(h.snaps))]
		if to == m {
			continue
		}
		x.To = to.name
		h.makes(h.send(x), to.shows, m.shows, x)
		x.Back = false
		h.makes(h.send(x), m.shows, to.shows, x)
		x = SendRequest{ViewRequest: of(m.name), Chunk: x.Chunk, Full: true}
		h.makes(h.send(x), make([]byte, len(h.now)), m.shows, x)
	}
}

// sendChain goes from moment to moment, and to the origin.
func (h *history) sendChain(rng *rand.Rand) {
	image := h.snaps[0].shows
	for i, m := range h.snaps {
		x := SendRequest{ViewRequest: of(m.name), Chunk: 1 << rng.IntN(8)}
		if i+1 < len(h.snaps) {
			x.To = h.snaps[i+1].name
		}
		view, err := naive.Of(h.send(x)).View(image)
		if err != nil {
			h.Fatal(err)
		}
		image = view
	}
	if !bytes.Equal(image, h.now) {
		h.Error("the chain does not lead to the origin")
	}
}
