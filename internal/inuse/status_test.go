package inuse

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// deviceList is device-mapper's list of these devices.
func deviceList(devices ...Number) (list []byte) {
	for i, n := range devices {
		entry := make([]byte, 40)
		binary.NativeEndian.PutUint64(entry, unix.Mkdev(n.Major, n.Minor))
		copy(entry[12:], "name")
		if i < len(devices)-1 {
			binary.NativeEndian.PutUint32(entry[8:], uint32(len(entry)))
		}
		list = append(list, entry...)
	}
	if len(devices) == 0 {
		return make([]byte, 16)
	}
	return list
}

func TestListedNumbers(t *testing.T) {
	for _, want := range [][]Number{nil, {{254, 3}}, {{254, 3}, {254, 1 << 19}, {252, 0}}} {
		if got := listedNumbers(deviceList(want...)); !slices.Equal(got, want) {
			t.Errorf("%v, expected %v", got, want)
		}
	}
}

// FuzzListedNumbers: whatever the answer, nothing panics, and it comes to an end.
func FuzzListedNumbers(f *testing.F) {
	f.Add(deviceList(Number{254, 3}, Number{254, 4}))
	f.Fuzz(func(t *testing.T, list []byte) {
		if n := len(listedNumbers(list)); n > len(list)/12 {
			t.Errorf("%d devices in %d bytes", n, len(list))
		}
	})
}

func TestSnapshotStatus(t *testing.T) {
	type status struct {
		allocated, total, metadata uint64
		word                       string
		ok                         bool
	}
	for _, c := range []struct {
		target Target
		want   status
	}{
		{Target{"snapshot", []string{"3168/5600", "24"}}, status{3168, 5600, 24, "", true}},
		{Target{"snapshot-merge", []string{"16/5600", "16"}}, status{16, 5600, 16, "", true}},
		{Target{"snapshot", []string{"Invalid"}}, status{0, 0, 0, "Invalid", true}},
		{Target{"snapshot-merge", []string{"Merge", "failed"}}, status{0, 0, 0, "Merge failed", true}},
		{Target{"snapshot", []string{"3168/5600"}}, status{}},
		{Target{"snapshot", []string{"a/5600", "24"}}, status{}},
		{Target{"snapshot", nil}, status{}},
		{Target{"linear", []string{"7:0", "0"}}, status{}},
	} {
		var got status
		got.allocated, got.total, got.metadata, got.word, got.ok = c.target.SnapshotStatus()
		if got.ok != c.want.ok || got.ok && got != c.want {
			t.Errorf("%+v: %+v, expected %+v", c.target, got, c.want)
		}
	}
}
