package repair_test

import (
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// TestLeftovers has what a repair leaves that was cut off: the same repair, run again, asks for nothing that it
// was not told before. The same exceptions in other places come from something else, and wait for the user's word.
func TestLeftovers(t *testing.T) {
	const (
		store    = "device 400\nheader chunk=1\nfill 40 100\ndata 9\n"
		ends36   = "device 400\nheader chunk=1\nfill 36 100\ndata 9\n"
		ends37   = "device 400\nheader chunk=1\nfill 37 100\ndata 9\n"
		ends38   = "device 400\nheader chunk=1\nfill 38 100\ndata 9\n"
		ends39   = "device 400\nheader chunk=1\nfill 39 100\ndata 9\n"
		wide     = "device 600\nheader chunk=4\nfill 40 100\ndata 9\n"
		hidden   = "hidden-exceptions"
		repeated = "repeated-exception"
		beyond   = "new-chunk-beyond-device"
	)
	drop, keep := repair.Choices{Drop: true}, repair.Choices{Hidden: repair.KeepHidden}
	for name, c := range map[string]struct {
		spec    string
		choices repair.Choices
		want    string   // what it becomes; empty where it stays
		waits   []string // rules
	}{
		"two have moved":                    {store + "ex 5 139 42\nex 20 138 41", drop, ends38 + "ex 5 139 42\nex 20 138 41", nil},
		"nobody said that anything moves":   {store + "ex 5 139 42\nex 20 138 41", repair.Choices{Unshare: true, Warnings: true}, "", []string{repeated}},
		"the list is to be cut off":         {store + "ex 5 139 42\nex 20 138 41", repair.Choices{Truncate: true}, ends38 + "ex 5 139 42\nex 20 138 41", nil},
		"they stand the other way round":    {store + "ex 5 138 41\nex 20 139 42", drop, "", []string{repeated}},
		"one has moved, one is to":          {store + "ex 5 139 42\nex 20 120 9999", drop, ends38 + "ex 5 139 42\nex 20 138 41", nil},
		"one has moved to the later place":  {store + "ex 5 105 9999\nex 20 138 41", drop, ends38 + "ex 5 139 42\nex 20 138 41", nil},
		"it is not the last that has moved": {store + "ex 5 130 32", drop, "", []string{repeated}},
		"it is the last but one":            {store + "ex 5 138 41", drop, "", []string{repeated}},
		"the last one is bad":               {store + "ex 5 138 41\nex 39 139 9999", drop, ends38 + "ex 5 138 41", nil},
		"one has moved, one is to, and a bad one stands between": {
			store + "ex 5 139 42\nex 20 120 9999\nex 38 138 9999", drop, ends37 + "ex 5 139 42\nex 20 137 40", nil},
		"the same, and it is the first behind the new end": {
			store + "ex 5 139 42\nex 20 120 9999\nex 37 137 9999", drop, ends37 + "ex 5 139 42\nex 20 138 41", nil},
		"the same, and a bad one stands twice there": {
			store + "ex 5 138 41\nex 20 120 9999\nex 36 136 9998\nex 39 136 9998", drop, ends36 + "ex 5 138 41\nex 20 137 40", nil},
		"the last one is bad, and stays":     {store + "ex 5 138 41\nex 39 139 9999", repair.Choices{Truncate: true}, "", []string{beyond, repeated}},
		"one stands three times":             {store + "ex 5 139 42\nex 20 139 42", drop, ends39 + "ex 5 139 42\nex 20 139 42", []string{repeated}},
		"bad ones hide":                      {wide + bad(32, 64, 200), drop, wide, nil},
		"bad ones hide, and copies":          {wide + bad(30, 64, 200) + "ex 94 105 7\nex 95 106 8", drop, wide, nil},
		"bad ones hide, and are to stay":     {wide + bad(32, 64, 200), repair.Choices{Unshare: true}, "", []string{hidden}},
		"bad ones hide, and a good one":      {wide + bad(30, 64, 200) + "ex 94 105 7\nex 95 300 140", drop, "", []string{hidden}},
		"bad ones hide, but not by a cut":    {wide + bad(32, 65, 200), drop, "", []string{hidden}},
		"a gap was closed":                   {store + "ex 8 107 9", keep, ends39 + "ex 8 139 42", nil},
		"a gap of two was closed":            {store + "ex 8 107 9\nex 9 107 9", keep, ends38 + "ex 8 139 42\nex 9 138 41", nil},
		"two apart are no gap":               {store + "ex 9 107 9", keep, "", []string{repeated}},
		"at the end, too":                    {store + "ex 39 138 41", keep, ends39, nil},
		"a bad one was copied to a gap":      {store + "ex 7 107 9999\nex 8 107 9999", keep, ends39 + "ex 7 107 9999\nex 8 139 42", []string{beyond}},
		"the same, and they are to go":       {store + "ex 7 107 9999\nex 8 107 9999", drop, ends38 + "ex 7 139 42\nex 8 138 41", nil},
		"a bad one that stands twice, apart": {store + "ex 7 107 9999\nex 20 107 9999", keep, "", []string{beyond}},
		"a bad one that moved":               {store + "ex 5 139 9999\nex 39 139 9999", repair.Choices{Truncate: true}, ends39 + "ex 5 139 9999", []string{beyond}},
	} {
		t.Run(name, func(t *testing.T) {
			d := devicetest.Of(storespec.MustCompile(t, c.spec))
			want := storespec.MustCompile(t, c.want+c.spec[:len(c.spec)*btoi(c.want == "")])
			p := mend(t, d, 1<<20, c.choices)
			var waits []string
			for _, m := range p.Undecided {
				waits = append(waits, m.Rule.Name)
			}
			if slices.Sort(waits); !slices.Equal(waits, c.waits) {
				t.Errorf("%v wait, expected %v", waits, c.waits)
			}
			if strings.HasPrefix(name, "bad ones") && p.Loses() != (len(p.Steps) > 0) {
				t.Errorf("it says that something may be lost: %v", p.Loses())
			}
			if !d.Holds(want) {
				t.Errorf("it is something else: %v", pictureOf(d.Image(), 500).List())
			}
		})
	}
}
