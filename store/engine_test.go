package store_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/look"
)

// open opens the store on d with a table; the test ends where that fails.
func open(t testing.TB, d *devicetest.Memory) *store.Store {
	t.Helper()
	s, err := store.Open(d, store.Options{Table: true, HiddenVoid: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// content is a chunk of data that tells which exception it belongs to.
func content(g format.Geometry, old format.OldChunk) []byte {
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], uint64(old)+1)
	return bytes.Repeat(word[:], int(g.ChunkBytes()/8))
}

// add prepares exceptions for old chunks, writes their data, and commits them;
// they are in flight together. It returns the first error.
func add(s *store.Store, d *devicetest.Memory, olds ...format.OldChunk) (first error) {
	var pending []store.Pending
	for _, old := range olds {
		p, err := s.PrepareException(old)
		if err == nil {
			pending = append(pending, p)
			_, err = d.WriteAt(content(s.Geometry(), p.Old), int64(s.Geometry().Offset(p.New)))
		}
		if err != nil {
			first = err
			break
		}
	}
	told := 0
	for _, p := range pending {
		s.CommitException(p, first == nil, func(err error) {
			told++
			if err != nil && first == nil {
				first = err
			}
		})
	}
	if told != len(pending) {
		return errors.New("an exception was prepared and committed, and nothing was told of it")
	}
	return first
}

// list is what the kernel would load.
func list(t testing.TB, d *devicetest.Memory) []format.Exception {
	t.Helper()
	id, err := look.Identify(d, geometry(t, 8))
	if err != nil || id.State != look.Valid {
		t.Fatalf("%+v, %v", id, err)
	}
	all, err := exceptions(d)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// unwritten is the origin as long as nothing was written to it: each chunk tells its number, as
// the data of its exception do.
type unwritten struct{ format.Geometry }

func (o unwritten) ReadAt(p []byte, offset int64) (int, error) {
	chunk := int64(o.ChunkBytes())
	for n := 0; n < len(p); {
		at := offset + int64(n)
		n += copy(p[n:], content(o.Geometry, format.OldChunk(at/chunk))[at%chunk:])
	}
	return len(p), nil
}

// errorsOf are the errors that a check finds, but for what a torn commit has left and does not
// matter: the kernel lets nothing be written to the origin whose exception is not committed.
func errorsOf(d look.Device, g format.Geometry) (faults []string) {
	_, err := check.Run(check.Options{Device: d, Origin: g.ChunkBytes() << 30, Content: unwritten{g}}, func(f check.Finding) error {
		if f.Severity == check.Error && (f.Rule != check.HiddenExceptions || !f.Meaning().Certain()) {
			faults = append(faults, fmt.Sprintf("%s: %s: %s", f.Name, f.Where(), f.Message()))
		}
		return nil
	})
	if err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}

func span(first, end format.OldChunk) (all []format.OldChunk) {
	for ; first < end; first++ {
		all = append(all, first)
	}
	return all
}

// TestChunkAfterFullArea is CVE-2013-4299: reloaded with exactly k*E
// exceptions, kernels before 3.12 gave out the chunk of area k for data.
func TestChunkAfterFullArea(t *testing.T) {
	for _, k := range []format.OldChunk{1, 2, 3} {
		d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1"))
		if err := add(open(t, d), d, span(0, k*32)...); err != nil {
			t.Fatal(err)
		}
		again := open(t, d)
		g := again.Geometry()
		p, err := again.PrepareException(1000)
		if want := g.AreaLocation(format.AreaIndex(k)) + 1; err != nil || p.New != want {
			t.Errorf("%d exceptions, reloaded: new chunk %d, want %d (%v)", k*32, p.New, want, err)
		}
	}
}

// TestOrderOfPreparation: exceptions are on disk in the order in which they
// were prepared, and none before those in front of it are committed.
func TestOrderOfPreparation(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1"))
	s := open(t, d)
	var pending []store.Pending
	for _, old := range []format.OldChunk{7, 5, 9} {
		p, err := s.PrepareException(old)
		if err != nil {
			t.Fatal(err)
		}
		pending = append(pending, p)
	}
	told := []format.OldChunk{}
	for _, i := range []int{2, 0, 1} {
		if len(told) > 0 || len(list(t, d)) > 0 {
			t.Errorf("told of %v, on disk %v, and there are some in flight", told, list(t, d))
		}
		s.CommitException(pending[i], true, func(err error) {
			if err != nil {
				t.Error(err)
			}
			told = append(told, pending[i].Old)
		})
	}
	want := []format.Exception{{Old: 7, New: 2}, {Old: 5, New: 3}, {Old: 9, New: 4}}
	if got := list(t, d); !slices.Equal(got, want) || len(told) != 3 {
		t.Errorf("on disk %v, told of %v", got, told)
	}
}

// TestCopyFailed: an exception whose copy failed is left out, its chunk is lost,
// and the others are committed.
func TestCopyFailed(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1"))
	s := open(t, d)
	a, _ := s.PrepareException(1)
	b, _ := s.PrepareException(2)
	c, _ := s.PrepareException(3)
	var errs [3]error
	s.CommitException(a, true, func(err error) { errs[0] = err })
	s.CommitException(c, true, func(err error) { errs[2] = err })
	s.CommitException(b, false, func(err error) { errs[1] = err })
	if errs[0] != nil || !errors.Is(errs[1], store.ErrCopyFailed) || errs[2] != nil {
		t.Errorf("told %v", errs)
	}
	want := []format.Exception{{Old: 1, New: 2}, {Old: 3, New: 4}}
	if got := list(t, d); !slices.Equal(got, want) {
		t.Errorf("on disk %v", got)
	}
	if err := add(s, d, 2); err != nil {
		t.Errorf("old chunk 2, whose copy had failed: %v", err)
	}
	alone, _ := s.PrepareException(4)
	ops := len(d.Ops())
	s.CommitException(alone, false, func(error) {})
	if len(d.Ops()) > ops {
		t.Errorf("its copy has failed, and no other is in flight, and %v is done", d.Ops()[ops:])
	}
}

// TestNoRoom: each device takes as many exceptions as the kernel would commit,
// then the error says which it is, and the store loads with all of them.
func TestNoRoom(t *testing.T) {
	for _, c := range []struct {
		sectors string
		fits    int
		want    error
	}{
		{"2", 0, store.ErrNoRoom},
		{"3", 1, store.ErrNoRoom},
		{"33", 31, store.ErrNoRoom},
		{"34", 31, store.ErrNoNextArea}, // N == S + 1
		{"35", 32, store.ErrNoRoom},
		{"36", 33, store.ErrNoRoom},
		{"67", 63, store.ErrNoNextArea}, // N == 2*S + 1
	} {
		d := devicetest.Of(storespec.MustCompile(t, "device "+c.sectors+"\nheader chunk=1"))
		s := open(t, d)
		free := s.Usage().Free()
		n := 0
		var err error
		for ; err == nil; n++ {
			err = add(s, d, format.OldChunk(n))
		}
		n--
		if n != c.fits || uint64(n) != free || err.Error() != c.want.Error() || !errors.Is(err, store.ErrNoRoom) {
			t.Errorf("%s sectors: %d exceptions (Free said %d), then %v; want %d, then %v", c.sectors, n, free, err, c.fits, c.want)
		}
		if got := list(t, d); len(got) != n {
			t.Errorf("%s sectors: %d on disk", c.sectors, len(got))
		}
	}
}

// TestOldChunkTwice: an old chunk that has an exception, or that is in flight,
// gets no second one.
func TestOldChunkTwice(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 3"))
	s := open(t, d)
	var exists *store.ExistsError
	if _, err := s.PrepareException(6); !errors.As(err, &exists) || exists.New != 4 {
		t.Errorf("%v", err)
	}
	p, err := s.PrepareException(7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PrepareException(7); !errors.As(err, &exists) || exists.New != p.New {
		t.Errorf("%v", err)
	}
	if n, ok := s.Lookup(3); n != 3 || !ok {
		t.Errorf("lookup of 3: %d, %v", n, ok)
	}
	if n, ok := s.Lookup(4); ok {
		t.Errorf("lookup of 4: %d", n)
	}
	twice := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nex 0 5 2\nex 1 5 3"))
	if _, err := store.Open(twice, store.Options{Table: true, HiddenVoid: true}); !errors.As(err, &exists) {
		t.Errorf("a store with old chunk 5 twice: %v", err)
	}
}

// TestOpenRefuses: what holds no valid store is not opened.
func TestOpenRefuses(t *testing.T) {
	for spec, want := range map[string]string{
		"device 200\nheader chunk=1 valid=0": "the snapshot is marked invalid",
		"device 200":                         "no store: the device is uninitialized",
		"device 200\nraw 0 ff*512":           "not a COW store: the magic is 0xffffffff, not 0x70416e53 (SnAp)",
		"device 200\nheader version=2":       "header: version 2, not 1",
		"device 34\nheader chunk=1\nfill 32": "area 1 at chunk 34, byte 17408: the list leads past the end of the device; 32 exceptions were read before it",
	} {
		_, err := store.Open(devicetest.Of(storespec.MustCompile(t, spec)), store.Options{})
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v", spec, err)
		}
	}
}
