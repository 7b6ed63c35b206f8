package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/store"
	"dmcow/store/create"
	"dmcow/store/look"
	"dmcow/store/save"
)

// TestSaveNoMore: of a stretch the chunks are saved that have some of it, each once, and no others: room is
// scarce.
func TestSaveNoMore(t *testing.T) {
	origin := originOf(100)
	for _, c := range []struct {
		start, end format.Bytes
		want       uint64
	}{
		{0, 0, 0}, {0, 1, 1}, {0, 1024, 1}, {0, 1025, 2}, {1023, 1024, 1}, {1023, 1025, 2}, {1024, 2048, 1}, {2048, 99 * 512, 48},
		{99 * 512, 1 << 40, 1}, {100 * 512, 1 << 40, 0}, {1 << 39, 1 << 40, 0}, {0, 1 << 40, 50},
	} {
		for _, fill := range []uint64{0, 3} { // so many chunks have exceptions, from chunk 0 on
			d := devicetest.Of(storespec.MustCompile(t, fmt.Sprintf("device 400\nheader chunk=2\nfill %d 0", fill)))
			need, err := saveAll(d, 2, origin, []stretch{{c.start, c.end}, {c.start, c.end}})
			want := c.want
			for old := range fill {
				if at := format.Bytes(old) * 1024; c.start < at+1024 && at < c.end && c.start < c.end {
					want--
				}
			}
			if err != nil || need.Chunks != want || len(list(t, d)) != int(fill+want) {
				t.Errorf("%+v, %d are there: %+v, %d exceptions, %v; want %d more", c, fill, need, len(list(t, d)), err, want)
			}
		}
	}
}

// TestSaveTogether: chunks that follow each other are copied with one read, as much as goes into the buffer.
func TestSaveTogether(t *testing.T) {
	content := originOf(4096)
	origin := devicetest.Of(content)
	d := devicetest.Of(storespec.MustCompile(t, "device 9000\nheader chunk=8"))
	s, err := saver(d, 8, content, []stretch{{0, 1 << 20}, {3 << 19, 3<<19 + 4096}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Need(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(d, origin, func(uint64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if reads := origin.Reads(); !slices.Equal(reads, []devicetest.Range{{Offset: 0, Length: 1 << 20}, {Offset: 3 << 19, Length: 4096}}) {
		t.Errorf("read were %v", reads)
	}
}

// TestSaveHidden: what is hidden behind the list, where a torn commit explains it, is for the caller to judge;
// where nothing is, there is nothing to judge.
func TestSaveHidden(t *testing.T) {
	g := geometry(t, 2)
	for spec, c := range map[string]struct{ void, unknown bool }{
		"fill 5":                           {true, true},
		"fill 5\nex 32 50 40\nex 33 51 41": {true, false},
		"fill 5\nex 9 50 40":               {false, false},
	} {
		for _, void := range []bool{true, false} {
			image := storespec.MustCompile(t, "device 400\nheader chunk=2\n"+spec)
			d := devicetest.Of(image)
			s, err := save.New(d, g, 100*512, void)
			if err != nil {
				t.Fatal(err)
			}
			s.Overwritten(0, 90*512)
			_, err = s.Need(nil)
			if want := c.unknown || void && c.void; want != (err == nil) || err != nil && !errors.As(err, new(*store.HiddenError)) {
				t.Errorf("%q, known to be void %v: %v", spec, void, err)
			}
			if err == nil {
				if err := s.Save(d, devicetest.Of(originOf(100)), func(uint64) error { return nil }); err != nil {
					t.Errorf("%q: %v", spec, err)
				}
			}
			s.Close()
		}
	}
	visits := 0
	s, err := save.New(devicetest.Of(storespec.MustCompile(t, "device 400\nheader chunk=2\nfill 70")), g, 100*512, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Need(func(format.AreaIndex) error { visits++; return errBroken }); err != errBroken || visits != 1 {
		t.Errorf("%d visits, %v", visits, err)
	}
}

// TestSaveMemory: an origin of which no bits can be kept is an error, and says how many.
func TestSaveMemory(t *testing.T) {
	d := devicetest.Of(storespec.MustCompile(t, "device 400\nheader chunk=1"))
	var most *save.MemoryError
	if s, err := save.New(d, geometry(t, 1), 1<<62, true); !errors.As(err, &most) || most.Chunks != 1<<53 {
		t.Errorf("%v, %v", s, err)
	}
}

// TestConfirm: what the caller finds when all was read, as that an image was written meanwhile, keeps a store from
// coming into being; it is asked once, when nothing is left to be read of the images.
func TestConfirm(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
	base, image := images(rng, 3<<20)
	for i := range base.data {
		base.data[i], image.data[i] = true, true
	}
	image.plain[3<<20-1]++ // to the end
	for _, refused := range []bool{true, false} {
		for _, streamed := range []bool{false, true} {
			asked := 0
			d := devicetest.New(8 << 20)
			var stream bytes.Buffer
			c := create.Creation{Base: base, Image: image, Geometry: geometry(t, 8), Confirm: func() error {
				if asked++; refused {
					base.bad, image.bad = 0, 0
					return errBroken
				}
				if !streamed {
					base.bad, image.bad = 1, 1 // nothing of this is read any more
				}
				return nil
			}}
			var err error
			if streamed {
				_, err = c.Stream(&stream)
			} else {
				_, err = c.Write(d, nil)
			}
			base.bad, image.bad = 0, 0
			if asked != 1 || refused != errors.Is(err, errBroken) || !refused && err != nil {
				t.Errorf("refused %v, streamed %v: asked %d times, %v", refused, streamed, asked, err)
			}
			if streamed {
				d = devicetest.New(8 << 20)
				d.Put(0, stream.Bytes())
			}
			id, err := look.Identify(d, c.Geometry)
			if err != nil || !streamed && (id.State == look.Valid) == refused {
				t.Errorf("refused %v, streamed %v: %v, %v", refused, streamed, id.State, err)
			}
			if streamed && refused { // the last area did not go out
				if _, err := c.Measure(); err != nil || reads(d, base.plain, image.plain) == nil {
					t.Errorf("a stream that was refused is whole, %v", err)
				}
			}
		}
	}
}

// TestStreamFails: an error of the stream ends it wherever it comes, and is the error.
func TestStreamFails(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
	base, image := images(rng, 300<<10)
	c := create.Creation{Base: base, Image: image, Geometry: geometry(t, 1)}
	var whole bytes.Buffer
	if _, err := c.Stream(&whole); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		w := &failing{left: n}
		_, err := c.Stream(w)
		if w.left >= 0 {
			if err != nil || n < 10 {
				t.Errorf("%d writes: %v", n, err)
			}
			return
		}
		if err != errBroken || !bytes.HasPrefix(whole.Bytes(), w.got.Bytes()) {
			t.Fatalf("write %d fails: %v", n, err)
		}
	}
}

// failing is a stream that takes so many writes, and fails once.
type failing struct {
	left int
	got  bytes.Buffer
}

func (f *failing) Write(p []byte) (int, error) {
	f.left--
	switch {
	case f.left == -1:
		return 0, errBroken
	case f.left < -1:
		return 0, io.ErrClosedPipe // nobody should come again
	}
	return f.got.Write(p)
}
