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
	if !d.IsBlock() || readLine(d.number.sysfs("dm/name")) == "" {
		return Target{}, false
	}
	control, err := os.Open("/dev/mapper/control")
	if err != nil {
		return Target{}, false
	}
	defer control.Close()
	buf := newMapperRequest(d.number)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), tableStatus,
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return Target{}, false
	}
	return parseTarget(buf)
}

// The layout of device-mapper's ioctl interface (linux/dm-ioctl.h), in bytes.
const (
	mapperHead   = 312 // struct dm_ioctl
	mapperBuffer = 4096
	specSize     = 40 // struct dm_target_spec
	specType     = 24
	specTypeSize = 16

	offDataSize    = 12
	offDataStart   = 16
	offTargetCount = 20
	offFlags       = 28
	offDevice      = 40

	flagStatusTable = 1 << 4

	// tableStatus is DM_TABLE_STATUS: _IOWR(0xfd, 12, struct dm_ioctl).
	tableStatus = 3<<30 | mapperHead<<16 | 0xfd<<8 | 12
)

// newMapperRequest asks for the table of a device.
func newMapperRequest(n Number) []byte {
	buf := make([]byte, mapperBuffer)
	put := binary.NativeEndian.PutUint32
	put(buf[0:], 4) // the interface's major version; any minor will do
	put(buf[offDataSize:], mapperBuffer)
	put(buf[offDataStart:], mapperHead)
	put(buf[offFlags:], flagStatusTable)
	binary.NativeEndian.PutUint64(buf[offDevice:], unix.Mkdev(n.Major, n.Minor))
	return buf
}

// parseTarget takes the first target out of the kernel's answer.
func parseTarget(buf []byte) (t Target, ok bool) {
	start := int(binary.NativeEndian.Uint32(buf[offDataStart:]))
	if binary.NativeEndian.Uint32(buf[offTargetCount:]) == 0 || start < 0 || start > len(buf)-specSize {
		return Target{}, false
	}
	spec := buf[start:]
	return Target{
		Type: text(spec[specType : specType+specTypeSize]),
		Args: strings.Fields(text(spec[specSize:])),
	}, true
}

// text is a C string.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
