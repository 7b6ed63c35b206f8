package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store/look"
)

// TestPlausible holds what an exception may be to a table, at each of its limits. Areas are of 32 exceptions: the
// chunks 1, 34 and 67 are metadata.
func TestPlausible(t *testing.T) {
	g := geometry(t, 1)
	const most = 1 << 54 // chunks of the largest device
	for _, c := range []struct {
		old, new  uint64
		plausible bool // on a device of 99 chunks
		any       bool // on some device
	}{
		{0, 0, false, true}, {0, 1, false, true}, {0, 2, true, true}, {0, 33, true, true}, {0, 34, false, true}, {0, 35, true, true},
		{0, 98, true, true}, {0, 99, false, true}, {0, most - 1, false, true}, {0, most, false, false}, {0, 1 << 60, false, false},
		{most - 1, 2, true, true}, {most, 2, false, false}, {1<<64 - 1, 2, false, false},
	} {
		x := format.Exception{Old: format.OldChunk(c.old), New: format.NewChunk(c.new)}
		if look.Plausible(g, 99, x) != c.plausible || look.OnAnyDevice(g, x) != c.any {
			t.Errorf("%+v: plausible %v, on any device %v; want %v, %v", x, !c.plausible, look.OnAnyDevice(g, x), c.plausible, c.any)
		}
	}
}

// TestNear: new chunks that parallel copies may have swapped are near, others are not.
func TestNear(t *testing.T) {
	const a = 1000
	for _, c := range []struct {
		b    format.NewChunk
		near bool
	}{{a, false}, {a - 1, true}, {a + 1, true}, {a - 16, true}, {a + 16, true}, {a - 17, false}, {a + 17, false}, {0, false}} {
		for _, pair := range [][2]format.NewChunk{{a, c.b}, {c.b, a}} {
			if look.Near(format.Exception{New: pair[0]}, format.Exception{New: pair[1]}) != c.near {
				t.Errorf("%v: %v", pair, !c.near)
			}
		}
	}
}

// TestSurvives: a header survives the loss of its magic where all else is as it should be.
func TestSurvives(t *testing.T) {
	for spec, want := range map[string]bool{
		"device 200\nheader chunk=1 magic=0":                true,
		"device 200\nheader chunk=1 magic=0 valid=0":        true,
		"device 200\nheader chunk=1 magic=0 valid=2":        false,
		"device 200\nheader chunk=1 magic=0 version=2":      false,
		"device 200\nheader chunk=3 magic=0":                false,
		"device 200\nheader chunk=128 magic=0":              false, // it does not fit
		"device 256\nheader chunk=128 magic=0":              true,
		"device 200\nheader chunk=1 magic=0\nraw 16 1":      false,
		"device 200\nheader chunk=1 magic=0\nraw 511 1":     false,
		"device 200\nheader chunk=1 magic=0\nraw 512 1":     true, // area 0
		"device 200\nheader chunk=1 magic=0 valid=0xffffff": false,
	} {
		d := devicetest.Of(storespec.MustCompile(t, spec))
		id, err := look.Identify(d, geometry(t, 8))
		if err != nil || id.Survives(d) != want {
			t.Errorf("%q: survives %v, %v", spec, !want, err)
		}
		d.Fault = devicetest.BadByte(100, errBroken)
		if id.Survives(d) {
			t.Errorf("%q: it survives, and cannot be read", spec)
		}
	}
}

// TestNonZero: the first byte of a stretch that is not zero, wherever it stands.
func TestNonZero(t *testing.T) {
	const size = 200 << 10
	for _, at := range []int64{0, 1, 65535, 65536, 65537, 131071, size - 1} {
		d := devicetest.New(size)
		d.Put(at, []byte{1, 2})
		for _, c := range []struct {
			start, end format.Bytes
			want       int64
		}{
			{0, size, at}, {format.Bytes(at), size, at}, {0, format.Bytes(at), -1}, {0, format.Bytes(at) + 1, at}, {format.Bytes(at), format.Bytes(at), -1},
		} {
			if got, err := look.NonZero(d, c.start, c.end); got != c.want || err != nil {
				t.Errorf("byte %d, from %d to %d: %d, %v", at, c.start, c.end, got, err)
			}
		}
		reads := len(d.Reads())
		if _, err := look.NonZero(d, 7, 7); err != nil || len(d.Reads()) > reads {
			t.Errorf("of no bytes something was read, %v", err)
		}
	}
	d := devicetest.New(size)
	d.Fault = devicetest.BadByte(70000, errBroken)
	if got, err := look.NonZero(d, 0, size); got != -1 || !errors.Is(err, errBroken) || !strings.HasPrefix(err.Error(), "byte 65536") {
		t.Errorf("%d, %v", got, err)
	}
}

// TestStates: what programs are told of a state, and people of a device without a store.
func TestStates(t *testing.T) {
	for s, want := range map[look.State]string{look.Valid: "valid", look.Invalid: "invalid", look.Uninitialized: "uninitialized", look.Damaged: "damaged", look.Foreign: "damaged"} {
		if s.String() != want {
			t.Errorf("%s", s)
		}
	}
	for _, c := range []struct {
		e    look.StateError
		want string
	}{{look.StateError{State: look.Uninitialized}, "no store: the device is uninitialized"}, {look.StateError{State: look.Damaged, Fault: "broken"}, "broken"}} {
		if c.e.Error() != c.want {
			t.Errorf("%q", c.e.Error())
		}
	}
}

// TestSurveyFigures: a lost snapshot is full; how large a store may become is told where that can be known.
func TestSurveyFigures(t *testing.T) {
	for _, c := range []struct {
		spec    string
		percent float64        // -1 where it is not asked
		maximum format.Sectors // for a snapshot of 100 sectors; 0 where it is not known
	}{
		{"device 200\nheader chunk=1\nfill 40", 21.50, 105},
		{"device 200\nheader chunk=1 valid=0\nfill 40", 100, 105},
		{"device 200", 0, 120}, // 13 chunks of 8 sectors, and two of metadata: as the kernel would make it
		{"device 200\nheader chunk=1\nex 0 1 5000", -1, 0},
		{"device 34\nheader chunk=1\nfill 32", -1, 0},
		{"device 200\nraw 0 31 32 33 34", -1, 0},
	} {
		s := surveyed(t, devicetest.Of(storespec.MustCompile(t, c.spec)))
		got, ok := s.Maximum(100)
		if p := s.Percent(); p != c.percent && c.percent >= 0 {
			t.Errorf("%q: %v per cent, want %v", c.spec, p, c.percent)
		}
		if ok != (c.maximum > 0) || got != c.maximum {
			t.Errorf("%q: at most %d, %v; want %d", c.spec, got, ok, c.maximum)
		}
		if got, ok := s.Maximum(0); ok {
			t.Errorf("%q: at most %d for a snapshot of no known size", c.spec, got)
		}
	}
}

// TestBehindLargeArea: what stands behind the list's end of an area that is larger than what is in memory of it
// at a time is found wherever it is, and is handed out with its place.
func TestBehindLargeArea(t *testing.T) {
	const chunk = 8192 // sectors: 262144 exceptions in an area
	for _, c := range []struct {
		fill, slot int
	}{{5, 65535}, {5, 65536}, {5, 65540}, {5, 262143}, {65535, 65536}, {65536, 131072}, {0, 1}} {
		d := devicetest.New(3 * chunk * 512)
		put := func(slot int, x format.Exception) {
			b := make([]byte, format.ExceptionSize)
			x.Encode(b)
			d.Put(chunk*512+int64(slot)*format.ExceptionSize, b)
		}
		for i := range c.fill {
			put(i, format.Exception{Old: format.OldChunk(i), New: 2})
		}
		d.Put(2*chunk*512, bytes.Repeat([]byte{0xee}, 64)) // data, right behind the area
		x := format.Exception{Old: 77, New: 3}
		put(c.slot, x)
		end := format.End{Exceptions: uint64(c.fill), Place: format.Place{Index: c.fill}}
		var seen []format.Place
		h, err := look.Behind(d, geometry(t, chunk), end, func(at format.Place, got format.Exception) error {
			if seen = append(seen, at); got != x {
				t.Errorf("slot %d: %+v", c.slot, got)
			}
			return nil
		})
		if err != nil || h.Count != 1 || h.First != c.slot || h.Last != c.slot || h.Blank || len(seen) != 1 || seen[0] != (format.Place{Index: c.slot}) {
			t.Errorf("slot %d behind %d: %+v, %v, %v", c.slot, c.fill, h, seen, err)
		}
		if _, err := look.Behind(d, geometry(t, chunk), end, func(format.Place, format.Exception) error { return errBroken }); err != errBroken {
			t.Errorf("an error of who is told: %v", err)
		}
	}
}

// TestBehindNextArea: where what is hidden fills its area, the next one tells: what cannot be read of it explains
// nothing.
func TestBehindNextArea(t *testing.T) {
	spec := "device 400\nheader chunk=2\nfill 5 0\n"
	for i := 32; i < 64; i++ {
		spec += fmt.Sprintf("ex %d %d %d\n", i, 100+i, 2+i)
	}
	d := devicetest.Of(storespec.MustCompile(t, spec))
	end := format.End{Exceptions: 5, Place: format.Place{Index: 5}}
	d.Fault = devicetest.BadByte(66*1024+700, errBroken)
	if h, err := look.Behind(d, geometry(t, 2), end, nil); err != nil || h.Count != 32 || !strings.Contains(h.Why, "cannot be read: byte 67584: broken") {
		t.Errorf("%+v, %v", h, err)
	}
	d.Fault = nil
	d.Resize(67 * 1024) // its last chunk is the next area
	if h, err := look.Behind(d, geometry(t, 2), end, nil); err != nil || h.Why != "" {
		t.Errorf("%+v, %v", h, err)
	}
	d.Resize(67*1024 - 512)
	if h, err := look.Behind(d, geometry(t, 2), end, nil); err != nil || !strings.Contains(h.Why, "past the end of the device") {
		t.Errorf("%+v, %v", h, err)
	}
}
