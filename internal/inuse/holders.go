package inuse

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A match reports whether a file or block device is the one that is asked for.
type match func(fs.FileInfo) bool

func isOneOf(numbers []Number) match {
	return func(info fs.FileInfo) bool {
		return info.Mode().Type() == fs.ModeDevice && slices.Contains(numbers, NumberOf(info))
	}
}

func isFile(info fs.FileInfo) match {
	return func(other fs.FileInfo) bool { return os.SameFile(info, other) }
}

// Users names who uses a block device, as [BusyError] has it.
func (n Number) Users() []string {
	return n.usersBut(nobody)
}

// Strangers names the users of a block device that are not devices of device-mapper.
func (n Number) Strangers() []string {
	return n.usersBut(isMapping)
}

// Loops names the loop devices over a block device.
func (n Number) Loops() []string { return loopsOver(isOneOf(n.relatives())) }

// IsReadOnly reports whether a block device cannot be written.
func (n Number) IsReadOnly() bool { return readLine(n.sysfs("ro")) == "1" }

// ImageUsers names those who use an image file and take no locks.
func ImageUsers(f *os.File, info fs.FileInfo) []string {
	return slices.Concat(loopsOn(f, info), swaps(isFile(info)))
}

// IsMapped reports whether devices of device-mapper hold the device.
func (n Number) IsMapped() bool {
	return slices.ContainsFunc(holderNames(n.relatives()...), isMapping)
}

// isMapping reports whether a device is one of device-mapper, by its kernel name.
func isMapping(name string) bool {
	return readLine(filepath.Join("/sys/class/block", name, "dm/name")) != ""
}

// isIdle reports whether a device is one of device-mapper, by its kernel name, that nobody has open
// and through which nothing was written since it was made.
func isIdle(name string) bool {
	n, ok := ParseNumber(readLine(filepath.Join("/sys/class/block", name, "dev")))
	if !ok || !isMapping(name) || n.wrote() {
		return false
	}
	open, err := n.openCount()
	return err == nil && open == 0
}

// wrote reports whether something was written through a device, or may have been: writes, discards
// and flushes are the fields 5, 12 and 16 of its statistics (the kernel's Documentation/block/stat.rst),
// of which older kernels have fewer.
func (n Number) wrote() bool {
	fields := strings.Fields(readLine(n.sysfs("stat")))
	for _, at := range []int{5, 12, 16} {
		if len(fields) >= at && fields[at-1] != "0" {
			return true
		}
	}
	return len(fields) < 5
}

// nobody leaves no device out.
func nobody(string) bool { return false }

// usersBut names who uses a block device, without the devices on it whose kernel names out has.
func (n Number) usersBut(out func(name string) bool) []string {
	all := n.relatives()
	by := titles(slices.DeleteFunc(holderNames(all...), out))
	return sorted(slices.Concat(by, mounts(all, true), swaps(isOneOf(all)), loopsOver(isOneOf(all))))
}

// writersBut names who could write a block device, without those who have locked it, and
// without the devices on it whose kernel names out has.
func (n Number) writersBut(out func(name string) bool) []string {
	all := n.relatives()
	by := titles(slices.DeleteFunc(writable(holderNames(all...)), out))
	return slices.Concat(by, mounts(all, false), swaps(isOneOf(all)), writable(loopsOver(isOneOf(all))))
}

// writable are the block devices, by the kernel's names, that can be written.
func writable(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return readLine(filepath.Join("/sys/class/block", name, "ro")) == "1"
	})
}

// sorted are the names in order, each once.
func sorted(by []string) []string {
	slices.Sort(by)
	return slices.Compact(by)
}

// relatives are the device itself and those whose use is use of it: the
// partitions of a disk, and the disk of a partition.
func (n Number) relatives() []Number {
	if s, ok := n.partition(); ok {
		return []Number{n, s.On.Number}
	}
	return append([]Number{n}, numbersBeside(n.sysfs("*/partition"))...)
}

// mounts names the file systems that are mounted from these devices, with or without those that
// cannot be written.
func mounts(numbers []Number, readOnly bool) (by []string) {
	is := isOneOf(numbers)
	var seen []string // a file system may be mounted in many places: one is told
	for _, m := range allMounts() {
		// Some file systems, btrfs for one, give a number of their own.
		if m.readOnly && !readOnly || !slices.Contains(numbers, m.number) && !isAt(m.source, is) {
			continue
		}
		if !slices.Contains(seen, m.source) {
			seen = append(seen, m.source)
			by = append(by, "a file system mounted on "+m.point)
		}
	}
	return by
}

// allMounts are the mounts that this process sees, and then what others see, as far as it may
// look: a file system that is unmounted here may be in use there.
func allMounts() (all []mounted) {
	seen := map[string]bool{}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range append([]string{"/proc/self"}, processes...) {
		space, err := os.Readlink(filepath.Join(dir, "ns/mnt"))
		if dir != "/proc/self" && (err != nil || seen[space]) {
			continue
		}
		seen[space] = true
		content, _ := os.ReadFile(filepath.Join(dir, "mountinfo"))
		all = append(all, parseMounts(string(content))...)
	}
	return all
}

func isAt(path string, is match) bool {
	if !filepath.IsAbs(path) {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && is(info)
}

// A mounted file system.
type mounted struct {
	number        Number
	point, source string
	readOnly      bool // the file system, and not this mount of it alone
}

// parseMounts reads /proc/self/mountinfo (proc_pid_mountinfo(5)): of each line
// the third and the fifth field, and the second and the third one behind the lone dash, which
// ends a list of any length.
func parseMounts(content string) []mounted {
	var all []mounted
	for line := range strings.Lines(content) {
		front, back, _ := strings.Cut(line, " - ")
		fields, of := strings.Fields(front), strings.Fields(back)
		if len(fields) < 5 || len(of) < 3 {
			continue
		}
		if n, ok := ParseNumber(fields[2]); ok {
			readOnly := slices.Contains(strings.Split(of[2], ","), "ro")
			all = append(all, mounted{n, unescape(fields[4]), unescape(of[1]), readOnly})
		}
	}
	return all
}

// swaps is "swap" where what is asked for is used as such.
func swaps(is match) []string {
	content, _ := os.ReadFile("/proc/swaps")
	for _, path := range parseSwaps(string(content)) {
		if isAt(path, is) {
			return []string{asSwap}
		}
	}
	return nil
}

// parseSwaps takes the paths out of /proc/swaps, below its headline.
func parseSwaps(content string) []string {
	var paths []string
	for line := range strings.Lines(content) {
		if fields := strings.Fields(line); len(fields) > 0 && filepath.IsAbs(fields[0]) {
			paths = append(paths, unescape(fields[0]))
		}
	}
	return paths
}

// unescape undoes what the kernel does to blanks and backslashes in paths:
// three octal digits behind a backslash.
func unescape(s string) string {
	var b strings.Builder
	for {
		front, back, found := strings.Cut(s, `\`)
		b.WriteString(front)
		if !found {
			return b.String()
		}
		s = back
		if code, err := strconv.ParseUint(back[:min(3, len(back))], 8, 8); err == nil && len(back) >= 3 {
			b.WriteByte(byte(code))
			s = back[3:]
		} else {
			b.WriteByte('\\')
		}
	}
}

func loopsOver(is match) []string {
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	var by []string
	for _, file := range files {
		content, _ := os.ReadFile(file)
		if isAt(strings.TrimSuffix(string(content), "\n"), is) {
			by = append(by, filepath.Base(filepath.Dir(filepath.Dir(file))))
		}
	}
	return by
}

// loopsOn names the loop devices over a file, by whatever name they were given it, also where
// that name is gone: of those, only root is told.
func loopsOn(f *os.File, info fs.FileInfo) []string {
	by := loopsOver(isFile(info))
	id := inodeOf(f)
	dirs, _ := filepath.Glob("/sys/block/loop*/loop")
	for _, dir := range dirs {
		name := filepath.Base(filepath.Dir(dir))
		loop, err := os.Open("/dev/" + name)
		if err != nil {
			continue
		}
		status, err := unix.IoctlLoopGetStatus64(int(loop.Fd()))
		loop.Close()
		if err == nil && (inode{status.Device, status.Inode}) == id {
			by = append(by, name)
		}
	}
	return sorted(by)
}
