package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dmcow/format"
	"dmcow/internal/pvimage"
)

// layoutLimits are the least rates of an export, as a part of the rate from a linear origin.
var layoutLimits = []struct {
	name  string
	least float64
}{{"linear", 0}, {"striped", 0.8}, {"raid1", 0.8}, {"raid0", 0.8}, {"raid10", 0.8}, {"raid5", 0}, {"raid6", 0}}

// Of the groups that are made here: disks with extents of 64 KiB.
const (
	layoutDisks  = 4
	layoutExtent = 64 << 10
)

// layouts prints how fast snapshots are exported whose origins, of so many bytes, are kept in this way or that.
func (b *bench) layouts(size format.Bytes) error {
	dir := filepath.Join(b.dir, "layouts")
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	progress("layouts: writing the disks")
	if _, err := b.child("layouts", dir, uint64(size), "", ""); err != nil {
		return err
	}
	out := filepath.Join(b.dir, "out")
	fmt.Printf("\nExports of snapshots of %d MiB, by the origin's layout; rates are linear's time by theirs (runs: %d).\n\n", size>>20, b.runs)
	export := func(name string) measure {
		return func() (sample, error) {
			os.Remove(out)
			defer os.Remove(out)
			return b.run(b.dmcow, "export", "vg0/"+name+"_snap", out, "--pv", dir)
		}
	}
	for _, l := range layoutLimits {
		f, err := b.warmed(l.name, export("linear"), export(l.name))
		if err != nil {
			return err
		}
		rate, cpu := 1/f.ratio, 1/f.cpu
		fmt.Printf("%-8s %7.0f ms, linear %7.0f ms: rate %.2f (%.2f to %.2f), by processor time %.2f; at least %.1f%s\n",
			l.name, f.elapsed, f.floor, rate, 1/f.most, 1/f.least, cpu, l.least, mark(rate < l.least && cpu < l.least))
	}
	return nil
}

// layoutGroup is the text of a group that is being made.
type layoutGroup struct {
	text    strings.Builder
	ids     uint64
	next    [layoutDisks]uint64 // free extents
	headers []layoutPlace       // what is to stand on the disks
}

type layoutPlace struct {
	disk   int
	extent uint64
	bytes  []byte
}

func (g *layoutGroup) volume(name string, extents uint64, segment string) {
	g.ids++
	fmt.Fprintf(&g.text, "%s { id = %q status = [\"READ\", \"WRITE\", \"VISIBLE\"] segment_count = 1\nsegment1 { start_extent = 0 extent_count = %d %s } }\n",
		name, groupUUID(g.ids), extents, segment)
}

// linear makes a volume on a disk, with content at its beginning.
func (g *layoutGroup) linear(name string, disk int, extents uint64, content []byte) {
	g.volume(name, extents, fmt.Sprintf("type = \"striped\" stripe_count = 1 stripes = [ \"pv%d\", %d ]", disk, g.next[disk]))
	g.headers = append(g.headers, layoutPlace{disk, g.next[disk], content})
	g.next[disk] += extents
}

// array makes a volume of RAID on so many disks, of which so many hold data; level is what dm-raid calls it, with the layout.
func (g *layoutGroup) array(name, kind string, level [2]uint32, n int, data, extents uint64) {
	var parts []string
	for i := range n {
		image, meta := fmt.Sprintf("%s_rimage_%d", name, i), fmt.Sprintf("%s_rmeta_%d", name, i)
		if kind != "raid0" {
			g.linear(meta, i, 1, layoutSuperblock(i, n, level))
			parts = append(parts, fmt.Sprintf("%q", meta))
		}
		g.linear(image, i, extents/data, nil)
		parts = append(parts, fmt.Sprintf("%q", image))
	}
	list := "raids"
	if kind == "raid0" {
		list = "raid0_lvs"
	}
	g.volume(name, extents, fmt.Sprintf("type = %q device_count = %d stripe_size = 128 region_size = 1024 %s = [ %s ]", kind, n, list, strings.Join(parts, ", ")))
}

// layoutSuperblock is what dm-raid keeps of an image of an array that is in sync.
func layoutSuperblock(image, images int, level [2]uint32) []byte {
	b, le := make([]byte, 512), binary.LittleEndian
	le.PutUint32(b, 0x64526D44)
	le.PutUint32(b[8:], uint32(images))
	le.PutUint32(b[12:], uint32(image))
	le.PutUint64(b[16:], 10)         // events
	le.PutUint64(b[32:], ^uint64(0)) // recovered
	le.PutUint64(b[40:], ^uint64(0)) // in sync
	le.PutUint32(b[48:], level[0])
	le.PutUint32(b[52:], level[1])
	le.PutUint32(b[56:], 128) // sectors of a chunk
	return b
}

// writeLayouts makes the disks of a group that has a snapshot of an origin of each layout.
func writeLayouts(dir string, size int64) error {
	g := &layoutGroup{ids: 100}
	extents := uint64(size/layoutExtent) / 12 * 12
	h := make([]byte, format.HeaderSize)
	format.Header{Magic: format.Magic, Valid: 1, Version: format.Version, ChunkSectors: 8}.Encode(h)
	g.linear("linear", 0, extents, nil)
	g.volume("striped", extents, fmt.Sprintf("type = \"striped\" stripe_count = 2 stripe_size = 128 stripes = [ \"pv1\", %d, \"pv2\", %d ]", g.next[1], g.next[2]))
	g.next[1], g.next[2] = g.next[1]+extents/2, g.next[2]+extents/2
	g.array("raid1", "raid1", [2]uint32{1, 0}, 2, 1, extents)
	g.array("raid0", "raid0", [2]uint32{}, 4, 4, extents)
	g.array("raid10", "raid10", [2]uint32{10, 0x102}, 4, 2, extents)
	g.array("raid5", "raid5_ls", [2]uint32{5, 2}, 3, 2, extents)
	g.array("raid6", "raid6_zr", [2]uint32{6, 8}, 4, 2, extents)
	for _, l := range layoutLimits {
		g.linear(l.name+"_snap", 3, 2, h)
		g.volume("of_"+l.name, extents, fmt.Sprintf("type = \"snapshot\" chunk_size = 8 origin = %q cow_store = %q", l.name, l.name+"_snap"))
	}
	return g.write(dir)
}

func (g *layoutGroup) write(dir string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "vg0 { id = %q seqno = 1 extent_size = %d physical_volumes {\n", groupUUID(1), layoutExtent/512)
	for i, n := range g.next {
		fmt.Fprintf(&b, "pv%d { id = %q device = \"/dev/vd%[1]d\" pe_start = 2048 pe_count = %[3]d }\n", i, groupUUID(uint64(10+i)), n)
	}
	fmt.Fprintf(&b, "} logical_volumes {\n%s} }\nversion = 1\n", g.text.String())
	content := bytes.Repeat([]byte("what an origin has, which is not zero\n"), layoutExtent)
	for i, n := range g.next {
		head := pvimage.Usual(groupUUID(uint64(10+i)), 1<<20, b.String()).Image()
		err := into(filepath.Join(dir, fmt.Sprint("disk", i)), func(f *os.File) error {
			if _, err := f.WriteAt(head, 0); err != nil {
				return err
			}
			for e := range n {
				at := int64(e) * layoutExtent
				if _, err := f.WriteAt(content[at%1000:][:layoutExtent], 1<<20+at); err != nil {
					return err
				}
			}
			for _, p := range g.headers {
				if p.disk != i || p.bytes == nil {
					continue
				}
				if _, err := f.WriteAt(append(p.bytes, make([]byte, 8192-len(p.bytes))...), 1<<20+int64(p.extent)*layoutExtent); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
