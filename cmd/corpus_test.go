package cmd

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/naive"
)

// TestStoresOfTheKernel runs dump and usage on every store that the kernel made,
// and holds them to what the kernel said of it and to a reading of the bytes
// that knows nothing of the code.
//
// It needs no kernel.
func TestStoresOfTheKernel(t *testing.T) {
	for name, s := range corpus.Load(t) {
		t.Run(name, func(t *testing.T) {
			image := s.COW(t)
			path := filepath.Join(t.TempDir(), "cow")
			devicetest.WriteFile(t, path, image)
			rows := naiveRows(naive.Of(image))
			if s.Exceptions != nil && *s.Exceptions != len(rows) {
				t.Errorf("%d exceptions, the kernel says %d", len(rows), *s.Exceptions)
			}
			checkUsage(t, path, s, len(rows))
			want := "area,index,old_chunk,new_chunk\n"
			for _, r := range rows {
				want += fmt.Sprintf("%d,%d,%d,%d\n", r.Area, r.Index, r.Old, r.New)
			}
			if got, _ := expect(t, wantStatus(s), "dump", "--output", "csv", path); got != want {
				t.Errorf("CSV:\n%s\nwant:\n%s", got, want)
			}
			got, _ := expect(t, wantStatus(s), "dump", "--output", "json", path)
			checkJSON(t, got, rows)
		})
	}
}

// wantStatus is the exit status for a store.
func wantStatus(s corpus.Store) int {
	if s.Status == "Invalid" {
		return 2
	}
	return 0
}

// naiveRow is a row of a dump.
type naiveRow struct {
	Area  int    `json:"area"`
	Index int    `json:"index"`
	Old   uint64 `json:"old_chunk"`
	New   uint64 `json:"new_chunk"`
}

// naiveRows are the rows of a store, read without the program's code.
func naiveRows(s naive.Store) (rows []naiveRow) {
	for n, x := range s.List() {
		rows = append(rows, naiveRow{n / s.PerArea(), n % s.PerArea(), x.Old, x.New})
	}
	return rows
}

func checkUsage(t *testing.T, path string, s corpus.Store, exceptions int) {
	t.Helper()
	var all []struct {
		Status     string
		Exceptions int
		Percent    float64
	}
	stdout, _ := expect(t, wantStatus(s), "usage", "--output", "json", path)
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || len(all) != 1 {
		t.Fatal(err, stdout)
	}
	u := all[0]
	if u.Status != s.Status {
		t.Errorf("status %q, the kernel's is %q", u.Status, s.Status)
	}
	if u.Exceptions != exceptions {
		t.Errorf("%d exceptions, want %d", u.Exceptions, exceptions)
	}
	if percent := fmt.Sprintf("%.2f", u.Percent); s.DataPercent != "" && percent != s.DataPercent {
		t.Errorf("%s per cent, lvs says %s", percent, s.DataPercent)
	}
}

func checkJSON(t *testing.T, got string, rows []naiveRow) {
	t.Helper()
	var d struct{ Exceptions []naiveRow }
	if err := json.Unmarshal([]byte(got), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Exceptions) != len(rows) {
		t.Fatalf("JSON: %d exceptions, want %d", len(d.Exceptions), len(rows))
	}
	for i := range rows {
		if d.Exceptions[i] != rows[i] {
			t.Errorf("JSON: exception %d is %+v, want %+v", i, d.Exceptions[i], rows[i])
		}
	}
}
