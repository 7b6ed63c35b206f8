package device

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// BusyError says that somebody else uses a device.
type BusyError struct {
	By []string // in words for a message; empty where nothing is known
}

func (e *BusyError) Error() string {
	if len(e.By) == 0 {
		return "in use by another program"
	}
	return "in use by " + strings.Join(e.By, ", ")
}

// busy says who holds the block device of this number, or a partition of it.
func (n Number) busy() error {
	e := &BusyError{}
	for _, part := range n.parts() {
		e.By = append(e.By, part.holders()...)
		e.By = append(e.By, part.mounts()...)
		if part.swap() {
			e.By = append(e.By, "the kernel, as swap")
		}
	}
	return e
}

// parts are the device and its partitions.
func (n Number) parts() []Number {
	all := []Number{n}
	dirs, _ := filepath.Glob(n.sysfs("*/partition"))
	for _, file := range dirs {
		var p Number
		line := readLine(filepath.Join(filepath.Dir(file), "dev"))
		if _, err := fmt.Sscanf(line, "%d:%d", &p.Major, &p.Minor); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// mounts are the file systems of the device that are mounted here.
func (n Number) mounts() (names []string) {
	for _, fields := range fieldsOf("/proc/self/mountinfo") {
		if len(fields) > 4 && fields[2] == n.String() {
			names = append(names, "the file system mounted on "+unescape(fields[4]))
		}
	}
	return slices.Compact(names)
}

// swap tells whether the device is swapped to.
func (n Number) swap() bool {
	for _, fields := range fieldsOf("/proc/swaps") {
		if len(fields) == 0 {
			continue
		}
		info, err := os.Stat(unescape(fields[0]))
		if err == nil && info.Mode().Type() == fs.ModeDevice && numberOf(info) == n {
			return true
		}
	}
	return false
}

// fieldsOf are the fields of a file's lines.
func fieldsOf(path string) (lines [][]string) {
	f, err := os.Open(path)
	if err != nil {
		return nil // nothing is known
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, strings.Fields(s.Text()))
	}
	return lines
}

// unescape undoes what /proc does to blanks and the like in a name: \040.
func unescape(name string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(name, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		octal, err := strconv.ParseUint(after[:min(3, len(after))], 8, 8)
		if err != nil {
			b.WriteByte('\\')
			name = after
			continue
		}
		b.WriteByte(byte(octal))
		name = after[3:]
	}
}

// lock takes an image file for this process alone: with flock, as this program
// and losetup's kind do, and with a lock on all its bytes, which QEMU's collide
// with.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return &BusyError{By: lockHolders(f)}
	}
	if err == nil {
		whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0}
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return &BusyError{By: lockHolders(f)}
		}
	}
	if err != nil {
		return fmt.Errorf("cannot be locked: %w", err)
	}
	return nil
}

// lockHolders names the processes that have locked a file, as far as the kernel
// knows them.
func lockHolders(f *os.File) (names []string) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil
	}
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	// 1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF
	for _, fields := range fieldsOf("/proc/locks") {
		if len(fields) < 6 || fields[5] != id {
			continue
		}
		pid, err := strconv.Atoi(fields[4])
		if err != nil || pid <= 0 || pid == os.Getpid() {
			continue
		}
		name := readLine(fmt.Sprintf("/proc/%d/comm", pid))
		names = append(names, strings.TrimSpace(fmt.Sprintf("%s (process %d)", name, pid)))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// loopOf is the loop device that has an image file for its content: "loop3";
// it is empty where there is none.
func loopOf(info fs.FileInfo) string {
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range files {
		backing, err := os.Stat(readLine(file))
		if err == nil && os.SameFile(backing, info) {
			return filepath.Base(filepath.Dir(filepath.Dir(file)))
		}
	}
	return ""
}
