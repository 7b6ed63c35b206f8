package snapshot

import (
	"bytes"
	"os"
	"testing"

	"dmcow/format"
	"dmcow/repair"
)

// damaged is a store with an exception whose old chunk is taken twice.
const damaged = sound + "\nex 5 12 7"

// closer is what a session opens.
type closer interface{ Close() }

// done closes what was opened where nothing was expected to be.
func done[T closer](c T, err error) error {
	if err == nil {
		c.Close()
	}
	return err
}

// TestRefusals: everything that is refused is a value that says what, of which device, and what can
// be done about it; and nothing is written then.
func TestRefusals(t *testing.T) {
	for name, x := range map[string]struct {
		run func(rig) error
		wanted
	}{
		"look: there is nothing": {
			func(r rig) error { return done(r.Look(Request{COW: "none"})) },
			wanted{Unreadable, "none", "no such file or directory", nil},
		},
		"look: no volume either": {
			func(r rig) error { return done(r.Look(Request{COW: "vg9/none"})) },
			wanted{Unreadable, "vg9/none", "not found: no such file, and no volume group", []Deed{LookElsewhere}},
		},
		"look: behind the end": {
			func(r rig) error { return done(r.Look(Request{COW: "cow", Part: Part{Offset: 200 * 512}})) },
			wanted{WrongUse, "cow", "offset 102400 is at or past its end", nil},
		},
		"look: past the end": {
			func(r rig) error { return done(r.Look(Request{COW: "cow", Part: Part{Offset: 1 << 30}})) },
			wanted{WrongUse, "cow", "", nil},
		},
		"look: chunk size": {
			func(r rig) error { return done(r.Look(Request{COW: "cow", ChunkSectors: 3})) },
			wanted{WrongUse, "cow", "3 sectors: ", nil},
		},
		"read: marked invalid": {
			func(r rig) error {
				r.store("cow", "device 200\nheader chunk=1 valid=0\nfill 20")
				return done2(r.Read(of("cow")))
			},
			wanted{Invalid, "cow", "the snapshot is marked invalid", []Deed{AllowInvalid, RunRevalidate}},
		},
		"write: marked invalid": {
			func(r rig) error {
				r.store("cow", "device 200\nheader chunk=1 valid=0\nfill 20")
				return done2(r.Write(of("cow")))
			},
			wanted{Invalid, "cow", "can only be read", []Deed{AllowInvalid}},
		},
		"read: blank": {
			func(r rig) error {
				r.file("cow", make([]byte, 1<<20))
				return done2(r.Read(of("cow")))
			},
			wanted{Blank, "cow", "uninitialized: no snapshot to read", []Deed{RunCheck}},
		},
		"read: a wiped header": {
			func(r rig) error {
				r.store("cow", "device 200\nheader chunk=8\nfill 20")
				cow := r.read("cow")
				clear(cow[:4096])
				r.file("cow", cow)
				return done2(r.Read(of("cow")))
			},
			wanted{Damaged, "cow", "Do not activate it", []Deed{WriteHeader, StartAnew, RunCheck}},
		},
		"read: something else": {
			func(r rig) error {
				r.file("cow", bytes.Repeat([]byte("text"), 4096))
				return done2(r.Read(of("cow")))
			},
			wanted{Foreign, "cow", "not a COW store", []Deed{RunCheck}},
		},
		"read: a disk in another format": {
			func(r rig) error {
				r.file("cow", append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 1<<20)...))
				return done2(r.Read(of("cow")))
			},
			wanted{Foreign, "cow", "qcow2", []Deed{RunCheck}},
		},
		"read: no origin is named": {
			func(r rig) error { return done2(r.Read(ViewRequest{Request: Request{COW: "cow"}})) },
			wanted{WrongUse, "cow", "its origin is not known", []Deed{NameOrigin}},
		},
		"read: the origin is the store": {
			func(r rig) error {
				v := of("cow")
				v.Origin = "cow"
				return done2(r.Read(v))
			},
			wanted{Unable, "cow", "overlaps cow", nil},
		},
		"read: swapped": {
			func(r rig) error {
				r.store("origin", sound)
				return done2(r.Read(of("cow")))
			},
			wanted{Unable, "origin", "starts with a COW header, so it is not an origin", nil},
		},
		"read: the origin is a disk in another format": {
			func(r rig) error {
				r.file("origin", append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 1<<20)...))
				return done2(r.Read(of("cow")))
			},
			wanted{Unable, "origin", "qcow2", nil},
		},
		"read: an origin without a sector": {
			func(r rig) error {
				r.file("origin", make([]byte, 100))
				return done2(r.Read(of("cow")))
			},
			wanted{Unable, "origin", "too small for an origin: 100 bytes", nil},
		},
		"read: the origin has what the snapshot lacks": {
			func(r rig) error {
				r.file("origin", partitioned())
				return done2(r.Read(of("cow")))
			},
			wanted{Damaged, "origin", "which the snapshot does not", []Deed{AllowDamaged}},
		},
		"write: damaged": {
			func(r rig) error {
				r.store("cow", damaged)
				return done2(r.Write(of("cow")))
			},
			wanted{Damaged, "cow", "refused: ", []Deed{RunCheck}},
		},
		"try to write: damaged": {
			func(r rig) error {
				r.store("cow", damaged)
				return done2(r.TryWrite(of("cow")))
			},
			wanted{Damaged, "cow", "refused: ", []Deed{RunCheck}},
		},
		"export: damaged": {
			func(r rig) error {
				r.store("cow", damaged)
				return done(r.PlanExport(ExportRequest{ViewRequest: of("cow"), Output: OutputRequest{Name: "out", Mode: Private}}))
			},
			wanted{Damaged, "cow", "is uncertain", []Deed{AllowDamaged, MountRest, RepairCopy}},
		},
		"export: over a file": {
			func(r rig) error {
				r.file("out", []byte("precious"))
				return done(r.PlanExport(ExportRequest{ViewRequest: of("cow"), Output: OutputRequest{Name: "out", Mode: Private}}))
			},
			wanted{Unable, "out", "refused: the file exists (8 bytes)", []Deed{ForceReplace}},
		},
		"export: over the origin": {
			func(r rig) error {
				return done(r.PlanExport(ExportRequest{ViewRequest: of("cow"), Output: OutputRequest{Name: "origin", Mode: Private, Force: true}}))
			},
			wanted{Unable, "origin", "overlaps origin, which the command reads", nil},
		},
		"export: to a directory": {
			func(r rig) error {
				return done(r.PlanExport(ExportRequest{ViewRequest: of("cow"), Output: OutputRequest{Name: ".", Mode: Private}}))
			},
			wanted{Unable, ".", "is a directory", nil},
		},
		"export: to the origin as a stream": {
			func(r rig) error {
				f, err := os.OpenFile("origin", os.O_RDWR, 0)
				if err != nil {
					r.Fatal(err)
				}
				defer f.Close()
				return done(r.PlanExport(ExportRequest{ViewRequest: of("cow"), Output: OutputRequest{Stream: &Stream{Writer: f, File: f}}}))
			},
			wanted{Unable, "origin", "standard output goes to it, and the command reads it", nil},
		},
		"initialize: over a store": {
			func(r rig) error { return done(r.PlanInitialize(WriteRequest{Request: Request{COW: "cow"}})) },
			wanted{Foreign, "cow", "refused: it holds a COW store (valid)", []Deed{ForceOver}},
		},
		"initialize: no room": {
			func(r rig) error {
				r.file("cow", make([]byte, 4096))
				return done(r.PlanInitialize(WriteRequest{Request: Request{COW: "cow"}, Force: true}))
			},
			wanted{Damaged, "cow", "too small", nil},
		},
		"invalidate: blank": {
			func(r rig) error {
				r.file("cow", make([]byte, 1<<20))
				return done(r.PlanInvalidate(WriteRequest{Request: Request{COW: "cow"}}))
			},
			wanted{Blank, "cow", "no snapshot to mark", nil},
		},
		"invalidate: something else": {
			func(r rig) error { return done(r.PlanInvalidate(WriteRequest{Request: Request{COW: "text"}})) },
			wanted{Foreign, "text", "not a COW store", nil},
		},
		"revalidate: blank": {
			func(r rig) error {
				r.file("cow", make([]byte, 1<<20))
				return done(r.PlanRevalidate(RevalidateRequest{Request: Request{COW: "cow"}}))
			},
			wanted{Blank, "cow", "no snapshot to mark", nil},
		},
		"revalidate: damaged": {
			func(r rig) error {
				r.store("cow", "device 200\nheader chunk=1 valid=0\nfill 20\nex 5 12 7")
				return done(r.PlanRevalidate(RevalidateRequest{Request: Request{COW: "cow"}}))
			},
			wanted{Damaged, "cow", "refused: ", []Deed{RunRepair}},
		},
		"revalidate: nobody says that the origin is as it was": {
			func(r rig) error {
				r.store("cow", "device 200\nheader chunk=1 valid=0\nfill 20")
				v, err := r.PlanRevalidate(RevalidateRequest{Request: Request{COW: "cow"}})
				if err != nil {
					return err
				}
				defer v.Close()
				return v.Check()
			},
			wanted{Unable, "cow", "the COW device does not show", []Deed{Assume}},
		},
		"repair: something else": {
			func(r rig) error {
				r.file("cow", append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 1<<20)...))
				return done(r.PlanRepair(RepairRequest{Request: Request{COW: "cow"}}))
			},
			wanted{Foreign, "cow", "qcow2", nil},
		},
		"repair: a header that is sound": {
			func(r rig) error {
				g, err := format.NewGeometry(8)
				if err != nil {
					r.Fatal(err)
				}
				return done(r.PlanRepair(RepairRequest{Request: Request{COW: "cow"}, Choices: repair.Choices{Header: &repair.Header{Geometry: g, Valid: true}}}))
			},
			wanted{Unable, "cow", "refused: the header is sound", nil},
		},
		"repair: a copy that is there": {
			func(r rig) error {
				return done(r.PlanRepair(RepairRequest{Request: Request{COW: "cow"}, CopyTo: "origin"}))
			},
			wanted{Unable, "origin", "already exists: name a new file", nil},
		},
		"create: of other sizes": {
			func(r rig) error {
				r.file("image", make([]byte, 4096))
				return done(r.PlanCreate(CreateRequest{Request: Request{COW: "new"}, Base: "origin", Image: "image"}))
			},
			wanted{Unable, "image", "the image and the origin differ in size", nil},
		},
		"create: over what is read": {
			func(r rig) error {
				r.file("image", make([]byte, originLength))
				return done(r.PlanCreate(CreateRequest{Request: Request{COW: "image"}, Base: "origin", Image: "image", Force: true}))
			},
			wanted{Unable, "image", "", nil},
		},
		"create: over a store": {
			func(r rig) error {
				r.file("image", make([]byte, originLength))
				return done(r.PlanCreate(CreateRequest{Request: Request{COW: "cow"}, Base: "origin", Image: "image"}))
			},
			wanted{Foreign, "cow", "refused: it holds a COW store", []Deed{ForceOver}},
		},
		"create: no room in a part": {
			func(r rig) error {
				r.file("image", bytes.Repeat([]byte("changed!"), originLength/8))
				r.file("large", make([]byte, 1<<20))
				size := format.Bytes(64 << 10)
				return done(r.PlanCreate(CreateRequest{Request: Request{COW: "large", Part: Part{Size: &size}}, Base: "origin", Image: "image"}))
			},
			wanted{Unable, "large", "too small: ", nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.file("text", bytes.Repeat([]byte("text"), 4096))
			r.refused(x.run(r), x.wanted)
			if now := r.read("origin"); len(now) == originLength && !bytes.Equal(now, make([]byte, originLength)) && name != "read: the origin has what the snapshot lacks" {
				t.Error("the origin was written to")
			}
			for _, left := range []string{"out", "new"} {
				if _, err := os.Stat(left); err == nil && name != "export: over a file" {
					t.Errorf("%s is left", left)
				}
			}
		})
	}
}

// done2 is done for a snapshot, whose closing may fail.
func done2(n *Snapshot, err error) error {
	if err == nil {
		return n.Close()
	}
	return err
}

// partitioned is a disk with a partition table.
func partitioned() []byte {
	disk := make([]byte, originLength)
	copy(disk[446:], []byte{0, 0, 2, 0, 0x83, 0, 0, 0, 1, 0, 0, 0, 200, 0, 0, 0})
	disk[510], disk[511] = 0x55, 0xaa
	return disk
}
