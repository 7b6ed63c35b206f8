package check_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// changing is a device on which another image is found each time that its header is
// read: as many as there are, and then the last one.
type changing struct {
	*devicetest.Memory
	images []*devicetest.Memory
	looks  atomic.Int32
}

func (c *changing) ReadAt(p []byte, offset int64) (int, error) {
	look := int(c.looks.Load())
	if offset == 0 {
		look = int(c.looks.Add(1))
	}
	return c.images[min(max(look, 1), len(c.images))-1].ReadAt(p, offset)
}

// TestLive: on a device in use, what a second look does not show is not told, and
// what it does is.
func TestLive(t *testing.T) {
	const (
		sound  = "device 200\nheader chunk=1\nfill 40"
		torn   = sound + "\nex 38 0 0" // read while it was written
		damage = sound + "\nex 5 12 7" // there all the time
	)
	for _, c := range []struct {
		first, second string
		want          []string
	}{
		{sound, sound, nil},
		{torn, sound, nil},
		{torn, damage, nil}, // seen once
		{damage, damage, []string{"duplicate-old-chunk"}},
		{damage + "\nex 38 0 0", damage, []string{"duplicate-old-chunk"}},
		{damage, damage + "\nex 39 115 200", []string{"duplicate-old-chunk"}},
		// Figures are those of the last look, whatever else there is.
		{damage, damage + "\nex 39 117 60", []string{"duplicate-old-chunk", "leaked-chunks"}},
		{sound, sound + "\nex 39 117 60", nil}, // there was none
	} {
		d := &changing{Memory: devicetest.New(200 * 512)}
		for _, spec := range []string{c.first, c.second} {
			d.images = append(d.images, devicetest.Of(storespec.MustCompile(t, spec)))
		}
		r := report(t, check.Options{Device: d, Live: true})
		if got := rules(r); !slices.Equal(got, c.want) {
			t.Errorf("%q, then %q: %v, want %v", c.first, c.second, got, c.want)
		}
	}
}

// TestLiveManyFaults: faults so many that they are not told apart one by one are
// told, all of them.
func TestLiveManyFaults(t *testing.T) {
	const exceptions, lost = 300000, 1<<16 + 1000
	d := devicetest.New(4096 * (exceptions + 2000))
	d.Put(0, storespec.MustCompile(t, "device 2\nheader chunk=8")[:16])
	g, _ := format.NewGeometry(8)
	area := make([]byte, g.ChunkBytes())
	for i := range uint64(exceptions) {
		x := format.Exception{Old: format.OldChunk(i), New: g.DataChunk(i)}
		if i%3 == 0 && i < 3*lost {
			x.New += 1 << 40
		}
		x.Encode(area[i%256*16:])
		if i%256 == 255 || i == exceptions-1 {
			d.Put(int64(g.Offset(g.AreaLocation(format.AreaIndex(i/256)))), area)
			clear(area)
		}
	}
	r := report(t, check.Options{Device: d, Live: true})
	if n := r.Count(check.Error); n != lost {
		t.Errorf("%d are told, of %d", n, lost)
	}
}
