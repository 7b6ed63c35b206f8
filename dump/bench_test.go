package dump

import (
	"fmt"
	"testing"

	"dmcow/format"
)

// BenchmarkPiece measures what a row costs, without reading and writing, for
// chunk numbers of eight digits and of nine.
func BenchmarkPiece(b *testing.B) {
	const slots = 256
	for _, bits := range []int{24, 28} {
		raw := make([]byte, slots*format.ExceptionSize)
		for i := range slots {
			x := format.Exception{
				Old: format.OldChunk(uint64(i) * 0x9e3779b97f4a7c15 >> (64 - bits)),
				New: format.NewChunk(1<<bits - slots + i),
			}
			x.Encode(raw[i*format.ExceptionSize:])
		}
		piece := format.Piece{Place: format.Place{Area: 60000}, Raw: raw}
		for _, f := range []Format{CSV, JSON, Human} {
			b.Run(fmt.Sprintf("%s-%d", f, bits), func(b *testing.B) {
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
}
