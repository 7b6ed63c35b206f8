// Package signature knows what lies on a device by its first bytes, and some others: file systems and partition
// tables ([Of]), where such things bear on the rest of a disk ([Bearings]), and files that hold a disk in another
// form ([Container]).
package signature

import (
	"errors"
	"io"
	"os/exec"
	"strconv"
	"strings"
)

// Device is what is looked at.
type Device interface {
	sized
	// Stretch is which part of which file or block device it is, from an offset on, in bytes; ok is false
	// where it is none.
	Stretch() (path string, offset int64, ok bool)
}

// Of names what the device holds by the signatures that it bears: a file
// system, a partition table, swap and so on; it is empty if there is none.
// It asks the blkid program where that is installed, and else looks for the
// commonest ones itself. The error is one of reading.
func Of(d Device) (string, error) {
	if name, known := askBlkid(d); known {
		return name, nil
	}
	return lookUp(signatures, d)
}

// Known names what the device holds as Of does, without asking blkid, which leaves its mark in the access time.
func Known(d sized) (string, error) { return lookUp(signatures, d) }

// askBlkid asks blkid(8); known is false where it does not tell.
func askBlkid(d Device) (name string, known bool) {
	path, offset, ok := d.Stretch()
	if !ok {
		return "", false
	}
	// A path that begins with a dash would be taken for an option.
	out, err := exec.Command("blkid", "--probe", "--output", "export",
		"--offset", strconv.FormatInt(offset, 10), "--size", strconv.FormatInt(d.Size(), 10), "--", path).Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return parseBlkid(string(out)), true
	case errors.As(err, &exit) && exit.ExitCode() == blkidNothing:
		return "", true
	case errors.As(err, &exit) && exit.ExitCode() == blkidAmbivalent:
		return "several signatures", true
	}
	return "", false // not installed, another blkid, or it cannot read the device
}

// Exit statuses of blkid --probe.
const (
	blkidNothing    = 2
	blkidAmbivalent = 8
)

// parseBlkid takes the type out of what blkid prints: "TYPE=ext4", and
// "PTTYPE=gpt" for a partition table. What it says of the partition that the
// device itself is, PART_ENTRY_TYPE, is not about its content.
func parseBlkid(out string) string {
	var names []string
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "TYPE":
			names = append(names, value)
		case "PTTYPE":
			names = append(names, value+" partition table")
		}
	}
	return strings.Join(names, ", ")
}

// A magic is bytes by which a name is known: at an offset from the start of a device, or, where
// that is negative, from its end. A question mark stands for a digit from 1 to 9.
type magic struct {
	name   string
	offset int64
	bytes  string
}

// signatures are the commonest that blkid knows.
var signatures = []magic{
	{"ext2, ext3 or ext4", 0x438, "\x53\xef"},
	{"xfs", 0, "XFSB"},
	{"btrfs", 0x10040, "_BHRfS_M"},
	{"LUKS", 0, "LUKS\xba\xbe"},
	{"LUKS", 0, "SKUL\xba\xbe"},
	{"LVM2_member", 0x000, "LABELONE"},
	{"LVM2_member", 0x200, "LABELONE"},
	{"LVM2_member", 0x400, "LABELONE"},
	{"LVM2_member", 0x600, "LABELONE"},
	{"linux_raid_member", 0, "\xfc\x4e\x2b\xa9"},
	{"linux_raid_member", 4096, "\xfc\x4e\x2b\xa9"},
	{"linux_raid_member", -8192, "\xfc\x4e\x2b\xa9"},
	{"swap", 4086, "SWAPSPACE2"},
	{"swap", 4086, "SWAP-SPACE"},
	{"swap", 65526, "SWAPSPACE2"},
	{"vfat", 0x52, "FAT32   "},
	{"vfat", 0x36, "FAT1"},
	{"exfat", 3, "EXFAT   "},
	{"ntfs", 3, "NTFS    "},
	{"f2fs", 0x400, "\x10\x20\xf5\xf2"},
	{"iso9660", 0x8001, "CD001"},
	{"udf", 0x8001, "BEA01"},
	{"squashfs", 0, "hsqs"},
	{"erofs", 0x400, "\xe2\xe1\xf5\xe0"},
	{"reiserfs", 0x10034, "ReIsEr"},
	{"jfs", 0x8000, "JFS1"},
	{"bcachefs or bcache", 4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca"},
	{"zfs_member", 0x20000, "\x0c\xb1\xba\x00"},
	{"gpt partition table", 512, "EFI PART"},
	{"gpt partition table", 4096, "EFI PART"},
	{"gpt partition table", -512, "EFI PART"},
	{"dos partition table", 510, "\x55\xaa"},
	{"DM_snapshot_cow", 0, "SnAp"},
}

type sized interface {
	io.ReaderAt
	Size() int64 // in bytes
}

// lookUp is the name of the first magic that the device has, empty if it has none.
func lookUp(all []magic, d sized) (string, error) {
	for _, m := range all {
		at := m.offset
		if at < 0 {
			at += d.Size()
		}
		b, err := bearer{d, d.Size()}.peek(at, len(m.bytes))
		if err != nil {
			return "", err
		}
		if m.matches(b) {
			return m.name, nil
		}
	}
	return "", nil
}

func (m magic) matches(b []byte) bool {
	for i, c := range b {
		if c != m.bytes[i] && (m.bytes[i] != '?' || c < '1' || c > '9') {
			return false
		}
	}
	return true
}
