package merge

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/store"
)

// TestAdapt: a batch that took long is followed by a smaller one, a quick one by a larger one, within what memory
// holds and what is worth a sync.
func TestAdapt(t *testing.T) {
	const most = 1 << 16
	for _, c := range []struct {
		limit uint64
		took  time.Duration
		want  uint64
	}{
		{4096, longBatch + 1, 2048}, {4096, longBatch, 4096}, {4096, shortBatch, 4096}, {4096, shortBatch - 1, 8192},
		{leastBatch, longBatch + 1, leastBatch}, {leastBatch + 2, longBatch + 1, leastBatch/2 + 1}, {most, 0, most}, {most - 1, 0, most},
	} {
		m := &merger{limit: c.limit, exceptions: make([]format.Exception, most)}
		if m.adapt(c.took); m.limit != c.want {
			t.Errorf("%d exceptions took %v, and then %d, want %d", c.limit, c.took, m.limit, c.want)
		}
	}
}

// TestMemory: exceptions and data take no more memory than a merge is given, and most of it where there is much to
// merge.
func TestMemory(t *testing.T) {
	const n = 20_000
	r := newRig(t, "device 21000\nheader chunk=1\nfill 20000 0\n", n)
	m, err := Open(r.cow, r.origin, Opening{})
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []format.Bytes{0, MinMemory, 4 << 20, 9 << 20, 1 << 30} {
		for _, verify := range []bool{false, true} {
			o := Options{Memory: given, SkipIdentical: verify}
			if given == 9<<20 && verify {
				o.SkipIdentical, o.PastCache = false, []Reader{r.origin}
			}
			merger := m.merger(o)
			data := format.Bytes(0)
			for _, w := range merger.copier.windows {
				data += format.Bytes(len(w.data) + len(w.other))
				if (len(w.other) > 0) != verify {
					t.Errorf("%d bytes, verified %v: %d to compare with", given, verify, len(w.other))
				}
			}
			most := max(given, MinMemory)
			if windows := len(merger.copier.windows); data > most/4*3 || windows != 4 || data <= most/4*3/2 && data < 4*maxWindow {
				t.Errorf("%d bytes, verified %v: %d windows of %d bytes together", given, verify, windows, data)
			}
			if got := format.Bytes(len(merger.exceptions)); got != min(n, most/4/format.ExceptionSize) {
				t.Errorf("%d bytes: %d exceptions", given, got)
			}
			merger.copier.close()
		}
	}
	// What there is to merge may take less: as many windows as it fills.
	for bytes, windows := range map[format.Bytes]int{1: 1, maxWindow: 1, maxWindow + 1: 2, 2 * maxWindow: 2, 2*maxWindow + 1: 3, 10 * maxWindow: 4} {
		m.Bytes = bytes
		merger := m.merger(Options{Memory: 1 << 30})
		if got := len(merger.copier.windows); got != windows {
			t.Errorf("%d bytes to merge: %d windows, want %d", bytes, got, windows)
		}
		merger.copier.close()
	}
}

// TestPause: between two batches it is asked whether to go on; behind the last it is not.
func TestPause(t *testing.T) {
	for n, pauses := range map[int]int{1: 0, 32: 0, 33: 1, 64: 1, 65: 2} { // an area, of 32 exceptions, is a batch
		r := newRig(t, fmt.Sprintf("device 200\nheader chunk=1\nfill %d 0\ndata 9", n), 100)
		asked := 0
		o := small(32, 4096)
		o.Pause = func() error { asked++; return nil }
		if _, err := r.run(o); err != nil || asked != pauses {
			t.Errorf("%d exceptions: asked %d times, want %d: %v", n, asked, pauses, err)
		}
	}
}

// TestPlaces: an error says where it was, on which device, and of which chunk.
func TestPlaces(t *testing.T) {
	const spec = "device 2000\nheader chunk=8\nfill 3 50\nex 3 70 9\ndata 9"
	cow := func(chunk, byte int64) int64 { return chunk*4096 + byte }
	origin := func(chunk, byte int64) int64 { return 2000*sector + chunk*4096 + byte }
	for name, c := range map[string]struct {
		bad  int64
		kind devicetest.Kind
		skip bool // what is identical
		want TransferError
	}{
		"read from the COW device": {cow(3, 1500), devicetest.Read, false, TransferError{Exception: format.Exception{Old: 51, New: 3}, Offset: 3*4096 + 1500}},
		"another one":              {cow(9, 0), devicetest.Read, false, TransferError{Exception: format.Exception{Old: 70, New: 9}, Offset: 9 * 4096}},
		"read from the origin":     {origin(70, 30), devicetest.Read, true, TransferError{Origin: true, Exception: format.Exception{Old: 70}, Offset: 70 * 4096}},
		"written":                  {origin(70, 30), devicetest.Write, false, TransferError{Origin: true, Write: true, Exception: format.Exception{Old: 70}, Offset: 70 * 4096}},
	} {
		r := newRig(t, spec, 1000)
		m, err := Open(r.cow, r.origin, Opening{})
		if err != nil {
			t.Fatal(err)
		}
		r.all.Fault = func(op devicetest.Op) (int, error) {
			if op.Kind != c.kind {
				return 0, nil
			}
			return devicetest.BadByte(c.bad, errPlace)(op)
		}
		o := small(100, 64<<10)
		o.SkipIdentical = c.skip
		_, err = m.Run(o)
		var got *TransferError
		if !errors.As(err, &got) || !errors.Is(got.Err, errPlace) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.want.Err = got.Err; *got != c.want {
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
		r.all.Fault = nil
		if n := len(mustList(t, r)); n != 4 {
			t.Errorf("%s: %d exceptions are left of 4", name, n)
		}
	}
}

var errPlace = errors.New("bad place")

// TestUnreadableList: where an area cannot be read again, it is said which, and how much of the list stands before
// it, when it is to be merged and when it is to be cleared.
func TestUnreadableList(t *testing.T) {
	for kind, at := range map[string]int64{"merged": 67*sector + 66%32*format.ExceptionSize, "cleared": 67 * sector} { // a sector of which is changed
		r := newRig(t, "device 300\nheader chunk=1\nfill 70 0\ndata 9", 100)
		m, err := Open(r.cow, r.origin, Opening{})
		if err != nil {
			t.Fatal(err)
		}
		r.all.Fault = func(op devicetest.Op) (int, error) {
			if op.Kind == devicetest.Read && op.Offset == at {
				return 0, errPlace
			}
			return 0, nil
		}
		_, err = m.Run(small(4, 4096))
		var area *format.AreaError
		if !errors.As(err, &area) || !errors.Is(err, errPlace) || area.Area != 2 || area.Chunk != 67 || int64(area.Offset) != at || area.Read != 64 {
			t.Errorf("%s: %+v, %v", kind, area, err)
		}
		r.all.Fault = nil
		if n := len(mustList(t, r)); n != 70 {
			t.Errorf("%s: %d exceptions are left", kind, n)
		}
	}
}

// TestShareLeast: stretches are shared that are long enough, and not what lies behind them.
func TestShareLeast(t *testing.T) {
	for n, shared := range map[int]format.Bytes{15: 0, 16: 64 << 10, 20: 80 << 10} { // chunks of 4 KiB that follow each other
		r := newRig(t, fmt.Sprintf("device 4000\nheader chunk=8\nfill %d 50\nex %d %d 100\nex %d 200 102\ndata 9", n, n, 50+n, n+1), 2000)
		want := r.mustView(t)
		o := small(100, 128<<10)
		o.Share = func(source, offset, length int64) (bool, error) {
			b := r.cow.Image()[source : source+length]
			_, err := r.origin.WriteAt(b, offset)
			return true, err
		}
		result, err := r.run(o)
		if err != nil || result.Shared != shared || result.Written+result.Shared != format.Bytes(n+2)*4096 || !r.origin.Holds(want) {
			t.Errorf("%d chunks: %+v, %v; want %d bytes shared", n, result, err, shared)
		}
		for name, but := range map[string]func(*Options){ // nobody sees what is shared
			"skipping": func(o *Options) { o.SkipIdentical = true },
			"rescue":   func(o *Options) { o.Rescue = true },
			"holes":    func(o *Options) { o.Hole = func(int64, int64) error { return nil } },
		} {
			r := newRig(t, fmt.Sprintf("device 4000\nheader chunk=8\nfill %d 50\ndata 9", n), 2000)
			o := small(100, 128<<10)
			o.Share = func(int64, int64, int64) (bool, error) { return true, errPlace }
			but(&o)
			if result, err := r.run(o); err != nil || result.Shared > 0 {
				t.Errorf("%s: %+v, %v", name, result, err)
			}
		}
	}
}

// TestStepsStop: an error of who is told ends the steps where they are, and the preview.
func TestStepsStop(t *testing.T) {
	r := newRig(t, "device 200\nheader chunk=1\nfill 3\ndata 9", 100) // each by itself
	told := 0
	stop := func(store.Run) error {
		if told++; told == 2 {
			return errPlace
		}
		return nil
	}
	m, err := Look(r.cow, r.origin, Opening{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Preview(10, stop); err != errPlace || told != 2 {
		t.Errorf("preview: %v after %d", err, told)
	}
	told = 0
	if err := m.Preview(1, stop); err != nil || told != 1 {
		t.Errorf("preview of one: %v after %d", err, told)
	}
	told = 0
	if result, err := r.step(Options{}, 10, stop); err != errPlace || told != 2 || result.Chunks != 2 || len(mustList(t, r)) != 1 {
		t.Errorf("%+v, %v after %d", result, err, told)
	}
}

// TestTwice: of exceptions that stand in the list twice, as only an interrupted rescue leaves them, it is said how
// many there are.
func TestTwice(t *testing.T) {
	r := newRig(t, "device 99\nheader chunk=1\nfill 3 0\nex 3 0 2\nex 4 1 3\ndata 9", 50)
	m, err := Open(r.cow, r.origin, Opening{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Run(small(100, 1024)); err == nil || !strings.HasPrefix(err.Error(), "2 exceptions") {
		t.Errorf("%v", err)
	}
}

// TestLongList merges a list that is read in several pieces, many areas at once.
func TestLongList(t *testing.T) {
	r := newRig(t, "device 21000\nheader chunk=1\nfill 20000 0\ndata 9", 20_000)
	want, cow := r.mustView(t), cleared(r.cow.Image(), 0, 20_000)
	if result, err := r.run(Options{}); err != nil || result.Chunks != 20_000 {
		t.Fatalf("%+v, %v", result, err)
	}
	r.wants(t, want, cow)
}

// TestBeginning: a plan says which new chunk the origin's first one gets, if it gets one.
func TestBeginning(t *testing.T) {
	for spec, want := range map[string]format.NewChunk{"fill 3 0": 2, "fill 3 1": 0, "fill 3 5\nex 3 0 9\nex 4 77 10": 9, "": 0} {
		r := newRig(t, "device 99\nheader chunk=1\n"+spec, 90)
		if m, err := Look(r.cow, r.origin, Opening{}); err != nil || m.Beginning != want {
			t.Errorf("%q: %+v, %v; want %d", spec, m, err, want)
		}
	}
}

// TestEndBeforeTheRest: of a batch of many areas, the end of the second is cleared first, and durably: then the list
// ends there, whatever a power cut leaves of the areas behind. Without that, exceptions up to the end of an area may
// be left, and others in the next, as no torn commit leaves them.
func TestEndBeforeTheRest(t *testing.T) {
	const areas = 5 // of 64 exceptions, in two sectors
	r := newRig(t, "device 1000\nheader chunk=2\nfill 320 0\ndata 9", 700)
	m, err := Open(r.cow, r.origin, Opening{})
	if err != nil {
		t.Fatal(err)
	}
	before := len(r.all.Ops())
	if _, err := m.Run(small(areas*64, 64<<10)); err != nil {
		t.Fatal(err)
	}
	at := func(area int64) int64 { return (1 + 65*area) * 1024 }
	var steps []string // what is done to the COW device, behind the sync of the origin
	for _, op := range r.all.Ops()[before:] {
		switch {
		case op.Offset >= r.cow.Size(), op.Kind == devicetest.Read:
		case op.Kind == devicetest.Sync:
			steps = append(steps, "sync")
		case op.Length == sector && op.Offset == at(1)+sector:
			steps = append(steps, "end")
		case op.Length == 1024:
			steps = append(steps, fmt.Sprint("clear ", (op.Offset/1024-1)/65))
		}
	}
	want := "sync, end, sync, clear 4, clear 3, clear 2, sync, clear 1, sync, clear 0, sync"
	if got := strings.Join(steps, ", "); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

// TestHoleInside: a hole between data is as long as the zeros are: nothing behind them is lost.
func TestHoleInside(t *testing.T) {
	r := newRig(t, "device 400\nheader chunk=8\nfill 16 50\ndata 9\nraw 24576 00*4096\nraw 36864 00*8192", 1000)
	want := r.mustView(t)
	o := small(100, 64<<10)
	o.Hole = func(offset, length int64) error {
		_, err := r.origin.WriteAt(make([]byte, length), offset)
		return err
	}
	if result, err := r.run(o); err != nil || result.Holes != 3*4096 || result.Written != 13*4096 || !r.origin.Holds(want) {
		t.Errorf("%+v, %v", result, err)
	}
}
