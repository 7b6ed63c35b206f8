package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/look"
)

// TestHidden has entries behind the terminator of all kinds: those that a torn
// commit explains are cleared before an exception is added, where the caller knows that they
// change nothing, and nothing else is; others make the engine refuse, and stay as they are.
func TestHidden(t *testing.T) {
	// 64 exceptions in an area, 32 in a sector; the second area is chunk 66.
	const head = "device 400\nheader chunk=2\n"
	for name, c := range map[string]struct {
		fill      int
		ex        string // slots behind
		unmindful bool   // the engine clears them
	}{
		"none":                               {5, "", true},
		"the next sector":                    {5, "32-40", true},
		"the next sector, full":              {5, "32-63", true},
		"its last exception alone is behind": {31, "32", true},
		"the same sector":                    {5, "7-9", false},
		"the same sector and the next":       {5, "7-40", false},
		"a gap over the sector's end":        {20, "35-40", false},
		"a gap in the next sector":           {5, "32-40 42", false},
		"an exception missing at its start":  {5, "33-63", false},
	} {
		t.Run(name, func(t *testing.T) {
			spec := fmt.Sprintf("%sfill %d 0\n", head, c.fill)
			for _, part := range strings.Fields(c.ex) {
				first, last := 0, 0
				if n, _ := fmt.Sscanf(part, "%d-%d", &first, &last); n == 1 {
					last = first
				}
				for i := first; i <= last; i++ {
					spec += fmt.Sprintf("ex %d %d %d\n", i, 100+i, 2+i)
				}
			}
			d := devicetest.Of(storespec.MustCompile(t, spec))
			before := d.Image()
			var hidden *store.HiddenError
			unproved, err := store.Open(d, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := add(unproved, d.Clone(), 90); c.ex != "" && (!errors.As(err, &hidden) || !d.Holds(before) || c.unmindful != strings.Contains(err.Error(), "a torn commit left it, or")) {
				t.Errorf("nobody knows what is behind: %v: want it to refuse, and write nothing", err)
			}
			d = devicetest.Of(before)
			s := open(t, d)
			err = add(s, d, 90)
			switch {
			case c.unmindful && err != nil:
				t.Fatal(err)
			case c.unmindful:
				if got := list(t, d); len(got) != c.fill+1 {
					t.Errorf("%d exceptions, want %d", len(got), c.fill+1)
				}
				if h := behind(t, d); !h.Blank || h.Count > 0 {
					t.Errorf("%+v is left behind the list", h)
				}
			case !errors.As(err, &hidden):
				t.Errorf("%v: want it to refuse", err)
			case !strings.Contains(err.Error(), "a torn commit does not explain it: "):
				t.Errorf("it does not say why: %v", err)
			case !d.Holds(before):
				t.Error("it has refused and written")
			}
		})
	}
}

// behind is what stands behind the list of the store on d.
func behind(t *testing.T, d *devicetest.Memory) look.Hidden {
	t.Helper()
	u := surveyed(t, d).Usage
	h, err := look.Behind(d, u.Geometry, u.End, nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestHiddenNextArea: where the hidden exceptions fill their area, a torn commit
// has left the next one blank.
func TestHiddenNextArea(t *testing.T) {
	const spec = "device %d\nheader chunk=1\nlayout chunk=1\n"
	for name, c := range map[string]struct {
		size  int
		extra string
		why   string
	}{
		"blank":             {400, "", "full"},
		"in use":            {400, "ex 32 300 40", "full"},
		"not on the device": {34, "", "full"},
	} {
		// Chunks of one sector leave no room for a torn commit: area 0 is one.
		d := devicetest.Of(storespec.MustCompile(t, fmt.Sprintf(spec, c.size)+"ex 31 100 33\n"+c.extra))
		if h := behind(t, d); h.Count != 1 || !strings.Contains(h.Why, "in the sector where the list ends") {
			t.Errorf("%s: %+v", name, h)
		}
	}
	for name, c := range map[string]struct {
		size      int
		extra     string
		explained bool
	}{
		"blank":             {400, "", true},
		"in use":            {400, "ex 64 300 70", false},
		"not on the device": {132, "", false},
	} {
		all := fmt.Sprintf("device %d\nheader chunk=2\nfill 5 0\n", c.size)
		for i := 32; i < 64; i++ {
			all += fmt.Sprintf("ex %d %d %d\n", i, 100+i, 2+i)
		}
		if h := behind(t, devicetest.Of(storespec.MustCompile(t, all+c.extra))); h.Count != 32 || (h.Why == "") != c.explained {
			t.Errorf("%s: %+v, want it explained: %v", name, h, c.explained)
		}
	}
}

// TestAddAfterPreparedMerge: a merge that went no further than its first step's
// preparation does not keep exceptions from being added, where the list ended at
// the start of an area, too.
func TestAddAfterPreparedMerge(t *testing.T) {
	for _, n := range []int{31, 32, 33, 64} {
		d := devicetest.Of(storespec.MustCompile(t, fmt.Sprintf("device 400\nheader chunk=1\nfill %d 0", n)))
		s := open(t, d)
		if run, err := s.PrepareMerge(); run.Count == 0 || err != nil {
			t.Fatalf("%+v, %v", run, err)
		}
		s.FailMerge()
		if err := add(s, d, 100, 101); err != nil {
			t.Errorf("%d exceptions: %v", n, err)
		}
		if got := list(t, d); len(got) != n+2 {
			t.Errorf("%d exceptions, want %d", len(got), n+2)
		}
	}
}

// TestReloadFails has each read fail once when exceptions are added after a
// merge: the next try finds the store as it is.
func TestReloadFails(t *testing.T) {
	for n := 0; ; n++ {
		d := devicetest.Of(storespec.MustCompile(t, "device 400\nheader chunk=1\nfill 33 0"))
		s := open(t, d)
		for range 2 {
			if _, err := s.PrepareMerge(); err != nil {
				t.Fatal(err)
			}
			if s.Usage().End.Area == 1 {
				if err := s.CommitMerge(1); err != nil {
					t.Fatal(err)
				}
			}
		}
		fault := &devicetest.NthOp{N: n, Kinds: devicetest.Read, Err: errBroken}
		d.Fault = fault.Fault
		err := add(s, d, 100)
		d.Fault = nil
		want := 34
		if err != nil {
			want = 33
		}
		if err != nil && !errors.Is(err, errBroken) {
			t.Errorf("read %d failed: %v", n, err)
		}
		if err := add(s, d, 101); err != nil {
			t.Errorf("read %d failed, and again: %v", n, err)
		}
		if got := list(t, d); len(got) != want {
			t.Errorf("read %d failed: %d exceptions, want %d", n, len(got), want)
		}
		if !fault.Failed() {
			return
		}
	}
}

// TestBehind holds all that it tells to a table. Areas are of two sectors, 32
// slots each.
func TestBehind(t *testing.T) {
	for _, c := range []struct {
		spec string
		want look.Hidden
	}{
		{"fill 5", look.Hidden{Blank: true}},
		{"fill 5\nex 5 9 0", look.Hidden{Old: 9, Why: "slot 5 has an old chunk but no new chunk"}},
		{"fill 5\nex 7 9 0", look.Hidden{Why: "slot 7 has an old chunk but no new chunk"}},
		{"fill 5\nex 32 50 40\nex 33 51 41", look.Hidden{Count: 2, First: 32, Last: 33}},
		{"fill 5\nex 32 50 40\nex 40 9 0", look.Hidden{Count: 1, First: 32, Last: 32, Why: "slot 40 has an old chunk but no new chunk"}},
		{"fill 5\nex 7 50 40\nex 33 51 41", look.Hidden{Count: 2, First: 7, Last: 33, Why: "slot 7 is in the sector where the list ends"}},
		{"fill 5\nex 33 50 40\nex 40 51 41", look.Hidden{Count: 2, First: 33, Last: 40, Why: "the gap before slot 33 does not end at a sector"}},
		{"fill 5\nex 32 50 40\nex 40 51 41", look.Hidden{Count: 2, First: 32, Last: 40, Why: "the gap before slot 40 does not end at a sector"}},
		{"fill 70\nex 101 50 90", look.Hidden{Count: 1, First: 37, Last: 37, Why: "the gap before slot 37 does not end at a sector"}},
		{"fill 70\nex 96 50 90", look.Hidden{Count: 1, First: 32, Last: 32}},
	} {
		d := devicetest.Of(storespec.MustCompile(t, "device 400\nheader chunk=2\n"+c.spec))
		got := behind(t, d)
		c.want.Place = got.Place
		if got != c.want {
			t.Errorf("%q: %+v, want %+v", c.spec, got, c.want)
		}
	}
	// Sectors before the last one with exceptions are full, or zeros.
	full := "device 800\nheader chunk=4\nfill 5\n"
	for i := 32; i < 64; i++ {
		full += fmt.Sprintf("ex %d %d %d\n", i, 100+i, 10+i)
	}
	for extra, explained := range map[string]bool{
		"": true, "ex 64 1 90": true, "ex 96 1 90": true, "ex 70 1 90": false, "ex 64 1 90\nex 96 1 91": false,
	} {
		h := behind(t, devicetest.Of(storespec.MustCompile(t, full+extra)))
		if (h.Why == "") != explained {
			t.Errorf("a full sector, then %q: %+v", extra, h)
		}
	}
	// The place, and how far the list was read, are in the error.
	d := devicetest.Of(storespec.MustCompile(t, "device 400\nheader chunk=2\nfill 70"))
	d.Fault = devicetest.BadByte(66*1024+600, errBroken)
	end := format.End{Exceptions: 70, Place: format.Place{Area: 1, Index: 6}}
	var failed *format.AreaError
	if _, err := look.Behind(d, geometry(t, 2), end, nil); !errors.As(err, &failed) || failed.Area != 1 || failed.Read != 70 || !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
}
