package check_test

import (
	"errors"
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
		{sound, sound + "\nex 39 117 60", nil},                                                     // there was none
		{sound + "\nex 38 120 60\nex 39 117 59", sound, []string{"leaked-chunks", "out-of-order"}}, // nor a second look
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

// TestLiveStops: an error of the one who is told ends a check of a device in use, too.
func TestLiveStops(t *testing.T) {
	stop := errors.New("stop")
	for _, spec := range []string{"ex 39 117 60\nex 38 120 61", "ex 5 12 7\nex 6 12 8"} {
		d, told := devicetest.Of(storespec.MustCompile(t, "device 200\nheader chunk=1\nfill 40\n"+spec)), 0
		_, err := check.Run(check.Options{Device: d, Live: true}, func(check.Finding) error {
			told++
			return stop
		})
		if !errors.Is(err, stop) || told != 1 {
			t.Errorf("%q: %d findings, %v", spec, told, err)
		}
	}
}

// TestLiveManyFaults: faults so many that they are not told apart one by one are
// told, all of them.
func TestLiveManyFaults(t *testing.T) {
	const exceptions, lost = 300000, 1<<16 + 1000
	g, _ := format.NewGeometry(8)
	d := long(t, 8, exceptions, exceptions+2000, func(i uint64) format.Exception {
		x := format.Exception{Old: format.OldChunk(i), New: g.DataChunk(i)}
		if i%3 == 0 && i < 3*lost {
			x.New += 1 << 40
		}
		return x
	})
	r := report(t, check.Options{Device: d, Live: true})
	if n := r.Count(check.Error); n != lost {
		t.Errorf("%d are told, of %d", n, lost)
	}
}
