package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"dmcow/format"
	"dmcow/internal/pvimage"
)

// The limits of what lists a group.
const (
	listLimit       = 2000.0 // ms of processor time, for 10,000 snapshots
	listGrowthLimit = 20.0   // times that, for ten times as many
)

// Of the groups that are made here: extents of one chunk, and of each snapshot the COW store as large as four.
const (
	cowExtents    = 4
	originExtents = 16
	groupStart    = 192 << 20 // of the first extent, in bytes: the text of a large group is long
)

// groups prints how long it takes to list groups of many snapshots: of one origin, and of one each.
func (b *bench) groups() error {
	fmt.Printf("\nGroups of many snapshots, each with a store of its own: list --pv.\n\n")
	for _, order := range []string{"one", "each"} {
		var took []float64
		for _, n := range []uint64{10_000, 100_000} {
			s, err := b.listGroup(n, order)
			if err != nil {
				return err
			}
			took = append(took, milliseconds(s.cpu))
			fmt.Printf("%7d snapshots, origins: %-4s  %8.0f ms, %8.0f ms of processor time, %6.1f MiB\n", n, order, milliseconds(s.elapsed),
				milliseconds(s.cpu), float64(s.peak)/1024)
		}
		fmt.Printf("limits of processor time %.0f ms, and %.0f times that for ten times as many: %.1f%s\n", listLimit, listGrowthLimit, took[1]/took[0],
			mark(took[0] > listLimit || took[1]/took[0] > listGrowthLimit))
	}
	return nil
}

// listGroup lists a group that it makes and removes, twice: the first time warms the cache.
func (b *bench) listGroup(n uint64, order string) (s sample, err error) {
	disk := filepath.Join(b.dir, "disk")
	defer os.Remove(disk)
	progress("list %d snapshots, origins: %s", n, order)
	if _, err = b.child("group", disk, n, order, ""); err != nil {
		return s, err
	}
	for range 2 {
		if s, err = b.run(b.dmcow, "list", "--output", "csv", "--pv", disk); err != nil {
			return s, err
		}
	}
	return s, nil
}

// writeGroup writes a physical volume with a group of n snapshots, of one origin or of one each.
func writeGroup(path string, n uint64, order string) error {
	origins := uint64(1)
	if order == "each" {
		origins = n
	}
	stores := int64(groupStart + origins*originExtents*4096)
	size := stores + int64(n*cowExtents*4096)
	v := pvimage.Volume{UUID: groupUUID(0), Size: groupStart, Label: 1}
	v.Areas = []pvimage.Area{{Offset: 4096, Size: groupStart - 4096, Start: 512, Text: groupText(n, origins)}}
	head := v.Image()
	return into(path, func(f *os.File) error {
		if err := f.Truncate(size); err != nil {
			return err
		}
		if _, err := f.WriteAt(bytes.TrimRight(head, "\x00"), 0); err != nil {
			return err
		}
		store := make([]byte, format.HeaderSize)
		format.Header{Magic: format.Magic, Valid: 1, Version: format.Version, ChunkSectors: 8}.Encode(store)
		for i := range n {
			if _, err := f.WriteAt(store, stores+int64(i*cowExtents*4096)); err != nil {
				return err
			}
		}
		return nil
	})
}

func groupUUID(n uint64) string { return fmt.Sprintf("%06d-0000-0000-0000-0000-0000-000000", n) }

// groupText is the text of such a group, as LVM writes it.
func groupText(n, origins uint64) string {
	var b strings.Builder
	extents := origins*originExtents + n*cowExtents
	fmt.Fprintf(&b, "vg0 {\nid = %q\nseqno = 1\nformat = \"lvm2\"\nstatus = [\"RESIZEABLE\", \"READ\", \"WRITE\"]\nextent_size = 8\n"+
		"physical_volumes {\npv0 {\nid = %q\ndevice = \"/dev/vda\"\nstatus = [\"ALLOCATABLE\"]\npe_start = %d\npe_count = %d\n}\n}\nlogical_volumes {\n",
		groupUUID(1), groupUUID(0), groupStart/512, extents)
	id := uint64(2)
	volume := func(name string, extents uint64, segment string) {
		fmt.Fprintf(&b, "\n%s {\nid = %q\nstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\nflags = []\ncreation_time = 1700000000\ncreation_host = \"host\"\n"+
			"segment_count = 1\n\nsegment1 {\nstart_extent = 0\nextent_count = %d\n\n%s}\n}\n", name, groupUUID(id), extents, segment)
		id++
	}
	linear := func(at uint64) string {
		return fmt.Sprintf("type = \"striped\"\nstripe_count = 1\n\nstripes = [\n\"pv0\", %d\n]\n", at)
	}
	for i := range origins {
		volume(fmt.Sprint("origin", i), originExtents, linear(i*originExtents))
	}
	for i := range n {
		volume(fmt.Sprint("snap", i), cowExtents, linear(origins*originExtents+i*cowExtents))
	}
	for i := range n {
		volume(fmt.Sprint("snapshot", i), originExtents,
			fmt.Sprintf("type = \"snapshot\"\nchunk_size = 8\norigin = \"origin%d\"\ncow_store = \"snap%d\"\n", i%origins, i))
	}
	b.WriteString("}\n}\ncontents = \"Text Format Volume Group\"\nversion = 1\n")
	return b.String()
}
