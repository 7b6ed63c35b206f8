package cmd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
)

// layoutGroup lays out a group of testdata/lvm: its disks, and what the snapshot and the origin showed.
func layoutGroup(t *testing.T, name string) (disks []string, origin, snap string) {
	t.Helper()
	b, err := os.ReadFile("../testdata/lvm/layout-" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var f layoutFacts
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Disks {
		disks = append(disks, filepath.Join(t.TempDir(), d))
		devicetest.WriteFile(t, disks[len(disks)-1], devicetest.Unzip(t, filepath.Join("../testdata/lvm", d)))
	}
	for _, v := range f.Views {
		switch v.Name {
		case "vg0/origin":
			origin = v.SHA256
		case "vg0/snap":
			snap = v.SHA256
		}
	}
	return disks, origin, snap
}

// volumesOf are the contents of volumes on disks.
func volumesOf(t *testing.T, disks []string, names ...string) (all [][]byte) {
	t.Helper()
	for _, name := range names {
		b, _, err := readVolume(t, "vg0/"+name, disks)
		if err != nil {
			t.Fatal(name, err)
		}
		all = append(all, b)
	}
	return all
}

// keptTwice are the layouts in testdata/lvm that can be merged into.
var keptTwice = map[string]kept{
	"raid1": {[][]string{{"origin_rimage_0", "origin_rimage_1"}}, []string{"origin_rmeta_0", "origin_rmeta_1"}},
	"raid10": {[][]string{{"origin_rimage_0", "origin_rimage_1"}, {"origin_rimage_2", "origin_rimage_3"}},
		[]string{"origin_rmeta_0", "origin_rmeta_1", "origin_rmeta_2", "origin_rmeta_3"}},
	"mirror": {[][]string{{"origin_mimage_0", "origin_mimage_1"}}, []string{"origin_mlog"}},
	"raid0":  {},
	"moving": {},
}

// TestLayoutMerges: a merge leaves all copies of the origin as the snapshot was, and what arrays and mirrors have on
// record as it was; so does the undo log, when it takes that back.
func TestLayoutMerges(t *testing.T) {
	for name, k := range keptTwice {
		t.Run(name, func(t *testing.T) {
			disks, origin, snap := layoutGroup(t, name)
			records := volumesOf(t, disks, k.records...)
			undo := filepath.Join(t.TempDir(), "undo")
			was := imagesOf(t, disks)
			expect(t, 0, append([]string{"merge", "--dry-run", "vg0/snap"}, pv(disks)...)...)
			if !slices.EqualFunc(was, imagesOf(t, disks), bytes.Equal) {
				t.Error("a dry run has written something")
			}
			for _, c := range []struct {
				want string
				args []string
			}{
				{snap, []string{"merge", "--yes", "--verify", "--undo", undo, "vg0/snap"}},
				{origin, []string{"merge-step", "--yes", "--steps", "2", undo, "--into", "vg0/origin"}},
				{origin, []string{"merge", "--yes", undo, "--into", "vg0/origin"}},
			} {
				expect(t, 0, append(c.args, pv(disks)...)...)
				if got := corpus.Digest(volumesOf(t, disks, "origin")[0]); got != c.want && c.args[0] == "merge" {
					t.Errorf("%s: the origin is not what it should be", c.args)
				}
				for _, copies := range k.copies {
					all := volumesOf(t, disks, copies...)
					if slices.ContainsFunc(all, func(b []byte) bool { return !bytes.Equal(b, all[0]) }) {
						t.Errorf("%s: %s differ", c.args, copies)
					}
				}
				if !slices.EqualFunc(records, volumesOf(t, disks, k.records...), bytes.Equal) {
					t.Errorf("%s: the records are not what they were", c.args)
				}
			}
		})
	}
}

func imagesOf(t *testing.T, paths []string) (all [][]byte) {
	t.Helper()
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// TestLayoutMergesRefused: what only the kernel can write, what lacks an image, and what is not in sync, is not merged
// into, and the user is told what can be done.
func TestLayoutMergesRefused(t *testing.T) {
	const only, whole, synced = "hint: lvconvert --merge vg0/snap, or dmcow export vg0/snap IMAGE, and copy IMAGE onto vg0/origin while that is active",
		"hint: lvchange --activate y vg0/origin; lvconvert --repair vg0/origin", "hint: lvchange --activate y vg0/origin; then wait for 100 in lvs -o sync_percent vg0/origin"
	for _, c := range []struct {
		name         string
		without      []int
		change       func(t *testing.T, disks []string)
		told, remedy string
	}{
		{"raid4", nil, nil, "are a segment of type raid4, which only the kernel can write", only},
		{"raid5", nil, nil, "are a segment of type raid5, which only the kernel can write", only},
		{"raid6", nil, nil, "are a segment of type raid6_nc, which only the kernel can write", only},
		{"failed", nil, nil, "it has failed, and is out of date", whole},
		{"raid1", []int{1}, nil, "is missing", whole},
		{"raid1", []int{0}, nil, "is missing", whole},
		{"raid10", []int{2}, nil, "is missing", whole},
		{"raid0", []int{1}, nil, "is missing", ""},
		{"mirror", []int{0}, nil, "leg 0 of vg0/origin is not whole", whole},
		{"mirror", []int{1}, nil, "leg 1 of vg0/origin is not whole", whole},
		{"mirror", []int{2}, nil, "is missing", ""},
		{"raid1", nil, unsync("origin_rmeta_0", "origin_rmeta_1"), "vg0/origin is not in sync", synced},
		{"raid10", nil, unsync("origin_rmeta_0", "origin_rmeta_1", "origin_rmeta_2", "origin_rmeta_3"), "vg0/origin is not in sync", synced},
		{"raid1", nil, func(t *testing.T, disks []string) { // the kernel was at it, and cut off
			patch(t, disks, "origin_rmeta_0", 40, []byte{64, 0, 0, 0, 0, 0, 0, 0})
			patch(t, disks, "origin_rmeta_1", 40, make([]byte, 8))
			patch(t, disks, "origin_rmeta_1", 480, []byte("dmcow: regions are marked"))
		}, "vg0/origin is not in sync", synced},
		{"mirror", nil, func(t *testing.T, disks []string) { patch(t, disks, "origin_mlog", 1024, []byte{0}) }, "vg0/origin is not in sync", synced},
	} {
		disks, _, _ := layoutGroup(t, c.name)
		if c.change != nil {
			c.change(t, disks)
		}
		was := imagesOf(t, disks)
		for _, args := range [][]string{{"merge", "--yes"}, {"merge", "--dry-run"}} {
			_, stderr := expect(t, 8, append(append(args, "vg0/snap"), pv(without(disks, c.without))...)...)
			if !strings.Contains(stderr, c.told) || !strings.Contains(stderr, c.remedy) {
				t.Errorf("%s, without %v: %s", c.name, c.without, stderr)
			}
		}
		if !slices.EqualFunc(was, imagesOf(t, disks), bytes.Equal) {
			t.Errorf("%s: something was written", c.name)
		}
	}
}

// unsync has superblocks say that an array is in sync up to a sector.
func unsync(metadata ...string) func(t *testing.T, disks []string) {
	return func(t *testing.T, disks []string) {
		t.Helper()
		for _, name := range metadata {
			patch(t, disks, name, 40, []byte{0, 0, 0, 0, 0, 0, 0, 0})
		}
	}
}

// patch writes to a volume, where it begins with what no other place on the disks has.
func patch(t *testing.T, disks []string, name string, at int, b []byte) {
	t.Helper()
	was := volumesOf(t, disks, name)[0]
	places := 0
	for _, path := range disks {
		image := imagesOf(t, []string{path})[0]
		if start := bytes.Index(image, was); start >= 0 {
			copy(image[start+at:], b)
			devicetest.WriteFile(t, path, image)
			places++
		}
	}
	if places != 1 {
		t.Fatalf("%s stands in %d places", name, places)
	}
}
