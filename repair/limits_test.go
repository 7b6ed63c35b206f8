package repair_test

import (
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/repair"
)

// TestManyFaults has more faults than a plan holds: it says that there are more, and run
// again it comes to an end. All the others are there then.
func TestManyFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	const n = 1500000
	g, err := format.NewGeometry(8)
	if err != nil {
		t.Fatal(err)
	}
	d := devicetest.New(int64(g.Offset(g.DataChunk(n + 1000))))
	head := make([]byte, format.HeaderSize)
	format.Header{Magic: format.Magic, Valid: 1, Version: format.Version, ChunkSectors: 8}.Encode(head)
	d.Put(0, head)
	e := g.ExceptionsPerArea()
	area := make([]byte, g.ChunkBytes())
	for k := 0; k*e < n; k++ {
		clear(area)
		for i := 0; i < e && k*e+i < n; i++ {
			x := format.Exception{Old: format.OldChunk(k*e + i), New: g.DataChunk(uint64(k*e + i))}
			if i%2 == 0 {
				x.New |= 1 << 40
			}
			x.Encode(area[i*format.ExceptionSize:])
		}
		d.Put(int64(g.SlotOffset(format.Place{Area: format.AreaIndex(k)})), area)
	}
	o := options(d, 0, everything(repair.KeepFirst))
	for runs := 1; ; runs++ {
		p, err := repair.Make(o)
		if err != nil {
			t.Fatal(err)
		}
		if p.Writes() > 600000 {
			t.Errorf("a plan of %d writes", p.Writes())
		}
		if err := p.Apply(d, nil, nil); err != nil {
			t.Fatal(err)
		}
		if p.More {
			continue
		}
		if runs < 2 || p.After.Outcome() != check.Sound || p.After.Exceptions != n/2 {
			t.Errorf("after %d runs: %s", runs, findings(p.After))
		}
		return
	}
}
