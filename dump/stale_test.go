package dump

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// staleSpec is a store of 10 exceptions on a device with areas of an earlier life: area
// 1 is as it was, area 2 has odd entries, area 3 is other data, and area 4 is empty. The
// last, area 5, does not lie on the device.
const staleSpec = `
device 160
header chunk=1
fill 10
ex 32 5 35
ex 33 6 36
ex 34 7 37
ex 40 8 43 # alone
ex 64 1 68
ex 65 2 11 # of a live one
ex 66 3 12 # given out since
ex 67 4 67 # metadata
ex 68 max 72
ex 69 5 200
ex 70 5 120 # far from its place
ex 71 9 71
ex 72 10 150 # far from its neighbours, and its place
ex 73 11 92
raw 51200 6c*512
`

// TestStale tells what earlier lives have left, in each format and in runs.
func TestStale(t *testing.T) {
	want := []string{
		"1 32 5 35 good", "1 33 6 36 good", "1 34 7 37 good", "1 40 8 43 good",
		"2 64 1 68 doubtful", "2 65 2 11 reused", "2 66 3 12 doubtful", "2 67 4 67 impossible",
		fmt.Sprintf("2 68 %d 72 impossible", ^uint64(0)), "2 69 5 200 impossible", "2 70 5 120 doubtful",
		"2 71 9 71 doubtful", "2 72 10 150 doubtful", "2 73 11 92 doubtful",
	}
	d := devicetest.Of(storespec.MustCompile(t, staleSpec))
	for _, f := range formats {
		rows, _, err := dumpRows(t, storeOf(t, d), f, Selection{Stale: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			if r.State == "stale" {
				got = append(got, fmt.Sprintf("%d %d %d %d %s", r.Area, r.Area*32+r.Index, r.Old, r.New, r.Grade))
			} else if r.Grade != "" || r.State != "live" {
				t.Errorf("%s: %+v", f, r)
			}
		}
		if len(rows) != 10+len(got) || !slices.Equal(got, want) {
			t.Errorf("%s: %d rows, of which stale\n%q, want\n%q", f, len(rows), got, want)
		}
	}
	rows, _, err := dumpRows(t, storeOf(t, d), CSV, Selection{Stale: true, Ranges: true, Old: &Range{5, 6}, Area: new(format.AreaIndex(1))})
	if want := []row{{Area: 1, Index: 0, Old: 5, New: 35, Chunks: 2, State: "stale", Grade: "good"}}; err != nil || !slices.Equal(rows, want) {
		t.Errorf("%v, %+v", err, rows)
	}
}

// TestStaleUnreadable tells the rows before an area that cannot be read, and which that is.
func TestStaleUnreadable(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, staleSpec))
	broken := errors.New("broken")
	d.Fault = devicetest.BadByte(512*(1+2*33)+100, broken)
	rows, _, err := dumpRows(t, storeOf(t, d), CSV, Selection{Stale: true})
	var a *format.AreaError
	if !errors.As(err, &a) || !errors.Is(err, broken) || a.Area != 2 || a.Chunk != 67 {
		t.Errorf("%v", err)
	}
	if len(rows) != 14 {
		t.Errorf("%d rows", len(rows))
	}
	d.Fault = devicetest.BadByte(512*(1+33)+100, broken)
	if rows, _, err = dumpRows(t, storeOf(t, d), CSV, Selection{Stale: true}); !errors.Is(err, broken) || len(rows) != 20 {
		t.Errorf("%d rows, and not those behind what cannot be read: %v", len(rows), err)
	}
	rows, _, err = dumpRows(t, storeOf(t, d), CSV, Selection{Stale: true, Area: new(format.AreaIndex(2))})
	if err != nil || len(rows) != 10 {
		t.Errorf("of an area alone: %d rows, %v", len(rows), err)
	}
}

// TestStaleWithoutAList: where there is no store, what an earlier one has left begins with
// area 0.
func TestStaleWithoutAList(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, staleSpec))
	s := storeOf(t, d)
	s.Earlier, s.Walk.Geometry = s.Walk.Geometry, format.Geometry{}
	rows, _, err := dumpRows(t, s, CSV, Selection{Stale: true})
	if err != nil || len(rows) != 24 || rows[0] != (row{Area: 0, Index: 0, Old: 0, New: 2, State: "stale", Grade: "good"}) {
		t.Errorf("%d rows, %+v, %v", len(rows), rows[0], err)
	}
	if rows, _, err = dumpRows(t, s, CSV, Selection{}); err != nil || len(rows) != 0 {
		t.Errorf("not asked for: %d rows, %v", len(rows), err)
	}
}
