package dump

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// sample stores: one of which all is known, and one of which nothing is.
func sampleUsage() []Usage {
	n := func(v uint64) *uint64 { return &v }
	percent, status := 56.57, "3168/5600 24"
	return []Usage{
		{
			Device: "/dev/mapper/vg-snap-cow", State: "valid", ChunkSectors: n(8), TotalSectors: n(5600),
			AllocatedSectors: n(3168), MetadataSectors: n(24), Percent: &percent, Exceptions: n(393), Areas: n(2),
			NextFreeChunk: n(396), FreeChunks: n(303), LeakedChunks: n(0), MinimumSectors: n(3168),
			MaximumSectors: n(1 << 40), Status: &status, FilledPercent: &percent,
		},
		{Device: "a\"b\\c\nd", State: "damaged", TotalSectors: n(7)},
	}
}

// TestUsageJSON holds the object to the field names, order and types that
// programs rely on.
func TestUsageJSON(t *testing.T) {
	const want = `[{"device":"/dev/mapper/vg-snap-cow","state":"valid","chunk_sectors":8,"total_sectors":5600,` +
		`"allocated_sectors":3168,"metadata_sectors":24,"percent":56.57,"exceptions":393,"areas":2,"next_free_chunk":396,` +
		`"free_chunks":303,"leaked_chunks":0,"minimum_sectors":3168,"maximum_sectors":1099511627776,"status":"3168/5600 24",` +
		`"filled_percent":56.57,"error":null,"created":null,"left_to_merge":null,"monitored":null,"autoextend_threshold":null}]`
	var one, compact bytes.Buffer
	if err := UsageJSON(&one, sampleUsage()[:1]); err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&compact, one.Bytes()); err != nil || compact.String() != want {
		t.Errorf("got  %s (%v)\nwant %s", &compact, err, want)
	}
	var all []map[string]any
	one.Reset()
	if err := UsageJSON(&one, sampleUsage()); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(one.Bytes(), &all); err != nil || len(all) != 2 || all[1]["status"] != nil {
		t.Errorf("%s (%v)", &one, err)
	}
	one.Reset()
	if err := UsageJSON(&one, nil); err != nil || one.String() != "[]\n" {
		t.Errorf("no stores: %q (%v)", &one, err)
	}
}

// prometheus writes these stores, and one that cannot be read.
func prometheus(w *strings.Builder, all []Usage) error {
	var samples []Sample
	for i := range all {
		samples = append(samples, Sample{Usage: &all[i], Device: all[i].Device, VG: "vg\"0", LV: all[i].Device[:1], Origin: "vg0/origin"})
	}
	w.WriteString(PrometheusHead + "\n")
	return UsagePrometheus(w, append(samples, Sample{Device: "/dev/none"}, Sample{Device: "\ufffd\xff.cow"}), Build{"1.2", "go1"}, time.Unix(1700000000, 0))
}

// TestPrometheus has Prometheus's own linter read the text file.
func TestPrometheus(t *testing.T) {
	for name, usage := range map[string][]Usage{"some": sampleUsage(), "none": nil} {
		for i := range usage { // every metric has a sample
			usage[i].Monitored, usage[i].Autoextend, usage[i].Created = new(true), new(uint64(100)), CreatedAt(time.Unix(1700000000, 0))
		}
		var b strings.Builder
		if err := prometheus(&b, usage); err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.New(strings.NewReader(b.String())).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v in\n%s", name, problems, err, &b)
		}
	}
	var b strings.Builder
	all := sampleUsage()
	all[0].LeftToMerge, all[0].Monitored, all[0].Autoextend = new(uint64(12)), new(false), new(uint64(70))
	if err := prometheus(&b, all); err != nil {
		t.Fatal(err)
	}
	if strings.Count(b.String(), "left_to_merge{") != 1 {
		t.Error("what is left is told where nothing is merged")
	}
	for _, line := range []string{
		`dmcow_device_readable{device="/dev/none"} 0`,
		`dmcow_device_readable{device="�\\xff.cow"} 0`,
		`dmcow_build_info{goversion="go1",version="1.2"} 1`,
		`dmcow_textfile_timestamp_seconds 1700000000`,
		`dmcow_snapshot_free_bytes{device="/dev/mapper/vg-snap-cow",lv="/",origin="vg0/origin",vg="vg\"0"} 1241088`,
		`dmcow_snapshot_size_bytes{device="a\"b\\c\nd",lv="a",origin="vg0/origin",vg="vg\"0"} 3584`,
		`dmcow_snapshot_damaged{device="a\"b\\c\nd",lv="a",origin="vg0/origin",vg="vg\"0"} 1`,
		`dmcow_snapshot_used_ratio{device="/dev/mapper/vg-snap-cow",lv="/",origin="vg0/origin",vg="vg\"0"} 0.5657`,
		`dmcow_snapshot_maximum_bytes{device="/dev/mapper/vg-snap-cow",lv="/",origin="vg0/origin",vg="vg\"0"} 562949953421312`,
		`dmcow_snapshot_monitored{device="/dev/mapper/vg-snap-cow",lv="/",origin="vg0/origin",vg="vg\"0"} 0`,
		`dmcow_snapshot_autoextend_threshold_percent{device="/dev/mapper/vg-snap-cow",lv="/",origin="vg0/origin",vg="vg\"0"} 70`,
		`dmcow_snapshot_left_to_merge{device="/dev/mapper/vg-snap-cow",lv="/",origin="vg0/origin",vg="vg\"0"} 12`,
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %s in\n%s", line, &b)
		}
	}
}
