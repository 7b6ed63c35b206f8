package inuse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
	offOpenCount   = 24
	offFlags       = 28
	offDevice      = 40
	offName        = 48
	offUUID        = 176
	nameMost       = 127
	uuidMost       = 128

	flagSuspended      = 1 << 1
	flagStatusTable    = 1 << 4
	flagNoFlush        = 1 << 11
	flagBufferFull     = 1 << 8
	flagDeferredRemove = 1 << 17

	// Requests are _IOWR(0xfd, number, struct dm_ioctl).
	mapperRequest = 3<<30 | mapperHead<<16 | 0xfd<<8
	deviceCreate  = mapperRequest | 3
	deviceRemove  = mapperRequest | 4
	deviceStatus  = mapperRequest | 7
	tableLoad     = mapperRequest | 9
	tableStatus   = mapperRequest | 12
)

// ErrNoMapper says that there is no device-mapper to ask.
var ErrNoMapper = errors.New("/dev/mapper/control is missing: device-mapper is not loaded (modprobe dm_mod)")

// newMapperRequest is a request, with room for an answer of at most size bytes.
func newMapperRequest(size int, flags uint32) []byte {
	buf := make([]byte, size)
	beginRequest(buf, flags)
	return buf
}

// beginRequest begins a request in a buffer, all of which the answer may take.
func beginRequest(buf []byte, flags uint32) {
	clear(buf[:mapperHead])
	put := binary.NativeEndian.PutUint32
	put(buf, 4) // the interface's major version; any minor will do
	put(buf[offDataSize:], uint32(len(buf)))
	put(buf[offDataStart:], mapperHead)
	put(buf[offFlags:], flags)
}

// openControl opens device-mapper's control device.
func openControl() (*os.File, error) {
	control, err := os.Open("/dev/mapper/control")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoMapper
	}
	return control, err
}

// askMapper has device-mapper answer a request, in its place.
func askMapper(request uintptr, buf []byte) error {
	control, err := openControl()
	if err != nil {
		return err
	}
	defer control.Close()
	return askOn(control, request, buf)
}

func askOn(control *os.File, request uintptr, buf []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, control.Fd(), request, uintptr(unsafe.Pointer(unsafe.SliceData(buf))))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return errno
	}
	return nil
}

// createMapped makes a device-mapper device, which has no table.
func createMapped(name, uuid string) (Number, error) {
	buf := newMapperRequest(mapperBuffer, 0)
	if name == "" || len(name) > nameMost {
		return Number{}, fmt.Errorf("device-mapper takes no name of %d bytes", len(name))
	}
	copy(buf[offName:], name)
	copy(buf[offUUID:], uuid)
	err := askMapper(deviceCreate, buf)
	return numberIn(buf), err
}

// statusMapped is what there is by a name.
func statusMapped(name string) (n Number, uuid string, err error) {
	buf := newMapperRequest(mapperBuffer, 0)
	copy(buf[offName:], name)
	err = askMapper(deviceStatus, buf)
	return numberIn(buf), text(buf[offUUID:][:uuidMost]), err
}

// openCount is how many have the device-mapper device open: programs, file systems and other devices.
func (n Number) openCount() (uint32, error) {
	buf := newMapperRequest(mapperBuffer, 0)
	binary.NativeEndian.PutUint64(buf[offDevice:], unix.Mkdev(n.Major, n.Minor))
	err := askMapper(deviceStatus, buf)
	return binary.NativeEndian.Uint32(buf[offOpenCount:]), err
}

// loadMapped loads a table for the device of a UUID that is of no use: all transfers fail.
func loadMapped(uuid string) error {
	buf := newMapperRequest(mapperBuffer, 0)
	copy(buf[offUUID:], uuid)
	binary.NativeEndian.PutUint32(buf[offTargetCount:], 1)
	spec := buf[mapperHead:]
	binary.NativeEndian.PutUint64(spec[specLength:], 1)
	copy(spec[specType:], "error")
	return askMapper(tableLoad, buf)
}

func removeMapped(uuid string, flags uint32) error {
	buf := newMapperRequest(mapperBuffer, flags)
	copy(buf[offUUID:], uuid)
	return askMapper(deviceRemove, buf)
}

func numberIn(buf []byte) Number {
	device := binary.NativeEndian.Uint64(buf[offDevice:])
	return Number{unix.Major(device), unix.Minor(device)}
}

// text is the C string at the start of b.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}
