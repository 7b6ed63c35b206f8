package lvm_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"slices"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/partition/gpt"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/pvimage"
	"dmcow/lvm"
)

// sparse is a disk with content at its beginning, and zeros behind.
type sparse struct {
	content []byte
	size    int64
}

func (s sparse) Size() int64 { return s.size }

func (s sparse) ReadAt(p []byte, offset int64) (int, error) {
	clear(p)
	if offset < int64(len(s.content)) {
		copy(p, s.content[offset:])
	}
	return image(nil).end(p, offset, s.size)
}

// end is what a read returns that may reach past the end.
func (image) end(p []byte, offset, size int64) (int, error) {
	n := max(0, min(int64(len(p)), size-offset))
	if n < int64(len(p)) {
		_, err := bytes.NewReader(nil).ReadAt(make([]byte, 1), 0) // io.EOF
		return int(n), err
	}
	return int(n), nil
}

// entry writes entry i of a partition table in a sector, in sectors.
func entry(b []byte, i int, kind byte, start, sectors uint32) {
	e := b[446+16*i:]
	e[4] = kind
	binary.LittleEndian.PutUint32(e[8:], start)
	binary.LittleEndian.PutUint32(e[12:], sectors)
	b[510], b[511] = 0x55, 0xaa
}

// mbrDisk is a disk of 2 MiB with an MBR: a primary partition, and an extended one with two
// logical ones; the second and third are physical volumes.
func mbrDisk() image {
	b := make([]byte, 2<<20)
	entry(b, 0, 0x83, 64, 100)
	entry(b, 2, 0x0f, 1000, 3000)
	first, second := b[1000*512:], b[2000*512:]
	entry(first, 0, 0x8e, 8, 128)
	entry(first, 1, 0x05, 1000, 1000)
	entry(second, 0, 0x8e, 16, 256)
	v := pvimage.Volume{UUID: id(1), Size: 128 * 512, Label: 1}
	copy(b[1008*512:], v.Image())
	v.UUID, v.Size, v.Label = id(2), 256*512, 0
	copy(b[2016*512:], v.Image())
	return b
}

// TestMBR finds physical volumes in logical partitions.
func TestMBR(t *testing.T) {
	all := found(t, mbrDisk())
	var got []int64
	for _, f := range all {
		got = append(got, int64(f.Partition), f.Start/512, f.Length/512)
	}
	if want := []int64{5, 1008, 128, 6, 2016, 256}; !slices.Equal(got, want) {
		t.Fatalf("partitions, starts and lengths %d, want %d", got, want)
	}
	if all[0].UUID != id(1) || all[1].UUID != id(2) || all[1].String() != "partition 6 of disk0" {
		t.Errorf("%v, %v", all[0], all[1])
	}
}

// TestMBRPrimary has a physical volume in the first partition.
func TestMBRPrimary(t *testing.T) {
	b := mbrDisk()
	copy(b[64*512:], pvimage.Volume{UUID: id(3), Size: 100 * 512, Label: 1}.Image())
	if all := found(t, b); len(all) != 3 || all[0].Partition != 1 || all[0].Start != 64*512 || all[0].Length != 100*512 {
		t.Errorf("%+v", all)
	}
}

// TestMBRCut: a partition that goes on behind the end of an image ends there.
func TestMBRCut(t *testing.T) {
	b := mbrDisk()[:2100*512]
	if all := found(t, b); len(all) != 2 || all[1].Start != 2016*512 || all[1].Length != 84*512 {
		t.Errorf("%+v", all)
	}
}

// TestMBRThatIsOdd: partitions that are not on the disk are left out, and a chain that leads
// nowhere, or back, ends.
func TestMBRThatIsOdd(t *testing.T) {
	for name, change := range map[string]func(b image){
		"back":      func(b image) { entry(b[2000*512:], 1, 0x05, 0, 1000) },
		"itself":    func(b image) { entry(b[2000*512:], 1, 0x05, 1000, 1000) },
		"away":      func(b image) { entry(b[2000*512:], 1, 0x05, 0xffffff00, 1000) },
		"too far":   func(b image) { entry(b, 1, 0x8e, 0xffffff00, 10) },
		"the whole": func(b image) { entry(b, 1, 0x8e, 0, 4096); copy(b[512:1024], b[1009*512:]) },
		"at its end": func(b image) {
			entry(b[2000*512:], 1, 0x05, 3000, 96)
			entry(b[4000*512:], 0, 0x8e, 8, 64)
			copy(b[4008*512:], pvimage.Volume{UUID: id(3), Size: 64 * 512, Label: 1}.Image())
		},
		"not there": func(b image) { entry(b, 1, 0x8e, 100, 0) },
	} {
		b := mbrDisk()
		change(b)
		if got := found(t, b); len(got) != 2 {
			t.Errorf("%s: %d physical volumes, want 2", name, len(got))
		}
	}
}

// sealGPT gives a header of a GPT a checksum that fits.
func sealGPT(header []byte) {
	binary.LittleEndian.PutUint32(header[16:], 0)
	binary.LittleEndian.PutUint32(header[16:], crc32.ChecksumIEEE(header[:92]))
}

// TestGPTThatIsOdd: a header that asks for too much is not believed.
func TestGPTThatIsOdd(t *testing.T) {
	_, disks := real(t, "gpt")
	if len(found(t, disks[0])) != 1 {
		t.Fatal("nothing found")
	}
	for _, c := range []struct {
		at    int
		value uint32
	}{{80, 0xffffffff}, {84, 0}, {84, 0xffffffff}, {84, 1}} {
		b := slices.Clone(disks[0])
		for _, header := range [][]byte{b[512:1024], b[len(b)-512:]} {
			binary.LittleEndian.PutUint32(header[c.at:], c.value)
		}
		if got := found(t, b); len(got) != 0 {
			t.Errorf("%d at byte %d of the header: %d physical volumes", c.value, c.at, len(got))
		}
	}
	// Nor is it when its checksum fits, and there is a good one.
	for _, good := range []bool{true, false} {
		b := slices.Clone(disks[0])
		headers := [][]byte{b[512:1024], b[len(b)-512:]}
		if good {
			headers = headers[:1]
		}
		for _, header := range headers {
			binary.LittleEndian.PutUint32(header[80:], 1<<31)
			sealGPT(header)
		}
		if got := found(t, b); len(got) != 0 {
			t.Errorf("2^31 entries: %d physical volumes", len(got))
		}
	}
	// The copy at the end has the same, and is there for that.
	b := slices.Clone(disks[0])
	clear(b[512:1024])
	if got := found(t, b); len(got) != 1 {
		t.Errorf("with the first header lost: %d physical volumes", len(got))
	}
}

// TestGPTOfLargeBlocks: a disk may have logical blocks of 4096 bytes.
func TestGPTOfLargeBlocks(t *testing.T) {
	path := t.TempDir() + "/disk"
	devicetest.WriteFile(t, path, make([]byte, 4<<20))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	disk, err := file.New(f, false).Writable()
	if err != nil {
		t.Fatal(err)
	}
	table := &gpt.Table{LogicalSectorSize: 4096, PhysicalSectorSize: 4096, ProtectiveMBR: true, Partitions: []*gpt.Partition{
		{Index: 1, Start: 64, Size: 16 * 4096, Type: gpt.LinuxFilesystem}, {Index: 2, Start: 100, Size: 32 * 4096, Type: gpt.LinuxLVM},
		{Index: 3, Start: 200, Size: 4096, Type: gpt.LinuxLVM},
	}}
	if err := table.Write(disk, 4<<20); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[100*4096:], pvimage.Volume{UUID: uuid, Size: 32 * 4096, Label: 1}.Image())
	copy(b[200*4096:], pvimage.Volume{UUID: id(3), Size: 4096, Label: 1}.Image()) // one block
	if all := found(t, b); len(all) != 2 || all[0].Partition != 2 || all[0].Start != 100*4096 || all[0].Length != 32*4096 ||
		all[1].Partition != 3 || all[1].Start != 200*4096 || all[1].Length != 4096 {
		t.Errorf("%+v", all)
	}
}

// TestFindDamagedLabel: a label that is damaged is told, and others are found.
func TestFindDamagedLabel(t *testing.T) {
	b := mbrDisk()
	b[1009*512+40]++
	all, errs := lvm.Find(b, "disk")
	if len(all) != 1 || len(errs) != 1 || errs[0].Error() == "" {
		t.Errorf("%v, %v", all, errs)
	}
}
