package format_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"dmcow/format"
)

// TestLayout holds the codec to the offsets of the kernel's structures, each
// field on its own.
func TestLayout(t *testing.T) {
	if format.HeaderSize != 16 || format.ExceptionSize != 16 || format.SectorSize != 512 {
		t.Error("sizes are not those of the kernel's structures")
	}
	if format.Magic != binary.LittleEndian.Uint32([]byte("SnAp")) || format.Version != 1 {
		t.Error("magic or version is not the kernel's")
	}
	const value = 0x0123456789abcdef
	for offset, h := range map[int]format.Header{
		0: {Magic: value & 0xffffffff}, 4: {Valid: value & 0xffffffff},
		8: {Version: value & 0xffffffff}, 12: {ChunkSectors: value & 0xffffffff},
	} {
		want, got := make([]byte, 16), make([]byte, 16)
		copy(want[offset:], []byte{0xef, 0xcd, 0xab, 0x89})
		h.Encode(got)
		if !bytes.Equal(got, want) || format.DecodeHeader(want) != h {
			t.Errorf("%+v: %x, want %x", h, got, want)
		}
	}
	for offset, x := range map[int]format.Exception{0: {Old: value}, 8: {New: value}} {
		want, got := make([]byte, 16), make([]byte, 16)
		copy(want[offset:], []byte{0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01})
		x.Encode(got)
		if !bytes.Equal(got, want) || format.DecodeException(want) != x {
			t.Errorf("%+v: %x, want %x", x, got, want)
		}
	}
}

// FuzzHeader: decoding and encoding a whole chunk changes no byte, of the
// padding neither.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("SnAp\x01\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00padding"))
	f.Add(bytes.Repeat([]byte{0xff}, 512))
	f.Fuzz(func(t *testing.T, chunk []byte) {
		if len(chunk) < format.HeaderSize {
			return
		}
		h := format.DecodeHeader(chunk)
		got := bytes.Clone(chunk)
		h.Encode(got)
		if !bytes.Equal(got, chunk) {
			t.Errorf("%+v: encoded as\n%x\nwas\n%x", h, got, chunk)
		}
		// Over other fields the padding stands as it did.
		clear(got[:format.HeaderSize])
		h.Encode(got)
		if !bytes.Equal(got, chunk) || format.DecodeHeader(got) != h {
			t.Errorf("%+v over zeros:\n%x\nwas\n%x", h, got, chunk)
		}
	})
}

// FuzzArea: decoding and encoding every exception of an area changes no byte.
func FuzzArea(f *testing.F) {
	f.Add([]byte("0123456701234567abcdefghabcdefgh"))
	f.Add(bytes.Repeat([]byte{0xff}, 512))
	f.Fuzz(func(t *testing.T, area []byte) {
		got := make([]byte, len(area))
		whole := len(area) / format.ExceptionSize * format.ExceptionSize
		copy(got[whole:], area[whole:])
		for i := 0; i < whole; i += format.ExceptionSize {
			x := format.DecodeException(area[i:])
			x.Encode(got[i:])
			if again := format.DecodeException(got[i:]); again != x {
				t.Errorf("exception at byte %d: %+v came back as %+v", i, x, again)
			}
		}
		if !bytes.Equal(got, area) {
			t.Errorf("encoded as\n%x\nwas\n%x", got, area)
		}
	})
}
