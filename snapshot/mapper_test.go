package snapshot

import (
	"os"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/inuse"
)

// number is the number of a device that no machine has.
func number(minor uint32) inuse.Number { return inuse.Number{Major: 4000, Minor: minor} }

// TestShows: a device that shows a snapshot, or an origin while one is merged into it, is neither COW device nor
// origin, and the user is told which is.
func TestShows(t *testing.T) {
	r := rig{T: t}
	for _, c := range []struct {
		target        inuse.Target
		store, origin string // why it is neither; empty where it may be
	}{
		{inuse.Target{}, "", ""},
		{inuse.Target{Type: "linear", Args: []string{"4000:1", "0"}}, "", ""},
		{inuse.Target{Type: "snapshot", Args: []string{"4000:1", "4000:2", "P", "8"}}, "shows the snapshot; its COW device is 4000:2", "is a snapshot device"},
		{inuse.Target{Type: "snapshot-merge", Args: []string{"4000:1", "4000:2", "P", "8"}}, "merging a snapshot into; the COW device of that snapshot is 4000:2", "is a snapshot-merge device"},
		{inuse.Target{Type: "snapshot-origin", Args: []string{"4000:1"}}, "is an origin, not a COW device", ""},
		{inuse.Target{Type: "snapshot", Args: []string{"?"}}, "", "is a snapshot device"}, // a table as nobody knows it
		{inuse.Target{Type: "snapshot-merge", Args: []string{"?"}}, "", "is a snapshot-merge device"},
	} {
		r.refusedIf(c.store, checkShowsStore("dev", c.target))
		r.refusedIf(c.origin, checkShowsOrigin("dev", c.target))
	}
}

// refusedIf wants an error to be the refusal with these words of "dev", or without words none.
func (r rig) refusedIf(words string, err error) {
	r.Helper()
	if words != "" {
		r.refused(err, wanted{Unable, "dev", words, nil})
	} else if err != nil {
		r.Error(err)
	}
}

// TestServedBy: of the devices of device-mapper, those are listed that are persistent snapshots, each with its COW
// device, and by the names that LVM has for them.
func TestServedBy(t *testing.T) {
	const group, of, snap = "LVM-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "ssssssssssssssssssssssssssssssss"
	targets := map[string]inuse.Target{
		"one":       {Type: "snapshot", Args: []string{"4000:90", "4000:1", "P", "8"}},
		"merging":   {Type: "snapshot-merge", Args: []string{"4000:91", "4000:3", "PO", "8"}},
		"shortest":  {Type: "snapshot", Args: []string{"4000:92", "4000:93", "P"}},
		"passing":   {Type: "snapshot", Args: []string{"4000:92", "4000:94", "N", "8"}},
		"too short": {Type: "snapshot", Args: []string{"4000:92", "4000:95"}},
		"no number": {Type: "snapshot", Args: []string{"4000:92", "?", "P", "8"}},
		"known":     {Type: "snapshot", Args: []string{"4000:92", "4000:96", "P", "8"}},
		"other":     {Type: "linear", Args: []string{"4000:92", "4000:97", "P", "8"}},
		"vg-snap":   {Type: "snapshot", Args: []string{"4000:20", "4000:21", "P", "8"}},
	}
	mappings := []inuse.Mapping{{Number: number(1), Name: "cow"}, {Number: number(3), Name: "vg-not-cow"}}
	for i, name := range []string{"one", "merging", "shortest", "passing", "too short", "no number", "known", "other", "no table", "vg-snap"} {
		mappings = append(mappings, inuse.Mapping{Number: number(uint32(10 + i)), Name: name})
	}
	mappings = append(mappings, inuse.Mapping{Number: number(20), Name: "vg-root-real", UUID: group + of + "-real"},
		inuse.Mapping{Number: number(21), Name: "vg-snap-cow", UUID: group + snap + "-cow"})
	target := func(m inuse.Mapping) (inuse.Target, bool) {
		t, ok := targets[m.Name]
		return t, ok
	}
	type row struct {
		name, cow, mapping, origin string
		merging                    bool
	}
	var got []row
	for _, l := range servedBy(mappings, target, []*Listed{{COWDevice: "4000:96"}}) {
		x := row{l.Name, l.COWDevice, "", l.Origin, l.Merging}
		if l.mapping != nil {
			x.mapping = l.mapping.Name
		}
		if got = append(got, x); !l.Active {
			t.Errorf("%s is not active", l.Name)
		}
	}
	want := []row{
		{"one", "4000:1", "cow", "4000:90", false}, {"merging", "4000:3", "vg-not-cow", "4000:91", true},
		{"shortest", "4000:93", "", "4000:92", false}, {"vg/snap", "4000:21", "vg-snap-cow", "vg/root", false},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if uuid := mappedUUID(mappings, number(21)); uuid != "ssssss-ssss-ssss-ssss-ssss-ssss-ssssss" || mappedUUID(mappings, number(1)) != "" {
		t.Errorf("UUID %q", uuid)
	}
}

// TestListedOpen: a COW device that is suspended is not read, which would wait; others are.
func TestListedOpen(t *testing.T) {
	r := newRig(t)
	d, err := (&Listed{COWDevice: "cow"}).open()
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	l := &Listed{Name: "snap", COWDevice: "cow", mapping: &inuse.Mapping{Suspended: true}}
	if err := r.Examine(l); err != nil {
		t.Fatal(err)
	}
	r.refused(l.Err, wanted{Unreadable, "snap", "is suspended", nil})
}

// TestIdentify: what a name stands for, and what tells it from others.
func TestIdentify(t *testing.T) {
	r := newRig(t)
	for name, kind := range map[string]Kind{"cow": RegularFile, ".": Directory, os.DevNull: OtherKind, "none": Missing} {
		if x := r.Identify(name); x.Kind != kind || (x.Size != 0) != (kind == RegularFile) || (x.Inode != 0) != (kind != Missing) {
			t.Errorf("%s: %+v", name, x)
		}
	}
	for _, path := range inuse.Blocks() {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if x, n := r.Identify(path), inuse.NumberOf(info); x.Kind != BlockDevice || x.Size != format.Bytes(n.Size()) || x.Number != n.String() || x.Inode != 0 {
			t.Errorf("%s: %+v", path, x)
		}
	}
}
