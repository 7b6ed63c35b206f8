package raidmeta_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"dmcow/internal/raidmeta"
)

// super makes the superblock of an image of four, of RAID5.
func super(position int, events, failed uint64, change ...func(b []byte)) []byte {
	b := make([]byte, 512)
	le := binary.LittleEndian
	copy(b, "DmRd")
	for at, v := range map[int]uint32{4: 1, 8: 4, 12: uint32(position), 48: 5, 52: 2, 56: 128} {
		le.PutUint32(b[at:], v)
	}
	for at, v := range map[int]uint64{16: events, 24: failed, 32: raidmeta.End, 40: raidmeta.End, 64: raidmeta.End} {
		le.PutUint64(b[at:], v)
	}
	for _, c := range change {
		c(b)
	}
	return b
}

func put32(at int, v uint32) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint32(b[at:], v) }
}
func put64(at int, v uint64) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint64(b[at:], v) }
}

func TestParse(t *testing.T) {
	s, err := raidmeta.Parse(super(2, 77, 8, put64(96, 256), put64(120, 5), put64(32, 4096), put64(40, 99)))
	want := raidmeta.Superblock{Devices: 4, Position: 2, Events: 77, Failed: [4]uint64{8, 5}, Rebuilt: 4096, Synced: 99, Level: 5, Layout: 2, Chunk: 65536, DataOffset: 131072}
	if err != nil || *s != want {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err = raidmeta.Read(bytes.NewReader(super(0, 1, 0, put32(60, 1)))); err != nil || !s.Reshaping {
		t.Errorf("%+v, %v", s, err)
	}
	// Before version 1.9 of dm-raid, nothing was behind the chunk's size.
	if s, err = raidmeta.Parse(super(0, 1, 0, put32(4, 0), put32(60, 1), put64(96, 256), put64(120, 1), put32(144, 7))); err != nil || s.Reshaping || s.DataOffset != 0 || s.Failed[1] != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, c := range []struct {
		change func([]byte)
		want   string
	}{
		{put32(0, 0), raidmeta.ErrNone.Error()},
		{put32(4, 3), "features that are not known"},
		{put32(144, 1), "features that are not known"},
		{put32(8, 0), "image 0 of 0"},
		{put32(8, 254), "image 0 of 254"},
		{put32(12, 4), "image 4 of 4"},
		{put32(12, 1<<31), "image -2147483648 of 4"},
		{put64(96, 1<<60), "data from sector 1152921504606846976 on"},
	} {
		if _, err := raidmeta.Parse(super(0, 1, 0, c.change)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if _, err := raidmeta.Read(bytes.NewReader(super(0, 1, 0)[:511])); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// allButOne reports whether an array runs that can do without one image.
func allButOne(with []bool) bool {
	lacks := 0
	for _, is := range with {
		if !is {
			lacks++
		}
	}
	return lacks < 2
}

// judged is a case of superblocks, and what is to be thought of the images.
type judged struct {
	name   string
	supers [][]byte // nil: gone; empty: no superblock
	bits   [][]int  // set in the bitmaps; nil where none has any
	good   []uint64 // 0: not read
	synced uint64
}

// maps are the bitmaps.
func (c judged) maps(t *testing.T) []*raidmeta.Bitmap {
	t.Helper()
	all := make([]*raidmeta.Bitmap, len(c.supers))
	for i, set := range c.bits {
		b := device(1000, set...)
		var err error
		if all[i], err = raidmeta.ReadBitmap(bytes.NewReader(b), int64(len(b))); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestJudge: the freshest superblocks say which images are read, and the bitmaps which were away.
func TestJudge(t *testing.T) {
	gone := errors.New("gone")
	const in = raidmeta.End
	a, b, c := super(0, 9, 0), super(1, 9, 0), super(2, 9, 0)
	for _, c := range []judged{
		{"all well", [][]byte{a, b, c}, nil, []uint64{in, in, in}, in},
		{"one failed", [][]byte{super(0, 9, 2), super(1, 8, 0), super(2, 9, 2)}, nil, []uint64{in, 0, in}, in},
		{"it says that the others failed", [][]byte{super(0, 9, 2), super(1, 8, 5), super(2, 9, 2)}, nil, []uint64{in, 0, in}, in},
		{"one of the freshest knows", [][]byte{a, b, super(2, 9, 2)}, nil, []uint64{in, 0, in}, in},
		{"far behind", [][]byte{super(0, 3, 0), b, c}, nil, []uint64{0, in, in}, in},
		{"cut off between superblocks", [][]byte{a, super(1, 8, 0), c}, nil, []uint64{in, in, in}, in},
		{"it was away, and that was not noted", [][]byte{a, super(1, 8, 0), c}, [][]int{{3}, {3}, {3}}, []uint64{in, 0, in}, in},
		{"nor anything else", [][]byte{a, b, c}, [][]int{{3}, {}, {3}}, []uint64{in, 0, in}, in},
		{"it was away when other regions were written", [][]byte{a, b, c}, [][]int{{3, 7}, {3, 7}, {3, 999}}, []uint64{in, in, in}, in},
		{"all wrote, all cut off", [][]byte{a, b, c}, [][]int{{3, 7}, {3, 7}, {3, 7}}, []uint64{in, in, in}, in},
		{"the array cannot have run without", [][]byte{a, super(1, 8, 0), super(2, 8, 0)}, [][]int{{3}, {3}, {3}}, []uint64{in, in, in}, in},
		{"nor without these", [][]byte{a, b, c}, [][]int{{3}, {}, {}}, []uint64{in, in, in}, in},
		{"it may have, with one that is gone", [][]byte{a, b, nil}, [][]int{{3}, {}, {}}, []uint64{in, 0, 0}, in},
		{"a failed one's bits say nothing", [][]byte{super(0, 9, 2), super(1, 8, 0), super(2, 9, 2)}, [][]int{{}, {5}, {}}, []uint64{in, 0, in}, in},
		{"rebuilding", [][]byte{a, super(1, 9, 0, put64(32, 100)), super(2, 9, 0, put64(32, 0))}, nil, []uint64{in, 100, 0}, in},
		{"resync", [][]byte{super(0, 9, 0, put64(40, 64)), super(1, 9, 0, put64(40, 64))}, nil, []uint64{in, in}, 64},
		{"its resync, of the freshest", [][]byte{super(0, 8, 0, put64(40, 64)), super(1, 9, 0, put64(40, 128))}, nil, []uint64{in, in}, 128},
		{"a new one", [][]byte{a, {}}, nil, []uint64{in, 0}, in},
		{"one gone", [][]byte{a, nil}, nil, []uint64{in, 0}, in},
		{"a stale one alone", [][]byte{nil, super(1, 3, 0)}, nil, []uint64{0, in}, in},
		{"never active", [][]byte{{}, {}}, nil, []uint64{in, in}, 0},
		{"never active, one gone", [][]byte{{}, nil}, nil, []uint64{in, 0}, 0},
		{"by position, not by place", [][]byte{super(1, 9, 4), super(2, 9, 4)}, nil, []uint64{in, 0}, in},
	} {
		var all []*raidmeta.Superblock
		var missing []error
		for _, b := range c.supers {
			s, err := raidmeta.Parse(append(bytes.Clone(b), make([]byte, 512)...))
			if b == nil {
				err = gone
			}
			all, missing = append(all, s), append(missing, err)
		}
		v, err := raidmeta.Judge(all, missing, c.maps(t), allButOne)
		if err != nil || v.Synced != c.synced {
			t.Errorf("%s: in sync up to %d, %v", c.name, v.Synced, err)
		}
		for i, image := range v.Images {
			if image.Good != c.good[i] || (image.Out == nil) != (c.good[i] > 0) {
				t.Errorf("%s: image %d: %+v", c.name, i, image)
			}
		}
	}
	s, _ := raidmeta.Parse(super(0, 9, 0, put32(60, 1)))
	if _, err := raidmeta.Judge([]*raidmeta.Superblock{s}, []error{nil}, []*raidmeta.Bitmap{nil}, allButOne); err == nil {
		t.Error("an array that is being reshaped is read")
	}
}

// device is a metadata device with a bitmap of so many bits, of which some are set.
func device(bits uint64, set ...int) []byte {
	b := make([]byte, 128<<10)
	le := binary.LittleEndian
	le.PutUint32(b[4096:], 0x6d746962)
	le.PutUint64(b[4096+40:], bits*8)
	le.PutUint32(b[4096+52:], 4096)
	for _, n := range set {
		b[4096+256+n/8] |= 1 << (n % 8)
	}
	return b
}

func TestDirty(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want bool
	}{
		{device(1000), false}, {device(1000, 0), true}, {device(1000, 999), true}, {device(1000, 1000), false}, {device(999, 999), false}, {device(993, 992), true},
		{device(800000, 799999), true}, {device(1<<60, 3), true}, {device(1 << 50), false}, {device(0, 0), false},
		{make([]byte, 8192), false}, {device(100, 1)[:4096], false}, {device(100, 1)[:4352], false},
	} {
		if got, err := raidmeta.ReadBitmap(bytes.NewReader(c.b), int64(len(c.b))); err != nil || got.Dirty() != c.want {
			t.Errorf("%d bytes: %v, %v", len(c.b), got.Dirty(), err)
		}
	}
	b := device(100)
	binary.LittleEndian.PutUint32(b[4096+52:], 511)
	if _, err := raidmeta.ReadBitmap(bytes.NewReader(b), int64(len(b))); err == nil {
		t.Error("bits that stand for nothing")
	}
	b = device(9)
	binary.LittleEndian.PutUint64(b[4096+40:], 8*8+1) // a ninth bit for one sector
	b[4096+257] = 1
	if got, _ := raidmeta.ReadBitmap(bytes.NewReader(b), int64(len(b))); !got.Dirty() {
		t.Error("the last bit is not looked at")
	}
}

// FuzzMetadata: whatever stands on metadata devices, it is read and judged, and an image that is read has a reason.
func FuzzMetadata(f *testing.F) {
	f.Add(super(0, 5, 0), super(1, 5, 0), device(1000, 3)[:5000])
	f.Add(super(0, 5, 2), super(1, 4, 0, put64(32, 100)), device(1 << 40)[:4400])
	f.Fuzz(func(t *testing.T, a, b, bitmap []byte) {
		var all []*raidmeta.Superblock
		var missing []error
		var bitmaps []*raidmeta.Bitmap
		for _, m := range [][]byte{a, b, bitmap} {
			s, err := raidmeta.Read(bytes.NewReader(m))
			if (s == nil) == (err == nil) {
				t.Fatal(s, err)
			}
			all, missing = append(all, s), append(missing, err)
			read, _ := raidmeta.ReadBitmap(bytes.NewReader(m), int64(len(m)))
			bitmaps = append(bitmaps, read)
		}
		v, _ := raidmeta.Judge(all, missing, bitmaps, allButOne)
		for i, image := range v.Images {
			if (image.Out == nil) != (image.Good > 0) {
				t.Errorf("image %d: %+v", i, image)
			}
			if s := all[i]; s != nil && image.Out == nil && (s.Events+1 < v.Freshest.Events || v.Freshest.Failed[s.Position/64]>>(s.Position%64)&1 != 0) {
				t.Errorf("image %d is read: %+v, freshest %+v", i, s, v.Freshest)
			}
		}
	})
}
