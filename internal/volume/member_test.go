package volume_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/internal/volume"
)

// memberDisk makes a member of a RAID1 of md, of version 1.2, whose data begins at its second MiB, of what is in
// a file: the member of a number, of two, with so many events.
func memberDisk(t *testing.T, of string, number, events byte, level uint32) string {
	t.Helper()
	const start = 2 << 20
	content := readFile(t, of)
	b := append(make([]byte, start), content...)
	sb, le := b[4096:], binary.LittleEndian
	le.PutUint32(sb, 0xa92b4efc)
	le.PutUint32(sb[4:], 1)
	copy(sb[16:], "0123456789abcdef")
	le.PutUint32(sb[72:], level)
	le.PutUint64(sb[80:], uint64(len(content)/512))
	le.PutUint32(sb[92:], 2)
	le.PutUint64(sb[128:], start/512)
	le.PutUint64(sb[144:], 8)
	sb[160], sb[200], sb[220], sb[258] = number, events, 2, 1
	sum := uint64(0)
	for i := 0; i < 260; i += 4 {
		sum += uint64(le.Uint32(sb[i:]))
	}
	le.PutUint32(sb[216:], uint32(sum)+uint32(sum>>32))
	path := filepath.Join(t.TempDir(), fmt.Sprint("half", number))
	devicetest.WriteFile(t, path, b)
	return path
}

// TestMember: of the members of an array the newest is read, at the place of its data, and it is said which it was.
func TestMember(t *testing.T) {
	disk := groupDisks(t, 1, [][]string{{"a", segment(0, 100, `type = "striped" stripes = ["pv0", 10]`)}})
	want := pieceOf(t, disk, 0, 10, 100)
	old := groupDisks(t, 1, [][]string{{"a", segment(0, 100, `type = "striped" stripes = ["pv0", 200]`)}})
	first, second, stale := memberDisk(t, disk[0], 0, 9, 1), memberDisk(t, disk[0], 1, 9, 1), memberDisk(t, old[0], 1, 8, 1)
	for _, c := range []struct {
		given []string
		told  string
	}{
		{[]string{first}, "is one of 2 members of an md RAID1; the others are missing, and may be newer"},
		{[]string{first, second}, ""}, {[]string{second, first}, ""},
		{[]string{first, stale}, "half1 is not: both are members of an md RAID1, and this one is newer (9 events; the other has 8)"},
		{[]string{stale, first}, "half1 is not: both are members of an md RAID1, and this one is newer (9 events; the other has 8)"},
	} {
		v, told := find(t, "vg0/a", c.given)
		d, err := v.Open()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, d.Size())
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) || v.Gone != nil {
			t.Errorf("%s: %v, is what it should be: %t", c.given, err, bytes.Equal(got, want))
		}
		if all := strings.Join(*told, "\n"); !strings.Contains(all, c.told) || (c.told == "") != (all == "") {
			t.Errorf("%s: told %s, want %s", c.given, all, c.told)
		}
		if err := v.RefuseWriting(); err == nil || !strings.Contains(err.Error(), "is a member of an md array") {
			t.Errorf("%s: to write: %v", c.given, err)
		}
	}
}

// partitioned is a disk with the content in its first partition.
func partitioned(content []byte) []byte {
	b := append(make([]byte, 1<<20), content...)
	b[450] = 0xfd
	binary.LittleEndian.PutUint32(b[454:], 2048)
	binary.LittleEndian.PutUint32(b[458:], uint32(len(content)/512))
	copy(b[510:], "\x55\xaa")
	return b
}

// TestHasPhysical: what begins with zeros, as a member of an array may, is not empty for that.
func TestHasPhysical(t *testing.T) {
	disk := groupDisks(t, 1, [][]string{{"a", segment(0, 100, `type = "striped" stripes = ["pv0", 10]`)}})[0]
	empty := filepath.Join(t.TempDir(), "empty")
	devicetest.WriteFile(t, empty, make([]byte, 4<<20))
	for path, want := range map[string]bool{disk: true, memberDisk(t, disk, 0, 9, 1): true, memberDisk(t, disk, 1, 9, 5): false, empty: false} {
		d, err := device.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := volume.HasPhysical(d); got != want {
			t.Errorf("%s: %t", path, got)
		}
		d.Close()
	}
}

// TestMemberPartitions: an array may have partitions, and its members may be ones.
func TestMemberPartitions(t *testing.T) {
	disk := groupDisks(t, 1, [][]string{{"a", segment(0, 100, `type = "striped" stripes = ["pv0", 10]`)}})
	want := pieceOf(t, disk, 0, 10, 100)
	in := filepath.Join(t.TempDir(), "in")
	devicetest.WriteFile(t, in, partitioned(readFile(t, disk[0])))
	for of, name := range map[string]string{disk[0]: "partition 1 of ", in: "partition 1 of partition 1 of "} {
		whole := filepath.Join(t.TempDir(), "whole")
		devicetest.WriteFile(t, whole, partitioned(readFile(t, memberDisk(t, of, 0, 9, 1))))
		v, told := find(t, "vg0/a", []string{whole})
		d, err := v.Open()
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, d.Size())
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) || !strings.HasPrefix(strings.Join(*told, "\n"), name+whole+": is one of 2 members") {
			t.Errorf("%v, told %s", err, *told)
		}
	}
}

// TestMemberCopies: two copies of one half are not taken for two halves.
func TestMemberCopies(t *testing.T) {
	disk := groupDisks(t, 1, [][]string{{"a", segment(0, 100, `type = "striped" stripes = ["pv0", 10]`)}})
	one := memberDisk(t, disk[0], 0, 9, 1)
	copied := filepath.Join(t.TempDir(), "copy")
	devicetest.WriteFile(t, copied, readFile(t, one))
	v, _ := find(t, "vg0/a", []string{one, copied})
	if _, err := v.Open(); err == nil || !strings.Contains(err.Error(), "exists 2 times") {
		t.Error(err)
	}
}

// TestMemberOfOthers: a member of an array in which each has a part of the data is refused, and named.
func TestMemberOfOthers(t *testing.T) {
	disk := groupDisks(t, 1, [][]string{{"a", segment(0, 100, `type = "striped" stripes = ["pv0", 10]`)}})
	s, err := look(t, []string{memberDisk(t, disk[0], 0, 9, 5)})
	if err != nil || len(s.Groups.All) != 0 || len(s.Empty) != 0 || len(s.Faults) != 1 || !strings.Contains(s.Faults[0].Error(), "half0: is a member of an md array (raid5)") {
		t.Errorf("%v, %v, %v", err, s.Empty, s.Faults)
	}
}

// TestKernelMember: a physical volume on a RAID1 that md makes is read from its members, also in a partition of a
// disk, as the kernel showed it; of two, the one that was there longer.
func TestKernelMember(t *testing.T) {
	for _, version := range []string{"0.90", "1.0", "1.1", "1.2"} {
		t.Run(version, func(t *testing.T) { memberOfKernel(t, version) })
	}
}

func memberOfKernel(t *testing.T, version string) {
	kernellab.Require(t)
	if !kernellab.InLab() {
		t.Skip("makes arrays of md: only in the lab")
	}
	const array = "/dev/md9"
	l := &targetLab{T: t}
	for i := range 2 {
		l.files = append(l.files, kernellab.File(t, fmt.Sprint("member", i), 64<<10))
		l.loops = append(l.loops, kernellab.Loop(t, l.files[i]))
	}
	kernellab.Run(t, "mdadm", "--create", array, "--run", "--metadata="+version, "--level=1", "--raid-devices=2", "--bitmap=none", "--assume-clean", l.loops[0], l.loops[1])
	kernellab.LVM(t, array)
	l.lvm("pvcreate", array)
	l.lvm("vgcreate", "--physicalextentsize", "512k", "vg0", array)
	l.create("a", "--size", "8M", "vg0")
	l.fill("a", 1, 8)
	both := l.views("a")[0]
	kernellab.Run(t, "mdadm", "--manage", array, "--fail", l.loops[0])
	kernellab.Run(t, "mdadm", "--manage", array, "--remove", l.loops[0])
	l.write("a", 8, 2, 0, 77)
	want := l.views("a")[0]
	l.lvm("vgchange", "--activate", "n", "vg0")
	kernellab.Run(t, "mdadm", "--stop", array)
	for _, c := range []struct {
		want  string
		paths []string
	}{{both, l.files[:1]}, {want, l.files[1:]}, {want, l.files}, {want, []string{l.loops[1], l.loops[0]}}} {
		if got := l.read("a", c.paths...); got != c.want {
			t.Errorf("from %s it is not read as the kernel showed it: %s", c.paths, got)
		}
	}
	member, err := os.ReadFile(l.files[1])
	kernellab.Must(t, err)
	whole := filepath.Join(t.TempDir(), "disk")
	kernellab.Must(t, os.WriteFile(whole, partitioned(member), 0o600))
	if got := l.read("a", whole); got != want {
		t.Errorf("in a partition it is not read as the kernel showed it: %s", got)
	}
}
