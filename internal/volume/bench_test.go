package volume_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"dmcow/internal/pvimage"
	"dmcow/internal/volume"
)

// BenchmarkRead reads volumes of 64 MiB, from image files in the page cache, a mebibyte at a time: an array at least at
// 0.8 of the rate of a linear one.
func BenchmarkRead(b *testing.B) {
	const images, extents = 4, 16384
	logical := [][]string{{"linear", segment(0, extents, `type = "striped" stripes = ["pv0", 20000]`)}}
	array := func(name, kind string, n, data, place int) {
		names := ""
		for i := range n {
			part := fmt.Sprintf("%s_%d", name, i)
			logical = append(logical, []string{part, segment(0, extents/data, fmt.Sprintf(`type = "striped" stripes = ["pv%d", %d]`, i, place))})
			logical = append(logical, []string{part + "m", segment(0, 2, fmt.Sprintf(`type = "striped" stripes = ["pv%d", %d]`, i, place+extents/data))})
			names += fmt.Sprintf("%q, %q,", part+"m", part)
		}
		logical = append(logical, []string{name, segment(0, extents, fmt.Sprintf(`type = %q device_count = %d stripe_size = 128 raids = [%s]`, kind, n, names))})
	}
	array("raid1", "raid1", 2, 1, 40000)
	array("raid0", "raid0_meta", 4, 4, 60000)
	array("raid5", "raid5", 3, 2, 65000)
	var paths []string
	for i := range images {
		image := pvimage.Usual(id(100+i), first+80000*extent, bigText(images, logical)).Image()
		copy(image[first+(65000+extents/2)*extent:], superblock(i, 3, nil))
		paths = append(paths, filepath.Join(b.TempDir(), fmt.Sprint("disk", i)))
		if err := os.WriteFile(paths[i], image, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, volume string
		disks        []string
	}{{"linear", "linear", paths}, {"raid1", "raid1", paths}, {"raid0", "raid0", paths}, {"raid5", "raid5", paths}, {"raid5-degraded", "raid5", paths[1:]}} {
		b.Run(c.name, func(b *testing.B) {
			s, err := volume.Look(volume.Options{Given: c.disks, Tell: func(string, string) {}})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			g, err := s.Group("vg0")
			if err != nil {
				b.Fatal(err)
			}
			d, err := s.Volume("vg0/"+c.volume, g, g.Find(c.volume)).Open()
			if err != nil {
				b.Fatal(err)
			}
			p := make([]byte, 1<<20)
			b.SetBytes(d.Size())
			for b.Loop() {
				for at := int64(0); at < d.Size(); at += int64(len(p)) {
					if _, err := d.ReadAt(p, at); err != nil && err != io.EOF {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
