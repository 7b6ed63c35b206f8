package store_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store/look"
)

func TestIdentify(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		block      int64  // logical; 0 for 512
		chunk      uint32 // of a new store; 0 for 8
		state      look.State
		leftover   bool
		geometry   format.Sectors // 0 for none
		fresh      format.Sectors
		fault      string
	}{
		{name: "valid", spec: "device 40\nheader", state: look.Valid, geometry: 8},
		{name: "valid is 7", spec: "device 40\nheader valid=7", state: look.Valid, geometry: 8},
		{name: "invalid", spec: "device 40\nheader valid=0", state: look.Invalid, geometry: 8},
		{name: "its own chunk size", spec: "device 40\nheader chunk=1", state: look.Valid, geometry: 1},
		{name: "padding", spec: "device 40\nheader\nraw 16 ff*4080", state: look.Valid, geometry: 8},
		{name: "largest chunk", spec: "device 40\nheader chunk=2097152", state: look.Valid, geometry: 2097152},
		{name: "one sector", spec: "device 1\nheader", state: look.Valid, geometry: 8},
		{name: "4096-byte blocks", spec: "device 40\nheader", block: 4096, state: look.Valid, geometry: 8},

		{name: "other magic", spec: "device 40\nheader magic=snap", state: look.Foreign,
			fault: "not a COW store: the magic is 0x70616e73, not 0x70416e53 (SnAp)"},
		{name: "all ones", spec: "device 40\nraw 0 ff*20480", state: look.Foreign, fault: "0xffffffff"},
		{name: "version 2", spec: "device 40\nheader version=2", state: look.Damaged, geometry: 8,
			fault: "header: version 2, not 1"},
		{name: "version 0, invalid", spec: "device 40\nheader version=0 valid=0", state: look.Damaged, geometry: 8,
			fault: "header: version 0, not 1"},
		{name: "chunk 0", spec: "device 40\nheader chunk=0", state: look.Damaged,
			fault: "header: chunk size of 0 sectors: Chunk size is not a power of 2"},
		{name: "chunk 3, version 2", spec: "device 40\nheader chunk=3 version=2", state: look.Damaged,
			fault: "chunk size of 3 sectors: Chunk size is not a power of 2"},
		{name: "chunk too high", spec: "device 40\nheader chunk=4194304", state: look.Damaged,
			fault: "chunk size of 4194304 sectors: Chunk size is too high"},
		{name: "chunk smaller than a block", spec: "device 40\nheader chunk=4", block: 4096, state: look.Damaged, geometry: 4,
			fault: "chunk size of 4 sectors: Chunk size is not a multiple of device blocksize"},

		{name: "blank", spec: "device 16", state: look.Uninitialized, fresh: 8},
		{name: "blank, chunk 1", spec: "device 2", chunk: 1, state: look.Uninitialized, fresh: 1},
		{name: "blank, old data behind area 0", spec: "device 40\nraw 8192 1", state: look.Uninitialized, fresh: 8},
		{name: "leftover", spec: "device 40\nraw 4096 1", state: look.Uninitialized, leftover: true, fresh: 8},
		{name: "leftover at the end of area 0", spec: "device 40\nraw 8191 1", state: look.Uninitialized, leftover: true, fresh: 8},
		{name: "leftover behind 64 KiB", spec: "device 3000\nraw 0x5ffff 1", chunk: 512, state: look.Uninitialized, leftover: true, fresh: 512},
		{name: "blank, chunk larger than 4 KiB", spec: "device 3000\nraw 0x80000 1", chunk: 512, state: look.Uninitialized, fresh: 512},
		{name: "content that starts with zeros", spec: "device 40\nraw 4 1", state: look.Foreign, fresh: 8,
			fault: "not a COW store: the magic is 0, but the device is not blank"},
		{name: "content at the end of 4 KiB", spec: "device 40\nraw 4095 1", state: look.Foreign, fresh: 8,
			fault: "magic is 0"},
		{name: "blank, too small", spec: "device 15", state: look.Damaged,
			fault: "blank, and too small for a store: it has 15 of the 16 sectors that two chunks need"},
		{name: "content, too small", spec: "device 15\nraw 9 1", state: look.Foreign, fault: "magic is 0"},
		{name: "unfinished", spec: "device 40\nraw 16 MARK", state: look.Uninitialized, fresh: 8},
		{name: "unfinished, too small", spec: "device 15\nraw 16 MARK", state: look.Damaged, fault: "dmcow create was interrupted here, and the device is too small"},
		{name: "unfinished, and something else", spec: "device 40\nraw 15 1\nraw 16 MARK", state: look.Foreign, fresh: 8, fault: "magic is 0"},
		{name: "empty", spec: "device 0", state: look.Damaged, fault: "0 bytes, too few for a header"},
		{name: "less than a sector", spec: "device 511b\nheader", state: look.Damaged, fault: "511 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := devicetest.Of(storespec.MustCompile(t, strings.ReplaceAll(c.spec, "MARK", fmt.Sprintf("% x", look.UnfinishedMark))))
			d.Block = c.block
			id, err := look.Identify(d, geometry(t, cmp.Or(c.chunk, 8)))
			if err != nil {
				t.Fatal(err)
			}
			if id.State != c.state || id.Leftover != c.leftover {
				t.Errorf("state %q, leftover %v", string(id.State), id.Leftover)
			}
			if unfinished := strings.Contains(c.spec, "16 MARK") && c.state != look.Foreign; id.Unfinished != unfinished {
				t.Errorf("unfinished: %v", id.Unfinished)
			}
			if id.Geometry.ChunkSectors() != c.geometry || id.Fresh.ChunkSectors() != c.fresh {
				t.Errorf("geometry %+v, fresh %+v", id.Geometry, id.Fresh)
			}
			if !strings.Contains(id.Fault, c.fault) || (id.Fault == "") == (id.State == look.Damaged || id.State == look.Foreign) {
				t.Errorf("fault %q, want %q", id.Fault, c.fault)
			}
			head := make([]byte, format.HeaderSize)
			d.Peek(head, 0)
			if want := format.DecodeHeader(head); d.Size() >= format.SectorSize && id.Header != want {
				t.Errorf("header %+v, want %+v", id.Header, want)
			}
		})
	}
}

// TestIdentifyFaults fails each read in turn: a device that cannot be read is
// an error, and never a state.
func TestIdentifyFaults(t *testing.T) {
	medium := errors.New("medium error")
	for spec, reads := range map[string]int{"device 40\nheader": 1, "device 3000": 1 + 8} {
		for i, failed := 0, true; failed; i++ {
			d := devicetest.Of(storespec.MustCompile(t, spec))
			fault := &devicetest.NthOp{N: i, Err: medium}
			d.Fault = fault.Fault
			id, err := look.Identify(d, geometry(t, 512))
			failed = fault.Failed()
			if failed != errors.Is(err, medium) || failed == (i == reads) {
				t.Errorf("%q, read %d fails %v: %v, %v", spec, i, failed, id.State, err)
			}
		}
	}
}

// TestIdentifyShrunk: a device that ends before its size is an error too.
func TestIdentifyShrunk(t *testing.T) {
	d := larger{devicetest.New(600)}
	if _, err := look.Identify(d, geometry(t, 1)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

type larger struct{ *devicetest.Memory }

func (d larger) Size() int64 { return d.Memory.Size() + 512 }
