package inuse

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"dmcow/internal/words"

	"golang.org/x/sys/unix"
)

// A lock is one that somebody has on a file.
type lock struct {
	pid   int  // -1 where it belongs to an open file
	flock bool // of flock(2): it is on all of the file
	inode inode
	lockRange
}

// isAgainst reports whether another's lock cannot be had together with the hold.
func (h *Hold) isAgainst(l lock) bool {
	if l.flock {
		return h.flock == unix.LOCK_EX || h.flock != 0 && l.exclusive
	}
	return slices.ContainsFunc(h.ranges, l.meets)
}

// orAnother is who is named, or where nobody is, another program.
func orAnother(by []string) []string {
	if len(by) == 0 {
		return []string{"another program"}
	}
	return by
}

// lockers names the other processes that have such locks on a file, as far as that can be
// seen: the kernel lists the locks of all, but those that belong to an open file without the
// processes that have it open. Those are known by what they have open, where one may look.
func lockers(f *os.File, such func(lock) bool) (by []string) {
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	id := inodeOf(f)
	content, _ := os.ReadFile("/proc/locks")
	var pids []int
	for _, l := range parseLocks(string(content)) {
		if l.inode == id && l.pid > 0 && such(l) {
			pids = append(pids, l.pid)
		}
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*/fdinfo")
	for _, dir := range dirs {
		if hasLocked(filepath.Dir(dir), info, id.ino, such) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	for _, pid := range slices.Compact(pids) {
		if pid != os.Getpid() {
			name := readLine(fmt.Sprintf("/proc/%d/comm", pid))
			if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && name == "dmcow" {
				name = ownCommand(string(line))
			}
			by = append(by, strings.TrimSpace(fmt.Sprintf("%s (process %d)", name, pid)))
		}
	}
	return by
}

// ownCommand is the command line of a dmcow, by which a user knows which mount or merge it is. Its words end with zeros.
func ownCommand(line string) string {
	all := strings.Split(strings.TrimRight(line, "\x00"), "\x00")
	for i, word := range all[1:] {
		all[i+1] = words.Shell(word)
	}
	return strings.Join(append([]string{"dmcow"}, all[1:]...), " ")
}

// hasLocked reports whether a process has such a lock on a file, by what the kernel tells of
// what it has open. The device number there is the file system's, which on btrfs is none of
// the files': the open file itself is looked at.
func hasLocked(process string, file fs.FileInfo, ino uint64, such func(lock) bool) bool {
	entries, _ := os.ReadDir(filepath.Join(process, "fdinfo")) // it may be another user's
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		content, _ := os.ReadFile(filepath.Join(process, "fdinfo", e.Name()))
		return slices.ContainsFunc(parseLocks(string(content)), func(l lock) bool {
			if l.inode.ino != ino || !such(l) {
				return false
			}
			other, err := os.Stat(filepath.Join(process, "fd", e.Name()))
			return err == nil && os.SameFile(file, other)
		})
	})
}

// parseLocks takes the locks out of /proc/locks, or out of /proc/PID/fdinfo/FD. A line is
// "1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF", in the latter behind "lock:", with the
// number of the file system's device in hexadecimal digits, the file's number, and the first
// and the last byte that are locked. Who waits for a lock has an arrow in front.
func parseLocks(content string) (all []lock) {
	for line := range strings.Lines(content) {
		fields := strings.Fields(strings.TrimPrefix(line, "lock:"))
		if len(fields) < 8 || !slices.Contains([]string{"FLOCK", "POSIX", "OFDLCK"}, fields[1]) {
			continue
		}
		l := lock{flock: fields[1] == "FLOCK"}
		l.exclusive = fields[3] == "WRITE"
		var major, minor uint32
		if _, err := fmt.Sscanf(strings.Join(fields[4:7], " "), "%d %x:%x:%d %d", &l.pid, &major, &minor, &l.inode.ino, &l.start); err != nil {
			continue
		}
		l.inode.dev = unix.Mkdev(major, minor)
		l.end = math.MaxInt64
		if last, err := strconv.ParseInt(fields[7], 10, 64); err == nil {
			l.end = last + 1
		}
		all = append(all, l)
	}
	return all
}
