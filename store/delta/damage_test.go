package delta_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"dmcow/format"
	"dmcow/store/delta"
)

// small is a delta of three stripes.
func small(t testing.TB) *pair {
	return newPair(t, rand.New(rand.NewPCG(7, 7)), 1, 70*512, 1000)
}

// TestCut: each beginning of a delta is told as one, and what was applied of it is whole chunks.
func TestCut(t *testing.T) {
	p := small(t)
	d := p.delta(t)
	for n := range len(d) {
		image := bytes.Clone(p.base)
		_, err := apply(bytes.NewReader(d[:n]), image)
		var cut *delta.CutError
		if !errors.As(err, &cut) || cut.Offset != format.Bytes(n) || cut.Size != 0 && cut.Size != format.Bytes(len(d)) {
			t.Fatalf("%d of %d bytes: %v", n, len(d), err)
		}
		p.checkMixed(t, image)
	}
}

// checkMixed wants each chunk of an image to be the base's or the source's.
func (p *pair) checkMixed(t *testing.T, image []byte) {
	t.Helper()
	chunk := int(p.head.Geometry.ChunkBytes())
	for at := 0; at < len(image); at += chunk {
		end := min(at+chunk, len(image))
		if !bytes.Equal(image[at:end], p.base[at:end]) && !bytes.Equal(image[at:end], p.source[at:end]) {
			t.Fatalf("byte %d of the device holds what neither side has", at)
		}
	}
}

// TestDamaged: each byte of a delta that is another one is found, before what it touches is used: what was handed
// out by then is right.
func TestDamaged(t *testing.T) {
	p := small(t)
	d := p.delta(t)
	rng := rand.New(rand.NewPCG(8, 8))
	for i := range d {
		was := d[i]
		d[i] ^= 1 << rng.IntN(8)
		image := bytes.Clone(p.base)
		_, err := apply(bytes.NewReader(d), image)
		if err == nil || !isDamage(err) {
			t.Fatalf("byte %d: %v", i, err)
		}
		p.checkMixed(t, image)
		if i%61 == 0 {
			if _, checked := delta.Check(bytes.NewReader(d), nil); checked == nil || checked.Error() != err.Error() {
				t.Fatalf("byte %d: check says %v, receiving says %v", i, checked, err)
			}
		}
		d[i] = was
	}
}

// isDamage reports whether an error says that a delta is wrong.
func isDamage(err error) bool {
	return errors.As(err, new(*delta.DamagedError)) || errors.Is(err, delta.ErrNoDelta) || errors.As(err, new(*delta.VersionError)) ||
		errors.As(err, new(*delta.CutError)) // a chunk size that is larger
}

// TestTrailing: what comes behind the end is told.
func TestTrailing(t *testing.T) {
	p := small(t)
	if _, err := delta.Check(bytes.NewReader(append(p.delta(t), 0)), nil); err != delta.ErrTrailing {
		t.Error(err)
	}
}

// TestSpliced: chunks of one delta in another one are found, though each is right where it was made: a stripe vouches
// for those before, and the end for all.
func TestSpliced(t *testing.T) {
	p := small(t)
	other := *p
	other.source = bytes.Clone(p.source)
	other.source[len(other.source)-1]++ // which is in the last stripe
	a, b := p.delta(t), other.delta(t)
	for at := 512; at < len(a); at += 512 {
		d := append(bytes.Clone(a[:at]), b[at:]...)
		if bytes.Equal(d, a) || bytes.Equal(d, b) {
			continue
		}
		if _, err := delta.Check(bytes.NewReader(d), nil); !errors.As(err, new(*delta.DamagedError)) {
			t.Errorf("the other one from byte %d on: %v", at, err)
		}
	}
}

// TestSwapped: data of equal content elsewhere has another digest, so that no exception can be led to another place.
func TestSwapped(t *testing.T) {
	s := delta.NewSummer()
	if s.Sum(1, make([]byte, 512)) == s.Sum(2, make([]byte, 512)) {
		t.Error("two places have one digest")
	}
}

var errBroken = errors.New("broken")

// failing is a device of which a byte cannot be read, or a stream that takes so many bytes.
type failing struct {
	io.ReaderAt
	at int64
}

func (f failing) ReadAt(p []byte, offset int64) (int, error) {
	if offset <= f.at && f.at < offset+int64(len(p)) {
		return 0, errBroken
	}
	return f.ReaderAt.ReadAt(p, offset)
}

type taking struct{ left int }

func (w *taking) Write(p []byte) (int, error) {
	if w.left < len(p) {
		return 0, errBroken
	}
	w.left -= len(p)
	return len(p), nil
}

// TestFaults: errors of reading say of which side, and errors of writing come back, wherever they strike.
func TestFaults(t *testing.T) {
	for _, sectors := range []uint32{1, 8, 64} { // whose data is kept, and is read twice
		rng := rand.New(rand.NewPCG(9, uint64(sectors)))
		p := newPair(t, rng, sectors, 60*int(sectors)*512, 700)
		for _, old := range p.chunks {
			at := int64(old) * int64(p.head.Geometry.ChunkBytes())
			for _, source := range []bool{false, true} {
				w := p.writer()
				if side := &w.Base; source {
					w.Source = failing{w.Source, at}
				} else {
					*side = failing{w.Base, at}
				}
				var e *delta.SideError
				if err := w.Stream(io.Discard); !errors.As(err, &e) || e.Source != source || !errors.Is(err, errBroken) {
					t.Fatalf("chunk %d: %v", old, err)
				}
			}
		}
		size := len(p.delta(t))
		for n := 0; n < size; n += 1 + size/50 {
			if err := p.writer().Stream(&taking{n}); err != errBroken {
				t.Fatalf("a stream that takes %d bytes: %v", n, err)
			}
		}
	}
}

// TestPieces: a stream may come in pieces of any size, and what fails in it is told.
func TestPieces(t *testing.T) {
	p := small(t)
	d := p.delta(t)
	if _, err := delta.Check(iotest.OneByteReader(bytes.NewReader(d)), nil); err != nil {
		t.Error(err)
	}
	for n := 0; n <= len(d); n += 111 {
		from := io.MultiReader(bytes.NewReader(d[:n]), iotest.ErrReader(errBroken))
		if _, err := delta.Check(from, nil); err != errBroken {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

// FuzzCheck: no delta that comes from outside does harm.
func FuzzCheck(f *testing.F) {
	f.Add(small(f).delta(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, d []byte) {
		h, err := delta.Check(bytes.NewReader(d), nil)
		if err == nil && h.Layout().Size() != format.Bytes(len(d)) {
			t.Errorf("a sound delta of %d bytes says that it has %d", len(d), h.Layout().Size())
		}
	})
}
