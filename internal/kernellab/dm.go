package kernellab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Device is a device-mapper device that a test made.
type Device struct {
	Name string // as dmsetup knows it
	Path string // under /dev/mapper
	gone bool
}

// Create makes a device-mapper device of a table in dmsetup's form, "START
// SECTORS TARGET ARGUMENT...", a line a target. The test ends if the kernel
// refuses the table. The device goes with the test, if not before. Its name is
// made unique: tests of several packages may run at once.
func Create(t testing.TB, name, table string, readOnly bool) *Device {
	t.Helper()
	d, err := TryCreate(t, name, table, readOnly)
	Must(t, err)
	return d
}

// TryCreate is Create for a table that the kernel may refuse. The error then
// holds what the driver logged.
func TryCreate(t testing.TB, name, table string, readOnly bool) (*Device, error) {
	t.Helper()
	name = fmt.Sprintf("dmcow-%d-%s", os.Getpid(), name)
	flags := uint32(0)
	if readOnly {
		flags = unix.DM_READONLY_FLAG
	}
	log := OpenLog(t)
	defer log.Close()
	if err := createMapped(name, table, flags); err != nil {
		return nil, fmt.Errorf("%w\nkernel: %s", err, strings.Join(log.Lines(), "\nkernel: "))
	}
	d := &Device{Name: name, Path: mapperDir + name}
	t.Cleanup(func() {
		if !d.gone && removeMapped(name) != nil {
			_, _ = run("dmsetup", "remove", "--force", name)
		}
	})
	return d, nil
}

// Remove removes the device. Something that udev has started may still hold it for a
// moment.
func (d *Device) Remove(t testing.TB) {
	t.Helper()
	err := removeMapped(d.Name)
	for tries := 0; tries < 200 && errors.Is(err, unix.EBUSY); tries++ {
		time.Sleep(25 * time.Millisecond)
		err = removeMapped(d.Name)
	}
	Must(t, err)
	d.gone = true
}

// Status is the status of the device's only target, without its start, length
// and name: "3168/5600 24" or "Invalid" for a snapshot.
func (d *Device) Status(t testing.TB) string {
	t.Helper()
	lines, err := mappedTargets(d.Name, 0)
	Must(t, err)
	return strings.Join(strings.SplitN(lines[0], " ", 4)[3:], "") // empty if the target says nothing
}

// Table is the device's table, as Create takes it.
func (d *Device) Table(t testing.TB) string {
	t.Helper()
	lines, err := mappedTargets(d.Name, unix.DM_STATUS_TABLE_FLAG)
	Must(t, err)
	return strings.Join(lines, "\n")
}

// Message sends the target that holds sector 0 a message (struct dm_target_msg: the sector, and
// the words).
func (d *Device) Message(t testing.TB, words ...string) {
	t.Helper()
	data := append(make([]byte, 8), strings.Join(words, " ")+"\x00"...)
	_, _, err := mapperCall{request: unix.DM_TARGET_MSG, name: d.Name, data: data}.do()
	Must(t, err)
}

// Reload gives the device another table; the device is suspended meanwhile.
func (d *Device) Reload(t testing.TB, table string) {
	t.Helper()
	Must(t, loadMapped(d.Name, table, 0))
	d.Suspend(t)
	d.Resume(t)
}

// Suspend waits for what is under way, and holds whatever comes after.
func (d *Device) Suspend(t testing.TB) {
	t.Helper()
	Must(t, suspendMapped(d.Name, unix.DM_SUSPEND_FLAG))
}

// Resume undoes Suspend.
func (d *Device) Resume(t testing.TB) {
	t.Helper()
	Must(t, suspendMapped(d.Name, 0))
}

// Size is the size in sectors of the file or block device at path.
func Size(t testing.TB, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	Must(t, err)
	defer f.Close()
	bytes, err := f.Seek(0, io.SeekEnd)
	Must(t, err)
	return uint64(bytes) / SectorSize
}
