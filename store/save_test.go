package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/look"
	"dmcow/store/save"
)

// stretch is what is going to be overwritten on an origin, in bytes.
type stretch struct{ start, end format.Bytes }

// originOf is the content of an origin, of which each sector tells its number.
func originOf(sectors int) []byte {
	var b []byte
	for n := range sectors {
		b = append(b, bytes.Repeat([]byte{byte(n), byte(n >> 8), 0xa5, 0x5a}, 128)...)
	}
	return b
}

// saver is for the store on d, whose origin is going to be overwritten in these places.
func saver(d look.Device, fresh uint32, origin []byte, all []stretch) (*save.Saver, error) {
	g, err := format.NewGeometry(fresh)
	if err != nil {
		return nil, err
	}
	s, err := save.New(d, g, format.Bytes(len(origin)), true)
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		s.Overwritten(x.start, x.end)
	}
	return s, nil
}

// saveAll saves what is going to be overwritten.
func saveAll(d store.WriteDevice, fresh uint32, origin []byte, all []stretch) (save.Saving, error) {
	s, err := saver(d, fresh, origin, all)
	if err != nil {
		return save.Saving{}, err
	}
	defer s.Close()
	need, err := s.Need(nil)
	if err != nil || need.Enough > 0 {
		return need, err
	}
	return need, s.Save(d, devicetest.Of(origin), func(uint64) error { return nil })
}

// viewOf is what a snapshot shows of an origin, and the old chunks that have an exception.
func viewOf(d imaged, origin []byte) (view []byte, kept map[format.OldChunk]bool, err error) {
	kept = map[format.OldChunk]bool{}
	id, err := identify(d, look.FreshGeometry(d))
	if err != nil || id.State == look.Uninitialized {
		return slices.Clone(origin), kept, err
	}
	if id.State != look.Valid {
		return nil, nil, fmt.Errorf("%s: %s", id.State, id.Fault)
	}
	all, err := exceptions(d)
	if err != nil {
		return nil, nil, err
	}
	s := naive.Of(d.Image())
	for _, x := range all {
		if kept[x.Old] || s.Data(uint64(x.New)) == nil {
			return nil, nil, fmt.Errorf("%v is the second one of its chunk, or its data is not there", x)
		}
		kept[x.Old] = true
	}
	view, _ = s.View(origin) // some may be of chunks beyond the origin
	return view, kept, nil
}

// saving is the command that saves what is going to be overwritten. Wherever it is cut off,
// the snapshot shows what it showed; at its end it has all that it needs.
func saving(t *testing.T, spec string, fresh uint32, origin []byte, all []stretch) command {
	t.Helper()
	before, _, err := viewOf(devicetest.Of(storespec.MustCompile(t, spec)), origin)
	if err != nil {
		t.Fatal(err)
	}
	same := func(now *devicetest.Memory) (map[format.OldChunk]bool, error) {
		view, kept, err := viewOf(now, origin)
		if err == nil && !bytes.Equal(view, before) {
			err = errors.New("the snapshot shows something else")
		}
		return kept, err
	}
	return command{
		spec: spec,
		run: func(d store.WriteDevice) error {
			need, err := saveAll(d, fresh, origin, all)
			if err == nil && need.Enough > 0 {
				err = fmt.Errorf("no room: %+v", need)
			}
			return err
		},
		cut: func(_, now *devicetest.Memory) error {
			_, err := same(now)
			return err
		},
		after: func(now *devicetest.Memory) error {
			kept, err := same(now)
			if err != nil {
				return err
			}
			id, err := identify(now, look.FreshGeometry(now))
			if err != nil {
				return err
			}
			for _, x := range all {
				for at := x.start; at < min(x.end, format.Bytes(len(origin))); at += format.SectorSize {
					if old := format.OldChunk(at / id.Geometry.ChunkBytes()); !kept[old] {
						return fmt.Errorf("chunk %d of the origin has no exception", old)
					}
				}
			}
			return nil
		},
	}
}

// TestSave: of random stores and stretches, what has no exception yet gets one, if there is
// room for all; if there is not, the size that is told is the least that has it.
func TestSave(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
	full := 0
	for range 400 {
		chunk := uint32(1) << rng.IntN(4)
		origin := originOf(200 + rng.IntN(300))
		n := rng.IntN(12)
		spec := fmt.Sprintf("device %d\nheader chunk=%d\nfill %d\ndata 7", int(chunk)*(n+3)+rng.IntN(300), chunk, n)
		if rng.IntN(8) == 0 {
			spec = "device 500"
		}
		image := storespec.MustCompile(t, spec)
		var all []stretch
		for range rng.IntN(6) {
			start := format.Bytes(rng.IntN(len(origin)))
			all = append(all, stretch{start, start + format.Bytes(rng.IntN(20000))})
		}
		d := devicetest.Of(image)
		s, err := saver(d, chunk, origin, all)
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		need, err := s.Need(nil)
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		if need.Enough == 0 {
			c := saving(t, spec, chunk, origin, all)
			if err := c.run(d); err != nil {
				t.Fatalf("%s, %v: %v", spec, all, err)
			}
			if err := c.after(d); len(all) > 0 && err != nil {
				t.Fatalf("%s, %v: %v", spec, all, err)
			}
			continue
		}
		full++
		for _, less := range []format.Sectors{0, 1} {
			d := devicetest.Of(image)
			d.Resize(int64((need.Enough - less).Bytes()))
			again, err := saveAll(d, chunk, origin, all)
			if fits := again.Enough == 0; err != nil || fits != (less == 0) {
				t.Fatalf("%s, %v: with %d sectors %+v, %v", spec, all, need.Enough-less, again, err)
			}
		}
	}
	if full < 15 || full > 385 {
		t.Errorf("%d of 400 had no room", full)
	}
}

// TestSaveRefuses what can take no exceptions.
func TestSaveRefuses(t *testing.T) {
	origin, all := originOf(100), []stretch{{0, 5000}}
	for _, c := range []struct {
		spec string
		want func(error) bool
	}{
		{"device 200\nheader chunk=1 valid=0\nfill 3", func(err error) bool { return errors.Is(err, look.ErrInvalid) }},
		{"device 200\nheader chunk=1 version=2", func(err error) bool { return errors.As(err, new(*look.StateError)) }},
		{"device 200\nheader chunk=1\nfill 3\nex 5 15 20", func(err error) bool { return errors.As(err, new(*store.HiddenError)) }},
		{"device 33\nheader chunk=1\nfill 32", func(err error) bool { return errors.As(err, new(*format.AreaError)) }},
	} {
		image := storespec.MustCompile(t, c.spec)
		d := devicetest.Of(image)
		if _, err := saveAll(d, 8, origin, all); !c.want(err) {
			t.Errorf("%s: %v", c.spec, err)
		}
		if !d.Holds(image) {
			t.Errorf("%s: the device has changed", c.spec)
		}
	}
}

// TestSaveStops: what visit says ends it, with an error of the origin too; nothing is lost,
// and what was said to be durable is there.
func TestSaveStops(t *testing.T) {
	origin := originOf(4096)
	spec := "device 9000\nheader chunk=1\nfill 3 4000"
	all := []stretch{{0, 4000 * 512}}
	d := devicetest.Of(storespec.MustCompile(t, spec))
	s, err := saver(d, 1, origin, all)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Need(nil); err != nil {
		t.Fatal(err)
	}
	reached := uint64(0)
	err = s.Save(d, devicetest.Of(origin), func(n uint64) error {
		reached = n
		return errBroken
	})
	if _, kept, e := viewOf(d, origin); !errors.Is(err, errBroken) || reached != 2048 || e != nil || len(kept) != 2048+3 {
		t.Errorf("%v after %d; %d exceptions, %v", err, reached, len(kept), e)
	}
	broken := devicetest.Of(origin)
	broken.Fault = devicetest.BadByte(3000*512, errBroken)
	if s, err = saver(d, 1, origin, all); err != nil {
		t.Fatal(err)
	}
	if _, err = s.Need(nil); err != nil {
		t.Fatal(err)
	}
	err = s.Save(d, broken, func(uint64) error { return nil })
	view, kept, e := viewOf(d, origin)
	if !errors.Is(err, errBroken) || e != nil || len(kept) != 2048+3 || !bytes.Equal(view[:3999*512], origin[:3999*512]) {
		t.Errorf("%v; %d exceptions, %v", err, len(kept), e)
	}
}

// TestSaveShortChunk: behind the origin's end, a chunk has zeros, not what an earlier chunk
// has left in the buffer, or somebody on the device.
func TestSaveShortChunk(t *testing.T) {
	const chunks = 300 // more than are copied at once
	origin := originOf(8*chunks + 3)
	d := devicetest.Of(storespec.MustCompile(t, "device 3000\nheader chunk=8\ndata 7"))
	if _, err := saveAll(d, 8, origin, []stretch{{0, 1 << 30}}); err != nil {
		t.Fatal(err)
	}
	last := d.Image()[(2+chunks+1)*4096:][:4096] // behind area 1
	if want := append(slices.Clone(origin[8*chunks*512:]), make([]byte, 5*512)...); !bytes.Equal(last, want) {
		t.Error("the last chunk is something else")
	}
}
