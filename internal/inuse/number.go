// Package inuse knows who uses the files and block devices of this machine, and which of them are kept on
// which: by mounts, swap, loop devices, device-mapper, and locks, which QEMU and LVM take, too. It also keeps
// others off: by the locks of a [Set], by [Mark], [LockFile] and [Guard].
package inuse

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// sectorSize is the unit of tables and of sysfs, in bytes.
const sectorSize = 512

// Number is a block device's number. An image file has the zero value.
type Number struct{ Major, Minor uint32 }

// String is the number as device-mapper tables have it: "254:3".
func (n Number) String() string { return fmt.Sprintf("%d:%d", n.Major, n.Minor) }

// ParseNumber takes "254:3" apart.
func ParseNumber(s string) (n Number, ok bool) {
	_, err := fmt.Sscanf(s, "%d:%d", &n.Major, &n.Minor)
	return n, err == nil
}

// numbersBeside are the numbers of the block devices of which sysfs has files of a pattern.
func numbersBeside(pattern string) (all []Number) {
	files, _ := filepath.Glob(pattern)
	for _, file := range files {
		if n, ok := ParseNumber(readLine(filepath.Join(filepath.Dir(file), "dev"))); ok {
			all = append(all, n)
		}
	}
	return all
}

// holderNames are the kernel's names of the devices that hold some others.
func holderNames(held ...Number) (names []string) {
	for _, n := range held {
		entries, _ := os.ReadDir(n.sysfs("holders")) // without sysfs, nothing is known
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	return names
}

// Size is the size of the device of this number, in bytes; 0 where that is not known.
func (n Number) Size() int64 { return parseSectors(readLine(n.sysfs("size"))) }

func titles(names []string) (all []string) {
	for _, name := range names {
		all = append(all, title(name))
	}
	return all
}

// title is what messages call a block device: its device-mapper name, where it has one, and
// its kernel name, "vg-snap (dm-3)".
func title(name string) string {
	if dm := readLine(filepath.Join("/sys/class/block", name, "dm/name")); dm != "" {
		return fmt.Sprintf("%s (%s)", dm, name)
	}
	return name
}

// Path is the path by which people know the device of this number:
// /dev/mapper/NAME or /dev/NAME; the number where nothing is known of it.
func (n Number) Path() string {
	if dm := readLine(n.sysfs("dm/name")); dm != "" {
		return "/dev/mapper/" + dm
	}
	uevent, _ := os.ReadFile(n.sysfs("uevent"))
	for line := range strings.Lines(string(uevent)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok {
			return "/dev/" + name
		}
	}
	return n.String()
}

func (n Number) sysfs(file string) string {
	return filepath.Join("/sys/dev/block", n.String(), file)
}

// readLine is the content of a one-line file, empty where it cannot be read.
func readLine(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}

// NumberOf is the number of a block device.
func NumberOf(info os.FileInfo) Number {
	var n Number
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		n = Number{Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev))}
	}
	return n
}

// InodeOf is the inode of a file, and the number of the device that its file system is on.
func InodeOf(info os.FileInfo) (on Number, inode uint64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return Number{unix.Major(uint64(s.Dev)), unix.Minor(uint64(s.Dev))}, s.Ino
	}
	return Number{}, 0
}
