package signature

// containers are the formats in which the content of a disk is kept in a file that is not that
// content itself.
var containers = []magic{
	{"qcow", 0, "QFI\xfb\x00\x00\x00\x01"},
	{"qcow2", 0, "QFI\xfb"},
	{"VMDK", 0, "KDMV"},
	{"VMDK", 0, "COWD"},
	{"VMDK", 0, "# Disk DescriptorFile"},
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
	{"zip", 0, "PK\x03\x04"},
	{"zip", 0, "PK\x05\x06"}, // of nothing
	{"Android sparse image", 0, "\x3a\xff\x26\xed\x01\x00"},
	{"partclone image", 0, "partclone-image"},
}

// AboutContainer says what a file of a format is, and what to do about it.
func AboutContainer(format string) string {
	return "is a file of the format " + format + ", not a raw image: convert or unpack it first " +
		"(qemu-img convert -O raw, ewfmount, zcat). If it is a raw disk after all, attach it with losetup"
}

// Image is what may be an image file.
type Image interface {
	sized
	IsImage() bool // it is an image file, and all of it
}

// Container names the format of an image file in which the content of a disk is kept, but not
// as it is: it has to be converted, or unpacked, before it can be read as a device. It is empty
// for other files, and for block devices and parts of a file, which may hold anything. The error is one of reading.
func Container(d Image) (name string, err error) {
	if !d.IsImage() {
		return "", nil
	}
	return lookUp(containers, d)
}
