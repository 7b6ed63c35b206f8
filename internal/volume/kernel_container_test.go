package volume_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
)

// containerLab is a disk of a group with the volume a, for what is made of it.
func containerLab(t *testing.T) (disk string, want []byte) {
	kernellab.Require(t)
	if !kernellab.InLab() {
		t.Skip("takes devices with fixed names: only in the lab")
	}
	disk = groupDisks(t, 1, [][]string{{"a", segment(0, 400, `type = "striped" stripes = ["pv0", 10]`)}})[0]
	return disk, pieceOf(t, []string{disk}, 0, 10, 400)
}

// isRead wants the volume to be read from a path.
func isRead(t *testing.T, path string, want []byte) {
	t.Helper()
	v, _ := find(t, "vg0/a", []string{path})
	d, err := v.Open()
	kernellab.Must(t, err)
	got := make([]byte, d.Size())
	if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %v, is what it should be: %t", path, err, bytes.Equal(got, want))
	}
}

// isNamed wants a file to be named, with a way to open it.
func isNamed(t *testing.T, path, format, way string) {
	t.Helper()
	s, err := look(t, []string{path})
	if err != nil || len(s.Empty) != 1 || !strings.Contains(s.Empty[0].Error(), format) || !strings.Contains(s.Empty[0].Error(), way) {
		t.Errorf("%v, %v", err, s.Empty)
	}
}

// TestKernelQcow2: a disk in a file of the format qcow2 is named, and read in the way that is told.
func TestKernelQcow2(t *testing.T) {
	disk, want := containerLab(t)
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	kernellab.Run(t, "qemu-img", "convert", "-O", "qcow2", disk, path)
	isNamed(t, path, "of the format qcow2", "qemu-nbd --read-only --connect=/dev/nbd0 FILE")
	kernellab.Must(t, os.MkdirAll("/run/lock", 0o755)) // where it has its socket
	kernellab.Run(t, "modprobe", "nbd", "max_part=0")
	kernellab.Run(t, "qemu-nbd", "--fork", "--read-only", "--connect=/dev/nbd0", path)
	t.Cleanup(func() { kernellab.Run(t, "qemu-nbd", "--disconnect", "/dev/nbd0") })
	for kernellab.Size(t, "/dev/nbd0") == 0 { // it is attached while the program returns already
		kernellab.Run(t, "true")
	}
	isRead(t, "/dev/nbd0", want)
}

// TestKernelE01: so is one in a file of EnCase.
func TestKernelE01(t *testing.T) {
	disk, want := containerLab(t)
	path, dir := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	devicetest.WriteFile(t, path+".sh", []byte("ewfacquirestream -q -t "+path+" <"+disk+" && ewfmount "+path+".E01 "+dir+"\n"))
	kernellab.Run(t, "sh", path+".sh")
	t.Cleanup(func() { kernellab.Run(t, "umount", dir) })
	isNamed(t, path+".E01", "of the format E01", "ewfmount FILE DIR")
	if _, err := os.Stat(filepath.Join(dir, "ewf1")); err != nil {
		t.Fatal(err)
	}
	isRead(t, filepath.Join(dir, "ewf1"), want)
}
