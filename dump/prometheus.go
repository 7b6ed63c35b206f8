package dump

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
	{"dmcow_snapshot_free_bytes", "Bytes that the kernel can still save before the snapshot is lost.", freeBytes},
	{"dmcow_snapshot_leaked_chunks", "Chunks lost to holes.", count(func(u *Usage) *uint64 { return u.LeakedChunks })},
	{"dmcow_snapshot_minimum_bytes", "Size that the COW device can be shrunk to.", inBytes(func(u *Usage) *uint64 { return u.MinimumSectors })},
	{"dmcow_snapshot_maximum_bytes", "Size that the COW device needs at most.", inBytes(func(u *Usage) *uint64 { return u.MaximumSectors })},
	{"dmcow_snapshot_merging", "Whether a merge into the origin was begun.", func(u *Usage) string { return flag(u.LeftToMerge != nil) }},
	{"dmcow_snapshot_created_timestamp_seconds", "When LVM made the snapshot, in seconds since 1970.", created},
	{"dmcow_snapshot_monitored", "Whether dmeventd monitors the active LVM snapshot.", func(u *Usage) string {
		if u.Monitored == nil {
			return ""
		}
		return flag(*u.Monitored)
	}},
	{"dmcow_snapshot_autoextend_threshold_percent", "How full the snapshot is when dmeventd extends it, in percent, as in lvm.conf; 100 for never.",
		count(func(u *Usage) *uint64 { return u.Autoextend })},
	{"dmcow_snapshot_left_to_merge", "Exceptions that are left of a merge into the origin that was begun.", count(func(u *Usage) *uint64 { return u.LeftToMerge })},
}

// Sample is what Prometheus is told of a store: its usage, nil where it cannot be read, and its labels, of which those
// that are empty are left out.
type Sample struct {
	Usage                        *Usage
	Partly                       bool // not all of it could be read
	Device, VG, LV, UUID, Origin string
}

// Build is which dmcow this is.
type Build struct{ Version, Go string }

// PrometheusHead is the first line of what UsagePrometheus writes.
const PrometheusHead = "# HELP " + readable + " " + readableHelp

// What is said once.
const (
	buildInfo   = "dmcow_build_info"
	buildHelp   = "Which dmcow wrote this."
	written     = "dmcow_textfile_timestamp_seconds"
	writtenHelp = "When this was written, in seconds since 1970."
)

// UsagePrometheus writes what comes behind PrometheusHead: a text file for the collector of that name in Prometheus's
// node_exporter.
func UsagePrometheus(w io.Writer, all []Sample, by Build, now time.Time) error {
	var b strings.Builder
	gauge(&b, readable)
	for i := range all {
		all[i].write(&b, readable, flag(all[i].Usage != nil && !all[i].Partly))
	}
	for _, m := range metrics {
		titled := false
		for i := range all {
			if all[i].Usage == nil {
				continue
			}
			v := m.value(all[i].Usage)
			if v == "" {
				continue
			}
			if !titled {
				title(&b, m.name, m.help)
				titled = true
			}
			all[i].write(&b, m.name, v)
		}
	}
	title(&b, buildInfo, buildHelp)
	fmt.Fprintf(&b, "%s{goversion=\"%s\",version=\"%s\"} 1\n", buildInfo, label(by.Go), label(by.Version))
	title(&b, written, writtenHelp)
	fmt.Fprintf(&b, "%s %d\n", written, now.Unix())
	_, err := io.WriteString(w, b.String())
	return err
}

func title(b *strings.Builder, name, help string) {
	fmt.Fprintf(b, "# HELP %s %s\n", name, help)
	gauge(b, name)
}

func gauge(b *strings.Builder, name string) { fmt.Fprintf(b, "# TYPE %s gauge\n", name) }

var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// label is the value of a label. Names of files may hold bytes that are no text, with which Prometheus would take nothing
// of all that is written: they are told by number, so that two names stay two.
func label(s string) string {
	if utf8.ValidString(s) {
		return escapeLabel.Replace(s)
	}
	var b strings.Builder
	for i, r := range s {
		if _, size := utf8.DecodeRuneInString(s[i:]); r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		} else {
			b.WriteRune(r)
		}
	}
	return escapeLabel.Replace(b.String())
}

// write writes a sample of a metric.
func (s *Sample) write(b *strings.Builder, name, value string) {
	fmt.Fprintf(b, "%s{device=\"%s\"", name, label(s.Device))
	for _, l := range [][2]string{{"lv", s.LV}, {"origin", s.Origin}, {"uuid", s.UUID}, {"vg", s.VG}} {
		if l[1] != "" {
			fmt.Fprintf(b, ",%s=\"%s\"", l[0], label(l[1]))
		}
	}
	fmt.Fprintf(b, "} %s\n", value)
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

func freeBytes(u *Usage) string {
	if u.FreeChunks == nil || u.ChunkSectors == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*u.FreeChunks)*float64(*u.ChunkSectors)*format.SectorSize, 'f', -1, 64)
}

func created(u *Usage) string {
	if u.Created == nil {
		return ""
	}
	at, err := time.Parse(time.RFC3339, *u.Created)
	if err != nil {
		return ""
	}
	return strconv.FormatInt(at.Unix(), 10)
}
