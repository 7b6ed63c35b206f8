package volume

import (
	"fmt"
	"slices"
	"strings"

	"dmcow/lvm"
)

// Former says of each stretch of the volume that lay elsewhere before the volume was reduced and extended again, where that
// was and who has the place now, in words for the user.
func (v *Volume) Former() (all []string) {
	if v.Group == nil || v.sight == nil {
		return nil
	}
	for _, f := range v.sight.Groups.Former(v.Group, v.Logical) {
		var places []string
		for _, p := range f.Places {
			places = append(places, v.formerPlace(p))
		}
		if len(places) > 0 {
			all = append(all, fmt.Sprintf("extents %d to %d of the volume are others than before it was reduced (LVM's metadata %d) and extended again; what was there before lies on %s",
				f.From, f.To-1, f.Until, strings.Join(places, ", and ")))
		}
	}
	return all
}

// formerPlace says where extents of a physical volume are, and who has them.
func (v *Volume) formerPlace(p lvm.FormerPlace) string {
	now := "which are free"
	if len(p.Now) > 0 {
		names := slices.Clone(p.Now)
		for i, n := range names {
			names[i] = v.Group.Name + "/" + n
		}
		now = "which are now of " + strings.Join(names, ", ")
	}
	extents := fmt.Sprintf("extents %d to %d", p.From, p.To-1)
	if found := v.sight.Groups.Found(p.On.UUID); len(found) == 1 {
		extent := int64(v.Group.ExtentSize) * lvm.SectorSize
		at := found[0].Start + int64(p.On.Start)*lvm.SectorSize + int64(p.From)*extent
		return fmt.Sprintf("bytes %d to %d of %s (%s), %s", at, at+int64(p.To-p.From)*extent-1, found[0].Name, extents, now)
	}
	return fmt.Sprintf("%s of physical volume %s, %s", extents, p.On.UUID, now)
}
