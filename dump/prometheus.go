package dump

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"dmcow/format"
)

// The value of a metric is empty where it is not known.
type metric struct {
	name, help string
	value      func(*Usage) string
}

// readable is the metric of every device; the others are of those that could be read.
const (
	readable     = "dmcow_device_readable"
	readableHelp = "Whether the COW device could be read."
)

var metrics = []metric{
	{"dmcow_snapshot_valid", "Whether the snapshot is valid, or the device blank, and the store not damaged.",
		func(u *Usage) string { return flag(u.State == "valid" || u.State == "uninitialized") }},
	{"dmcow_snapshot_damaged", "Whether the store is damaged.",
		func(u *Usage) string { return flag(u.State == "damaged") }},
	{"dmcow_snapshot_chunk_size_bytes", "Size of a chunk.", inBytes(func(u *Usage) *uint64 { return u.ChunkSectors })},
	{"dmcow_snapshot_size_bytes", "Size of the COW device.", inBytes(func(u *Usage) *uint64 { return u.TotalSectors })},
	{"dmcow_snapshot_allocated_bytes", "Allocated part of the COW device.", inBytes(func(u *Usage) *uint64 { return u.AllocatedSectors })},
	{"dmcow_snapshot_metadata_bytes", "Part of the COW device that is metadata.", inBytes(func(u *Usage) *uint64 { return u.MetadataSectors })},
	{"dmcow_snapshot_used_ratio", "How full the COW device is, from 0 to 1; 1 for an invalid snapshot.", ratio(func(u *Usage) *float64 { return u.Percent })},
	{"dmcow_snapshot_filled_ratio", "How much of the COW device the list uses, from 0 to 1.", ratio(func(u *Usage) *float64 { return u.FilledPercent })},
	{"dmcow_snapshot_exceptions", "Exceptions in the store.", count(func(u *Usage) *uint64 { return u.Exceptions })},
	{"dmcow_snapshot_areas", "Metadata areas in use.", count(func(u *Usage) *uint64 { return u.Areas })},
	{"dmcow_snapshot_free_chunks", "Exceptions that can still be stored before the snapshot is lost.", count(func(u *Usage) *uint64 { return u.FreeChunks })},
	{"dmcow_snapshot_leaked_chunks", "Chunks lost to holes.", count(func(u *Usage) *uint64 { return u.LeakedChunks })},
	{"dmcow_snapshot_minimum_bytes", "Size that the COW device can be shrunk to.", inBytes(func(u *Usage) *uint64 { return u.MinimumSectors })},
	{"dmcow_snapshot_maximum_bytes", "Size that the COW device needs at most.", inBytes(func(u *Usage) *uint64 { return u.MaximumSectors })},
	{"dmcow_snapshot_left_to_merge", "Exceptions that are left of a merge into the origin that was begun.", count(func(u *Usage) *uint64 { return u.LeftToMerge })},
}

// UsagePrometheus writes a text file for the collector of that name in
// Prometheus's node_exporter. unreadable names the devices of which there is no
// usage.
func UsagePrometheus(w io.Writer, all []Usage, unreadable []string) error {
	var b strings.Builder
	title(&b, readable, readableHelp)
	for _, u := range all {
		sample(&b, readable, u.Device, "1")
	}
	for _, device := range unreadable {
		sample(&b, readable, device, "0")
	}
	for _, m := range metrics {
		titled := false
		for i := range all {
			v := m.value(&all[i])
			if v == "" {
				continue
			}
			if !titled {
				title(&b, m.name, m.help)
				titled = true
			}
			sample(&b, m.name, all[i].Device, v)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func title(b *strings.Builder, name, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func sample(b *strings.Builder, name, device, value string) {
	fmt.Fprintf(b, "%s{device=\"%s\"} %s\n", name, escapeLabel.Replace(device), value)
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// known is the text of a field, empty where that is null.
func known[N any](field func(*Usage) *N, text func(N) string) func(*Usage) string {
	return func(u *Usage) string {
		if n := field(u); n != nil {
			return text(*n)
		}
		return ""
	}
}

// inBytes is the value of a field that counts sectors.
func inBytes(field func(*Usage) *uint64) func(*Usage) string {
	return known(field, func(n uint64) string {
		return strconv.FormatFloat(float64(n)*format.SectorSize, 'f', -1, 64)
	})
}

func count(field func(*Usage) *uint64) func(*Usage) string {
	return known(field, func(n uint64) string { return strconv.FormatUint(n, 10) })
}

// ratio is the value of a field in per cent.
func ratio(field func(*Usage) *float64) func(*Usage) string {
	return known(field, func(p float64) string { return strconv.FormatFloat(p/100, 'f', 4, 64) })
}
