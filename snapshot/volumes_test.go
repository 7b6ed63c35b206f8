package snapshot

import (
	"os"
	"slices"
	"testing"

	"dmcow/internal/inuse"
	"dmcow/internal/volume"
	"dmcow/lvm"
)

// TestPartGone: of a volume of which a part is not there, but all of its list, a user is told that it is not whole,
// whoever looks at it.
func TestPartGone(t *testing.T) {
	disk := lvmDisk(t)
	for cut, gone := range map[int]bool{len(disk): false, 79 << 16: true} { // within the snapshot's data
		r := newRig(t, "disk")
		r.file("disk", disk[:cut])
		c, err := r.Look(Request{COW: "vg0/snap"})
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		i, err := r.Inventory()
		if err != nil {
			t.Fatal(err)
		}
		l := i.All[slices.IndexFunc(i.All, func(l *Listed) bool { return l.Name == "vg0/snap" })]
		looked := toldUnreadable(r)
		if err := r.Examine(l); err != nil || l.COW == nil {
			t.Fatal(err, l.Err)
		}
		if listed := toldUnreadable(r); looked != gone || listed != gone || (c.Volume.Gone != nil) != gone {
			t.Errorf("%d bytes are there: that a part is missing is told %v, when listed %v", cut, looked, listed)
		}
	}
}

// toldUnreadable reports whether the notes say that some of the volume cannot be read.
func toldUnreadable(r rig) bool {
	return slices.ContainsFunc(r.Notes(), func(n Note) bool { return n.Device == "vg0/snap" && n.Code == Unreadable })
}

// TestActiveRecord: of a snapshot that is active, what the kernel does not tell is read from LVM's metadata, where
// that can be read.
func TestActiveRecord(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t, "disk")
	r.file("disk", disk)
	i, err := r.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	want := i.All[slices.IndexFunc(i.All, func(l *Listed) bool { return l.Name == "vg0/snap" })]
	for name, known := range map[string]bool{"vg0/snap": true, "vg0/none": false} {
		u := &Used{COW: &COW{Name: Name{Text: name, Volume: &volume.Volume{Name: name, Active: &inuse.Mapping{}}}}}
		if at := r.Created(u); at.Equal(want.Created()) != known || at.IsZero() == known {
			t.Errorf("%s was created %v, want %v", name, at, want.Created())
		}
		_, chunk := want.Recorded()
		if got := u.COW.Recorded(); (uint64(got) == chunk) != known || chunk == 0 {
			t.Errorf("%s has chunks of %d sectors, want %d", name, got, chunk)
		}
		if told := slices.ContainsFunc(r.Notes(), func(n Note) bool { return n.Detail && n.Device == name }); told == known {
			t.Errorf("%s: that LVM's metadata cannot be read is told %v", name, told)
		}
	}
}

// TestOtherOrigin: a volume is a snapshot's origin where its group and its name are the origin's.
func TestOtherOrigin(t *testing.T) {
	group, other := &lvm.Group{Name: "vg", UUID: "one"}, &lvm.Group{Name: "vg", UUID: "two"}
	origin := &lvm.Logical{Name: "root"}
	cow := Name{Text: "vg/snap", Volume: &volume.Volume{Name: "vg/snap", Group: group, Snapshot: &lvm.Snapshot{Origin: origin}}}
	of := func(g *lvm.Group, name string) Name {
		return Name{Text: name, Volume: &volume.Volume{Group: g, Logical: &lvm.Logical{Name: name}}}
	}
	for name, c := range map[string]struct {
		cow, origin Name
		refused     bool
	}{
		"its origin":          {cow, of(group, "root"), false},
		"another volume":      {cow, of(group, "home"), true},
		"another group":       {cow, of(other, "root"), true},
		"both":                {cow, of(other, "home"), true},
		"a path":              {cow, Name{Text: "dev"}, false},
		"a store by its path": {Name{Text: "cow"}, of(group, "home"), false},
		"no snapshot":         {of(group, "home"), of(group, "root"), false},
		"an active one":       {cow, Name{Text: "vg/x", Volume: &volume.Volume{}}, false},
	} {
		if err := checkOtherOrigin(c.cow, c.origin); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOriginOfVolume: a snapshot of LVM is checked beside its origin, whose data counts; an origin may have just one
// sector.
func TestOriginOfVolume(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t, "disk")
	r.file("disk", disk)
	x, err := r.Check(CheckRequest{Request: Request{COW: "vg0/snap"}})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if x.Options.Content == nil {
		t.Error("its origin is not looked at")
	}
	r.refused(done2(r.Read(ViewRequest{Request: Request{COW: "vg0/origin"}})), wanted{Unreadable, "vg0/origin", "not a snapshot, but the origin of vg0/snap", nil})
	r.file("sector", make([]byte, 512))
	if err := done(r.LookAtOrigin("sector")); err != nil {
		t.Error(err)
	}
}

// TestUnlock: the lock of a group is given back where there is one.
func TestUnlock(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t, "disk")
	r.file("disk", disk)
	for _, v := range []ViewRequest{of("cow"), {Request: Request{COW: "vg0/snap"}}} {
		n, err := r.Read(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Unlock(); err != nil {
			t.Error(err)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	active := Name{Text: "vg0/snap", Volume: &volume.Volume{Active: &inuse.Mapping{}}} // which has no group
	if err := (&Snapshot{session: r.Session, COW: &COW{Name: active}}).Unlock(); err != nil {
		t.Error(err)
	}
	o, err := r.LookAtOrigin("origin")
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := (&Snapshot{session: r.Session}).claimDevice(active, o.Device, true); err != nil {
		t.Error(err)
	}
}

// TestCreateOnVolume: a store on a volume gets chunks as LVM has them on record, where nothing else was asked for; and
// a name with a slash is one of a file where a file can be made.
func TestCreateOnVolume(t *testing.T) {
	disk := lvmDisk(t)
	r := newRig(t)
	r.options.Where = []string{"disk"}
	r.file("disk", disk)
	r.file("image", make([]byte, originLength))
	c, err := r.Look(Request{COW: "vg0/snap"})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	p, err := r.PlanCreate(CreateRequest{Request: Request{COW: "vg0/snap"}, Base: "origin", Image: "image", Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := uint32(p.COW.Fresh.ChunkSectors()); got != c.Recorded() || got == 32 || !p.Asks {
		t.Errorf("chunks of %d sectors, of %d on record; it is asked: %v", got, c.Recorded(), p.Asks)
	}
	p.Close()

	r = newRig(t)
	r.file("image", make([]byte, originLength))
	if err := os.Mkdir("dir", 0o700); err != nil {
		t.Fatal(err)
	}
	p, err = r.PlanCreate(CreateRequest{Request: Request{COW: "dir/new"}, Base: "origin", Image: "image"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Do(); err != nil || p.Asks || p.COW.Volume != nil {
		t.Errorf("it is asked: %v, %v", p.Asks, err)
	}
	p.Close()
	if len(r.read("dir/new")) == 0 {
		t.Error("nothing was written")
	}
	_, err = r.PlanCreate(CreateRequest{Request: Request{COW: "vg9/new"}, Base: "origin", Image: "image"})
	r.refused(err, wanted{Unreadable, "vg9/new", "not found: no such file", []Deed{LookElsewhere}})
}
