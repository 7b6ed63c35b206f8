package kernellab

import (
	"fmt"
	"maps"
	"slices"
)

// A Group is what was written between two flushes, by sector: in which order, no
// power cut can tell.
type Group map[uint64]string

// Sectors are those that were written, in order.
func (g Group) Sectors() []uint64 { return slices.Sorted(maps.Keys(g)) }

// Groups are those of a log. A flush in front of a write begins one, and a write
// with FUA, which is its own flush, ends it.
func Groups(log []LogEntry) (all []Group) {
	g := Group{}
	cut := func() {
		if len(g) > 0 {
			all = append(all, g)
			g = Group{}
		}
	}
	for _, e := range log {
		if e.Flush {
			cut()
		}
		for i := range e.Sectors {
			g[e.Sector+i] = string(e.Data[i*SectorSize:][:SectorSize])
		}
		if e.FUA {
			cut()
		}
	}
	cut()
	return all
}

// SameOrder is how two logs differ. Ours may flush more often than the kernel's,
// never less, so one of the kernel's groups may be several of ours.
func SameOrder(kernel, ours []Group) string {
	for n, want := range kernel {
		got := Group{}
		for len(ours) > 0 && len(got) < len(want) {
			maps.Copy(got, ours[0])
			ours = ours[1:]
		}
		if !maps.Equal(got, want) {
			same := slices.Equal(got.Sectors(), want.Sectors())
			return fmt.Sprintf("group %d: the kernel wrote sectors %v, we %v (the same sectors: %v)", n, want.Sectors(), got.Sectors(), same)
		}
	}
	if len(ours) > 0 {
		return fmt.Sprintf("we wrote %d groups more, the first to sectors %v", len(ours), ours[0].Sectors())
	}
	return ""
}
