package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/partition/gpt"

	"dmcow/dump"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/stdio"
	"dmcow/internal/volume"
	"dmcow/lvm"
	"dmcow/store/look"
)

// partition writes a GPT with one partition to an image.
func partition(t *testing.T, path string, start, sectors uint64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	disk, err := file.New(f, false).Writable()
	if err != nil {
		t.Fatal(err)
	}
	table := &gpt.Table{
		LogicalSectorSize: 512, PhysicalSectorSize: 512, ProtectiveMBR: true,
		Partitions: []*gpt.Partition{{Index: 1, Start: start, Size: sectors * 512, Type: gpt.LinuxLVM, Name: "lvm"}},
	}
	if err := table.Write(disk, info.Size()); err != nil {
		t.Fatal(err)
	}
}

// lvmGroups are the volume groups in testdata/lvm.
var lvmGroups = []string{"linear", "striped", "several", "gpt", "wrapped"}

// lvmImages unpacks the disks of a volume group in testdata/lvm.
func lvmImages(t *testing.T, name string) (f lvmFacts, paths []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(sourceDir, "../testdata/lvm", name+".json"))
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, d := range f.Disks {
		path := filepath.Join(dir, strings.TrimSuffix(d, ".gz"))
		devicetest.WriteFile(t, path, devicetest.Unzip(t, filepath.Join(sourceDir, "../testdata/lvm", d)))
		paths = append(paths, path)
	}
	return f, paths
}

// volumeContent is what a logical volume on some disks holds.
func volumeContent(t *testing.T, name string, disks []string) []byte {
	t.Helper()
	sight, err := volume.Look(volume.Options{Given: disks, Tell: func(string, string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer sight.Close()
	group, logical, _ := lvm.SplitName(name)
	g, err := sight.Group(group)
	if err != nil {
		t.Fatal(err)
	}
	d, err := sight.Volume(name, g, g.Find(logical)).Open()
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, d.Size())
	if _, err := d.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	return content
}

// lvmView is what a snapshot shows: its origin, and in it what the store has.
func lvmView(t *testing.T, name, origin string, disks []string) []byte {
	t.Helper()
	view, cow := volumeContent(t, origin, disks), devicetest.Of(volumeContent(t, name, disks))
	id, err := look.Loadable(cow)
	if err != nil {
		t.Fatal(err)
	}
	chunk := int(id.Geometry.ChunkBytes())
	_, err = format.Each(id.Walk(cow), nil, func(_ *struct{}, b format.Batch) error {
		for _, x := range b.Exceptions() {
			at := int(x.Old) * chunk
			if _, err := cow.ReadAt(view[at:min(at+chunk, len(view))], int64(x.New)*int64(chunk)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// TestLVMImages: of the volume groups in testdata/lvm, on images, each snapshot is listed
// and read as LVM and the kernel did; merged, its origin is what the kernel showed, and the
// other snapshots show what they did.
func TestLVMImages(t *testing.T) {
	for _, scenario := range lvmGroups {
		t.Run(scenario, func(t *testing.T) {
			f, disks := lvmImages(t, scenario)
			worst := 0
			for _, s := range f.Snapshots {
				if s.State == "invalid" {
					worst = 2
				}
			}
			listed := list(t, worst, pv(disks)...)
			if len(listed) != len(f.Snapshots) {
				t.Errorf("%d snapshots are listed, want %d", len(listed), len(f.Snapshots))
			}
			for name, want := range f.Snapshots {
				want.checkListed(t, listed[name])
				want.checkRead(t, name, disks)
			}
			expect(t, 0, append([]string{"merge", "--yes", f.Merge}, pv(disks)...)...)
			merged := f.Snapshots[f.Merge]
			if got := corpus.Digest(volumeContent(t, merged.Origin, disks)); got != merged.View {
				t.Error("the origin is not what the snapshot was")
			}
			for name, s := range f.Snapshots {
				if s.State == "valid" && corpus.Digest(lvmView(t, name, s.Origin, disks)) != s.View {
					t.Errorf("%s does not show what it showed", name)
				}
			}
			if u := usageOf(t, append([]string{f.Merge}, pv(disks)...)...); *u.Exceptions != 0 {
				t.Errorf("the merged snapshot has %d exceptions left", *u.Exceptions)
			}
		})
	}
}

// checkListed compares what dmcow lists of a snapshot with what lvs said.
func (f lvmFact) checkListed(t *testing.T, l dump.Listed) {
	t.Helper()
	if l.Active || l.Merging || l.COWDevice != nil || *l.Origin != f.Origin || l.State != f.State || *l.ChunkSectors != f.ChunkSectors ||
		*l.TotalSectors != f.Sectors || *l.OriginSectors != f.OriginSectors {
		t.Errorf("listed as %+v, want %+v", l, f)
	}
	if got := fmt.Sprintf("%.2f", *l.Percent); l.State == "valid" && got != f.Percent {
		t.Errorf("%s: %s%% full, want %s%%", l.Name, got, f.Percent)
	}
}

// checkRead compares what a snapshot holds and shows with what it did when LVM had it
// active.
func (f lvmFact) checkRead(t *testing.T, name string, disks []string) {
	t.Helper()
	want := 0
	if f.State == "invalid" {
		want = 2
	}
	stdout, _ := expect(t, want, append([]string{"dump", "--output", "csv", name}, pv(disks)...)...)
	if corpus.Digest([]byte(stdout)) != f.Dump {
		t.Errorf("%s: the dump is another", name)
	}
	if f.State == "valid" && corpus.Digest(lvmView(t, name, f.Origin, disks)) != f.View {
		t.Errorf("%s shows something else", name)
	}
	var r struct {
		Result   string
		Untested []string
		Findings []struct{ Severity string }
	}
	stdout, _ = expect(t, want, append([]string{"check", "--output", "json", name}, pv(disks)...)...)
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Findings {
		if x.Severity == "error" {
			t.Errorf("%s: %s", name, stdout)
		}
	}
	if len(r.Untested) > 0 {
		t.Errorf("%s: not tested: %q", name, r.Untested)
	}
}

// TestInterruptedLooking: a signal ends the look at physical volumes, too.
func TestInterruptedLooking(t *testing.T) {
	_, disks := lvmImages(t, "striped")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, args := range map[string][]string{
		"my-vg.1/the-origin.x": {"check", "my-vg.1/the-origin.x"},
		"list":                 {"list"},
	} {
		var said bytes.Buffer
		a := &app{ctx: ctx, stderr: stdio.NewErrors(&said), stdout: stdio.NewOutput(io.Discard, false)}
		a.fail(a.run(append(args, pv(disks)...)))
		if a.status != statusInterrupted || said.String() != "dmcow: "+name+": interrupted\n" {
			t.Errorf("%s: exit status %d: %s", name, a.status, &said)
		}
		a.end()
	}
}
