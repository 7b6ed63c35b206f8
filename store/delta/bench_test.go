package delta_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"dmcow/store/delta"
)

// BenchmarkStream and BenchmarkCheck: what writing and verifying cost without any device.
func BenchmarkStream(b *testing.B) {
	p := newPair(b, rand.New(rand.NewPCG(1, 1)), 8, 64<<20, 1000)
	b.SetBytes(int64(p.head.Bytes))
	for b.Loop() {
		if err := p.writer().Stream(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	p := newPair(b, rand.New(rand.NewPCG(1, 1)), 8, 64<<20, 1000)
	d := p.delta(b)
	b.SetBytes(int64(p.head.Bytes))
	for b.Loop() {
		if _, err := delta.Check(bytes.NewReader(d), nil); err != nil {
			b.Fatal(err)
		}
	}
}
