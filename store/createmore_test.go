package store_test

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store/create"
)

// sure is two images of a size that differ in the first so many chunks, and in no others; none has a hole.
func sure(size, chunk, differing int) (base, image *holey) {
	base = &holey{plain: bytes.Repeat([]byte("same"), size/4+1)[:size], data: make([]bool, size/holeBlock+1)}
	for i := range base.data {
		base.data[i] = true
	}
	image = &holey{plain: bytes.Clone(base.plain), data: base.data}
	for i := range differing {
		image.plain[i*chunk+i%chunk]++
	}
	return base, image
}

// TestCreationEnds: where the list ends with an area, the next one is there, and where it has a short chunk or a
// large one, all of that: on a device full of something else, in a file, and as a stream. Nothing is written in
// pieces of more than a megabyte.
func TestCreationEnds(t *testing.T) {
	for _, c := range []struct {
		sectors         uint32
		size, differing int
	}{
		{1, 100 * 512, 0}, {1, 100 * 512, 31}, {1, 100 * 512, 32}, {1, 100 * 512, 33}, {1, 100 * 512, 64}, {1, 100*512 + 3, 100},
		{8, 600 * 4096, 256}, {256, 9<<17 - 5, 9}, {2048, 3<<20 - 700, 3}, {4096, 7<<20 + 3, 4}, {8192, 4<<20 + 1<<20, 2},
	} {
		base, image := sure(c.size, int(c.sectors)*512, c.differing)
		job := create.Creation{Base: base, Image: image, Geometry: geometry(t, c.sectors)}
		file := &growing{Memory: devicetest.New(1 << 40)}
		n, err := job.Write(file, file.grow)
		if err != nil || n != uint64(c.differing) || file.size != int64(job.Size(n)) {
			t.Fatalf("%+v: %d exceptions in %d bytes, want %d: %v", c, n, file.size, job.Size(n), err)
		}
		if err := reads(file, base.plain, image.plain); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		for _, op := range file.Ops() {
			if op.Length > 1<<20 {
				t.Errorf("%+v: %d bytes at once", c, op.Length)
			}
		}
		var stream bytes.Buffer
		if _, err := job.Stream(&stream); err != nil || !bytes.Equal(stream.Bytes(), file.Image()) {
			t.Errorf("%+v: the stream is another, %v", c, err)
		}
		full := devicetest.Of(bytes.Repeat([]byte{0xee}, int(job.Size(n))))
		if _, err := job.Write(full, nil); err != nil {
			t.Errorf("%+v: %v", c, err)
		} else if err := reads(full, base.plain, image.plain); err != nil {
			t.Errorf("%+v, over something else: %v", c, err)
		} else if h := behind(t, full); !h.Blank {
			t.Errorf("%+v, over something else: that stands behind the list: %+v", c, h)
		}
	}
}

// TestCreationOfHoles: what is a hole in both images is not read, and what cannot be asked for data is an error
// that says of which image.
func TestCreationOfHoles(t *testing.T) {
	const size = 8 << 20
	base, image := sure(size, 4096, 1)
	base.data, image.data = make([]bool, size/holeBlock+1), make([]bool, size/holeBlock+1)
	clear(base.plain[4096:])
	clear(image.plain[4096:])
	base.data[0], image.data[0] = true, true
	image.plain[size-1], image.data[size/holeBlock-1] = 7, true
	base.bad, image.bad = 4<<20, 4<<20
	job := create.Creation{Base: base, Image: image, Geometry: geometry(t, 8)}
	file := &growing{Memory: devicetest.New(1 << 40)}
	if n, err := job.Write(file, file.grow); n != 2 || err != nil {
		t.Errorf("%d chunks, %v", n, err)
	}
	for _, ofImage := range []bool{false, true} {
		job.Base, job.Image = base, image
		if ofImage {
			job.Image = dark{image}
		} else {
			job.Base = dark{base}
		}
		var s *create.SourceError
		if _, err := job.Measure(); !errors.As(err, &s) || s.Image != ofImage || s.Offset != 0 || !errors.Is(err, errBroken) {
			t.Errorf("of the image %v: %v", ofImage, err)
		}
	}
}

// dark is an image that does not tell where it has data.
type dark struct{ *holey }

func (dark) NextData(int64) (start, end int64, err error) { return 0, 0, errBroken }

// TestCreationOfLargeChunkFails: an image that cannot be read a second time is an error that says where, for a file
// and for a stream.
func TestCreationOfLargeChunkFails(t *testing.T) {
	base, image := sure(8<<20, 4<<20, 2)
	for _, streamed := range []bool{false, true} {
		again := &second{holey: image, at: 4<<20 + 3<<20 + 5}
		job := create.Creation{Base: base, Image: again, Geometry: geometry(t, 8192)}
		var err error
		if streamed {
			_, err = job.Stream(&bytes.Buffer{})
		} else {
			_, err = job.Write(devicetest.New(64<<20), nil)
		}
		var s *create.SourceError
		if !errors.As(err, &s) || !s.Image || s.Offset != format.Bytes(4<<20+3<<20) || !errors.Is(err, errBroken) {
			t.Errorf("streamed %v: %v", streamed, err)
		}
	}
}

// second is an image of which a byte can be read once.
type second struct {
	*holey
	at   int64
	read atomic.Bool
}

func (s *second) ReadAt(p []byte, offset int64) (int, error) {
	if offset <= s.at && s.at < offset+int64(len(p)) && s.read.Swap(true) {
		return 0, errBroken
	}
	return s.holey.ReadAt(p, offset)
}
