package signature

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dmcow/internal/device"
)

// bears wants a device with these contents at these places to bear what is wanted.
func bears(t *testing.T, size int64, at map[int64][]byte, want ...Bearing) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at, content := range at {
		if _, err := f.WriteAt(content, at); err != nil {
			t.Fatal(err)
		}
	}
	d := opened(t, path)
	defer d.Close()
	if got, err := bearingsOf(d); !slices.Equal(got, want) || err != nil {
		t.Errorf("it bears %v, %v; want %v", got, err, want)
	}
}

// fields are bytes with numbers in them at some offsets.
func fields(size int, order binary.ByteOrder, at map[int]any) []byte {
	b := make([]byte, size)
	for offset, value := range at {
		switch v := value.(type) {
		case string:
			copy(b[offset:], v)
		case byte:
			b[offset] = v
		case uint16:
			order.PutUint16(b[offset:], v)
		case uint32:
			order.PutUint32(b[offset:], v)
		case uint64:
			order.PutUint64(b[offset:], v)
		}
	}
	return b
}

var le, be = binary.LittleEndian, binary.BigEndian

// TestBearsPartitions: tables are what says something of partitions, at both ends of the device.
func TestBearsPartitions(t *testing.T) {
	dos := fields(512, le, map[int]any{446: byte(0x80), 450: byte(0x83), 454: uint32(2048), 458: uint32(4096), 510: "\x55\xaa"})
	bears(t, 1<<20, map[int64][]byte{0: dos}, Bearing{"dos partition table", 446, 66})
	boot := slices.Clone(dos) // code of a file system's boot sector
	boot[446+16] = 0x31
	bears(t, 1<<20, map[int64][]byte{0: boot})
	bears(t, 1<<20, map[int64][]byte{0: fields(512, le, map[int]any{510: "\x55\xaa"})})

	for _, block := range []int64{512, 4096} {
		const blocks = 1000
		header := func(lba, entries uint64) []byte {
			return fields(512, le, map[int]any{0: "EFI PART", 8: uint32(0x10000), 12: uint32(92), 24: lba, 72: entries, 80: uint32(128), 84: uint32(128)})
		}
		protective := fields(512, le, map[int]any{450: byte(0xee), 454: uint32(1), 458: uint32(blocks - 1), 510: "\x55\xaa"})
		const name, entries = "gpt partition table", 128 * 128
		bears(t, blocks*block, map[int64][]byte{0: protective, block: header(1, 2), 999 * block: header(999, uint64(999-entries/block))},
			Bearing{name, 446, 66}, Bearing{name, block, block}, Bearing{name, 2 * block, entries},
			Bearing{name, 999*block - entries, entries}, Bearing{name, 999 * block, block})
		bears(t, blocks*block, map[int64][]byte{999 * block: header(999, 1<<60), block: header(7, 2)}, Bearing{name, 999 * block, block})
		bears(t, 2*block, map[int64][]byte{block: header(1, 1<<60)}, Bearing{name, block, block})
		bears(t, 3*block, map[int64][]byte{block: header(1, 2)}, Bearing{name, block, block}, Bearing{name, 2 * block, block})
	}
}

// TestBearsLVM takes the places out of what LVM wrote.
func TestBearsLVM(t *testing.T) {
	const name = "LVM2_member"
	for file, want := range map[string][]Bearing{
		"linear.0":  {{name, 512, 512}, {name, 4096, 1044480}},
		"wrapped.0": {{name, 512, 512}, {name, 4096, 126976}},
	} {
		got, err := bearingsOf(opened(t, unpacked(t, "../../testdata/lvm/"+file+".gz")))
		if !slices.Equal(got, want) || err != nil {
			t.Errorf("%s bears %v, %v; want %v", file, got, err, want)
		}
	}
	disk := opened(t, unpacked(t, "../../testdata/lvm/gpt.0.gz"))
	part, err := disk.Section(2048*512, disk.Size()-2*2048*512)
	if err != nil {
		t.Fatal(err)
	}
	got, err := bearingsOf(part)
	if len(got) != 3 || got[0] != (Bearing{name, 512, 512}) || got[2].Offset+got[2].Length != part.Size() || err != nil {
		t.Errorf("with metadata at both ends it bears %v, %v", got, err)
	}
	// Whatever the label says, it is read no further than it goes.
	label := fields(512, le, map[int]any{0: "LABELONE", 20: uint32(1 << 31), 24: "LVM2 001"})
	bears(t, 1<<20, map[int64][]byte{3 * 512: label}, Bearing{name, 3 * 512, 512})
	label = fields(512, le, map[int]any{0: "LABELONE", 20: uint32(32), 24: "LVM2 001", 72: uint64(1 << 63), 80: uint64(1),
		104: uint64(4096), 112: uint64(1 << 63), 120: uint64(1 << 63)})
	bears(t, 1<<20, map[int64][]byte{0: label}, Bearing{name, 0, 512}, Bearing{name, 4096, 1<<20 - 4096})
}

// TestBearsLUKS: the headers and the keys behind them; the second header where the first one is gone.
func TestBearsLUKS(t *testing.T) {
	one := fields(592, be, map[int]any{0: "LUKS\xba\xbe", 6: uint16(1), 104: uint32(4096)})
	bears(t, 8<<20, map[int64][]byte{0: one}, Bearing{"LUKS", 0, 2 << 20})
	two := fields(4096, be, map[int]any{0: "LUKS\xba\xbe", 6: uint16(2), 8: uint64(0x8000)})
	second := fields(4096, be, map[int]any{0: "SKUL\xba\xbe", 6: uint16(2), 8: uint64(0x8000)})
	text := []byte(`{"keyslots":{},"config":{"json_size":"28672","keyslots_size":"1048576"}}`)
	bears(t, 8<<20, map[int64][]byte{0: two, 4096: text, 0x8000: second}, Bearing{"LUKS", 0, 0x10000 + 1<<20})
	bears(t, 8<<20, map[int64][]byte{0: two, 4096: []byte("{"), 0x8000: second}, Bearing{"LUKS", 0, 0x10000})
	bears(t, 8<<20, map[int64][]byte{0x8000: second}, Bearing{"LUKS", 0x8000, 0x8000})
	be.PutUint64(two[8:], 1<<63)
	bears(t, 1<<20, map[int64][]byte{0: two}, Bearing{"LUKS", 0, 1 << 20})
}

// TestBearsMD: the superblock of each version is where that version has it.
func TestBearsMD(t *testing.T) {
	const name, size = "linux_raid_member", 10<<20 + 512*13
	one := func(sector uint64) []byte {
		return fields(256, le, map[int]any{0: uint32(0xa92b4efc), 4: uint32(1), 144: sector})
	}
	const last = (size/512 - 16) / 8 * 8
	for _, sector := range []int64{0, 8, last} {
		bears(t, size, map[int64][]byte{sector * 512: one(uint64(sector))}, Bearing{name, sector * 512, 4096})
		bears(t, size, map[int64][]byte{sector * 512: one(uint64(sector + 8))})
	}
	const old = size/65536*65536 - 65536
	for _, order := range []binary.ByteOrder{le, be} {
		b := fields(4096, order, map[int]any{0: uint32(0xa92b4efc), 8: uint32(90)})
		bears(t, size, map[int64][]byte{old: b}, Bearing{name, old, 4096})
		bears(t, size, map[int64][]byte{old - 65536: b})
	}
}

// TestBearsNothing: whatever the size, nothing is found where there is nothing.
func TestBearsNothing(t *testing.T) {
	for _, size := range []int64{0, 1, 511, 512, 1024, 4096, 8192, 65536, 1 << 20} {
		bears(t, size, nil)
	}
	files, _ := filepath.Glob("../../testdata/kernel/*.cow.gz")
	for _, file := range files {
		if all, err := bearingsOf(opened(t, unpacked(t, file))); all != nil || err != nil {
			t.Errorf("%s: %v, %v", file, all, err)
		}
	}
}

func bearingsOf(d *device.Device) ([]Bearing, error) { return Bearings(d, d.Size()) }
