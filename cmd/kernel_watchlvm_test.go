package cmd

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"dmcow/internal/kernellab"
	"dmcow/snapshot"
)

// byName is what was seen of a snapshot.
func (l *lookingOut) byName(name string) *snapshot.Tracked {
	l.Helper()
	for _, x := range l.tracks.All {
		if x.Name == name {
			return x
		}
	}
	l.Fatalf("%s is not seen: %d others", name, len(l.tracks.All))
	return nil
}

// TestKernelWatchVolumes watches snapshots that LVM makes, extends, deactivates, merges and removes. By whatever name
// they are watched, the stores of active ones are not read.
func TestKernelWatchVolumes(t *testing.T) {
	kernellab.Require(t)
	disk := blankLoop(t, 160<<11)
	kernellab.VolumeGroup(t, "vg0", disk)
	lvm := func(args ...string) { t.Helper(); kernellab.Run(t, "lvm", args...) }
	lvm("lvcreate", "--yes", "--name", "origin", "--size", "40m", "vg0")
	lvm("lvcreate", "--yes", "--snapshot", "--name", "snap", "--chunksize", "4k", "--size", "8m", "vg0/origin")
	lvm("lvcreate", "--yes", "--snapshot", "--name", "other", "--chunksize", "4k", "--size", "8m", "vg0/origin")
	const origin, store = "/dev/mapper/vg0-origin", "/dev/mapper/vg0-snap-cow"
	looks := map[string]*lookingOut{}
	for _, names := range []string{"", "vg0/snap", "vg0/*", "vg0-snap", "/dev/mapper/vg0-snap", store, "/dev/mapper/vg0-*-cow"} {
		l := &lookingOut{T: t}
		if names != "" {
			l.lookout.Names = []string{names}
		}
		defer l.lookout.Close()
		l.after(time.Hour) // the first look reads what LVM has on record
		looks[names] = l
	}
	all := func(d time.Duration) {
		t.Helper()
		for _, l := range looks {
			l.after(d)
		}
	}
	read := sectorsRead(t, store)
	for i := range uint64(61) { // 10 chunks a second, for a minute
		overwrite(t, origin, 8, span(10*i, 10*i+10))
		all(time.Second)
	}
	if n := read(); n > 0 {
		t.Errorf("%d sectors of the store were read", n)
	}
	check := func(what string, left uint64) {
		t.Helper()
		for names, l := range looks {
			x := l.byName("vg0/snap")
			if f := x.Forecast(); !x.Active || x.Origin != "vg0/origin" || x.Usage.Free() != left || !f.Ever || math.Abs(f.Left.Seconds()-float64(left)/10) > float64(left)/100 {
				t.Errorf("%s, watched as %q: %+v, %+v; expected %d chunks left", what, names, x.Seen, f, left)
			}
			if n := len(l.tracks.All); n != 1 && n != 2 || n == 2 && names != "" && !strings.Contains(names, "*") {
				t.Errorf("%s, watched as %q: %d are seen", what, names, n)
			}
		}
	}
	left := looks[""].byName("vg0/snap").Usage.Free()
	check("after a minute", left)

	lvm("lvextend", "--size", "+8m", "vg0/snap")
	overwrite(t, origin, 8, span(610, 620))
	all(time.Second)
	if more := looks[""].byName("vg0/snap").Usage.Free(); more < left+2000 || more > left+2048 {
		t.Errorf("%d chunks left, %d after it was extended by 2048", left, more)
	} else {
		check("extended", more)
	}

	lvm("lvchange", "--activate", "n", "vg0/origin")
	all(2 * time.Minute)
	if x := looks["vg0/snap"].byName("vg0/snap"); x.Active || x.Gone || x.Usage.End.Exceptions != 620 {
		t.Errorf("a snapshot that is not active: %+v", x.Seen)
	}
	for _, gone := range []string{"vg0-snap", "/dev/mapper/vg0-snap", store} {
		if n := len(looks[gone].tracks.All); n > 0 {
			t.Errorf("watched as %q: %+v", gone, looks[gone].tracks.All[0].Seen)
		}
	}

	lvm("lvremove", "--yes", "vg0/other")
	lvm("lvconvert", "--merge", "vg0/snap")
	lvm("lvchange", "--activate", "y", "--monitor", "n", "--poll", "n", "vg0/origin")
	merging := 0
	for range 10000 {
		l := looks["vg0/snap"]
		l.after(time.Second)
		x := l.byName("vg0/snap")
		if x.Gone || x.Usage.End.Exceptions == 0 {
			break
		}
		if merging++; !x.Merging || x.State != "valid" {
			t.Fatalf("a snapshot that LVM merges: %+v", x.Seen)
		}
	}
	x := looks["vg0/snap"].byName("vg0/snap")
	t.Logf("%d looks at the merge, at last %+v", merging, x.Seen)
	if !x.Merging || x.Usage.End.Exceptions != 0 {
		t.Errorf("after the merge: %+v", x.Seen)
	}
	if f := x.Forecast(); merging > 0 && fmt.Sprint(x.ToMerge) == "0" {
		t.Errorf("nothing was to merge: %+v", f)
	}
}
