package format_test

import (
	"bytes"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
)

// TestSlowReads: areas are asked for ahead of the reads where these take longer than a cache would. Time is not
// real here.
func TestSlowReads(t *testing.T) {
	for took, want := range map[time.Duration]bool{25 * time.Microsecond: false, 26 * time.Microsecond: true} {
		synctest.Test(t, func(t *testing.T) {
			d := &prefetched{Memory: makeStore(1, 2000)}
			d.Fault = func(devicetest.Op) (int, error) {
				time.Sleep(took)
				return 0, nil
			}
			w := walkOf(t, d.Memory, 1)
			w.Device = d
			if _, err := walked(t, w, false); err != nil {
				t.Fatal(err)
			}
			if got := len(d.ahead.Reads()) > 0; got != want {
				t.Errorf("reads take %v: %d were asked for ahead", took, len(d.ahead.Reads()))
			}
		})
	}
}

// TestReadsAhead: the more full areas a walk has met, the more it reads ahead: of a short list at most as many again,
// of a long one 16 batches at once.
func TestReadsAhead(t *testing.T) {
	for k := range 12 {
		d := makeStore(1, k*32+5)
		d.Resize(1 << 20)
		if _, err := walked(t, walkOf(t, d, 1), false); err != nil {
			t.Fatal(err)
		}
		if got := len(d.Reads()); got > 2*(k+1) {
			t.Errorf("the list ends in area %d: %d areas were read", k, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		d := makeStore(128, 40*4096) // batches of one area
		var most atomic.Int64
		d.Fault = func(devicetest.Op) (int, error) {
			most.Store(max(most.Load(), int64(d.Active())))
			time.Sleep(time.Millisecond)
			return 0, nil
		}
		if _, err := walked(t, walkOf(t, d, 128), false); err != nil {
			t.Fatal(err)
		}
		if most.Load() != 16 {
			t.Errorf("at most %d batches were read at once", most.Load())
		}
	})
}

// TestLive: what was read ahead on a device in use is read again when its turn comes, and counts as it is by then.
// The kernel clears an area before it fills the one before: until then, it has what an earlier life left.
func TestLive(t *testing.T) {
	const sectors, slots = 128, 4096 // a batch is one area
	stale := makeStore(sectors, 6*slots)
	area := func(k int64) int64 { return (1 + k*(slots+1)) * sectors * 512 }
	for name, now := range map[string][]byte{
		"cleared":            make([]byte, sectors*512),
		"as before":          nil,
		"another list":       bytes.Repeat([]byte{9}, 5*format.ExceptionSize),
		"another last entry": append(bytes.Repeat([]byte{7}, 4095*format.ExceptionSize), bytes.Repeat([]byte{9}, 8)...),
	} {
		synctest.Test(t, func(t *testing.T) {
			d := stale.Clone()
			if now != nil {
				defer func() { checkAreaReads(t, name, d, area, 3) }()
			} else {
				defer func() { checkAreaReads(t, name, d, area, 2) }()
			}
			w := walkOf(t, d, sectors)
			w.Live = true
			var got []format.Exception
			end, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
				for _, x := range b.Exceptions() {
					got = append(got, x)
				}
				if b.Area == 1 {
					synctest.Wait() // area 2 has been read ahead
					d.Put(area(2), now)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var want []format.Exception
			for _, x := range walkedNaively(d, sectors, false).entries {
				want = append(want, format.Exception{Old: format.OldChunk(x.old), New: format.NewChunk(x.new)})
			}
			if !slices.Equal(got, want) || end.Exceptions != uint64(len(want)) {
				t.Errorf("%s: %d exceptions, want %d", name, len(got), len(want))
			}
		})
	}
}

// checkAreaReads: area 0 is read once, since nothing was read ahead of it; areas that stay as they are are read twice,
// once ahead, and once to see that; one that is another may have been read once more.
func checkAreaReads(t *testing.T, name string, d *devicetest.Memory, area func(int64) int64, most int) {
	t.Helper()
	for k := range int64(7) {
		n := 0
		for _, r := range d.Reads() {
			if r.Offset == area(k) {
				n++
			}
		}
		switch {
		case k == 0 && n != 1, k == 1 && n > 2, n > most:
			t.Errorf("%s: area %d was read %d times", name, k, n)
		}
	}
}

// TestLiveFailed: an area that could not be read ahead, but can when its turn comes, is part of the list; and one that
// cannot be read any more is not.
func TestLiveFailed(t *testing.T) {
	const sectors, slots = 128, 4096
	offset := int64(1+2*(slots+1)) * sectors * 512 // of area 2
	for _, now := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := makeStore(sectors, 4*slots)
			var delivered atomic.Bool
			d.Fault = func(op devicetest.Op) (int, error) {
				if op.Offset == offset && delivered.Load() == now {
					return 100 * format.ExceptionSize, errMedium
				}
				return 0, nil
			}
			w := walkOf(t, d, sectors)
			w.Live = true
			end, err := format.Each(w, nil, func(_ *struct{}, b format.Batch) error {
				if b.Area == 1 {
					synctest.Wait()
					delivered.Store(true)
				}
				return nil
			})
			if now && (!errors.Is(err, errMedium) || end.Exceptions != 2*slots+100) || !now && (err != nil || end.Exceptions != 4*slots) {
				t.Errorf("fails later: %v: %d exceptions, %v", now, end.Exceptions, err)
			}
		})
	}
}

// TestSlots: all slots of the areas that were asked for and are whole are handed out, whatever they hold, but those
// of a part that cannot be read.
func TestSlots(t *testing.T) {
	for _, sectors := range []uint32{1, 8, 256} {
		e := int(sectors) * 32
		d := makeStore(sectors, 5*e+3)
		d.Resize(int64(1+4*(e+1)+1) * int64(sectors) * 512) // areas 0 to 4
		w := walkOf(t, d, sectors)
		at := format.Place{Area: 3, Index: 17}
		bad := int64(w.Geometry.SlotOffset(at)) + 5
		for _, fails := range []bool{false, true} {
			if d.Fault = nil; fails {
				d.Fault = devicetest.BadByte(bad, errMedium)
			}
			next := format.Place{Area: 2}
			lost := 0
			err := format.Slots(w, next.Area, 99, func(p format.Piece) error {
				if fails && p.Area == 3 && p.Index == 0 {
					t.Error("what cannot be read was handed out")
				}
				if d := w.Geometry.Position(p.Place) - w.Geometry.Position(next); d != 0 {
					lost += int(d)
				}
				want := make([]byte, len(p.Raw))
				d.Peek(want, int64(w.Geometry.SlotOffset(p.Place)))
				if !p.Hidden || !bytes.Equal(p.Raw, want) {
					t.Errorf("chunk %d: %+v", sectors, p.Place)
				}
				next = w.Geometry.PlaceAt(w.Geometry.Position(p.Place) + uint64(p.Len()))
				return nil
			})
			checkSlots(t, w, err, fails, format.Bytes(bad), lost)
			if next != (format.Place{Area: 5}) {
				t.Errorf("chunk %d: ends before %+v", sectors, next)
			}
		}
	}
}

func checkSlots(t *testing.T, w format.Walk, err error, fails bool, bad format.Bytes, lost int) {
	t.Helper()
	part := min(w.Geometry.ExceptionsPerArea(), 4096)
	var failed *format.AreaError
	switch {
	case !fails && (err != nil || lost != 0):
		t.Errorf("%d slots are missing: %v", lost, err)
	case !fails:
	case !errors.As(err, &failed) || !errors.Is(err, errMedium) || failed.Area != 3 || failed.Offset != bad || !failed.Behind || lost != part:
		t.Errorf("byte %d cannot be read: %v, and %d slots are missing", bad, err, lost)
	}
}
