package dump

import (
	"testing"

	"dmcow/format"
)

// BenchmarkPiece measures what a row costs, without reading and writing.
func BenchmarkPiece(b *testing.B) {
	const slots = 256
	raw := make([]byte, slots*format.ExceptionSize)
	for i := range slots {
		x := format.Exception{
			Old: format.OldChunk(uint64(i) * 0x9e3779b97f4a7c15 >> 40),
			New: format.NewChunk(16_000_000 + i),
		}
		x.Encode(raw[i*format.ExceptionSize:])
	}
	piece := format.Piece{Place: format.Place{Area: 60000}, Raw: raw}
	for _, f := range []Format{CSV, JSON, Human} {
		b.Run(string(f), func(b *testing.B) {
			var sel Selection
			l := newLayout(f, sel)
			var buf []byte
			for b.Loop() {
				buf = l.appendPiece(buf[:0], piece, &sel)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/slots, "ns/row")
		})
	}
}
