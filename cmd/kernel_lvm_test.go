package cmd

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/dump"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/kernellab/corpus"
	"dmcow/lvm"
)

// lvmScenario is a volume group that LVM makes, with snapshots in it.
type lvmScenario struct {
	name   string
	disks  []uint64 // in MiB
	gpt    bool     // the first disk has its physical volume in a partition
	pv, vg []string // options of pvcreate and vgcreate
	group  string
	make   func(l *lvmLab)
	merge  string // the snapshot that is merged
}

// lvmLab is a scenario on its way.
type lvmLab struct {
	*testing.T
	lvmScenario
	files []string // images of the disks
	loops []string // the physical volumes
}

func (l *lvmLab) lvm(args ...string) string {
	l.Helper()
	return kernellab.Run(l, "lvm", args...)
}

// mapped is the path of a logical volume, or of a layer of one.
func (l *lvmLab) mapped(volume, layer string) string {
	double := strings.NewReplacer("-", "--")
	path := "/dev/mapper/" + double.Replace(l.group) + "-" + double.Replace(volume)
	if layer != "" {
		path += "-" + layer
	}
	return path
}

// write writes 8-sector chunks to a volume.
func (l *lvmLab) write(volume string, version uint64, chunks ...uint64) {
	l.Helper()
	if failed, err := kernellab.WritePattern(l.mapped(volume, ""), 8, chunks, version); failed > 0 || err != nil {
		l.Fatal(volume, failed, err)
	}
}

// origin makes an origin and writes all of it.
func (l *lvmLab) origin(name string, kib uint64, options ...string) {
	l.Helper()
	l.lvm(append([]string{"lvcreate", "--yes", "--name", name, "--size", fmt.Sprint(kib, "k"), l.group}, options...)...)
	l.write(name, 1, span(0, kib/4)...)
}

func (l *lvmLab) snapshot(name, origin, chunk string, kib uint64, options ...string) {
	l.Helper()
	l.lvm(append([]string{"lvcreate", "--yes", "--snapshot", "--name", name, "--chunksize", chunk, "--size", fmt.Sprint(kib, "k"),
		l.group + "/" + origin}, options...)...)
}

func (l *lvmLab) extend(name string, kib uint64, pv ...string) {
	l.Helper()
	l.lvm(append([]string{"lvextend", "--size", fmt.Sprintf("+%dk", kib), l.group + "/" + name}, pv...)...)
}

var lvmScenarios = []lvmScenario{
	{
		name: "linear", disks: []uint64{12}, group: "vg0", vg: []string{"--physicalextentsize", "256k"}, merge: "snap",
		make: func(l *lvmLab) {
			l.origin("origin", 3072)
			l.snapshot("snap", "origin", "4k", 1024)
			l.write("origin", 2, 0, 1, 2, 300, 77, 78, 5)
			l.write("snap", 3, 10, 300, 11)
		},
	},
	{
		// Names with dashes and dots; the snapshot in three pieces, striped origin.
		name: "striped", disks: []uint64{8, 8, 8}, group: "my-vg.1", vg: []string{"--physicalextentsize", "128k"}, merge: "a-snap--shot.2",
		make: func(l *lvmLab) {
			l.origin("the-origin.x", 4608, "--stripes", "3", "--stripesize", "16k")
			l.snapshot("a-snap--shot.2", "the-origin.x", "8k", 512, l.loops[2])
			l.lvm("lvcreate", "--yes", "--name", "between", "--size", "256k", l.group, l.loops[2])
			l.extend("a-snap--shot.2", 512, l.loops[0])
			l.extend("a-snap--shot.2", 768, l.loops[1])
			l.write("the-origin.x", 2, append(span(3, 200), 1000, 700, 1151)...)
			l.write("a-snap--shot.2", 3, 1, 4, 1100)
		},
	},
	{
		// Chunks of all sizes; one snapshot is lost, one striped, one never written to.
		name: "several", disks: []uint64{16, 16}, group: "vg0", vg: []string{"--physicalextentsize", "256k"}, merge: "s16",
		make: func(l *lvmLab) {
			l.origin("origin", 3072)
			l.origin("other", 1024)
			l.snapshot("s4", "origin", "4k", 2048)
			l.snapshot("s16", "origin", "16k", 2048, "--stripes", "2", "--stripesize", "8k")
			l.write("origin", 2, 0, 1, 2, 300, 77, 78, 5)
			l.snapshot("s64", "origin", "64k", 4096)
			l.write("origin", 3, 0, 400, 401)
			l.snapshot("s512", "origin", "512k", 6144)
			l.snapshot("lost", "other", "4k", 512)
			l.write("s16", 4, 1, 9, 500, 600)
			l.write("s512", 5, 3)
			l.write("other", 2, span(0, 200)...)
			l.snapshot("fresh", "other", "32k", 1536)
		},
	},
	{
		// In a partition, with metadata at both ends.
		name: "gpt", disks: []uint64{12}, gpt: true, group: "vg0", pv: []string{"--pvmetadatacopies", "2"},
		vg: []string{"--physicalextentsize", "256k"}, merge: "snap",
		make: func(l *lvmLab) {
			l.origin("origin", 2048)
			l.snapshot("snap", "origin", "4k", 1024)
			l.write("origin", 2, 9, 8, 7, 100, 101)
		},
	},
	{
		// A small metadata area, through which many changes went.
		name: "wrapped", disks: []uint64{12}, group: "vg0", pv: []string{"--metadatasize", "16k", "--dataalignment", "128k"},
		vg: []string{"--physicalextentsize", "256k"}, merge: "snap",
		make: func(l *lvmLab) {
			l.origin("origin", 2048)
			l.snapshot("snap", "origin", "4k", 1024)
			l.write("origin", 2, 9, 8, 7, 100, 101)
			for n := 0; !textWraps(l.T, l.files[0]); n++ {
				tag := func(m int) string {
					return fmt.Sprint("tag-", n, "-", m, strings.Repeat("-which-makes-the-text-longer", 4))
				}
				l.lvm("lvchange", "--addtag", tag(0), "--addtag", tag(1), "--addtag", tag(2), "vg0/snap")
			}
		},
	},
}

// textWraps reports whether the metadata's text, in the first area of a physical volume, goes
// on at the area's beginning.
func textWraps(t *testing.T, file string) bool {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const area, size, start, length = 4096, 32, 40, 48
	b := make([]byte, 512)
	if _, err := f.ReadAt(b, area); err != nil {
		t.Fatal(err)
	}
	u64 := binary.LittleEndian.Uint64
	return u64(b[start:])+u64(b[length:]) > u64(b[size:])
}

// start makes the disks, the physical volumes and the group.
func (s lvmScenario) start(t *testing.T) *lvmLab {
	t.Helper()
	l := &lvmLab{T: t, lvmScenario: s}
	for i, size := range s.disks {
		file := kernellab.File(t, fmt.Sprint("disk", i), size<<11)
		l.files = append(l.files, file)
		if s.gpt && i == 0 {
			partition(t, file, 2048, size<<11-2*2048)
			l.loops = append(l.loops, kernellab.Loop(t, file, kernellab.Part(2048, size<<11-2*2048)))
			continue
		}
		l.loops = append(l.loops, kernellab.Loop(t, file))
	}
	kernellab.LVM(t, l.loops...)
	l.lvm(slices.Concat([]string{"pvcreate"}, s.pv, l.loops)...)
	l.lvm(slices.Concat([]string{"vgcreate"}, s.vg, []string{s.group}, l.loops)...)
	t.Cleanup(func() { l.lvm("vgchange", "--activate", "n", s.group) })
	s.make(l)
	return l
}

// pv is the flag for each of some paths.
func pv(paths []string) (args []string) {
	for _, p := range paths {
		args = append(args, "--pv", p)
	}
	return args
}

// list is what dmcow list says.
func list(t *testing.T, want int, args ...string) map[string]dump.Listed {
	t.Helper()
	stdout, _ := expect(t, want, append([]string{"list", "--output", "json"}, args...)...)
	var all []dump.Listed
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	named := map[string]dump.Listed{}
	for _, l := range all {
		if _, twice := named[l.Name]; twice {
			t.Errorf("%s is listed twice", l.Name)
		}
		named[l.Name] = l
	}
	return named
}

// lvsRow is what lvs says of an active snapshot.
type lvsRow struct {
	origin, attr, percent        string
	chunk, sectors, originLength uint64
}

// lvs asks LVM about all snapshots.
func (l *lvmLab) lvs() map[string]lvsRow {
	l.Helper()
	all := map[string]lvsRow{}
	out := l.lvm("lvs", "--noheadings", "--nosuffix", "--units", "s", "--separator", " ", "--unquoted",
		"-o", "lv_name,lv_attr,chunksize,lv_size,origin_size,origin,data_percent", "--select", "origin!=\"\"", l.group)
	for line := range strings.Lines(out + "\n") {
		f := strings.Fields(line)
		if len(f) < 7 {
			continue
		}
		var r lvsRow
		r.attr, r.origin, r.percent = f[1], f[5], f[6]
		if _, err := fmt.Sscan(strings.Join(f[2:5], " "), &r.chunk, &r.sectors, &r.originLength); err != nil {
			l.Fatalf("%q: %v", line, err)
		}
		all[l.group+"/"+f[0]] = r
	}
	return all
}

// checkList compares what dmcow lists with what lvs said.
func (l *lvmLab) checkList(listed map[string]dump.Listed, lvs map[string]lvsRow, active bool) {
	l.Helper()
	if len(listed) != len(lvs) {
		l.Errorf("%d snapshots are listed, lvs has %d", len(listed), len(lvs))
	}
	for name, r := range lvs {
		d, ok := listed[name]
		if !ok || d.Active != active || d.Origin == nil || *d.Origin != l.group+"/"+r.origin ||
			*d.TotalSectors != r.sectors || d.OriginSectors == nil || *d.OriginSectors != r.originLength ||
			d.ChunkSectors == nil || *d.ChunkSectors != r.chunk {
			l.Errorf("%s: listed as %+v, lvs has %+v", name, d, r)
			continue
		}
		if r.attr[4] == 'I' != (d.State == "invalid") {
			l.Errorf("%s: state %s, lvs has %s", name, d.State, r.attr)
		}
		if got := fmt.Sprintf("%.2f", *d.Percent); d.State == "valid" && got != r.percent {
			l.Errorf("%s: %s%% full, lvs has %s%%", name, got, r.percent)
		}
	}
}

// TestKernelLVMNames: of volume groups that LVM makes, snapshots are listed as lvs has
// them, read by name as through their devices, and merged back; LVM goes on with them.
func TestKernelLVMNames(t *testing.T) {
	kernellab.Require(t)
	for _, s := range lvmScenarios {
		t.Run(s.name, func(t *testing.T) {
			l := s.start(t)
			lvs := l.lvs()
			worst := 0
			for _, r := range lvs {
				if r.attr[4] == 'I' {
					worst = 2
				}
			}
			l.checkList(list(t, worst), lvs, true)
			l.checkList(list(t, worst, pv(l.loops)...), lvs, true)
			views, dumps := l.whileActive(lvs)
			l.lvm("vgchange", "--activate", "n", l.group)
			l.checkList(list(t, worst), lvs, false)
			l.checkList(list(t, worst, pv(l.files)...), lvs, false)
			for name, want := range dumps {
				for _, where := range [][]string{nil, pv(l.loops), pv(l.files)} {
					if got := l.dump(lvs[name], append(where, name)...); got != want {
						t.Errorf("dump of %s by %q differs from that of its device", name, where)
					}
				}
			}
			l.checkTables()
			l.save(lvs, views, dumps)
			l.mergeByName(lvs, views)
		})
	}
}

// TestKernelList: a snapshot that LVM knows nothing of is listed by its device-mapper name, and
// one that LVM has active is found by its group's UUID, too.
func TestKernelList(t *testing.T) {
	kernellab.Require(t)
	l := usedGroup(t)
	l.lvm("lvchange", "--activate", "y", "vg0/origin")
	uuid := l.lvm("vgs", "--noheadings", "-o", "uuid", "vg0")
	if got, _ := expect(t, 0, "dump", "--output", "csv", uuid+"/snap"); got != l.dump(lvsRow{attr: "swi-a"}, "vg0/snap") {
		t.Errorf("by UUID: %s", got)
	}
	expect(t, 8, "dump", strings.Replace(uuid, "-", "x", 1)+"/snap")
	expect(t, 8, "dump", uuid[:1]+"/snap")
	// A name that looks like one of LVM's is not enough.
	alike := kernellab.Create(t, "cow", "0 8 zero", false)
	group, volume, layer, ok := lvm.MappedName(strings.TrimPrefix(alike.Path, "/dev/mapper/"))
	if !ok || layer != "cow" {
		t.Fatal(alike.Path)
	}
	expect(t, 8, "dump", group+"/"+volume)
	alike.Remove(t)

	origin, cow := blankLoop(t, 4096), blankLoop(t, 1000)
	s := kernellab.NewSnapshot(t, origin, cow, "P", 16)
	overwrite(t, s.Origin.Path, 16, []uint64{3, 9})
	all := list(t, 0)
	name := strings.TrimPrefix(s.View.Path, "/dev/mapper/")
	d := all[name]
	if len(all) != 2 || !d.Active || d.Merging || d.Origin == nil || *d.Origin != origin || d.COWDevice == nil || *d.COWDevice != cow ||
		*d.OriginSectors != 4096 || *d.Exceptions != 2 || *d.ChunkSectors != 16 || *d.Status != s.View.Status(t) {
		t.Errorf("%+v", all)
	}
	if d := all["vg0/snap"]; !d.Active || *d.COWDevice != "/dev/mapper/vg0-snap-cow" {
		t.Errorf("%+v", d)
	}
	s.Down(t)

	short := kernellab.Create(t, "short", fmt.Sprintf("0 2048 snapshot %s %s P 16", origin, cow), false)
	if d := list(t, 0)[strings.TrimPrefix(short.Path, "/dev/mapper/")]; d.OriginSectors == nil || *d.OriginSectors != 2048 {
		t.Errorf("a snapshot of 2048 sectors: %+v", d)
	}
	short.Remove(t)
}

// dump is what there is in a store, as CSV.
func (l *lvmLab) dump(r lvsRow, args ...string) string {
	l.Helper()
	want := 0
	if r.attr[4] == 'I' {
		want = 2
	}
	stdout, _ := expect(l.T, want, append([]string{"dump", "--output", "csv"}, args...)...)
	return stdout
}

// whileActive notes what the snapshots show, and what is in their stores, and wants that
// to be the same by all names.
func (l *lvmLab) whileActive(lvs map[string]lvsRow) (views, dumps map[string]string) {
	l.Helper()
	views, dumps = map[string]string{}, map[string]string{}
	for name, r := range lvs {
		_, short, _ := strings.Cut(name, "/")
		if r.attr[4] != 'I' {
			views[name] = kernellab.MustDigest(l.T, l.mapped(short, ""))
		}
		dumps[name] = l.dump(r, l.mapped(short, "cow"))
		for _, args := range [][]string{{name}, append(pv(l.loops), name)} {
			if l.dump(r, args...) != dumps[name] {
				l.Errorf("%q differs from the dump of its device", args)
			}
		}
	}
	return views, dumps
}

// mergeByName merges a snapshot, and wants LVM and the kernel to be content.
func (l *lvmLab) mergeByName(lvs map[string]lvsRow, views map[string]string) {
	l.Helper()
	name := l.group + "/" + l.merge
	origin := lvs[name].origin
	_, stderr := expect(l.T, 0, "merge", "--yes", "--verify", name)
	if !strings.Contains(stderr, "lvremove "+name) {
		l.Errorf("%s does not say what is next", stderr)
	}
	l.lvm("vgchange", "--activate", "y", l.group)
	if kernellab.MustDigest(l.T, l.mapped(origin, "")) != views[name] {
		l.Error("the origin is not what the snapshot was")
	}
	for other, view := range views {
		_, short, _ := strings.Cut(other, "/")
		if kernellab.MustDigest(l.T, l.mapped(short, "")) != view {
			l.Errorf("%s does not show what it showed", other)
		}
	}
	l.lvm("lvremove", "--yes", name)
	if kernellab.MustDigest(l.T, l.mapped(origin, "")) != views[name] {
		l.Error("without the snapshot, the origin is something else")
	}
}

// checkTables has device-mapper load the table of a COW device that is not active.
func (l *lvmLab) checkTables() {
	l.Helper()
	name := l.group + "/" + l.merge
	stdout, _ := expect(l.T, 0, "usage", "--table", name)
	comment, tables, _ := strings.Cut(stdout, "\n")
	table, _, _ := strings.Cut(tables, "#")
	if !strings.HasPrefix(comment, "# "+name+", for dmsetup create") {
		l.Errorf("%s", stdout)
	}
	cow := kernellab.Create(l.T, "table", strings.TrimSpace(table), true)
	if kernellab.MustDigest(l.T, cow.Path) != corpus.Digest(volumeContent(l.T, name, l.loops)) {
		l.Errorf("%s is not the COW device", table)
	}
	cow.Remove(l.T)
}

// lvmFacts are what the kernel and LVM said of a scenario, in testdata/lvm.
type lvmFacts struct {
	Disks     []string           `json:"disks"`
	Merge     string             `json:"merge"` // the snapshot that was merged
	Snapshots map[string]lvmFact `json:"snapshots"`
}

type lvmFact struct {
	Origin        string `json:"origin"`
	State         string `json:"state"`
	Percent       string `json:"percent"`
	ChunkSectors  uint64 `json:"chunk_sectors"`
	Sectors       uint64 `json:"sectors"`
	OriginSectors uint64 `json:"origin_sectors"`
	View          string `json:"view_sha256"`
	Dump          string `json:"dump_sha256"` // of the CSV
}

// save writes the disks, as they are before the merge, and what is known of them to
// DMCOW_LAB_OUT.
func (l *lvmLab) save(lvs map[string]lvsRow, views, dumps map[string]string) {
	l.Helper()
	dir := os.Getenv("DMCOW_LAB_OUT")
	if os.Getenv("DMCOW_UPDATE") == "" || dir == "" {
		return
	}
	f := lvmFacts{Merge: l.group + "/" + l.merge, Snapshots: map[string]lvmFact{}}
	for i, file := range l.files {
		name := fmt.Sprintf("%s.%d.gz", l.name, i)
		content, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), devicetest.Zip(l.T, content), 0o644)
		}
		if err != nil {
			l.Fatal(err)
		}
		f.Disks = append(f.Disks, name)
	}
	for name, r := range lvs {
		state := "valid"
		if r.attr[4] == 'I' {
			state = "invalid"
		}
		f.Snapshots[name] = lvmFact{l.group + "/" + r.origin, state, r.percent, r.chunk, r.sectors, r.originLength, views[name], corpus.Digest([]byte(dumps[name]))}
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, l.name+".json"), append(b, '\n'), 0o644)
	}
	if err != nil {
		l.Fatal(err)
	}
}
