package mirrorlog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"dmcow/internal/mirrorlog"
)

// log is a log of so many regions, of which some are in sync.
func log(regions uint64, synced ...int) []byte {
	b := make([]byte, 2048)
	copy(b, "rRiM")
	binary.LittleEndian.PutUint32(b[4:], 2)
	binary.LittleEndian.PutUint64(b[8:], regions)
	for _, n := range synced {
		b[1024+n/8] |= 1 << (n % 8)
	}
	return b
}

func TestRead(t *testing.T) {
	type runs = []mirrorlog.Run
	for _, c := range []struct {
		b       []byte
		regions uint64
		want    runs
	}{
		{log(4, 0, 1, 2, 3), 4, runs{{4, true}}},
		{log(4), 4, runs{{4, false}}},
		{log(4, 0, 2, 3, 4), 5, runs{{1, true}, {1, false}, {2, true}, {1, false}}}, // the device has grown
		{log(9, 0, 1, 2, 3, 8), 3, runs{{3, true}}},                                 // and shrunk
		{log(40, 31, 32), 40, runs{{31, false}, {2, true}, {7, false}}},
		{log(1<<60, 0), 2, runs{{1, true}, {1, false}}},
		{log(0), 0, nil},
	} {
		got, err := mirrorlog.Read(bytes.NewReader(c.b), c.regions)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%d regions: %v, %v; want %v", c.regions, got, err, c.want)
		}
	}
	if _, err := mirrorlog.Read(bytes.NewReader(make([]byte, 2048)), 4); !errors.Is(err, mirrorlog.ErrNone) {
		t.Error(err)
	}
	old := log(4)
	old[4] = 1
	for _, b := range [][]byte{old, log(4)[:1000], log(4)[:100]} {
		if _, err := mirrorlog.Read(bytes.NewReader(b), 4); err == nil {
			t.Errorf("%d bytes are read", len(b))
		}
	}
	if _, err := mirrorlog.Read(bytes.NewReader(log(1<<40)), 1<<40); err == nil {
		t.Error("2^40 regions are read")
	}
}

// FuzzRead: whatever stands in a log, all regions are told of, and none is in sync that the log does not have so.
func FuzzRead(f *testing.F) {
	f.Add(log(4, 0, 1), uint64(4))
	f.Add(log(100, 3, 4, 90), uint64(200))
	f.Fuzz(func(t *testing.T, b []byte, regions uint64) {
		runs, err := mirrorlog.Read(bytes.NewReader(b), regions)
		if err != nil {
			return
		}
		at := uint64(0)
		for _, r := range runs {
			for n := at; r.InSync && n < at+r.Regions; n++ {
				if b[1024+n/8]>>(n%8)&1 == 0 {
					t.Fatalf("region %d is in sync: %v", n, runs)
				}
			}
			at += r.Regions
		}
		if at != regions {
			t.Errorf("%d regions of %d", at, regions)
		}
	})
}
