package kernellab

import (
	"fmt"
	"os"
	"strings"
	"testing"
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
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TryCreate is Create for a table that the kernel may refuse. The error then
// holds what the driver logged.
func TryCreate(t testing.TB, name, table string, readOnly bool) (*Device, error) {
	t.Helper()
	name = fmt.Sprintf("dmcow-%d-%s", os.Getpid(), name)
	args := []string{"create", name}
	if readOnly {
		args = append(args, "--readonly")
	}
	log := OpenLog(t)
	defer log.Close()
	if _, err := run("dmsetup", append(args, "--table", table)...); err != nil {
		return nil, fmt.Errorf("%w\nkernel: %s", err, strings.Join(log.Lines(), "\nkernel: "))
	}
	d := &Device{Name: name, Path: "/dev/mapper/" + name}
	t.Cleanup(func() {
		if !d.gone {
			_, _ = run("dmsetup", "remove", "--force", name)
		}
	})
	if _, err := os.Stat(d.Path); err != nil { // there may be no udev
		Run(t, "dmsetup", "mknodes", name)
	}
	return d, nil
}

// Remove removes the device.
func (d *Device) Remove(t testing.TB) {
	t.Helper()
	Run(t, "dmsetup", "remove", "--retry", d.Name)
	d.gone = true
}

// Status is the status of the device's only target, without its start, length
// and name: "3168/5600 24" or "Invalid" for a snapshot.
func (d *Device) Status(t testing.TB) string {
	t.Helper()
	return afterTarget(Run(t, "dmsetup", "status", d.Name))
}

// Table is the device's table, as Create takes it.
func (d *Device) Table(t testing.TB) string {
	t.Helper()
	return Run(t, "dmsetup", "table", d.Name)
}

// Message sends the target that holds sector 0 a message.
func (d *Device) Message(t testing.TB, words ...string) {
	t.Helper()
	Run(t, "dmsetup", append([]string{"message", d.Name, "0"}, words...)...)
}

// Reload gives the device another table; the device is suspended meanwhile.
func (d *Device) Reload(t testing.TB, table string) {
	t.Helper()
	Run(t, "dmsetup", "reload", d.Name, "--table", table)
	d.Suspend(t)
	d.Resume(t)
}

// Suspend waits for what is under way, and holds whatever comes after.
func (d *Device) Suspend(t testing.TB) {
	t.Helper()
	Run(t, "dmsetup", "suspend", d.Name)
}

// Resume undoes Suspend.
func (d *Device) Resume(t testing.TB) {
	t.Helper()
	Run(t, "dmsetup", "resume", d.Name)
}

// Size is the size in sectors of the file or block device at path.
func Size(t testing.TB, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bytes, err := f.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	return uint64(bytes) / SectorSize
}

// afterTarget cuts "START SECTORS TARGET " off a line of dmsetup's.
func afterTarget(line string) string {
	fields := strings.SplitN(line, " ", 4)
	if len(fields) < 4 {
		return ""
	}
	return fields[3]
}
