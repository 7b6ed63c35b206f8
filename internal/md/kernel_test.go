package md_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/md"
)

// TestKernelMembers: each member of a RAID1 that md makes has the array's data where its superblock says; the
// one that was there longer is the newer, and one that is left out is told from it.
func TestKernelMembers(t *testing.T) {
	kernellab.Require(t)
	if !kernellab.InLab() {
		t.Skip("makes arrays of md: only in the lab")
	}
	for _, version := range []string{"0.90", "1.0", "1.1", "1.2"} {
		t.Run(version, func(t *testing.T) { members(t, version) })
	}
}

func members(t *testing.T, version string) {
	const sectors = 24 << 10
	var files, loops []string
	for i := range 2 {
		files = append(files, kernellab.File(t, fmt.Sprint("member", i), sectors+7))
		loops = append(loops, kernellab.Loop(t, files[i]))
	}
	array := "/dev/md7"
	mdadm := func(args ...string) { t.Helper(); kernellab.Run(t, "mdadm", args...) }
	stopped := false
	stop := func() {
		if !stopped {
			mdadm("--stop", array)
		}
		stopped = true
	}
	mdadm("--create", array, "--run", "--metadata="+version, "--level=1", "--raid-devices=2", "--bitmap=none", "--assume-clean", loops[0], loops[1])
	t.Cleanup(stop)
	write := func(version uint64, chunks ...uint64) {
		t.Helper()
		if failed, err := kernellab.WritePattern(array, 8, chunks, version); failed > 0 || err != nil {
			t.Fatal(failed, err)
		}
	}
	write(1, 0, 1, 2, 500, kernellab.Size(t, array)/8-1)
	both := kernellab.MustRead(t, array)
	mdadm("--manage", array, "--fail", loops[0])
	mdadm("--manage", array, "--remove", loops[0])
	write(2, 0, 77)
	want := kernellab.MustRead(t, array)
	stop()

	var found []*md.Member
	for i, content := range [][]byte{both, want} {
		image, err := os.ReadFile(files[i])
		kernellab.Must(t, err)
		m, err := md.Find(bytes.NewReader(image))
		kernellab.Must(t, err)
		if m.Version != version || m.Level != md.RAID1 || m.Members != 2 || m.Place != i || m.CheckReadable() != nil {
			t.Errorf("member %d: %+v, %v", i, m, m.CheckReadable())
		}
		if m.Length != m.Whole || !bytes.Equal(image[m.Start:][:m.Length], content) {
			t.Errorf("member %d, %+v: it has not what the kernel showed", i, m)
		}
		found = append(found, m)
	}
	if found[0].Array != found[1].Array || found[0].Events >= found[1].Events {
		t.Errorf("%+v and %+v", found[0], found[1])
	}
	if md.Newest(found...) != found[1] || md.Newest(found[1], found[0]) != found[1] {
		t.Error("the older one is taken")
	}
}

// TestKernelNotAlone: members that have not all of the array's data say so.
func TestKernelNotAlone(t *testing.T) {
	kernellab.Require(t)
	if !kernellab.InLab() {
		t.Skip("makes arrays of md: only in the lab")
	}
	for _, c := range []struct {
		level, name string
		devices     int
	}{{"0", "raid0", 2}, {"linear", "linear", 2}, {"5", "raid5", 3}, {"10", "raid10", 2}} {
		if c.level == "linear" && kernellab.Linux(6, 8) {
			continue // it was taken out
		}
		var files, loops []string
		for i := range c.devices {
			files = append(files, kernellab.File(t, fmt.Sprint(c.name, i), 8<<10))
			loops = append(loops, kernellab.Loop(t, files[i]))
		}
		kernellab.Run(t, "mdadm", append([]string{"--create", "/dev/md8", "--run", "--level=" + c.level, "--assume-clean", fmt.Sprint("--raid-devices=", c.devices)}, loops...)...)
		kernellab.Run(t, "mdadm", "--stop", "/dev/md8")
		for _, file := range files {
			image, err := os.ReadFile(file)
			kernellab.Must(t, err)
			if m, err := md.Find(bytes.NewReader(image)); err != nil || m.LevelName() != c.name || m.CheckReadable() == nil {
				t.Errorf("%s: %+v, %v", c.name, m, err)
			}
		}
	}
}
