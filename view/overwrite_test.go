package view

import (
	"bytes"
	"errors"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
)

// TestOverwriteUnread: what is written over as a whole is not read before: a sector that cannot be read
// heals by that, on the COW device as on a disk, and the origin's does not matter.
func TestOverwriteUnread(t *testing.T) {
	const chunk = 8192 * sector // 4 MiB, of which a megabyte is in memory at a time
	r := newRig(t, "device 57344\nheader chunk=8192\nfill 1 0\ndata 9", 4*chunk)
	want := r.naiveView(t)
	for name, c := range map[string]struct{ bad, at, n int64 }{
		"in place":                  {2*chunk + 5*sector, 4 * sector, 2 * sector},
		"a whole new chunk":         {r.cow.Size() + chunk + 7, chunk, chunk},
		"the middle of a new chunk": {r.cow.Size() + 2*chunk + 1<<20, 2*chunk + 1<<20, 1 << 20},
		"and its last byte":         {r.cow.Size() + 3*chunk + 2<<20 - 1, 3*chunk + 1<<20, 1 << 20},
	} {
		r := r.in(r.all.Clone())
		v, err := r.openToWrite()
		if err != nil {
			t.Fatal(err)
		}
		r.all.Fault = func(op devicetest.Op) (int, error) {
			if op.Kind != devicetest.Read {
				return op.Length, nil
			}
			return devicetest.BadByte(c.bad, errBroken)(op)
		}
		p := bytes.Repeat([]byte{0xee}, int(c.n))
		if n, err := v.WriteAt(p, c.at); err != nil || n != len(p) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		r.all.Fault = nil
		if err := v.Sync(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		now := bytes.Clone(want)
		copy(now[c.at:], p)
		if !bytes.Equal(r.naiveView(t), now) {
			t.Errorf("%s: the store holds something else", name)
		}
	}
}

// TestOverwriteUnreadable: where a part of a block is written over, and the rest cannot be read, nothing is
// written, and the error says where.
func TestOverwriteUnreadable(t *testing.T) {
	r := newRig(t, "device 400\nheader chunk=8\nfill 4 0\ndata 9", 20*8*sector)
	r.all.Block = 4096
	for name, c := range map[string]struct {
		bad, at, offset int64
		origin          bool
	}{
		"in place":    {3*8*sector + 5, 8*sector + 700, 3 * 8 * sector, false},
		"a new chunk": {r.cow.Size() + 12*8*sector + 5, 12*8*sector + 700, 12 * 8 * sector, true},
	} {
		v, err := r.openToWrite()
		if err != nil {
			t.Fatal(err)
		}
		before := r.cowImage()
		r.all.Fault = devicetest.BadByte(c.bad, errBroken)
		var e *ReadError
		if n, err := v.WriteAt([]byte("some"), c.at); n != 0 || !errors.As(err, &e) || e.Offset != format.Bytes(c.offset) || e.Origin != c.origin {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		r.all.Fault = nil
		if err := v.Close(); err != nil || !bytes.Equal(r.cowImage(), before) {
			t.Errorf("%s: something was written, %v", name, err)
		}
	}
}

// TestCommitFails: where many exceptions have gathered, and cannot be committed, the write that they were
// one too many for says so.
func TestCommitFails(t *testing.T) {
	r := newRig(t, "device 6000\nheader chunk=1", mostGathered*sector)
	v, err := r.openToWrite()
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, mostGathered/2*sector)
	if n, err := v.WriteAt(p, 0); err != nil || n != len(p) {
		t.Fatal(n, err)
	}
	for _, op := range r.all.Ops() {
		if op.Kind == devicetest.Sync {
			t.Error("an exception was committed, and few have gathered")
		}
	}
	r.all.Fault = (&devicetest.NthOp{Kinds: devicetest.Sync, Err: errBroken}).Fault
	if n, err := v.WriteAt(p, int64(len(p))); n != 0 || !errors.Is(err, errBroken) {
		t.Errorf("%d, %v", n, err)
	}
}
