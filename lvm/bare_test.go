package lvm_test

import (
	"testing"

	"dmcow/internal/pvimage"
	"dmcow/lvm"
)

// TestBare: a physical volume has its group's metadata elsewhere where it has no area for any, or its header says that it
// is part of a group and it has no text; unless the group was found.
func TestBare(t *testing.T) {
	none := pvimage.Volume{UUID: uuid, Size: 64 << 10, Label: 1}
	empty := area(32<<10, 0, "")
	used, whole := empty, area(32<<10, 512, text("vg0", 1, whole()))
	used.Used = true
	broken := whole
	broken.Used, broken.Areas = true, []pvimage.Area{{Offset: 4096, Size: 32 << 10, Start: 512, Text: "vg0 {"}}
	host := whole
	host.UUID = "BBBBBB-0000-0000-0000-0000-0000-000000"
	for name, c := range map[string]struct {
		volumes []pvimage.Volume
		bare    int
	}{
		"no areas":                {[]pvimage.Volume{none}, 1},
		"in no group, it may be":  {[]pvimage.Volume{empty}, 0},
		"used":                    {[]pvimage.Volume{used}, 1},
		"its text":                {[]pvimage.Volume{whole}, 0},
		"its text is damaged":     {[]pvimage.Volume{broken}, 0},
		"its group on another":    {[]pvimage.Volume{used, host}, 0},
		"no area, another has it": {[]pvimage.Volume{host, none}, 0},
	} {
		var found []*lvm.Found
		for _, v := range c.volumes {
			f, errs := lvm.Find(image(v.Image()), "disk")
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			found = append(found, f...)
		}
		if got := lvm.Read(found).Bare(); len(got) != c.bare {
			t.Errorf("%s: %v", name, got)
		}
	}
}
