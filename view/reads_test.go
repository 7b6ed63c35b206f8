package view

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
)

// atEnd is a reader that tells the end with the last bytes, as an io.ReaderAt may.
type atEnd struct{ *devicetest.Part }

func (r atEnd) ReadAt(p []byte, offset int64) (int, error) {
	n, err := r.Part.ReadAt(p, offset)
	if err == nil && offset+int64(n) == r.Size() {
		err = io.EOF
	}
	return n, err
}

// TestReadTogether: what follows each other on a device is read at once.
func TestReadTogether(t *testing.T) {
	r := newRig(t, "device 200\nheader chunk=1\nfill 4 10\nex 4 20 40\ndata 9", 64*sector)
	v := r.open(t)
	origin := r.cow.Size()
	for _, c := range []struct {
		first, count int64 // sectors
		want         []devicetest.Range
	}{
		{0, 30, []devicetest.Range{{Offset: 2 * sector, Length: 4 * sector}, {Offset: 40 * sector, Length: sector},
			{Offset: origin, Length: 10 * sector}, {Offset: origin + 14*sector, Length: 6 * sector}, {Offset: origin + 21*sector, Length: 9 * sector}}},
		{11, 2, []devicetest.Range{{Offset: 3 * sector, Length: 2 * sector}}},
		{0, 10, []devicetest.Range{{Offset: origin, Length: 10 * sector}}},
	} {
		before := len(r.all.Reads())
		if _, err := v.ReadAt(make([]byte, c.count*sector), c.first*sector); err != nil {
			t.Fatal(err)
		}
		got := r.all.Reads()[before:]
		slices.SortFunc(got, func(a, b devicetest.Range) int { return int(a.Offset - b.Offset) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%d sectors from %d on: read were %v, want %v", c.count, c.first, got, c.want)
		}
	}
}

// calls counts the calls of a device that transfers much at once.
type calls struct {
	*device
	read, written []int // how many pieces, how many bytes
}

func (c *calls) ReadMany(p [][]byte, at []int64) (int, error) {
	c.read = append(c.read, len(p))
	return c.device.ReadMany(p, at)
}

func (c *calls) WriteMany(p [][]byte, at []int64) (int, error) {
	sum := 0
	for _, b := range p {
		sum += len(b)
	}
	c.written = append(c.written, sum)
	return c.device.WriteMany(p, at)
}

// TestTransfersAtOnce: pieces are read with one call where the device is faster so; what is written goes out
// a megabyte at a time.
func TestTransfersAtOnce(t *testing.T) {
	for _, many := range []bool{true, false} {
		r := newRig(t, "device 8000\nheader chunk=8\nfill 20\ndata 9", 8000*sector)
		r.cow.many = many
		cow := &calls{device: r.cow}
		v, err := Open(Options{COW: cow, Origin: r.origin, To: cow})
		if err != nil {
			t.Fatal(err)
		}
		cow.read = nil
		for _, chunks := range []int64{4, 2} { // of which two and one are in the store
			if _, err := v.ReadAt(make([]byte, chunks*8*sector), 0); err != nil {
				t.Fatal(err)
			}
		}
		if want := map[bool][]int{true: {2}}[many]; !slices.Equal(cow.read, want) {
			t.Errorf("much at once %v: reads of %v pieces, want %v", many, cow.read, want)
		}
		if _, err := v.WriteAt(make([]byte, 2<<20+8*sector), 800*sector); err != nil {
			t.Fatal(err)
		}
		if want := []int{1 << 20, 1 << 20, 8 * sector}; !slices.Equal(cow.written, want) {
			t.Errorf("writes of %d bytes, want %d", cow.written, want)
		}
	}
}

// TestReadParts: large reads of any length, and of one that fails, what comes before.
func TestReadParts(t *testing.T) {
	const size = 5 * parallel
	r := newRig(t, "device 12000\nheader chunk=8\nfill 100\ndata 9", size)
	v, want := r.open(t), r.naiveView(t)
	for _, n := range []int{parallel - 1, parallel, parallel + 1, 2*parallel - 1, 2 * parallel, 2*parallel + 1, 4*parallel - 1} {
		for _, at := range []int{0, 777, size - n} {
			p := make([]byte, n)
			if got, err := v.ReadAt(p, int64(at)); err != nil || got != n || !bytes.Equal(p, want[at:at+n]) {
				t.Fatalf("%d bytes at %d: %d, %v", n, at, got, err)
			}
		}
	}
	for _, x := range r.all.Reads() {
		if x.Length > parallel {
			t.Errorf("%d bytes are read at once", x.Length)
		}
	}
	// Two sectors of the origin are bad, behind chunks that have exceptions: one in the first part, one in the second.
	for _, chunk := range []int64{121, 271} {
		bad := chunk*8*sector + 100
		r.all.Fault = devicetest.BadByte(r.cow.Size()+bad, errBroken)
		p := make([]byte, 3*parallel)
		n, err := v.ReadAt(p, 700)
		var e *ReadError
		if !errors.As(err, &e) || !e.Origin || int64(e.Offset) != chunk*8*sector || int64(n) != chunk*8*sector-700 || !bytes.Equal(p[:n], want[700:][:n]) {
			t.Errorf("chunk %d is bad: %d bytes, %v", chunk, n, err)
		}
	}
}

// TestReadOrigin: the origin by itself, as it is compared with: an error says where, and the end is one.
func TestReadOrigin(t *testing.T) {
	r := newRig(t, "device 200\nheader chunk=1\nfill 4", 64*sector)
	v, err := Open(Options{COW: r.cow, Origin: atEnd{r.origin.Part}})
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, sector)
	for _, at := range []int64{0, 63 * sector} {
		if n, err := v.Origin().ReadAt(p, at); n != sector || err != nil && err != io.EOF || !bytes.Equal(p, r.originImage()[at:at+sector]) {
			t.Errorf("byte %d: %d, %v", at, n, err)
		}
	}
	var e *ReadError
	if n, err := v.Origin().ReadAt(p, 63*sector+1); n != sector-1 || !errors.As(err, &e) || !e.Origin || e.Offset != 63*sector+1 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("past its end: %d, %v", n, err)
	}
	if got := content(t, v); !bytes.Equal(got, r.naiveView(t)) {
		t.Error("the view is another")
	}
}

// TestStreamOf: whole windows, readers that tell the end with their last bytes, and devices that end before
// their size.
func TestStreamOf(t *testing.T) {
	for _, size := range []int64{1, window - 1, window, window + 1, 3 * window} {
		all := devicetest.Of(devicetest.Numbered(size))
		stream := func(from io.ReaderAt, size int64) (got []byte, err error) {
			err = Stream(from, size, func(p []byte, _ int64) error {
				if len(p) == 0 {
					t.Errorf("%d bytes: nothing was handed out", size)
				}
				got = append(got, p...)
				return nil
			})
			return got, err
		}
		if got, err := stream(atEnd{all.Part(0, size)}, size); err != nil || !all.Holds(got) {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
		for _, x := range all.Reads() {
			if x.Length == 0 {
				t.Errorf("%d bytes: a read of nothing, at byte %d", size, x.Offset)
			}
		}
		if got, err := stream(all, size+1); err != io.EOF || !all.Holds(got) {
			t.Errorf("%d bytes, one is missing: %d, %v", size, len(got), err)
		}
		all.Fault = devicetest.BadByte(0, errBroken)
		if got, err := stream(all, size); !errors.Is(err, errBroken) || len(got) > 0 {
			t.Errorf("%d bytes, none can be read: %d, %v", size, len(got), err)
		}
	}
}

// TestCompareReads: what is compared is read in small pieces, or a chunk where that is larger,
// and progress is told after each, up to the end.
func TestCompareReads(t *testing.T) {
	for _, c := range []struct{ spec, size, pieces int }{{2, 4096, 16}, {8, 16 * 512, 32}, {4096, 4 * 4096, 64}} {
		r := newRig(t, fmt.Sprintf("device %d\nheader chunk=%d\nfill %d 0\ndata 9", 2*c.size+3*c.spec, c.spec, c.size/c.spec), c.size*sector)
		v := r.open(t)
		before := len(r.all.Reads())
		var told []format.Bytes
		changes, result, err := v.Changes().Compare(v, v.Origin(), func(n format.Bytes) error {
			told = append(told, n)
			return nil
		})
		if err != nil || result.Unread > 0 || changes.Chunks() != uint64(c.size/c.spec) {
			t.Fatalf("%d chunks, %+v, %v", changes.Chunks(), result, err)
		}
		reads := 0
		for _, x := range r.all.Reads()[before:] {
			if x.Offset >= r.cow.Size() {
				reads++
			}
			if x.Length > jobSize {
				t.Errorf("chunks of %d sectors: %d bytes are read at once", c.spec, x.Length)
			}
		}
		if c.spec < 4096 && reads != c.pieces {
			t.Errorf("chunks of %d sectors: %d reads of the origin, want %d", c.spec, reads, c.pieces)
		}
		last := format.Bytes(0)
		for _, n := range told {
			if step := n - last; step <= 0 || step > max(jobSize, format.Bytes(c.spec)*sector) {
				t.Errorf("chunks of %d sectors: %d bytes were told after %d", c.spec, n, last)
			}
			last = n
		}
		if last != format.Bytes(c.size)*sector {
			t.Errorf("chunks of %d sectors: %d bytes were told in the end", c.spec, last)
		}
	}
}

// TestCompareAtEnd: a device that tells its end with its last bytes is read whole.
func TestCompareAtEnd(t *testing.T) {
	r := newRig(t, "device 200\nheader chunk=2\nfill 20 0", 40*sector)
	v := r.open(t)
	_, result, err := v.Changes().Compare(atEnd{r.origin.Part}, atEnd{r.origin.Part}, func(format.Bytes) error { return nil })
	if err != nil || result.Unread != 0 || result.Equal != 20 {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestChangedGrains: of chunks of two sizes, those are counted of which a byte lies on the origin,
// wherever that ends.
func TestChangedGrains(t *testing.T) {
	for sectors := 57; sectors < 70; sectors++ {
		size := sectors * sector
		a := newRig(t, "device 2000\nheader chunk=8\nex 0 7 2\nex 1 2 3\ndata 9", size).open(t)
		b := newRig(t, "device 2000\nheader chunk=2\nfill 2 31\ndata 9", size).open(t)
		grains := map[int]bool{}
		for at := 0; at < size; at += sector {
			if s := at / sector; s/8 == 7 || s/8 == 2 || s/2 == 31 || s/2 == 32 {
				grains[s/2] = true
			}
		}
		if got := ChangesBetween(a, b).Chunks(); got != uint64(len(grains)) {
			t.Errorf("%d sectors: %d grains, want %d", sectors, got, len(grains))
		}
	}
}
