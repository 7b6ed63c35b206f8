package cmd

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/pvimage"
	"dmcow/internal/storespec"
)

// twoOrigins is an image of a volume group with vg0/one and vg0/two, and snapshots of them, vg0/one-snap and vg0/two-snap,
// of so many exceptions with 8-sector chunks.
func twoOrigins(t testing.TB, exceptions int) []byte {
	t.Helper()
	const start, extent = 64 << 10, 4096
	chunks := int64(exceptions + exceptions/200 + 10) // of the origins and of the stores
	store := storespec.MustCompile(t, fmt.Sprintf("device %d\nheader chunk=8\nfill %d 3\ndata 9\n", chunks*8, exceptions))
	var text strings.Builder
	fmt.Fprintf(&text, "vg0 {\nid = \"VVVVVV-0000-0000-0000-0000-0000-000000\"\nseqno = 5\nextent_size = 8\nphysical_volumes {\n"+
		"pv0 { id = \"AAAAAA-0000-0000-0000-0000-0000-000000\" device = \"/dev/sda\" pe_start = %d pe_count = %d }\n}\nlogical_volumes {\n", start/512, 4*chunks)
	segment := func(number int, name, rest string) {
		fmt.Fprintf(&text, "%s { id = \"LLLLLL-0000-0000-0000-0000-0000-00000%d\" segment_count = 1\nsegment1 { start_extent = 0 extent_count = %d %s } }\n",
			name, number, chunks, rest)
	}
	for i, name := range []string{"one", "two"} {
		at := fmt.Sprintf("type = \"striped\" stripe_count = 1 stripes = [\"pv0\", %d]", 2*int64(i)*chunks)
		behind := fmt.Sprintf("type = \"striped\" stripe_count = 1 stripes = [\"pv0\", %d]", (2*int64(i)+1)*chunks)
		segment(3*i, name, at)
		segment(3*i+1, name+"-snap", behind)
		segment(3*i+2, fmt.Sprint("snapshot", i), fmt.Sprintf("type = \"snapshot\" chunk_size = 8 origin = %q cow_store = %q", name, name+"-snap"))
	}
	text.WriteString("}\n}\n")
	v := pvimage.Volume{UUID: "AAAAAA-0000-0000-0000-0000-0000-000000", Size: start + 4*chunks*extent, Label: 1}
	v.Areas = []pvimage.Area{{Offset: 4096, Size: 32 << 10, Start: 512, Text: text.String()}}
	image := v.Image()
	for i := range int64(2) {
		origin := image[start+2*i*chunks*extent:][:chunks*extent]
		copy(origin, kernellab.Pattern(0, uint64(chunks*8), uint64(i+1)))
		copy(image[start+(2*i+1)*chunks*extent:], store)
	}
	return image
}

// contents are what both origins of such a group hold, or both snapshots.
func contents(t *testing.T, disk string, names ...string) (digests []string) {
	t.Helper()
	for _, name := range names {
		file := filepath.Join(t.TempDir(), "image")
		if strings.HasSuffix(name, "-snap") {
			expect(t, 0, "export", name, "--pv", disk, file)
			digests = append(digests, corpus.Digest(kernellab.MustRead(t, file)))
			continue
		}
		content, _, err := readVolume(t, name, []string{disk})
		kernellab.Must(t, err)
		digests = append(digests, corpus.Digest(content))
	}
	return digests
}

// killedAt kills dmcow as soon as it says something.
func killedAt(t *testing.T, said string, args ...string) {
	t.Helper()
	cmd := exec.Command("dmcow", args...)
	stderr, err := cmd.StderrPipe()
	kernellab.Must(t, err)
	kernellab.Must(t, cmd.Start())
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), said) {
			_ = cmd.Process.Kill()
			_, _ = io.Copy(io.Discard, stderr)
			_ = cmd.Wait()
			return
		}
	}
	t.Fatalf("%q: it does not say %q", args, said)
}

// TestMergesKilled kills a merge of two snapshots before, between and behind them. Both show what they did, and the same
// command ends both; each undo log takes its own back.
func TestMergesKilled(t *testing.T) {
	image := twoOrigins(t, 600)
	t.Chdir(t.TempDir())
	args := []string{"merge", "vg0/one-snap", "vg0/two-snap", "--pv", "disk", "--yes", "--memory=1M", "--undo", "logs"}
	snaps, origins := []string{"vg0/one-snap", "vg0/two-snap"}, []string{"vg0/one", "vg0/two"}
	for _, said := range []string{"vg0/one: ", "vg0/two: 2.34 MiB in 600 chunks will be replaced", "vg0/one: merged", "undoes this", "vg0/two: merged"} {
		devicetest.WriteFile(t, "disk", image)
		kernellab.Must(t, os.RemoveAll("logs"))
		kernellab.Must(t, os.Mkdir("logs", 0o700))
		views, before := contents(t, "disk", snaps...), contents(t, "disk", origins...)
		killedAt(t, said, args...)
		if got := contents(t, "disk", snaps...); fmt.Sprint(got) != fmt.Sprint(views) {
			t.Fatalf("killed at %q: the snapshots show something else", said)
		}
		expect(t, 0, args...)
		if got := contents(t, "disk", origins...); fmt.Sprint(got) != fmt.Sprint(views) {
			t.Fatalf("killed at %q, and again: the origins are not what the snapshots were", said)
		}
		for i, o := range origins {
			log := "./logs/" + strings.ReplaceAll(strings.ReplaceAll(snaps[i], "-", "--"), "/", "-") + ".undo"
			expect(t, 0, "merge", log, "--into", o, "--pv", "disk", "--yes")
		}
		if got := contents(t, "disk", origins...); fmt.Sprint(got) != fmt.Sprint(before) {
			t.Fatalf("killed at %q, and taken back: the origins are not what they were", said)
		}
	}
}
