package delta

import (
	"math"
	"testing"

	"dmcow/format"
)

// TestHeadSize: a delta for a device that no offset reaches is damaged.
func TestHeadSize(t *testing.T) {
	g, err := format.NewGeometry(8)
	if err != nil {
		t.Fatal(err)
	}
	for size, good := range map[format.Bytes]bool{0: false, 512: true, math.MaxInt64 - 511: true, math.MaxInt64 + 1: false, math.MaxUint64 - 511: false} {
		b := Head{Kind: Full, Geometry: g, Size: size}.encode()
		if _, _, err := decodeHead(b, g); (err == nil) != good {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
