package inuse

import (
	"math"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestParseLocks takes the locks out of what the kernel tells: not what waits for one, and no
// lease.
func TestParseLocks(t *testing.T) {
	const content = `1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF
2: OFDLCK ADVISORY  READ -1 fe:01:5678 0 EOF
3: POSIX  ADVISORY  READ  1235 fe:01:5678 100 101
3: -> POSIX  ADVISORY  WRITE 1236 fe:01:5678 100 101
4: LEASE  ACTIVE    READ  1234 fe:01:5678 0 EOF
lock:	1: OFDLCK ADVISORY  WRITE -1 fe:02:99 201 300
`
	one, two := inode{unix.Mkdev(0xfe, 1), 5678}, inode{unix.Mkdev(0xfe, 2), 99}
	want := []lock{
		{1234, true, one, lockRange{0, math.MaxInt64, true}},
		{-1, false, one, lockRange{0, math.MaxInt64, false}},
		{1235, false, one, lockRange{100, 102, false}},
		{-1, false, two, lockRange{201, 301, true}},
	}
	if got := parseLocks(content); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
