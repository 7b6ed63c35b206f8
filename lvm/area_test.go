package lvm_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"dmcow/internal/pvimage"
	"dmcow/lvm"
)

// area is a volume with one area of metadata at byte 4096.
func area(size, start int64, text string) pvimage.Volume {
	return pvimage.Volume{UUID: uuid, Size: 64 << 10, Label: 1, Areas: []pvimage.Area{{Offset: 4096, Size: size, Start: start, Text: text}}}
}

// put is a change of eight bytes, or of the label's, after which all checksums fit.
func put(at int, value uint64) func(image) {
	return func(b image) {
		binary.LittleEndian.PutUint64(b[at:], value)
		pvimage.Seal(b)
	}
}

// TestAreas: an area that cannot be is damaged, at the byte that says so; one that just can be is read.
func TestAreas(t *testing.T) {
	const label, header, size = 512 + 104, 4096, 64 << 10
	good := text("vg0", 7, "")
	usual := area(8192, 512, good)
	fits := int64(len(good)) + 1
	for name, c := range map[string]struct {
		volume pvimage.Volume
		change func(image)
		want   string
	}{
		"usual":                      {usual, nil, ""},
		"goes on at the beginning":   {area(8192, 8192-100, good), nil, ""},
		"as long as the area":        {area(512+fits, 512, good), nil, ""},
		"as long, from elsewhere":    {area(512+fits, 600, good), nil, ""},
		"one byte too long":          {area(512+fits, 512, good), put(header+48, uint64(fits)+1), fmt.Sprintf("byte 4136: %d bytes from byte 512 on are no text in an area of %d bytes", fits+1, 512+fits)},
		"begins where the area ends": {area(8192, 8192, good), nil, " bytes from byte 8192 on are no text in an area of 8192 bytes"},
		"begins in the header":       {usual, put(header+40, 511), "byte 4136: " + fmt.Sprint(fits) + " bytes from byte 511 on are no text"},
		"no bytes":                   {usual, put(header+48, 0), "byte 4136: 0 bytes from byte 512 on are no text"},
		"a header and no more":       {area(512, 0, ""), nil, "no group"},
		"less than a header":         {usual, put(label+8, 511), "byte 4096: 511 bytes from there on are no area of the device, which has 65536"},
		"at the device's end":        {usual, put(label, size-4096), "byte 61440: 8192 bytes from there on are no area of the device, which has 65536"},
		"behind it":                  {usual, put(label, size+4096), "byte 69632: 8192 bytes from there on are no area"},
		"larger than the device":     {usual, put(label+8, 1<<60), "byte 4096: 1152921504606846976 bytes from there on"},
		"larger than its label says": {usual, put(label+8, 4096), ""},
		"as large as the device":     {usual, put(header+32, size-4096), ""},
		"and larger":                 {usual, put(header+32, size-4096+1), "byte 4128: it says that it has 61441 bytes"},
		"less, it says":              {usual, put(header+32, 511), "byte 4128: it says that it has 511 bytes"},
		"a header, it says":          {usual, put(header+32, 512), " bytes from byte 512 on are no text in an area of 512 bytes"},
		"elsewhere, it says":         {usual, put(header+24, 8192), "byte 4120: it says that it begins at byte 8192"},
		"another version":            {usual, func(b image) { b[header+20]++; pvimage.Seal(b) }, "byte 4116: the version is 2"},
		"another magic":              {usual, func(b image) { b[header+4]++; pvimage.Seal(b) }, "byte 4100: expected"},
		"another checksum":           {usual, func(b image) { b[header]++ }, "byte 4096: the header's checksum"},
		"another text":               {usual, func(b image) { b[header+600]++ }, "byte 4608: the text there, of "},
		"wrong at the very wrap":     {area(8192, 8192-20, "vg0 {"+strings.Repeat(" ", 14)+"?"), nil, "byte 4608: line 1 of the text"},
		"wrong just before":          {area(8192, 8192-20, "vg0 {"+strings.Repeat(" ", 13)+"?"), nil, "byte 12287: line 1 of the text"},
	} {
		b := image(c.volume.Image())
		if c.change != nil {
			c.change(b)
		}
		groups := lvm.Read(found(t, b))
		got := ""
		if len(groups.All) != 1 {
			got = "no group"
		}
		for _, c := range groups.Unread() {
			got = c.Err.Error()
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// unreadable is a disk with a byte that cannot be read.
type unreadable struct {
	image
	bad int64
}

var errMedium = errors.New("medium error")

func (d unreadable) ReadAt(p []byte, offset int64) (int, error) {
	if offset <= d.bad && d.bad < offset+int64(len(p)) {
		return int(d.bad - offset), errMedium
	}
	return d.image.ReadAt(p, offset)
}

// TestUnreadableText: what cannot be read is told, with the byte of the volume at which the part begins.
func TestUnreadableText(t *testing.T) {
	v := area(8192, 8192-100, text("vg0", 7, ""))
	for bad, want := range map[int64]int{4200: 4096, 4096 + 8192 - 90: 4096 + 8192 - 100, 4096 + 600: 4096 + 512} {
		all, errs := lvm.Find(unreadable{v.Image(), bad}, "disk")
		if len(all) != 1 || len(errs) > 0 {
			t.Fatalf("%v, %v", all, errs)
		}
		c := lvm.Read(all).Unread()
		if text := fmt.Sprintf("metadata area 0 at byte %d: medium error", want); len(c) != 1 || c[0].Err.Error() != text || !errors.Is(c[0].Err, errMedium) {
			t.Errorf("byte %d cannot be read: %v, want %s", bad, c, text)
		}
	}
}

// TestLabelAtTheEnd: a label's lists may go on to the end of its sector.
func TestLabelAtTheEnd(t *testing.T) {
	b := image(pvimage.Volume{UUID: uuid, Size: 8192, Label: 1}.Image())
	label := b[512:1024]
	copy(label[512-88:], label[32:32+88]) // a UUID, a size, an area of data and its end, and no area of metadata
	binary.LittleEndian.PutUint32(label[20:], 512-88)
	clear(label[32 : 512-88])
	pvimage.Seal(b)
	if l, err := lvm.ReadLabel(b); err != nil || l.UUID != uuid || l.Size != 8192 {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestArrayMember: md's superblock 1.0 lies 8 KiB before the end, at a multiple of 4 KiB, that of version 0.90 in the
// last whole 64 KiB but one boundary, in either order of bytes.
func TestArrayMember(t *testing.T) {
	const size = 300<<10 + 512*3 // 603 sectors
	for _, c := range []struct {
		size, at int64
		order    binary.ByteOrder
		want     bool
	}{
		{size, 0, binary.LittleEndian, false},
		{size, 584 * 512, binary.LittleEndian, true}, // 603 - 16 is 587
		{size, 592 * 512, binary.LittleEndian, false},
		{size, 576 * 512, binary.LittleEndian, false},
		{size, 192 << 10, binary.LittleEndian, true}, // 256 KiB less 64
		{size, 192 << 10, binary.BigEndian, true},
		{size, 256 << 10, binary.BigEndian, false},
		{size, 128 << 10, binary.BigEndian, false},
		{64 << 10, 0, binary.LittleEndian, true},
		{32 << 10, 24 << 10, binary.LittleEndian, true},
		{32 << 10, 0, binary.LittleEndian, false},
	} {
		b := image(pvimage.Volume{UUID: uuid, Size: c.size, Label: 1}.Image())
		c.order.PutUint32(b[c.at:], 0xa92b4efc)
		if all := found(t, b); len(all) != 1 || all[0].ArrayMember != c.want {
			t.Errorf("%d bytes, %v magic at byte %d: %+v", c.size, c.order, c.at, all)
		}
	}
}
