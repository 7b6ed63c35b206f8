package check_test

import (
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// TestTooSmall: a device with no room for header and area 0, whatever it holds, and
// one that has just that.
func TestTooSmall(t *testing.T) {
	const unfinished = "\nraw 16 64 6d 63 6f 77 3a 20 74 68 69 73 20 73 74 6f 72 65 20 77 61 73 20 6e 6f 74 20 66 69 6e 69 73 68 65 64 0a"
	for spec, want := range map[string][]string{
		"device 0":                     {"too-small"},
		"device 511b":                  {"too-small"},
		"device 8":                     {"too-small"}, // the kernel's chunks are of 32 sectors
		"device 63":                    {"too-small"},
		"device 64":                    nil,
		"device 8" + unfinished:        {"too-small", "unfinished-store"},
		"device 64" + unfinished:       {"unfinished-store"},
		"device 15\nheader chunk=8":    {"too-small"},
		"device 16\nheader chunk=8":    {"full"},
		"device 1\nheader chunk=1":     {"too-small"},
		"device 2\nheader chunk=1":     {"full"},
		"device 200\nheader chunk=256": {"too-small"},
		"device 511b\nheader chunk=1":  {"too-small"},
	} {
		r := report(t, check.Options{Device: devicetest.Of(storespec.MustCompile(t, spec))})
		got := rules(r)
		if len(r.Unread) > 0 {
			t.Errorf("%q: %v", spec, r.Unread)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", spec, got, want)
		}
		if r.Outcome() == check.Damaged && r.Fate() != check.Refuses {
			t.Errorf("%q: fate %d", spec, r.Fate())
		}
		if (r.Outcome() == check.Damaged) != slices.Contains(want, "too-small") {
			t.Errorf("%q: %s", spec, r.Outcome())
		}
	}
}

// TestRecordedChunkSize: it is told where LVM has another chunk size on record than the header.
func TestRecordedChunkSize(t *testing.T) {
	for _, c := range []struct {
		spec     string
		recorded format.Sectors
		want     []string
	}{
		{"header chunk=8", 0, nil},
		{"header chunk=8", 8, nil},
		{"header chunk=8", 16, []string{"lvm-chunk-size-differs"}},
		{"header chunk=8", 4, []string{"lvm-chunk-size-differs"}},
		{"", 16, nil},
	} {
		d := devicetest.Of(storespec.MustCompile(t, "device 200\n"+c.spec))
		if got := rules(report(t, check.Options{Device: d, Recorded: c.recorded})); !slices.Equal(got, c.want) {
			t.Errorf("%q, and LVM has %d: %v, want %v", c.spec, c.recorded, got, c.want)
		}
	}
}
