package dump

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// cutStoreOf is a store that ends inside area 1: 34 exceptions can be read.
func cutStoreOf(t testing.TB) Store {
	t.Helper()
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 50 1000"))
	d.Resize(34*512 + 2*format.ExceptionSize)
	return storeOf(t, d)
}

// TestWalkFails: what was read before is written, and JSON is whole and says
// why it is not all.
func TestWalkFails(t *testing.T) {
	s := cutStoreOf(t)
	want := liveRows(s, false)
	if len(want) != 34 {
		t.Fatalf("%d rows", len(want))
	}
	for _, f := range formats {
		for _, sel := range []Selection{{}, {Ranges: true}} {
			want := want
			if sel.Ranges {
				want = joined(want)
			}
			got, out, err := dumpRows(t, s, f, sel)
			if !errors.Is(err, format.ErrBeyondDevice) || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, ranges %v: %v, %d rows, want %d", f, sel.Ranges, err, len(got), len(want))
			}
			if f != JSON {
				continue
			}
			if out.Error == nil || *out.Error != err.Error() || out.State != "34, "+err.Error() {
				t.Errorf("error %v, state %s, want %v", out.Error, out.State, err)
			}
		}
	}
}

// TestVisitStops: an error of visit ends the dump, and JSON is whole.
func TestVisitStops(t *testing.T) {
	s := storeOf(t, devicetest.Of(storespec.MustCompile(t, "device 9000\nheader chunk=1\nfill 8000 1000")))
	for _, f := range formats {
		for _, ranges := range []bool{false, true} {
			var b bytes.Buffer
			calls := 0
			_, err := Exceptions(&b, s, f, Selection{Ranges: ranges}, func(format.AreaIndex) error {
				if calls++; calls == 3 {
					return errStop
				}
				return nil
			})
			if err != errStop || calls != 3 {
				t.Errorf("%s: %v after %d calls", f, err, calls)
			}
			if f == JSON {
				if out := parseJSON(t, b.Bytes()); out.Error == nil || *out.Error != "stop" {
					t.Errorf("error %v", out.Error)
				}
			}
			if !ranges && !strings.Contains(b.String(), "1200") {
				t.Errorf("%s: what was read before is lost", f)
			}
		}
	}
}

// failing takes some writes, and no more.
type failing struct{ left, after int }

func (w *failing) Write(p []byte) (int, error) {
	if w.left == 0 {
		w.after++
		return 0, errStop
	}
	w.left--
	return len(p), nil
}

// TestWriterFails fails each write in turn: the dump ends with that error, and
// writes nothing more.
func TestWriterFails(t *testing.T) {
	whole := storeOf(t, devicetest.Of(storespec.MustCompile(t, oddStore)))
	for _, s := range []Store{whole, cutStoreOf(t)} {
		for _, f := range formats {
			for _, ranges := range []bool{false, true} {
				for n := 0; ; n++ {
					w := &failing{left: n}
					_, err := Exceptions(w, s, f, Selection{Ranges: ranges}, goOn)
					if w.after == 0 {
						if n < 2 {
							t.Errorf("%s: only %d writes", f, n)
						}
						break
					}
					if err != errStop || w.after != 1 {
						t.Errorf("%s, ranges %v, write %d fails: %v, and %d writes", f, ranges, n, err, w.after)
					}
				}
			}
		}
	}
}
