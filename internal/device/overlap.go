package device

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// place is what a device, or a part of one, is kept on: a block device or a
// file.
type place struct {
	number Number // of a block device
	file   os.FileInfo
}

func (p place) is(other place) bool {
	if p.file == nil || other.file == nil {
		return p.file == nil && other.file == nil && p.number == other.number
	}
	return os.SameFile(p.file, other.file)
}

// Overlaps tells whether writing to one of two devices may change the other,
// whatever the names that they were opened by: they are the same, or one is kept
// on the other, as a partition is on its disk, a logical volume on a physical
// one, a loop device on its file, or they are loop devices over the same part of
// a file.
func (d *Device) Overlaps(other *Device) bool {
	a, b := d.place(), other.place()
	if a == nil || b == nil {
		return false
	}
	return within(*a, *b) || within(*b, *a) || overlappingLoops(a.number, b.number)
}

// place is where the device is; it is nil for Nothing.
func (d *Device) place() *place {
	if d.IsBlock() {
		return &place{number: d.number}
	}
	if d.file == nil {
		return nil
	}
	info, err := d.file.Stat()
	if err != nil {
		return nil // what is open can be asked
	}
	return &place{file: info}
}

// within tells whether p is whole or all of it is kept on what.
func within(p, what place) bool {
	seen := map[Number]bool{}
	queue := []place{p}
	for len(queue) > 0 {
		p, queue = queue[0], queue[1:]
		if p.is(what) {
			return true
		}
		if p.file == nil && !seen[p.number] {
			seen[p.number] = true
			queue = append(queue, p.number.below()...)
		}
	}
	return false
}

// below is what a block device is kept on.
func (n Number) below() []place {
	dir, err := filepath.EvalSymlinks(n.sysfs(""))
	if err != nil {
		return nil // no sysfs: nothing is known
	}
	var numbers []string
	if readLine(filepath.Join(dir, "partition")) != "" {
		numbers = append(numbers, filepath.Join(dir, "../dev"))
	}
	slaves, _ := filepath.Glob(filepath.Join(dir, "slaves/*/dev"))
	var all []place
	for _, file := range append(numbers, slaves...) {
		if number, ok := parseNumber(readLine(file)); ok {
			all = append(all, place{number: number})
		}
	}
	if l, ok := n.loop(); ok {
		all = append(all, l.over)
	}
	return all
}

// loop is what a loop device shows: a part of a file or of a block device, in
// bytes. Its end is 0 where it shows all.
type loop struct {
	over       place
	start, end int64
}

func (n Number) loop() (l loop, ok bool) {
	content, err := os.ReadFile(n.sysfs("loop/backing_file"))
	if err != nil {
		return l, false
	}
	info, err := os.Stat(strings.TrimSuffix(string(content), "\n"))
	if err != nil {
		return l, false // it was deleted, and nobody else can open it
	}
	l.over = place{file: info}
	if !info.Mode().IsRegular() {
		l.over = place{number: numberOf(info)}
	}
	l.start, _ = strconv.ParseInt(readLine(n.sysfs("loop/offset")), 10, 64)
	if size, _ := strconv.ParseInt(readLine(n.sysfs("loop/sizelimit")), 10, 64); size > 0 {
		l.end = l.start + size
	}
	return l, true
}

// overlappingLoops tells whether two devices are loop devices that show the same
// part of a file.
func overlappingLoops(a, b Number) bool {
	x, isLoop := a.loop()
	y, areLoops := b.loop()
	if !isLoop || !areLoops || !x.over.is(y.over) {
		return false
	}
	return (x.end == 0 || y.start < x.end) && (y.end == 0 || x.start < y.end)
}
