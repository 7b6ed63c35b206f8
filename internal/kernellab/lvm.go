package kernellab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// lvmConfig has LVM look at some devices alone, and do without udev, without its
// daemons, without the programs that check the metadata of thin pools and caches, and without a writable /etc.
const lvmConfig = `
devices {
	scan = "/dev"
	use_devicesfile = 0
	obtain_device_list_from_udev = 0
	external_device_info_source = "none"
	filter = [ %s "r|.*|" ]
	global_filter = [ %[1]s "r|.*|" ]
}
activation {
	udev_sync = 0
	udev_rules = 0
	monitoring = 0
}
global {
	locking_dir = "%[2]s"
	use_lvmpolld = 0
	thin_check_executable = ""
	cache_check_executable = ""
}
backup {
	backup = 0
	archive = 0
}
`

// VolumeGroup makes a volume group of the physical volumes, block devices all. It
// skips the test outside the lab, where there may be a group of that name, and
// deactivates all volumes when the test ends.
func VolumeGroup(t *testing.T, name string, physical ...string) {
	t.Helper()
	LVM(t, physical...)
	Run(t, "lvm", append([]string{"pvcreate"}, physical...)...)
	Run(t, "lvm", append([]string{"vgcreate", name}, physical...)...)
	t.Cleanup(func() { Run(t, "lvm", "vgchange", "--activate", "n", name) })
}

// LVM has LVM look at these physical volumes, and at nothing else, until the test ends. It
// skips the test outside the lab.
func LVM(t *testing.T, physical ...string) {
	t.Helper()
	if !InLab() {
		t.Skip("makes volume groups: only in the lab")
	}
	if _, err := exec.LookPath("lvm"); err != nil {
		t.Fatal("no lvm: install lvm2")
	}
	system := t.TempDir()
	var filter strings.Builder
	for _, pv := range physical {
		fmt.Fprintf(&filter, "%q, ", "a|^"+pv+"$|")
	}
	config := fmt.Sprintf(lvmConfig, &filter, system)
	Must(t, os.WriteFile(filepath.Join(system, "lvm.conf"), []byte(config), 0o600))
	t.Setenv("LVM_SYSTEM_DIR", system)
	t.Setenv("LVM_SUPPRESS_FD_WARNINGS", "1")
}

// An Extent is where a stretch of a logical volume lies, in sectors.
type Extent struct {
	Physical       string
	Start, Sectors uint64
}

// Extents are those of a volume, VG/LV, in order. None of them is striped.
func Extents(t testing.TB, volume string) (all []Extent) {
	t.Helper()
	group, _, _ := strings.Cut(volume, "/")
	sectors := func(program, field, what string) (n uint64) {
		text := Run(t, "lvm", program, "--noheadings", "--nosuffix", "--units", "s", "-o", field, what)
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatalf("%s of %s: %q", field, what, text)
		}
		return n
	}
	size := sectors("vgs", "vg_extent_size", group)
	for line := range strings.Lines(Run(t, "lvm", "lvs", "--noheadings", "--nosuffix", "--units", "s", "--segments", "-o", "devices,seg_size", volume) + "\n") {
		var e Extent
		var first uint64
		words := strings.Fields(strings.NewReplacer("(", " ", ")", " ").Replace(line))
		if _, err := fmt.Sscan(strings.Join(words, " "), &e.Physical, &first, &e.Sectors); err != nil {
			t.Fatalf("segment %q of %s: %v", line, volume, err)
		}
		e.Start = sectors("pvs", "pe_start", e.Physical) + first*size
		all = append(all, e)
	}
	return all
}

// Linear makes a device of extents.
func Linear(t testing.TB, name string, extents []Extent) *Device {
	t.Helper()
	var table []string
	start := uint64(0)
	for _, e := range extents {
		table = append(table, fmt.Sprintf("%d %d linear %s %d", start, e.Sectors, e.Physical, e.Start))
		start += e.Sectors
	}
	return Create(t, name, strings.Join(table, "\n"), false)
}
