package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/create"
	"dmcow/store/look"
)

// A command is one that writes, seen from outside: what it begins with, and what
// may be found whenever it is cut off. To run it again must do what it has to.
type command struct {
	spec  string
	run   func(store.WriteDevice) error
	cut   func(before, now *devicetest.Memory) error // what may be there when it was cut off
	after func(now *devicetest.Memory) error         // what must be there when it has returned
}

// commands are those that write a COW device.
func commands(t *testing.T) map[string]command {
	old := "device 400\nheader chunk=1\nfill 70"
	return map[string]command{
		"initialize a blank device":              initializing(t, "device 400", 8),
		"initialize what was never zeroed":       initializing(t, "device 400\nraw 4096 a5*200000", 8),
		"initialize an old store":                initializing(t, old, 1),
		"initialize with another chunk size":     initializing(t, old, 8),
		"initialize over areas of another store": initializing(t, "device 400\nheader chunk=2\nfill 120", 1),
		"invalidate":                             invalidating(t, old),
		"invalidate, with more in the chunk":     invalidating(t, "device 400\nheader chunk=8\nraw 16 ff*4080\nfill 3"),
		"create on a blank device":               creating(t, "device 600", 1),
		"create over an old store":               creating(t, "device 600\nheader chunk=1\nfill 70", 1),
		"create with another chunk size":         creating(t, "device 600\nheader chunk=2\nfill 120", 1),
		"save":                                   saving(t, "device 500\nheader chunk=1\nfill 30\ndata 3", 1, originOf(300), []stretch{{2000, 9000}, {100 * 512, 140 * 512}}),
		"save after a torn commit":               saving(t, "device 500\nheader chunk=2\nfill 3\nex 32 90 60", 2, originOf(300), []stretch{{0, 30000}}),
		"save to the end of a short origin":      saving(t, "device 500\nheader chunk=8\nfill 3", 8, originOf(301), []stretch{{290 * 512, 400 * 512}}),
		"save where there is no store yet":       saving(t, "device 500", 2, originOf(300), []stretch{{0, 30000}}),
		"create with large chunks":               creating(t, "device 600\nheader chunk=8\nfill 30", 8),
	}
}

// TestCommandsCrash cuts off each command at every point, with any of what was
// not synced written.
func TestCommandsCrash(t *testing.T) {
	for name, c := range commands(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
			d := devicetest.Of(storespec.MustCompile(t, c.spec))
			before := d.Clone()
			record := d.Record()
			if err := c.run(d); err != nil {
				t.Fatal(err)
			}
			record.Mark("done")
			states := 0
			for crash := range record.Crashes(200, rng) {
				states++
				now := crash.Device()
				if err := c.check(before, now, len(crash.Marks) > 0); err != nil {
					t.Fatalf("%v: %v", crash, err)
				}
			}
			t.Logf("%d states", states)
		})
	}
}

// check checks what a command has left, and runs it again.
func (c command) check(before, now *devicetest.Memory, done bool) error {
	if done {
		return c.after(now)
	}
	if err := c.cut(before, now); err != nil {
		return err
	}
	if err := c.run(now); err != nil {
		return fmt.Errorf("again: %w", err)
	}
	return c.after(now)
}

// TestCommandsFault has each operation of each command fail: it says so, and
// leaves what it may leave when it is cut off.
func TestCommandsFault(t *testing.T) {
	for name, c := range commands(t) {
		t.Run(name, func(t *testing.T) {
			image := storespec.MustCompile(t, c.spec)
			var err error
			everyFault(t,
				func() *devicetest.Memory { return devicetest.Of(image) },
				func(d *devicetest.Memory) {
					err = c.run(d)
				},
				func(d *devicetest.Memory, fault string, n int) {
					if err != nil && !errors.Is(err, errBroken) {
						t.Errorf("%s: number %d failed, and the error is %v", fault, n, err)
					}
					if err := c.check(devicetest.Of(image), d, err == nil); err != nil {
						t.Errorf("%s: number %d failed: %v", fault, n, err)
					}
				})
		})
	}
}

func identify(d look.Device, g format.Geometry) (look.Identity, error) {
	id, err := look.Identify(d, g)
	if err != nil {
		return id, fmt.Errorf("identify: %w", err)
	}
	return id, nil
}

// imaged is a device in memory, or a part of one.
type imaged interface {
	look.Device
	Image() []byte
}

// exceptions are those that the kernel would load, read without the engine's code; the error is why
// it could not.
func exceptions(d imaged) (all []format.Exception, err error) { return listed(naive.Of(d.Image())) }

func listed(s naive.Store) (all []format.Exception, err error) {
	for _, x := range s.List() {
		all = append(all, format.Exception{Old: format.OldChunk(x.Old), New: format.NewChunk(x.New)})
	}
	if _, ok := s.Slot(len(all)); !ok {
		err = fmt.Errorf("the list of %d exceptions leads past the end of the device", len(all))
	}
	return all, err
}

// oldOrNone wants the store that was there, header and list unchanged, or none.
func oldOrNone(before, now *devicetest.Memory, fresh format.Geometry) (none bool, err error) {
	id, err := identify(now, fresh)
	if err != nil || id.State != look.Valid {
		return err == nil, err
	}
	was, err := identify(before, fresh)
	if err != nil {
		return false, err
	}
	if id.Header != was.Header {
		return false, fmt.Errorf("there is a new header: %+v", id.Header)
	}
	list, err := exceptions(now)
	if err != nil {
		return false, err
	}
	old, err := exceptions(before)
	if err == nil && fmt.Sprint(list) != fmt.Sprint(old) {
		err = errors.New("there is another list under the old header")
	}
	return false, err
}

// initializing writes an empty store. Cut off, it leaves the old one, none, or
// the empty one.
func initializing(t *testing.T, spec string, chunk uint32) command {
	g := geometry(t, chunk)
	empty := func(d *devicetest.Memory) error {
		id, err := identify(d, g)
		if err != nil || id.State != look.Valid || id.Geometry != g {
			return fmt.Errorf("%+v, %v: want an empty store", id, err)
		}
		if list, err := exceptions(d); len(list) > 0 || err != nil {
			return fmt.Errorf("%d exceptions, %v: want an empty store", len(list), err)
		}
		return nil
	}
	return command{
		spec: spec,
		run:  func(d store.WriteDevice) error { return store.Initialize(d, g, nil) },
		cut: func(before, now *devicetest.Memory) error {
			if empty(now) == nil {
				return nil
			}
			_, err := oldOrNone(before, now, g)
			return err
		},
		after: empty,
	}
}

// invalidating changes the field valid, and nothing else.
func invalidating(t *testing.T, spec string) command {
	before := storespec.MustCompile(t, spec)
	const valid = 4 // its offset
	same := func(d *devicetest.Memory, mayBeValid bool) error {
		got := make([]byte, len(before))
		d.Peek(got, 0)
		if mayBeValid && bytes.Equal(got, before) {
			return nil
		}
		if got[valid] != 0 {
			return errors.New("the snapshot is not marked invalid")
		}
		got[valid] = 1
		if !bytes.Equal(got, before) {
			return errors.New("something else was changed")
		}
		return nil
	}
	return command{
		spec:  spec,
		run:   store.Invalidate,
		cut:   func(_, now *devicetest.Memory) error { return same(now, true) },
		after: func(now *devicetest.Memory) error { return same(now, false) },
	}
}

// creating writes the store of two images. Cut off, it leaves the old store or
// none, and of what it began it leaves its mark.
func creating(t *testing.T, spec string, chunk uint32) command {
	g := geometry(t, chunk)
	const size = 202*512 + 100 // of the images: the last chunk may be short, and behind it is no whole sector
	base, image := make([]byte, size), make([]byte, size)
	for i := range base {
		base[i] = byte(i / 512)
		image[i] = base[i]
		if i/512%4 < 2 || i/512 == 201 {
			image[i] ^= 0x55
		}
	}
	c := create.Creation{Base: plain(base), Image: plain(image), Geometry: g}
	return command{
		spec: spec,
		run: func(d store.WriteDevice) error {
			_, err := c.Write(d, nil)
			return err
		},
		cut: func(before, now *devicetest.Memory) error {
			if reads(now, base, image) == nil {
				return nil
			}
			none, err := oldOrNone(before, now, g)
			if err != nil || !none {
				return err
			}
			id, err := identify(now, g)
			if was, _ := identify(before, g); err == nil && was.State == look.Valid && !id.Unfinished {
				err = fmt.Errorf("%+v: want the mark of an unfinished store", id)
			}
			return err
		},
		after: func(now *devicetest.Memory) error { return reads(now, base, image) },
	}
}

// reads wants the snapshot of base to read as image.
func reads(d imaged, base, image []byte) error {
	id, err := identify(d, look.FreshGeometry(d))
	if err != nil || id.State != look.Valid {
		return fmt.Errorf("%+v, %v: want a store", id, err)
	}
	if _, err := exceptions(d); err != nil {
		return err
	}
	view, err := naive.Of(d.Image()).View(whole(base))
	if err == nil && !bytes.Equal(view, whole(image)) {
		err = errors.New("the snapshot reads as something else")
	}
	return err
}

// plain is an image without holes.
type plain []byte

func (p plain) ReadAt(b []byte, offset int64) (int, error) {
	return bytes.NewReader(p).ReadAt(b, offset)
}
func (p plain) Size() int64 { return int64(len(p)) }
func (p plain) NextData(offset int64) (start, end int64, err error) {
	return min(offset, p.Size()), p.Size(), nil
}
