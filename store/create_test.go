package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store"
	"dmcow/store/create"
	"dmcow/store/look"
)

// holey is an image that tells its holes, and where reading fails.
type holey struct {
	plain
	data []bool // by block of holeBlock bytes: whether it may be read at all
	bad  int64  // an offset at which reading fails, where it is not 0
}

const holeBlock = 4096

func (h *holey) ReadAt(b []byte, offset int64) (int, error) {
	if h.bad > 0 && offset <= h.bad && h.bad < offset+int64(len(b)) {
		return 0, errBroken
	}
	return h.plain.ReadAt(b, offset)
}

func (h *holey) NextData(offset int64) (start, end int64, err error) {
	size := h.Size()
	start = min(offset, size)
	for start < size && !h.data[start/holeBlock] {
		start = start/holeBlock*holeBlock + holeBlock
	}
	end = start
	for end < size && h.data[end/holeBlock] {
		end = end/holeBlock*holeBlock + holeBlock
	}
	return min(start, size), min(end, size), nil
}

// images makes two images of size bytes, with holes, that differ in places.
func images(rng *rand.Rand, size int) (base, image *holey) {
	var both [2]*holey
	for i := range both {
		both[i] = &holey{plain: make(plain, size), data: make([]bool, size/holeBlock+1)}
	}
	base, image = both[0], both[1]
	for at := 0; at < size; {
		n := min(1+rng.IntN(64<<rng.IntN(12)), size-at)
		kind := rng.IntN(5)
		for i := at; i < at+n; i++ {
			block := i / holeBlock
			switch kind {
			case 0: // a hole in both
				continue
			case 1: // only in one of the two
				base.plain[i] = byte(i)
				base.data[block] = true
				continue
			case 2:
				image.plain[i] = byte(i)
				image.data[block] = true
				continue
			case 3: // the same
				base.plain[i], image.plain[i] = byte(i/7), byte(i/7)
			default:
				base.plain[i], image.plain[i] = byte(i/7), byte(i/5)
			}
			base.data[block], image.data[block] = true, true
		}
		at += n
	}
	return base, image
}

// growing is a device that is only as large as it was made.
type growing struct {
	*devicetest.Memory
	size int64
}

func (g *growing) Size() int64 { return g.size }
func (g *growing) Image() []byte {
	image := make([]byte, g.size)
	g.Peek(image, 0)
	return image
}
func (g *growing) grow(size format.Bytes) error {
	if int64(size) < g.size {
		return fmt.Errorf("cut from %d to %d bytes", g.size, size)
	}
	g.size = int64(size)
	return nil
}
func (g *growing) WriteAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > g.size {
		return 0, fmt.Errorf("%d bytes at %d, of %d", len(p), offset, g.size)
	}
	return g.Memory.WriteAt(p, offset)
}

// TestCreation makes stores of random images, with holes and odd sizes, in files
// that grow and on devices full of something else: the snapshot reads as the
// image, in as many exceptions and bytes as was measured, and no fewer.
func TestCreation(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		sectors := uint32(1) << rng.IntN(13) // up to 2 MiB
		size := 1 + rng.IntN(40<<10)
		if rng.IntN(3) == 0 {
			size = 1 + rng.IntN(5<<20)
		}
		base, image := images(rng, size)
		visited := format.Bytes(0)
		c := create.Creation{Base: base, Image: image, Geometry: geometry(t, sectors), Visit: func(b format.Bytes) error {
			if b < visited || b > format.Bytes(size) {
				return fmt.Errorf("visited %d after %d", b, visited)
			}
			visited = b
			return nil
		}}
		what := fmt.Sprintf("round %d, %d-sector chunks, %d bytes", round, sectors, size)
		measured, err := c.Measure()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if want := differing(base.plain, image.plain, int(sectors)*512); measured != want {
			t.Fatalf("%s: %d chunks differ, want %d", what, measured, want)
		}
		visited = 0
		file := &growing{Memory: devicetest.New(1 << 40)}
		written, err := c.Write(file, file.grow)
		if err != nil || written != measured || file.size != int64(c.Size(measured)) {
			t.Fatalf("%s: %d exceptions, %d bytes, %v; measured %d, %d", what, written, file.size, err, measured, c.Size(measured))
		}
		if err := reads(file, base.plain, image.plain); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		visited = 0
		var stream bytes.Buffer
		if n, err := c.Stream(&stream); err != nil || n != measured || !bytes.Equal(stream.Bytes(), file.Image()) {
			t.Fatalf("%s, as a stream: %d exceptions, %v, or other bytes", what, n, err)
		}
		for _, more := range []int64{-512, 0, 512, 1 << 20} {
			d := garbage(rng, int64(c.Size(measured))+more)
			visited = 0
			_, err = c.Write(d, nil)
			if more < 0 {
				if !errors.Is(err, store.ErrNoRoom) {
					t.Fatalf("%s: a sector too small: %v", what, err)
				}
				continue
			}
			if err == nil {
				err = reads(d, base.plain, image.plain)
			}
			if err != nil {
				t.Fatalf("%s, over something else: %v", what, err)
			}
		}
	}
}

// whole is an image without what lies behind its last whole sector: no device shows that.
func whole(image []byte) []byte { return image[:len(image)/format.SectorSize*format.SectorSize] }

// differing counts the chunks that differ, in the plainest way.
func differing(base, image []byte, chunk int) (n uint64) {
	base, image = whole(base), whole(image)
	for at := 0; at < len(base); at += chunk {
		end := min(at+chunk, len(base))
		if !bytes.Equal(base[at:end], image[at:end]) {
			n++
		}
	}
	return n
}

// garbage is a device full of something that looks like exceptions.
func garbage(rng *rand.Rand, size int64) *devicetest.Memory {
	d := devicetest.New(size)
	piece := bytes.Repeat([]byte{byte(1 + rng.IntN(255)), 0, 0, 0, 0, 0, 0, 0}, 8<<10)
	for at := int64(0); at < size; at += int64(len(piece)) {
		d.Put(at, piece[:min(int64(len(piece)), size-at)])
	}
	return d
}

// TestCreationFails: images of two sizes, an image that cannot be read, and a
// visit that ends it. Of each there is no store.
func TestCreationFails(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
	base, image := images(rng, 3<<20)
	for i := range base.data {
		base.data[i], image.data[i] = true, true
	}
	for name, c := range map[string]struct {
		change func(*create.Creation)
		want   func(error) bool
	}{
		"another size": {
			func(c *create.Creation) { c.Image = plain(image.plain[1:]) },
			func(err error) bool { return errors.Is(err, create.ErrOtherSize) },
		},
		"a bad sector of the base": {
			func(c *create.Creation) { c.Base = &holey{base.plain, base.data, 2 << 20} },
			func(err error) bool {
				var s *create.SourceError
				return errors.As(err, &s) && !s.Image && s.Offset == 2<<20 && errors.Is(err, errBroken)
			},
		},
		"a bad sector of the image": {
			func(c *create.Creation) { c.Image = &holey{image.plain, image.data, 2<<20 + 5} },
			func(err error) bool {
				var s *create.SourceError
				return errors.As(err, &s) && s.Image && s.Offset == 2<<20 && errors.Is(err, errBroken)
			},
		},
		"an interruption": {
			func(c *create.Creation) {
				c.Visit = func(b format.Bytes) error { return errBroken }
			},
			func(err error) bool { return err == errBroken },
		},
	} {
		creation := create.Creation{Base: base, Image: image, Geometry: geometry(t, 8)}
		c.change(&creation)
		d := devicetest.New(8 << 20)
		if _, err := creation.Write(d, nil); !c.want(err) {
			t.Errorf("%s: %v", name, err)
		}
		if id, err := look.Identify(d, creation.Geometry); err != nil || id.State == look.Valid {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		if _, err := creation.Measure(); !c.want(err) {
			t.Errorf("%s, measured: %v", name, err)
		}
	}
}
