package signature

import "strings"

// containers are the formats in which the content of a disk is kept in a file that is not that
// content itself.
var containers = []magic{
	{"qcow", 0, "QFI\xfb\x00\x00\x00\x01"},
	{"qcow2", 0, "QFI\xfb"},
	{"VMDK", 0, "KDMV"},
	{"VMDK", 0, "COWD"},
	{"VMDK", 0, "# Disk DescriptorFile"},
	{"VMDK", 0, "\xbe\xba\xfe\xca\x00\x00\x00\x00"}, // of a snapshot
	{"VHD", 0, "conectix"},
	{"VHD", -512, "conectix"},
	{"VHD", -511, "conectix"}, // as old versions of Virtual PC wrote it
	{"VHDX", 0, "vhdxfile"},
	{"VDI", 0x40, "\x7f\x10\xda\xbe"},
	{"E01 (EnCase)", 0, "EVF\x09\x0d\x0a\xff\x00"},
	{"E01 (EnCase)", 0, "LVF\x09\x0d\x0a\xff\x00"},
	{"E01 (EnCase)", 0, "EVF2\x0d\x0a\x81\x00"},
	{"E01 (EnCase)", 0, "LVF2\x0d\x0a\x81\x00"},
	{"QED", 0, "QED\x00"},
	{"Parallels", 0, "WithoutFreeSpace"},
	{"Parallels", 0, "WithouFreSpacExt"},
	{"Apple disk image", -512, "koly\x00\x00\x00\x04\x00\x00\x02\x00"},
	{"AFF", 0, "AFF10\r\n\x00"},
	{"gzip", 0, "\x1f\x8b\x08"},
	{"xz", 0, "\xfd7zXZ\x00"},
	{"bzip2", 0, "BZh?1AY&SY"},
	{"bzip2", 0, "BZh?\x17\x72\x45\x38\x50\x90"}, // of nothing
	{"zstd", 0, "\x28\xb5\x2f\xfd"},
	{"lz4", 0, "\x04\x22\x4d\x18"},
	{"lz4", 0, "\x02\x21\x4c\x18"},
	{"lzip", 0, "LZIP\x01"},
	{"7z", 0, "7z\xbc\xaf\x27\x1c"},
	{"AFF4", 30, "container.description"}, // the first member of a zip archive
	{"zip", 0, "PK\x03\x04"},
	{"zip", 0, "PK\x05\x06"}, // of nothing
	{"Android sparse image", 0, "\x3a\xff\x26\xed\x01\x00"},
	{"partclone image", 0, "partclone-image"},
}

// covers are what a disk, or a partition of one, may hold in place of what it shows when it is opened: not
// only a file may.
var covers = []magic{
	{luks, 0, "LUKS\xba\xbe"},
	{bitLocker, 3, "-FVE-FS-"},
	{"Android COW file, version 2", 0, "!!WOcwoC\x02\x00"},
	{"Android COW file, version 3", 0, "!!WOcwoC\x03\x00"},
}

const (
	luks      = "LUKS"
	bitLocker = "BitLocker"
)

// ways are the commands that open what is not kept as it is.
var ways = map[string]string{
	"VHD":                  "qemu-nbd --read-only --format=vpc --connect=/dev/nbd0 FILE",
	"E01 (EnCase)":         "ewfmount FILE DIR",
	"AFF":                  "affuse FILE DIR",
	"AFF4":                 "aff4imager --export",
	"Apple disk image":     "dmg2img FILE",
	"gzip":                 "zcat FILE",
	"xz":                   "xzcat FILE",
	"bzip2":                "bzcat FILE",
	"zstd":                 "zstdcat FILE",
	"lz4":                  "lz4cat FILE",
	"lzip":                 "lzip --decompress --stdout FILE",
	"7z":                   "7z x FILE",
	"zip":                  "unzip FILE",
	"Android sparse image": "simg2img FILE RAW",
	"partclone image":      "partclone.restore --restore_raw_file --source FILE --output RAW",
}

// qemu opens all others.
const qemu = "qemu-nbd --read-only --connect=/dev/nbd0 FILE, or without root nbdfuse, or qemu-img convert -O raw FILE RAW"

// AboutContainer says what a file of a format is, and what to do about it.
func AboutContainer(format string) string {
	switch {
	case format == luks:
		return "is encrypted with LUKS: open it first, and give the device that this makes (cryptsetup open --readonly)"
	case format == bitLocker:
		return "is encrypted with BitLocker: open it first, and give the device that this makes (cryptsetup open --type bitlk --readonly, or dislocker)"
	case strings.HasPrefix(format, "Android COW"):
		return "is an " + format + ", which snapuserd serves, and not the kernel's snapshot target (inspect_cow FILE says what is in it)"
	}
	way := ways[format]
	if way == "" {
		way = qemu
	}
	return "is a file of the format " + format + ", not a raw image: open or unpack it first (" + way + "). If it is a raw disk after all, attach it with losetup"
}

// Image is what may be an image file.
type Image interface {
	sized
	IsImage() bool // it is an image file, and all of it
}

// Container names the format of an image file in which the content of a disk is kept, but not
// as it is: it has to be opened, converted or unpacked, before it can be read as a device. It is empty
// for other files, and for block devices and parts of a file, which may hold anything. The error is one of reading.
func Container(d Image) (name string, err error) {
	if !d.IsImage() {
		return "", nil
	}
	return lookUp(containers, d)
}

// Cover names what a device is, file or not, that has to be opened before what is in it can be read, such as one that is
// encrypted; it is empty for others. An origin may well be such a device. The error is one of reading.
func Cover(d sized) (string, error) { return lookUp(covers, d) }
