package apply_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store/apply"
	"dmcow/store/delta"
	"dmcow/store/undo"
)

// newFull is a full delta's pair: the base is zero, and of the source every third chunk or so is not.
func newFull(rng *rand.Rand, chunk, sectors int) *pair {
	p := &pair{base: make([]byte, sectors*sector), chunk: chunk * sector, kind: delta.Full}
	p.source = bytes.Clone(p.base)
	for old := range p.chunks() {
		if rng.IntN(3) == 0 {
			change(rng, p.of(p.source, old))
		}
	}
	return p
}

// TestFull: what a full delta does not name must be zero, and with Force becomes it, wherever it stands: before the first
// chunk, between two, and behind the last.
func TestFull(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 11))
	for range 100 {
		p := newFull(rng, 4, 40+rng.IntN(40))
		source := narrowed(t, p.delta(t), 1+rng.IntN(4))
		r := newRig(p.base)
		full := apply.Options{Full: true}
		if _, err := apply.Run(source.again(), r.target, full); err != nil || !r.target.Holds(p.source) {
			t.Fatalf("over zeros: %v", err)
		}
		if again, err := apply.Run(source.again(), r.target, full); err != nil || again.Changed() {
			t.Fatalf("again: %+v, %v", again, err)
		}
		at := rng.IntN(len(p.base))
		for bytes.Contains([]byte{1}, p.of(p.source, at/p.chunk)[:1]) || !isZero(p.of(p.source, at/p.chunk)) {
			at = rng.IntN(len(p.base))
		}
		r = newRig(p.base)
		r.target.WriteAt(append(bytes.Repeat([]byte{0}, at%sector), append([]byte{7}, make([]byte, sector-at%sector-1)...)...), int64(at/sector*sector))
		stained := r.target.Image()
		_, err := apply.Run(source.again(), r.target, full)
		var foreign *apply.ForeignError
		if !errors.As(err, &foreign) || !foreign.Gap || foreign.Offset != format.Bytes(at) {
			t.Fatalf("byte %d is not zero: %v", at, err)
		}
		for i, b := range r.target.Image() { // windows before are written, and this one's chunks are not
			if b != stained[i] && b != p.source[i] || i > at && b != stained[i] && source.windowOf(i) >= source.windowOf(at) {
				t.Fatalf("byte %d is not zero, and byte %d was written", at, i)
			}
		}
		forced, err := apply.Run(source.again(), r.target, apply.Options{Full: true, Force: true})
		if err != nil || !r.target.Holds(p.source) || forced.Cleared == 0 {
			t.Fatalf("forced: %+v, %v", forced, err)
		}
	}
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// windowOf is the number of the window with whose chunks a byte is written, or looked at.
func (s *narrow) windowOf(at int) int {
	for i, p := range s.pieces {
		if format.Bytes(at) < p.Offset+format.Bytes(len(p.Data)) {
			return i / s.n
		}
	}
	return len(s.pieces)
}

// TestHoles: of what a full delta does not name, holes are not read.
func TestHoles(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 12))
	p := newFull(rng, 1, 1)
	p.base, p.source = make([]byte, 64<<20), make([]byte, 64<<20)
	change(rng, p.of(p.source, 100))
	memory := devicetest.New(int64(len(p.base)))
	target := memory.Part(0, int64(len(p.base)))
	const start, end = 32<<20 + 512, 33 << 20
	target.WriteAt(bytes.Repeat([]byte{1}, 512), end-512)
	o := apply.Options{Full: true, NextData: func(offset int64) (int64, int64, error) {
		if offset >= end {
			return target.Size(), target.Size(), nil
		}
		return max(offset, start), end, nil
	}}
	_, err := run(p.delta(t), target, o)
	var foreign *apply.ForeignError
	if !errors.As(err, &foreign) || foreign.Offset != end-512 {
		t.Fatal(err)
	}
	read := 0
	for _, r := range memory.Reads() {
		read += r.Length
	}
	if read > 2<<20 {
		t.Errorf("%d bytes were read", read)
	}
	failed := errors.New("no holes today")
	o.NextData = func(int64) (int64, int64, error) { return 0, 0, failed }
	if _, err := run(p.delta(t), target, o); !errors.Is(err, failed) {
		t.Error(err)
	}
}

// TestBefore: whoever keeps what is overwritten is told of all of it before, and of nothing else; its error stops the
// window.
func TestBefore(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 13))
	p := newPair(rng, 2, 100)
	source, r := narrowed(t, p.delta(t), 5), newRig(p.base)
	var told []format.OldChunk
	o := apply.Options{Before: func(changes []undo.Change) error {
		for _, c := range changes {
			old := int(c.Offset) / p.chunk
			told = append(told, format.OldChunk(old))
			if now := r.target.Image(); !bytes.Equal(p.of(now, old), p.of(p.base, old)) || !bytes.Equal(c.Data, p.of(p.source, old)) {
				t.Errorf("chunk %d was written before, or is told with other data", old)
			}
		}
		return nil
	}}
	if _, err := apply.Run(source.again(), r.target, o); err != nil || !r.target.Holds(p.source) {
		t.Fatal(err)
	}
	if want := p.differ(); len(told) != len(want) || told[len(told)-1] != want[len(want)-1] {
		t.Errorf("told of %v, expected %v", told, want)
	}
	told = nil
	if _, err := apply.Run(source.again(), r.target, o); err != nil || told != nil {
		t.Errorf("again: %v, %v", told, err)
	}
	r, calls := newRig(p.base), 0
	o.Before = func([]undo.Change) error {
		if calls++; calls == 3 {
			return errKilled
		}
		return nil
	}
	result, err := apply.Run(source.again(), r.target, o)
	if !errors.Is(err, errKilled) || result.Written != 10 || !r.target.Holds(p.firstOf(10)) {
		t.Errorf("%+v, %v: expected ten chunks to be written", result, err)
	}
}

// firstOf is the base with the first n chunks that differ as the source has them.
func (p *pair) firstOf(n int) []byte {
	image := bytes.Clone(p.base)
	for _, old := range p.differ()[:n] {
		copy(p.of(image, int(old)), p.of(p.source, int(old)))
	}
	return image
}

// TestPause ends the work between two windows: what was written is whole, and durable.
func TestPause(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 14))
	p := newPair(rng, 2, 100)
	source, r := narrowed(t, p.delta(t), 5), newRig(p.base)
	record, calls := r.all.Record(), 0
	result, err := apply.Run(source.again(), r.target, apply.Options{Pause: func() error {
		if calls++; calls == 2 {
			return errKilled
		}
		return nil
	}})
	last := p.differ()[9]
	if !errors.Is(err, errKilled) || result.Written != 10 || result.Upto != format.Bytes(int(last)*p.chunk+len(p.of(p.base, int(last)))) {
		t.Errorf("%+v, %v", result, err)
	}
	record.Mark("done")
	for crash := range record.Crashes(4, rng) {
		if now := r.in(crash.Device()); len(crash.Marks) > 0 && !now.target.Holds(p.firstOf(10)) {
			t.Fatalf("%v: what was told of is not durable", crash)
		}
	}
}
