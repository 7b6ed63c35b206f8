package store_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store/look"
)

func surveyed(t *testing.T, d *devicetest.Memory) look.Survey {
	t.Helper()
	id, err := look.Identify(d, geometry(t, 8))
	if err != nil {
		t.Fatal(err)
	}
	s, err := id.Examine(id.Walk(d), func(format.AreaIndex) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSurvey has a device of each kind: its state, what is wrong with it,
// whether its figures hold, and the kernel's line.
func TestSurvey(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		state      look.State
		faults     []string // how they begin
		complete   bool
		status     string // empty where the kernel refuses it
	}{
		{"sound", "device 200\nheader chunk=1\nfill 40", look.Valid, nil, true, "43/200 3"},
		{"invalid", "device 200\nheader chunk=1 valid=0\nfill 40", look.Invalid, nil, true, "Invalid"},
		{"blank", "device 200", look.Uninitialized, nil, true, "16/200 16"},
		{"foreign", "device 200\nraw 0 31 32 33 34", look.Foreign, []string{"not a COW store"}, false, ""},
		// The kernel makes a new store of it.
		{"lost header", "device 200\nheader magic=0 chunk=1\nfill 40", look.Foreign, []string{"not a COW store"}, false, "16/200 16"},
		{"version", "device 200\nheader chunk=1 version=2\nfill 40", look.Damaged, []string{"header: version"}, true, ""},
		{"cut", "device 34\nheader chunk=1\nfill 32", look.Damaged, []string{"area 1"}, false, ""},
		{"cut and invalid", "device 34\nheader chunk=1 valid=0\nfill 32", look.Damaged, []string{"area 1"}, false, "Invalid"},
		{"data off the device", "device 200\nheader chunk=1\nex 0 1 5000", look.Damaged, []string{"area 0 slot 0"}, true, "5001/200 2"},
		{"both", "device 34\nheader chunk=1\nfill 32\nex 4 1 77", look.Damaged, []string{"area 1", "area 0 slot 4"}, false, ""},
	} {
		s := surveyed(t, devicetest.Of(storespec.MustCompile(t, c.spec)))
		if s.State() != c.state || s.Complete() != c.complete || s.Unreadable() != nil {
			t.Errorf("%s: %q, complete %v, unreadable %v", c.name, string(s.State()), s.Complete(), s.Unreadable())
		}
		faults := s.Faults()
		for i := range min(len(faults), len(c.faults)) {
			if !strings.HasPrefix(faults[i], c.faults[i]) {
				t.Errorf("%s: fault %q, want %q", c.name, faults[i], c.faults[i])
			}
		}
		if line, ok := s.Status(); len(faults) != len(c.faults) || line != c.status || ok != (c.status != "") {
			t.Errorf("%s: status %q, %v; faults %q", c.name, line, ok, faults)
		}
	}
}

// TestSurveyUnreadable: a read error is no fault of the store, and leaves no
// figures to rely on.
func TestSurveyUnreadable(t *testing.T) {
	medium := errors.New("medium error")
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 40"))
	d.Fault = devicetest.BadByte(34*512, medium)
	s := surveyed(t, d)
	if !errors.Is(s.Unreadable(), medium) || s.Complete() || s.State() != look.Valid || s.Faults() != nil {
		t.Errorf("%+v", s)
	}
	if line, ok := s.Status(); ok || s.Usage.End.Exceptions != 32 {
		t.Errorf("status %q, %d exceptions", line, s.Usage.End.Exceptions)
	}
}

// TestSurveyStops: an error of visit ends the walk and is returned.
func TestSurveyStops(t *testing.T) {
	enough := errors.New("enough")
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 100"))
	id, err := look.Identify(d, geometry(t, 8))
	if err != nil {
		t.Fatal(err)
	}
	var seen []format.AreaIndex
	_, err = id.Examine(id.Walk(d), func(k format.AreaIndex) error {
		if seen = append(seen, k); len(seen) == 2 {
			return enough
		}
		return nil
	})
	if err != enough || !reflect.DeepEqual(seen, []format.AreaIndex{0, 1}) {
		t.Errorf("%v after areas %v", err, seen)
	}
}

// TestMaximumOfDamage: a store that cannot be smaller than it is needs no less,
// however few chunks its origin has.
func TestMaximumOfDamage(t *testing.T) {
	// Area 1 is chunk 66 here; the kernel would never name it in an exception.
	s := surveyed(t, devicetest.Of(storespec.MustCompile(t, "device 134\nheader chunk=2\nex 0 0 66")))
	if least, ok := s.Usage.Minimum(); !ok || least != 134 || s.Usage.Maximum(1) != 134 {
		t.Errorf("minimum %d (%v), maximum %d", least, ok, s.Usage.Maximum(1))
	}
}
