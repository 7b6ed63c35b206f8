package volume_test

import (
	"path/filepath"
	"testing"
	"time"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/pvimage"
	"dmcow/internal/volume"
)

// FuzzTree: whatever the text of a group says of its volumes, each is opened or refused, in bounded time, and what is
// read of it has its size. The seeds lead back to themselves, and branch at each step.
func FuzzTree(f *testing.F) {
	wide := [][]string{{"v", segment(0, 4, `type = "striped" stripe_size = 8 stripes = ["w", 0, "w", 0, "w", 0, "w", 0]`)},
		{"w", segment(0, 4, `type = "striped" stripe_size = 8 stripes = ["v", 0, "v", 0, "v", 0, "v", 0]`)}}
	var deep [][]string
	for i := range 15 {
		n := string(rune('a' + i))
		on := string(rune('b' + i))
		if i == 14 {
			on = "pv0"
		}
		deep = append(deep, []string{n, segment(0, 2, `type = "mirror" mirrors = ["`+on+`", 0, "`+on+`", 0, "`+on+`", 0]`)})
	}
	f.Add(groupText(1, wide), []byte(nil))
	f.Add(groupText(1, deep), []byte(nil))
	f.Add(groupText(1, [][]string{
		{"v", segment(0, 32, raid5)}, {"i0", segment(0, 16, `type = "striped" stripes = ["pv0", 100]`)}, {"i1", segment(0, 16, `type = "striped" stripes = ["pv0", 120]`)},
		{"i2", segment(0, 16, `type = "error"`)}, {"m0", segment(0, 2, `type = "striped" stripes = ["pv0", 0]`)},
		{"m1", segment(0, 2, `type = "striped" stripes = ["pv0", 3]`)}, {"m2", segment(0, 2, `type = "striped" stripes = ["pv0", 5]`)},
	}), superblock(0, 3, nil))
	f.Add(groupText(1, [][]string{
		{"v", segment(0, 4, `type = "mirror" region_size = 8 mirror_log = "l" mirrors = ["i", 0, "j", 1]`)}, {"i", segment(0, 4, `type = "error"`)},
		{"j", segment(0, 5, `type = "striped" stripes = ["pv0", 7]`)}, {"l", segment(0, 1, `type = "striped" stripes = ["pv0", 0]`)},
	}), append([]byte("rRiM\x02\x00\x00\x00\x04"), make([]byte, 1024)...))
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		if len(text) > 1<<19 || len(data) > 1<<18 {
			return
		}
		image := pvimage.Usual(id(100), first+500*extent, text).Image()
		copy(image[first:], data)
		path := filepath.Join(t.TempDir(), "disk")
		devicetest.WriteFile(t, path, image)
		began := time.Now()
		s, err := volume.Look(volume.Options{Given: []string{path}, Tell: func(string, string) {}})
		t.Cleanup(s.Close)
		if err != nil || len(s.Groups.All) == 0 {
			return
		}
		g := s.Groups.All[0]
		for _, l := range g.Logical {
			v := s.Volume(g.Name+"/"+l.Name, g, l)
			_ = v.RefuseWriting()
			d, err := v.Open()
			if err != nil {
				continue
			}
			if d.Size() != g.Size(l) {
				t.Errorf("%s: %d bytes, want %d", l.Name, d.Size(), g.Size(l))
			}
			_, _ = d.ReadAt(make([]byte, 1<<17), 0)
			_, _ = d.ReadAt(make([]byte, 5000), d.Size()/2)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
