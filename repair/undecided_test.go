package repair_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// TestUndecided has damage that one reading explains and another does as well: without
// the user's word it stays as it is, byte for byte.
func TestUndecided(t *testing.T) {
	const store = "device 400\nheader chunk=1\nfill 40\ndata 9\n"
	var rising bytes.Buffer // of a device that was much larger
	for i := range 8 {
		fmt.Fprintf(&rising, "ex %d %d %d\n", 32+i, 200+i, 4000+i)
	}
	for name, c := range map[string]struct {
		spec    string
		want    []string // rules
		choices repair.Choices
	}{
		"a repeated one, and a choice that its slot would turn round": {
			store + "ex 5 12 6\nex 39 3 200", []string{"duplicate-old-chunk", "repeated-exception"}, repair.Choices{}},
		"a repeated one that may be the last":          {store + "ex 20 3 200\nex 30 3 3", []string{"duplicate-old-chunk"}, repair.Choices{}},
		"one that was damaged, at an area's beginning": {"device 400\nheader chunk=1\nfill 33\nex 32 5 0xff00000000000023", []string{"new-chunk-over-56-bits"}, repair.Choices{}},
		"a device that was much larger":                {store + rising.String(), []string{"new-chunk-beyond-device"}, repair.Choices{}},
		"garbage, and exceptions behind it":            {"device 400\nheader chunk=1\nfill 96\nraw 17408 a5*512", []string{"implausible-area"}, repair.Choices{}},
		"garbage, and what may be the rest of the list behind its end": {
			"device 400\nheader chunk=1\nfill 96\nraw 17408 a5*80 00*432", []string{"implausible-area"}, repair.Choices{}},
		"garbage, and one exception in it":              {"device 400\nheader chunk=1\nfill 32\nraw 17408 a5*512\nex 40 200 60", []string{"implausible-area"}, repair.Choices{}},
		"garbage in the first area":                     {"device 400\nheader chunk=1\nraw 512 a5*512", []string{"implausible-area"}, repair.Choices{}},
		"hidden ones, of which one is in the list, too": {"device 400\nheader chunk=1\nfill 10\nex 12 3 3\nex 13 70 80", []string{"hidden-exceptions"}, repair.Choices{}},
		"no other field of the header":                  {"device 400\nheader chunk=1 magic=0 version=7\nfill 40", []string{"lost-header"}, repair.Choices{}},
		"shared":                                        {store + "ex 20 20 8", []string{"duplicate-new-chunk"}, repair.Choices{}},
		"shared, by one of several of which one is repeated": {
			store + "ex 1 3 2\nex 20 3 200\nex 30 3 2", []string{"duplicate-new-chunk", "duplicate-old-chunk"}, repair.Choices{Unshare: true}},
		"behind the device": {"device 100\nheader chunk=1\nlayout chunk=1\nfill 64", nil, repair.Choices{}},
	} {
		t.Run(name, func(t *testing.T) {
			image := storespec.MustCompile(t, c.spec)
			p, err := repair.Make(options(devicetest.Of(image), patient{}.origin(image), c.choices))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range p.Undecided {
				got = append(got, m.Rule)
				if m.Advice == "" || len(m.Lines) == 0 {
					t.Errorf("nothing is said of what to do: %+v", m)
				}
			}
			if slices.Sort(got); !slices.Equal(got, c.want) || len(p.Steps) > 0 {
				t.Errorf("%v, expected %v; %d steps", got, c.want, len(p.Steps))
			}
		})
	}
}

// TestMendedAlone has damage that has one right outcome.
func TestMendedAlone(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want string // spec of what it is to be
	}{
		"hidden ones that are all in the list": {
			"device 400\nheader chunk=1\nfill 10\nex 12 3 3\nex 13 6 4", "device 400\nheader chunk=1\nfill 10"},
		"two of one chunk, with the same data": {
			"device 400\nheader chunk=1\nfill 10\nex 9 3 11", "device 400\nheader chunk=1\nfill 9"},
		"garbage that ends early": {
			"device 400\nheader chunk=1\nfill 32\nraw 17408 a5*80 00*100 a5*332", "device 400\nheader chunk=1\nfill 32"},
		"garbage that was cleared in part": {
			"device 400\nheader chunk=2\nfill 64\nraw 68112 a5*16", "device 400\nheader chunk=2\nfill 64"},
	} {
		t.Run(name, func(t *testing.T) {
			d := devicetest.Of(storespec.MustCompile(t, c.spec))
			mend(t, d, patient{}.origin(d.Image()), repair.Choices{})
			if !bytes.Equal(d.Image(), storespec.MustCompile(t, c.want)) {
				t.Error("it is something else")
			}
		})
	}
}

// TestNoEvidence: a header is not written where nothing but the user speaks for a store.
func TestNoEvidence(t *testing.T) {
	for name, spec := range map[string]string{
		"zeros behind a strange magic": "device 400\nraw 0 11 22 33 44",
		"text":                         "device 400\nraw 0 6c*204800",
		"zeros":                        "device 400",
	} {
		image := storespec.MustCompile(t, spec)
		_, err := repair.Make(options(devicetest.Of(image), 0, withHeader(repair.Choices{}, 8)))
		if !errors.As(err, new(*repair.HeaderError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
