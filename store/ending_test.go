package store_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/look"
)

// wantEnded wants a store to do nothing more, and to say why, without another
// operation on its device.
func wantEnded(t *testing.T, s *store.Store, d *devicetest.Memory, why error) {
	t.Helper()
	ops := len(d.Ops())
	if p, err := s.PrepareException(7000); !errors.Is(err, why) {
		t.Errorf("PrepareException: %v, %v; want %v", p, err, why)
	}
	if r, err := s.PrepareMerge(); !errors.Is(err, why) {
		t.Errorf("PrepareMerge: %v, %v; want %v", r, err, why)
	}
	if err := s.CommitMerge(1); !errors.Is(err, why) {
		t.Errorf("CommitMerge: %v, want %v", err, why)
	}
	if n := len(d.Ops()) - ops; n > 0 {
		t.Errorf("%d operations on the device", n)
	}
}

// TestDropIsTheEnd: what was in flight when the snapshot was dropped is not
// written, and its callers are told; nothing more is done then.
func TestDropIsTheEnd(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 5"))
	s := open(t, d)
	var pending []store.Pending
	for old := range format.OldChunk(3) {
		p, err := s.PrepareException(100 + old)
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	var heard []error
	hear := func(err error) { heard = append(heard, err) }
	s.CommitException(pending[0], true, hear) // it is gathered
	if err := s.Drop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range pending[1:] {
		s.CommitException(p, true, hear)
	}
	if len(heard) != 3 {
		t.Errorf("%d callers were told", len(heard))
	}
	for _, err := range heard {
		if !errors.Is(err, look.ErrInvalid) {
			t.Errorf("told %v", err)
		}
	}
	if _, known := s.Lookup(100); known {
		t.Error("an exception that was not written is in the table")
	}
	wantEnded(t, s, d, look.ErrInvalid)
	if s.Status() != "Invalid" {
		t.Errorf("status %q", s.Status())
	}
	image := d.Image()
	if image[4] != 0 || !bytes.Equal(image[512+5*16:1024], make([]byte, 512-5*16)) {
		t.Error("the header is not marked, or an exception was written")
	}
}

// TestOverflow: a write without room drops the snapshot, but one to a PO snapshot
// only fails.
func TestOverflow(t *testing.T) {
	for _, c := range []struct {
		typ      store.Type
		toOrigin bool
		status   string
	}{
		{"", false, "Invalid"}, {store.Persistent, false, "Invalid"}, {store.Persistent, true, "Invalid"},
		{store.PersistentOverflow, true, "Invalid"}, {store.PersistentOverflow, false, "Overflow"},
	} {
		d := devicetest.Of(storespec.MustCompile(t, "device 43\nheader chunk=1\nfill 40"))
		s, err := store.Open(d, store.Options{Type: c.typ})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.PrepareException(500); !errors.Is(err, store.ErrNoRoom) {
			t.Fatal(err)
		}
		if err := s.Overflow(c.toOrigin); err != nil {
			t.Fatal(err)
		}
		if valid := d.Image()[4]; s.Status() != c.status || (valid == 0) != (c.status == "Invalid") {
			t.Errorf("%+v: status %q, valid %d", c, s.Status(), valid)
		}
	}
}

// TestClearFails: where the next area cannot be cleared, the area before it is not
// written full, or the next one's old entries would be a part of the list.
func TestClearFails(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 31\nraw 17408 77*512"))
	s := open(t, d)
	d.Fault = (&devicetest.NthOp{N: 1, Kinds: devicetest.Write, Err: errBroken}).Fault // the first is the data
	err := add(s, d, 5000)
	d.Fault = nil
	var failed *store.AreaWriteError
	if !errors.As(err, &failed) || !failed.Clear || failed.Area != 1 || failed.Chunk != 34 || !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
	if n := len(list(t, d)); n != 31 {
		t.Errorf("%d exceptions", n)
	}
	wantEnded(t, s, d, errBroken)
}

// TestNextAreaIsCleared: entries of an earlier life do not become a part of the
// list when the area before them is full.
func TestNextAreaIsCleared(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 400\nheader chunk=2\nfill 63\nraw 67584 77*1024"))
	if err := add(open(t, d), d, 5000); err != nil {
		t.Fatal(err)
	}
	if n := len(list(t, d)); n != 64 {
		t.Errorf("%d exceptions", n)
	}
	if h := behind(t, d); !h.Blank {
		t.Errorf("the next area is not blank: %+v", h)
	}
}

// TestMergeFails: after a step of a merge that failed, none is taken.
func TestMergeFails(t *testing.T) {
	image := storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 33")
	for name, c := range map[string]struct {
		kinds  devicetest.Kind
		listed int
	}{
		"an area that cannot be written":   {devicetest.Write, 33},
		"an area that cannot be read back": {devicetest.Read, 32},
	} {
		d := devicetest.Of(image)
		s := open(t, d)
		if _, err := s.PrepareMerge(); err != nil {
			t.Fatal(err)
		}
		var err error
		if c.kinds == devicetest.Read {
			if err := s.CommitMerge(1); err != nil {
				t.Fatal(err)
			}
		}
		d.Fault = (&devicetest.NthOp{Kinds: c.kinds, Err: errBroken}).Fault
		if c.kinds == devicetest.Read {
			_, err = s.PrepareMerge()
		} else {
			err = s.CommitMerge(1)
		}
		d.Fault = nil
		var area *format.AreaError
		var write *store.AreaWriteError
		if !errors.As(err, &area) && !(errors.As(err, &write) && !write.Clear && write.Area == 1) {
			t.Errorf("%s: %v", name, err)
		}
		wantEnded(t, s, d, errBroken)
		if s.Status() != "Merge failed" {
			t.Errorf("%s: status %q", name, s.Status())
		}
		if n := len(list(t, d)); n != c.listed {
			t.Errorf("%s: %d exceptions, want %d", name, n, c.listed)
		}
	}
}

// TestFailMerge: the caller's own failure ends a merge, and nothing else.
func TestFailMerge(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 33"))
	s := open(t, d)
	s.FailMerge()
	if _, err := s.PrepareMerge(); !errors.Is(err, store.ErrMergeFailed) {
		t.Errorf("%v", err)
	}
	if err := s.CommitMerge(1); !errors.Is(err, store.ErrMergeFailed) {
		t.Errorf("%v", err)
	}
	if s.Status() != "Merge failed" {
		t.Errorf("status %q", s.Status())
	}
	if err := add(s, d, 500); err != nil {
		t.Error(err)
	}
}

// TestMergeCount: no more is cleared than the current area has, and no less than
// one.
func TestMergeCount(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 34"))
	s := open(t, d)
	for _, n := range []int{-1, 0, 3, 33} {
		var count *store.MergeCountError
		if err := s.CommitMerge(n); !errors.As(err, &count) || *count != (store.MergeCountError{Merged: n, Committed: 2}) {
			t.Errorf("%d of 2: %v", n, err)
		}
	}
	if err := s.CommitMerge(2); err != nil {
		t.Error(err)
	}
	if n := len(list(t, d)); n != 32 {
		t.Errorf("%d exceptions", n)
	}
}

// TestNoTerminatorAnyMore: an area that was full when the list was read, and is
// not when it is read back, is not merged.
func TestNoTerminatorAnyMore(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 33"))
	s := open(t, d)
	if err := s.CommitMerge(1); err != nil {
		t.Fatal(err)
	}
	d.Put(512+20*16, make([]byte, 16))
	if r, err := s.PrepareMerge(); err == nil {
		t.Errorf("%+v", r)
	}
}

// TestWrappedNextChunk: damage that makes the next free chunk that of the header
// leaves no room.
func TestWrappedNextChunk(t *testing.T) {
	for _, spec := range []string{"ex 0 5 max", "ex 0 5 0x00ffffffffffffff", "ex 0 5 199"} {
		d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\n"+spec))
		if p, err := open(t, d).PrepareException(7); !errors.Is(err, store.ErrNoRoom) {
			t.Errorf("%s: %v, %v", spec, p, err)
		}
	}
}

// TestInitializeSizes: a store takes two chunks, and what is smaller is left as
// it is.
func TestInitializeSizes(t *testing.T) {
	for sectors, fits := range map[int64]bool{1: false, 8: false, 15: false, 16: true, 17: true} {
		d := devicetest.New(sectors * 512)
		d.Put(0, []byte("something"))
		var small *look.TooSmallError
		err := store.Initialize(d, geometry(t, 8), nil)
		if fits != (err == nil) || err != nil && !errors.As(err, &small) {
			t.Errorf("%d sectors: %v", sectors, err)
		}
		if kept := string(d.Image()[:9]) == "something"; kept == fits {
			t.Errorf("%d sectors: what was there is kept: %v", sectors, kept)
		}
	}
}

// TestInitializeStops: where visit ends the work, there is no store.
func TestInitializeStops(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 40"))
	stop := errors.New("stop")
	if err := store.Initialize(d, geometry(t, 8), func() error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	if id, err := look.Identify(d, geometry(t, 8)); err != nil || id.Header.Magic != 0 {
		t.Errorf("%+v, %v", id, err)
	}
}

// TestOpenVisits: who opens a store is told how far it has come, and may end that; an old chunk that is there
// twice is an error all the same.
func TestOpenVisits(t *testing.T) {
	var seen []format.AreaIndex
	o := store.Options{Table: true, Visit: func(k format.AreaIndex) error {
		if seen = append(seen, k); len(seen) == 2 {
			return errBroken
		}
		return nil
	}}
	if _, err := store.Open(devicetest.Of(storespec.MustCompile(t, "device 400\nheader chunk=1\nfill 100")), o); err != errBroken || !slices.Equal(seen, []format.AreaIndex{0, 1}) {
		t.Errorf("%v after areas %v", err, seen)
	}
	twice := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nex 0 5 2\nex 1 5 3"))
	if _, err := store.Open(twice, o); !errors.As(err, new(*store.ExistsError)) {
		t.Errorf("old chunk 5 twice: %v", err)
	}
}
