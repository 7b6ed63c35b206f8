package lvm_test

import (
	"strings"
	"testing"

	"dmcow/internal/pvimage"
	"dmcow/lvm"
)

// seeds are physical volumes to begin with.
func seeds() [][]byte {
	good := text("vg0", 7, whole())
	small := pvimage.Volume{UUID: uuid, Size: 32 << 10, Label: 1, Areas: []pvimage.Area{
		{Offset: 4096, Size: 8192, Start: 7000, Text: good}, // which wraps
		{Offset: 16384, Size: 8192, Start: 512, Text: good},
	}}
	return [][]byte{small.Image(), pvimage.Volume{UUID: uuid, Size: 4096, Label: 3}.Image()}
}

// FuzzLabel: whatever the first sectors are, they are a label with a UUID, or an error.
func FuzzLabel(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s[:2048])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := lvm.ReadLabel(image(b))
		if (l == nil) == (err == nil) || l != nil && len(l.UUID) != len(uuid) {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

// FuzzArea: whatever is in a metadata area, whole or with a checksum that was made to fit,
// it is read or refused.
func FuzzArea(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s, uint16(0), []byte(nil))
	}
	f.Add(seeds()[0], uint16(4096+40), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte, at uint16, patch []byte) {
		if int(at)+len(patch) <= len(b) {
			copy(b[at:], patch)
		}
		pvimage.Seal(b)
		found, _ := lvm.Find(image(b), "disk")
		checkGroups(t, lvm.Read(found))
	})
}

// FuzzText: whatever a text is, it is a group that can be used, or an error that says where
// it is wrong.
func FuzzText(f *testing.F) {
	f.Add([]byte(text("vg0", 7, whole())))
	f.Add([]byte("vg0 { a = [ 1, 2.5, 'x', \"y\\\"\" ] b { } } # end"))
	for _, name := range scenarios {
		f.Add(lvm.Text(found(f, second(real(f, name))...)[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := lvm.ParseGroup(b)
		switch {
		case err == nil:
			checkGroup(t, g)
		case !strings.HasPrefix(err.Error(), "line "):
			t.Errorf("%v", err)
		}
		var c lvm.Config
		if err := c.Read(b); err != nil && !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%v", err)
		}
		if id := lvm.ParseSystemID(string(b)); lvm.ParseSystemID(id) != id || len(id) > 128 {
			t.Errorf("the system ID %q is none", id)
		}
	})
}

func second(_ facts, disks []image) []image { return disks }

// FuzzDisk: whatever the partition tables on a disk say, it is looked at.
func FuzzDisk(f *testing.F) {
	_, disks := real(f, "gpt")
	f.Add([]byte(disks[0][:17<<10]), uint32(0))
	f.Add([]byte(mbrDisk()[:8<<10]), uint32(100<<10))
	f.Fuzz(func(t *testing.T, b []byte, more uint32) {
		if len(b) >= 1024 && more%2 == 0 {
			sealGPT(b[512:1024])
		}
		d := sparse{b, int64(len(b)) + int64(more)}
		found, _ := lvm.Find(d, "disk")
		for _, x := range found {
			if x.Start < 0 || x.Length <= 0 || x.Start > d.size-x.Length {
				t.Errorf("%+v on a disk of %d bytes", x, d.size)
			}
		}
		checkGroups(t, lvm.Read(found))
	})
}

// checkGroups uses groups for all that they can be used for.
func checkGroups(t *testing.T, groups *lvm.Groups) {
	t.Helper()
	for _, g := range groups.All {
		checkGroup(t, g)
		groups.Damaged(g)
		if _, err := groups.Named(g.UUID); err != nil {
			t.Errorf("%v", err)
		}
	}
	for _, c := range groups.Unread() {
		if c.Err.Error() == "" || c.On.String() == "" {
			t.Error("an error without words")
		}
	}
}

// checkGroup wants the parts of volumes to lie on the physical volumes, as far as these go.
func checkGroup(t *testing.T, g *lvm.Group) {
	t.Helper()
	stores := map[*lvm.Logical]bool{}
	for _, s := range g.Snapshots() {
		if s.COW == nil || s.Origin == nil || s.ChunkSize == 0 || stores[s.COW] {
			t.Errorf("%+v", s)
		}
		stores[s.COW] = true
	}
	for _, s := range g.Snapshots() {
		if stores[s.Origin] {
			t.Errorf("the origin of %+v is a COW store", s)
		}
	}
	for _, v := range g.Logical {
		size := int64(0)
		parts, err := g.Layout(v)
		if err != nil {
			_, _ = g.Snapshot(v.Name)
			continue
		}
		for _, p := range parts {
			size += p.Length
			n := int64(1)
			if p.Type != "mirror" {
				n = int64(len(p.Places))
			}
			for _, at := range p.Places {
				end := int64(0)
				if at.In != nil {
					end = g.Size(at.In)
				} else {
					end = int64(at.On.Start+at.On.Count*g.ExtentSize) * lvm.SectorSize
				}
				if p.Length%n != 0 || n > 1 && p.Chunk <= 0 || at.Start < 0 || at.Start+p.Length/n > end {
					t.Errorf("%s: %+v ends behind byte %d", v.Name, p, end)
				}
			}
			for _, i := range p.Images {
				if i.Data == nil || i.Data == v || i.Metadata == i.Data {
					t.Errorf("%s: %+v", v.Name, i)
				}
			}
		}
		g.On(v)
		if size != g.Size(v) || size <= 0 {
			t.Errorf("%s: parts of %d bytes, want %d", v.Name, size, g.Size(v))
		}
	}
}
