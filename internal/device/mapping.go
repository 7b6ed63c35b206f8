package device

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Target is the first target of a device-mapper device, as `dmsetup table`
// prints it.
type Target struct {
	Type string   // "snapshot", "linear", ...
	Args []string // "254:1", "254:2", "P", "8"
}

// Target is the device's device-mapper target; ok is false when it is no
// device-mapper device, or that cannot be told (it takes root rights).
func (d *Device) Target() (t Target, ok bool) {
	n := d.Number()
	if n == (Number{}) {
		return Target{}, false
	}
	return n.target()
}

func (n Number) target() (t Target, ok bool) {
	table := n.table()
	if len(table) == 0 {
		return Target{}, false
	}
	return table[0].Target, true
}

// TableName is the device's name in a device-mapper table: its number, as the kernel has it,
// or the path of what is no block device, which wants one.
func (d *Device) TableName() string {
	if n := d.Number(); n != (Number{}) {
		return n.String()
	}
	return d.path
}

// A row is a line of a device-mapper table: a target and the part of the device
// that it serves, in bytes.
type row struct {
	Target
	start, length int64
}

// table is the device-mapper table of a device; it is empty when that is no
// device-mapper device, or its table cannot be told.
func (n Number) table() []row {
	if readLine(n.sysfs("dm/name")) == "" {
		return nil
	}
	control, err := os.Open("/dev/mapper/control")
	if err != nil {
		return nil
	}
	defer control.Close()
	for size := mapperBuffer; size <= mapperMost; size *= 2 {
		buf := newMapperRequest(n, size)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), tableStatus,
			uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
		runtime.KeepAlive(buf)
		if errno != 0 {
			return nil
		}
		if binary.NativeEndian.Uint32(buf[offFlags:])&flagBufferFull == 0 {
			return parseTable(buf)
		}
	}
	return nil
}

// The layout of device-mapper's ioctl interface (linux/dm-ioctl.h), in bytes.
const (
	mapperHead   = 312 // struct dm_ioctl
	mapperBuffer = 4096
	mapperMost   = 1 << 28 // a million targets, which no kernel goes beyond, take less
	specSize     = 40      // struct dm_target_spec
	specStart    = 0
	specLength   = 8
	specNext     = 20
	specType     = 24
	specTypeSize = 16

	offDataSize    = 12
	offDataStart   = 16
	offTargetCount = 20
	offFlags       = 28
	offDevice      = 40

	flagStatusTable = 1 << 4
	flagBufferFull  = 1 << 8

	// tableStatus is DM_TABLE_STATUS: _IOWR(0xfd, 12, struct dm_ioctl).
	tableStatus = 3<<30 | mapperHead<<16 | 0xfd<<8 | 12
)

// newMapperRequest asks for the table of a device, in an answer of at most size
// bytes.
func newMapperRequest(n Number, size int) []byte {
	buf := make([]byte, size)
	put := binary.NativeEndian.PutUint32
	put(buf[0:], 4) // the interface's major version; any minor will do
	put(buf[offDataSize:], uint32(size))
	put(buf[offDataStart:], mapperHead)
	put(buf[offFlags:], flagStatusTable)
	binary.NativeEndian.PutUint64(buf[offDevice:], unix.Mkdev(n.Major, n.Minor))
	return buf
}

// parseTable takes the table out of the kernel's answer.
func parseTable(buf []byte) (all []row) {
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	data := int(u32(buf[offDataStart:]))
	at, end := data, 0 // of the next target's spec; of the last one
	for range u32(buf[offTargetCount:]) {
		if at < end || at > len(buf)-specSize {
			break
		}
		spec := buf[at:]
		all = append(all, row{
			Target: Target{
				Type: text(spec[specType : specType+specTypeSize]),
				Args: strings.Fields(text(spec[specSize:])),
			},
			start:  int64(u64(spec[specStart:])) * SectorSize,
			length: int64(u64(spec[specLength:])) * SectorSize,
		})
		at, end = data+int(u32(spec[specNext:])), at+specSize
	}
	return all
}

// text is a C string.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
