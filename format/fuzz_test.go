package format_test

import (
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// FuzzWalk: any bytes are walked without a panic, and as the naive reading
// has them.
func FuzzWalk(f *testing.F) {
	for _, spec := range []string{
		"device 0",
		"device 1029b\nheader chunk=1\nfill 32",
		"device 100\nheader chunk=1\nfill 70\nex 72 4 9",
		"device 140\nheader chunk=1\nfill 96\nex 40 max max",
		"device 140\nheader chunk=1\nfill 96\nex 5 33 0",
		"device 17000b\nheader chunk=1\nfill 31\nex 31 1 max",
		"device 270\nheader chunk=2\nfill 130",
	} {
		f.Add(storespec.MustCompile(f, spec), uint8(0))
		f.Add(storespec.MustCompile(f, spec), uint8(1))
	}
	f.Add(storespec.MustCompile(f, "device 300000b\nheader chunk=256\nfill 5"), uint8(8))
	f.Add(storespec.MustCompile(f, "device 70000b\nheader chunk=64\nfill 5"), uint8(21))
	f.Fuzz(func(t *testing.T, image []byte, exponent uint8) {
		checkWalk(t, "fuzz", devicetest.Of(image), 1<<(exponent%22))
	})
}
