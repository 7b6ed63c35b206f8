package signature

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// inContainers are what files of the formats begin with, and what they end with.
var inContainers = []struct{ name, begins, ends string }{
	{"qcow2", "QFI\xfb\x00\x00\x00\x03\x00\x00", ""},
	{"qcow2", "QFI\xfb\x00\x00\x00\x02\x00\x00", ""},
	{"qcow", "QFI\xfb\x00\x00\x00\x01\x00\x00", ""},
	{"VMDK", "KDMV\x01\x00\x00\x00\x03\x00\x00\x00", ""},
	{"VMDK", "COWD\x01\x00\x00\x00\x03\x00\x00\x00", ""},
	{"VMDK", "# Disk DescriptorFile\nversion=1\n", ""},
	{"VMDK", "\xbe\xba\xfe\xca\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00", ""},
	{"VHD", "conectix\x00\x00\x00\x02\x00\x01\x00\x00", "conectix" + strings.Repeat("\x00", 504)},
	{"VHD", "", "conectix" + strings.Repeat("\x00", 504)},
	{"VHD", "", "conectix" + strings.Repeat("\x00", 503)},
	{"VHDX", "vhdxfileM\x00i\x00c\x00", ""},
	{"VDI", "<<< Oracle VM VirtualBox Disk Image >>>\n" + strings.Repeat("\x00", 24) + "\x7f\x10\xda\xbe\x01\x00\x01\x00", ""},
	{"E01 (EnCase)", "EVF\x09\x0d\x0a\xff\x00\x01\x01\x00\x00\x00", ""},
	{"E01 (EnCase)", "LVF\x09\x0d\x0a\xff\x00\x01\x01\x00\x00\x00", ""},
	{"E01 (EnCase)", "EVF2\x0d\x0a\x81\x00\x02\x01", ""},
	{"E01 (EnCase)", "LVF2\x0d\x0a\x81\x00\x02\x01", ""},
	{"QED", "QED\x00\x00\x00\x01\x00", ""},
	{"Parallels", "WithoutFreeSpace\x02\x00\x00\x00", ""},
	{"Parallels", "WithouFreSpacExt\x02\x00\x00\x00", ""},
	{"Apple disk image", "", "koly\x00\x00\x00\x04\x00\x00\x02\x00" + strings.Repeat("\x00", 500)},
	{"AFF", "AFF10\r\n\x00AFF\x00", ""},
	{"gzip", unhex("1f8b080809d10c6b00036800cb48cdc9c9070086a6103605000000"), ""},
	{"xz", unhex("fd377a585a000004e6d6b4460200210116000000742fe5a301000468656c"), ""},
	{"bzip2", unhex("425a68393141592653591931653d00000081000244a000219a68334d0733"), ""},
	{"bzip2", unhex("425a683917724538509000000000"), ""},
	{"zstd", unhex("28b52ffd240529000068656c6c6fa36d9f88"), ""},
	{"lz4", unhex("04224d186440a70500008068656c6c6f00000000f97700fb"), ""},
	{"lz4", unhex("02214c18060000005068656c6c6f"), ""},
	{"lzip", "LZIP\x01\x0c", ""},
	{"7z", unhex("377abcaf271c0004"), ""},
	{"AFF4", unhex("504b03040a00000000006d5aa34a0000000000000000000000001500000063") + "ontainer.description", ""},
	{"zip", unhex("504b03040a0000000000730b7e5d86a6103605000000"), ""},
	{"zip", unhex("504b0506000000000000000000000000000000000000"), ""},
	{"Android sparse image", unhex("3aff26ed010000001c000c00"), ""},
	{"partclone image", "partclone-image\x000.3.13\x00", ""},

	{"", "BZh01AY&SY", ""},
	{"", "BZh9, and something else", ""},
	{"", "QFJ\xfb", ""},
	{"", "conect", ""},
	{"", "", "conectix"},
	{"", "SnAp\x01\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00", ""},
	{"", "", ""},
}

func unhex(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestContainer: a format is known by how a file begins or ends, of a file of any size.
func TestContainer(t *testing.T) {
	for _, c := range inContainers {
		for _, between := range []int{0, 1, 4096} {
			if between == 0 && c.name == "" {
				continue // what it ends with is where it begins
			}
			path := filepath.Join(t.TempDir(), "image")
			content := c.begins + strings.Repeat("\x00", between) + c.ends
			devicetest.WriteFile(t, path, []byte(content))
			d := opened(t, path)
			if got, err := Container(d); got != c.name || err != nil {
				t.Errorf("%q and %q, %d bytes apart: %q, %v; want %q", c.begins, c.ends, between, got, err, c.name)
			}
			d.Close()
		}
	}
	known := map[string]bool{}
	for _, c := range inContainers {
		known[c.name] = true
	}
	for _, c := range containers {
		if !known[c.name] {
			t.Errorf("%s is not tested", c.name)
		}
	}
}

// TestCover: what is to be opened first is known by how a device begins, whatever it is.
func TestCover(t *testing.T) {
	for begins, want := range map[string]string{
		"LUKS\xba\xbe\x00\x01aes": "LUKS", "LUKS\xba\xbe\x00\x02": "LUKS", "\xeb\x58\x90-FVE-FS-\x00\x02\x08": "BitLocker",
		"!!WOcwoC\x02\x00\x00\x00": "Android COW file, version 2", "!!WOcwoC\x03\x00\x00\x00": "Android COW file, version 3",
		"!!WOcwoC\x01\x00\x00\x00": "", "LUKS": "", "QFI\xfb\x00\x00\x00\x03": "", "": "",
	} {
		path := filepath.Join(t.TempDir(), "image")
		devicetest.WriteFile(t, path, append([]byte(begins), make([]byte, 1024)...))
		d := opened(t, path)
		section, err := d.Section(0, 512)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range []*device.Device{d, section} {
			if got, err := Cover(d); got != want || err != nil {
				t.Errorf("%q: %q, %v; want %q", begins, got, err, want)
			}
		}
		if got, err := Container(d); got != "" && want != "" || err != nil {
			t.Errorf("%q: %q, %v", begins, got, err)
		}
	}
}

// TestAbout: each format has a command that opens it.
func TestAbout(t *testing.T) {
	for format, want := range map[string]string{
		"qcow2": "qemu-nbd --read-only --connect", "VMDK": "qemu-nbd --read-only --connect", "VHD": "--format=vpc", "E01 (EnCase)": "ewfmount FILE DIR", "gzip": "zcat FILE", "zstd": "zstdcat FILE",
		"AFF4": "aff4imager", "Android sparse image": "simg2img FILE RAW", "LUKS": "cryptsetup open --readonly", "BitLocker": "cryptsetup open --type bitlk", "Android COW file, version 3": "snapuserd",
	} {
		if got := AboutContainer(format); !strings.HasPrefix(got, "is ") || !strings.Contains(got, want) {
			t.Errorf("%s: %s", format, got)
		}
	}
	known := map[string]bool{}
	for _, c := range containers {
		known[c.name] = true
	}
	for format := range ways {
		if !known[format] {
			t.Errorf("%s is no format", format)
		}
	}
}

// TestContainerOfFiles: a block device, a part of a file, and what is joined may hold anything.
func TestContainerOfFiles(t *testing.T) {
	path, content := filepath.Join(t.TempDir(), "image"), make([]byte, 8192)
	copy(content, "conectix")
	devicetest.WriteFile(t, path, content)
	d := opened(t, path)
	whole, err := d.Section(0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Container(whole); got != "VHD" || err != nil {
		t.Errorf("the whole file: %q, %v", got, err)
	}
	section, err := d.Section(0, 4096)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := device.Join("joined", []device.Part{{Length: 8192, Stripes: []device.Stripe{{On: d}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []*device.Device{section, joined, device.Nothing()} {
		if got, err := Container(other); got != "" || err != nil {
			t.Errorf("%d bytes: %q, %v", other.Size(), got, err)
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil || os.Geteuid() != 0 {
		t.Skip("takes root and loop devices")
	}
	if got, err := Container(opened(t, kernellab.Loop(t, path))); got != "" || err != nil {
		t.Errorf("a block device: %q, %v", got, err)
	}
}

// TestNoContainer: stores, origins, disks with LVM, and file systems are taken for what they are.
func TestNoContainer(t *testing.T) {
	files, _ := filepath.Glob("../../testdata/*/*.gz")
	if len(files) < 10 {
		t.Fatal("no testdata")
	}
	for _, file := range files {
		path := unpacked(t, file)
		if got, err := Container(opened(t, path)); got != "" || err != nil {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
	for _, mkfs := range []string{"mkfs.ext4 -q", "mkfs.xfs -q", "mkfs.btrfs -q", "mkfs.vfat"} {
		words := strings.Fields(mkfs)
		if _, err := exec.LookPath(words[0]); err != nil {
			continue
		}
		path := kernellab.File(t, "image", 320<<11)
		kernellab.Run(t, words[0], append(slices.Clone(words[1:]), path)...)
		d := opened(t, path)
		if got, err := Container(d); got != "" || err != nil {
			t.Errorf("%s: %q, %v", mkfs, got, err)
		}
		if all, err := bearingsOf(d); all != nil || err != nil {
			t.Errorf("%s: %v, %v", mkfs, all, err)
		}
	}
}

// unpacked is a file of testdata, unpacked.
func unpacked(t *testing.T, packed string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "unpacked")
	devicetest.WriteFile(t, path, devicetest.Unzip(t, packed))
	return path
}
