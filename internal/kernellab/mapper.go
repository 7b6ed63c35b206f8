package kernellab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Starting a program takes the lab a tenth of a second, and tests make thousands of
// devices: so this asks device-mapper itself, as dmsetup would (linux/dm-ioctl.h).

const mapperDir = "/dev/mapper/"

type mapperCall struct {
	request uintptr
	name    string // of the device
	flags   uint32
	targets uint32 // that data describes
	data    []byte
}

// Sizes of what the kernel takes and gives, in bytes.
const (
	mapperHead   = int(unsafe.Sizeof(unix.DmIoctl{}))
	mapperSpec   = int(unsafe.Sizeof(unix.DmTargetSpec{}))
	mapperAnswer = 1 << 16 // more than the tables of any test
)

// control is what the calls go to.
var control = sync.OnceValues(func() (*os.File, error) { return os.OpenFile(mapperDir+"control", os.O_RDWR, 0) })

// do makes the call. It returns the answer, and how the answer begins.
func (c mapperCall) do() ([]byte, *unix.DmIoctl, error) {
	control, err := control()
	if err != nil {
		return nil, nil, err
	}
	words := make([]uint64, (mapperHead+len(c.data)+mapperAnswer)/8) // as aligned as a structure must be
	head := (*unix.DmIoctl)(unsafe.Pointer(unsafe.SliceData(words)))
	buf := unsafe.Slice((*byte)(unsafe.Pointer(head)), 8*len(words))
	*head = unix.DmIoctl{
		Version: [3]uint32{4}, Data_size: uint32(len(buf)), Data_start: uint32(mapperHead),
		Target_count: c.targets, Flags: c.flags,
	}
	if len(c.name) >= len(head.Name) {
		return nil, nil, fmt.Errorf("%s: too long a name", c.name)
	}
	copy(head.Name[:], c.name)
	copy(buf[mapperHead:], c.data)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), c.request, uintptr(unsafe.Pointer(head)))
	runtime.KeepAlive(words)
	if errno != 0 {
		return nil, nil, fmt.Errorf("device-mapper: %s: %w", c.name, errno)
	}
	if head.Flags&unix.DM_BUFFER_FULL_FLAG != 0 {
		return nil, nil, fmt.Errorf("device-mapper: %s: an answer of more than %d bytes", c.name, mapperAnswer)
	}
	return buf, head, nil
}

func createMapped(name, table string, flags uint32) error {
	_, head, err := mapperCall{request: unix.DM_DEV_CREATE, name: name}.do()
	if err != nil {
		return err
	}
	if err = loadMapped(name, table, flags); err == nil {
		err = suspendMapped(name, 0)
	}
	if err == nil {
		err = unix.Mknod(mapperDir+name, unix.S_IFBLK|0o600, int(head.Dev))
	}
	if err != nil && !errors.Is(err, unix.EEXIST) { // udev may be faster
		_ = removeMapped(name)
		return err
	}
	return nil
}

// loadMapped gives a device a table, which it takes up when it is resumed.
func loadMapped(name, table string, flags uint32) error {
	var data []byte
	targets := uint32(0)
	for line := range strings.Lines(table) {
		spec := unix.DmTargetSpec{}
		words := strings.SplitN(strings.TrimSpace(line), " ", 4)
		if _, err := fmt.Sscan(line, &spec.Sector_start, &spec.Length); err != nil || len(words) < 3 {
			return fmt.Errorf("table line %q", line)
		}
		copy(spec.Target_type[:], words[2])
		arguments := strings.Join(words[3:], "")
		size := (mapperSpec + len(arguments) + 1 + 7) / 8 * 8
		spec.Next = uint32(size)
		at := len(data)
		data = append(data, make([]byte, size)...)
		copy(data[at:], unsafe.Slice((*byte)(unsafe.Pointer(&spec)), mapperSpec))
		copy(data[at+mapperSpec:], arguments)
		targets++
	}
	_, _, err := mapperCall{request: unix.DM_TABLE_LOAD, name: name, flags: flags, targets: targets, data: data}.do()
	return err
}

// suspendMapped suspends a device with DM_SUSPEND_FLAG, and resumes it without.
func suspendMapped(name string, flags uint32) error {
	_, _, err := mapperCall{request: unix.DM_DEV_SUSPEND, name: name, flags: flags}.do()
	return err
}

func removeMapped(name string) error {
	_, _, err := mapperCall{request: unix.DM_DEV_REMOVE, name: name}.do()
	if err != nil {
		return err
	}
	if err := os.Remove(mapperDir + name); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// mappedTargets are lines of what device-mapper tells of a device's targets, as
// dmsetup prints them: their status, or with DM_STATUS_TABLE_FLAG their table.
func mappedTargets(name string, flags uint32) (lines []string, err error) {
	buf, head, err := mapperCall{request: unix.DM_TABLE_STATUS, name: name, flags: flags}.do()
	if err != nil {
		return nil, err
	}
	data := buf[head.Data_start:]
	next := uint32(0)
	for range head.Target_count {
		spec := (*unix.DmTargetSpec)(unsafe.Pointer(&data[next]))
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%d %d %s %s", spec.Sector_start, spec.Length,
			cString(spec.Target_type[:]), cString(data[int(next)+mapperSpec:]))))
		next = spec.Next
	}
	return lines, nil
}

func cString(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
