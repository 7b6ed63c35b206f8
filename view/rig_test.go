package view

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab/corpus"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
)

const sector = format.SectorSize

// rig is a COW device and its origin, in one memory.
type rig struct {
	all         *devicetest.Memory
	cow, origin *device
}

// device is a part of a memory that is, or is not, read faster in many pieces at once.
type device struct {
	*devicetest.Part
	many bool
}

func (p *device) ReadsMany() bool { return p.many }

// rigOf has the devices of two images.
func rigOf(cow, origin []byte) *rig {
	all := devicetest.New(int64(len(cow) + len(origin)))
	all.Put(0, cow)
	all.Put(int64(len(cow)), origin)
	return rigOn(all, int64(len(cow)), int64(len(origin)))
}

func rigOn(all *devicetest.Memory, cow, origin int64) *rig {
	return &rig{all, &device{all.Part(0, cow), rand.IntN(2) == 0}, &device{all.Part(cow, origin), rand.IntN(2) == 0}}
}

// newRig compiles a COW device, beside a numbered origin.
func newRig(t testing.TB, spec string, originBytes int) *rig {
	t.Helper()
	return rigOf(storespec.MustCompile(t, spec), devicetest.Numbered(int64(originBytes)))
}

// in is the same rig in another memory.
func (r *rig) in(all *devicetest.Memory) *rig { return rigOn(all, r.cow.Size(), r.origin.Size()) }

func (r *rig) cowImage() []byte    { return r.all.Image()[:r.cow.Size()] }
func (r *rig) originImage() []byte { return r.all.Image()[r.cow.Size():] }

// naiveView is what the snapshot of a sound store shows, read without the code that is tested.
func (r *rig) naiveView(t testing.TB) []byte {
	t.Helper()
	origin := r.originImage()
	view, err := naive.Of(r.cowImage()).View(origin[:len(origin)/sector*sector])
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// options are those of a view for reading.
func (r *rig) options() Options { return Options{COW: r.cow, Origin: r.origin} }

func (r *rig) open(t testing.TB) *View {
	t.Helper()
	v, err := Open(r.options())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (r *rig) openToWrite() (*View, error) {
	o := r.options()
	o.To = r.cow
	return Open(o)
}

// content is all of a view, which is all certain.
func content(t testing.TB, v *View) []byte {
	t.Helper()
	p := make([]byte, v.Size())
	if n, err := v.ReadAt(p, 0); err != nil || n != len(p) {
		t.Fatalf("%d of %d bytes: %v", n, len(p), err)
	}
	return p
}

// TestStoresOfTheKernel: every store of the corpus reads as the kernel has shown it, whole and
// in pieces.
func TestStoresOfTheKernel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, devicetest.Seed(t)))
	for name, s := range corpus.Load(t) {
		t.Run(name, func(t *testing.T) {
			r := rigOf(s.COW(t), s.Origin(t))
			o := r.options()
			v, err := Open(o)
			if s.Status == "Invalid" {
				if err == nil {
					t.Error("an invalid snapshot was opened")
				}
				o.InvalidOK = true
				if v, err = Open(o); err != nil {
					t.Fatal(err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			want := content(t, v)
			if s.ViewSHA256 != "" && corpus.Digest(want) != s.ViewSHA256 {
				t.Fatalf("it is not what the kernel shows")
			}
			pieces(t, rng, v, want)
			streamed(t, v, want)
		})
	}
}

// pieces reads a view at random.
func pieces(t *testing.T, rng *rand.Rand, v *View, want []byte) {
	t.Helper()
	for range 300 {
		at := rng.IntN(len(want) + 1)
		n := rng.IntN(min(40000, len(want)+1000))
		p := make([]byte, n)
		got, err := v.ReadAt(p, int64(at))
		end := min(at+n, len(want))
		if short := at+n > len(want); got != end-at || short && err != io.EOF || !short && err != nil {
			t.Fatalf("%d bytes at %d of %d: %d, %v", n, at, len(want), got, err)
		}
		if !bytes.Equal(p[:got], want[at:end]) {
			t.Fatalf("%d bytes at %d are others", n, at)
		}
	}
}

// streamed reads a view from its beginning to its end.
func streamed(t *testing.T, v *View, want []byte) {
	t.Helper()
	var all []byte
	err := Stream(v, v.Size(), func(p []byte, at int64) error {
		if at != int64(len(all)) {
			t.Fatalf("byte %d comes after %d", at, len(all))
		}
		all = append(all, p...)
		return nil
	})
	if err != nil || !bytes.Equal(all, want) {
		t.Fatalf("%d bytes, %v", len(all), err)
	}
}

// TestSizes: chunks of all kinds, and origins that end anywhere.
func TestSizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, devicetest.Seed(t)))
	for _, c := range []struct {
		spec   string
		origin int
	}{
		{"device 300\nheader chunk=1\nfill 200\ndata 9", 700 * sector},
		{"device 300\nheader chunk=1\nfill 0", 3 * sector},
		{"device 2000\nheader chunk=8\nfill 100\ndata 9", 299*8*sector + 5*sector},
		{"device 2000\nheader chunk=8\nfill 100 7\ndata 9", 107*8*sector + 100}, // no whole sector at the end
		{"device 2000\nheader chunk=8\nfill 1\ndata 9", sector},
		{"device 16384\nheader chunk=2048\nfill 3\ndata 9", 8*2048*sector - 7*sector},
		{"device 32768\nheader chunk=8192\nfill 2\ndata 9", 5 * 8192 * sector},
	} {
		t.Run(fmt.Sprintf("%.30q %d", c.spec, c.origin), func(t *testing.T) {
			r := newRig(t, c.spec, c.origin)
			v := r.open(t)
			want := r.naiveView(t)
			if got := content(t, v); !bytes.Equal(got, want) {
				t.Fatal("the view is another")
			}
			pieces(t, rng, v, want)
			streamed(t, v, want)
			if n, err := v.ReadAt(make([]byte, 1), -1); n != 0 || err == nil {
				t.Errorf("before its beginning: %d, %v", n, err)
			}
			if n, err := v.ReadAt(nil, v.Size()); n != 0 || err != nil {
				t.Errorf("nothing at its end: %d, %v", n, err)
			}
		})
	}
}

var errBroken = errors.New("broken")

// TestReadFaults has each sector of both devices be unreadable in turn. What comes before it is
// read, and the error says where it is; a sector of the origin whose chunk is in the store does
// not matter.
func TestReadFaults(t *testing.T) {
	const chunk = 2 * sector
	r := newRig(t, "device 120\nheader chunk=2\nfill 20\ndata 9", 70*chunk)
	want := content(t, r.open(t))
	v := r.open(t)
	for bad := int64(0); bad < r.all.Size(); bad += sector {
		r.all.Fault = devicetest.BadByte(bad+7, errBroken)
		p := make([]byte, len(want))
		n, err := v.ReadAt(p, 0)
		if !bytes.Equal(p[:n], want[:n]) {
			t.Fatalf("byte %d is bad: %d bytes, and they are others", bad, n)
		}
		place, needed := shown(v, bad, r.cow.Size())
		var e *ReadError
		switch {
		case !needed && err != nil:
			t.Errorf("byte %d is bad, which is not shown: %v", bad, err)
		case needed && !errors.As(err, &e):
			t.Errorf("byte %d is bad, which is shown at %d: %v", bad, place, err)
		case needed && (int64(n) > place || e.Origin != (bad >= r.cow.Size())):
			t.Errorf("byte %d is bad: %d bytes, %v", bad, n, e)
		}
		// By itself, the chunk before it can be read.
		if needed && place >= chunk {
			if _, err := v.ReadAt(p[:chunk], place/chunk*chunk-chunk); err != nil {
				t.Errorf("byte %d is bad: before it, %v", bad, err)
			}
		}
	}
}

// TestReadFaultsOfBoth: of two devices that cannot be read, the place that comes first counts.
func TestReadFaultsOfBoth(t *testing.T) {
	r := newRig(t, "device 400\nheader chunk=1\nfill 60\ndata 9", 600*sector)
	v := r.open(t)
	for _, c := range []struct{ origin, saved int }{{7, 30}, {40, 30}} { // chunks of the snapshot
		value := v.table.get(format.OldChunk(c.saved))
		bad := [2]int64{r.cow.Size() + int64(c.origin)*sector, int64(v.geometry.Offset(value))}
		r.all.Fault = func(op devicetest.Op) (int, error) {
			for _, b := range bad {
				if op.Offset <= b && b < op.Offset+int64(op.Length) {
					return 0, errBroken
				}
			}
			return op.Length, nil
		}
		for _, size := range []int{100 * sector, 600 * sector} { // one after the other, and together
			n, err := v.ReadAt(make([]byte, size), 0)
			first := min(c.origin, c.saved)
			var e *ReadError
			if !errors.As(err, &e) || e.Origin != (first == c.origin) || n > first*sector {
				t.Errorf("%+v: %d bytes, %v", c, n, err)
			}
		}
		r.all.Fault = nil
	}
}

// shown is where in the view a byte of the rig's memory is shown, if it is.
func shown(v *View, at, cow int64) (place int64, ok bool) {
	chunk := int64(v.geometry.ChunkBytes())
	if at >= cow {
		at -= cow
		return at, v.table.get(format.OldChunk(at/chunk)) == 0
	}
	for old, value := range v.table.all() {
		if int64(value) == at/chunk {
			return int64(old)*chunk + at%chunk, true
		}
	}
	return 0, false
}

// TestStreamEnds: what comes before an error is handed out, in order, and nothing is read any
// more when Stream returns.
func TestStreamEnds(t *testing.T) {
	const size = 5*window + 1000
	all := devicetest.New(size)
	all.Fault = devicetest.BadByte(3*window+5000, errBroken)
	var got int64
	err := Stream(all, size, func(p []byte, at int64) error {
		if at != got {
			t.Fatalf("byte %d comes after %d", at, got)
		}
		got += int64(len(p))
		return nil
	})
	if !errors.Is(err, errBroken) || got < 3*window || got > 3*window+5000 || all.Active() != 0 {
		t.Errorf("%d bytes, %v, %d under way", got, err, all.Active())
	}
	all.Fault = nil
	calls := 0
	err = Stream(all, size, func([]byte, int64) error {
		calls++
		return errBroken
	})
	if !errors.Is(err, errBroken) || calls != 1 || all.Active() != 0 {
		t.Errorf("%d calls, %v, %d under way", calls, err, all.Active())
	}
	if err := Stream(all, 0, func([]byte, int64) error { return errBroken }); err != nil {
		t.Error(err)
	}
}
