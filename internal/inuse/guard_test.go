package inuse

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestNoGuard: without device-mapper nothing can be kept from LVM, which would do nothing.
func TestNoGuard(t *testing.T) {
	if _, err := os.Stat("/dev/mapper/control"); err == nil {
		t.Skip("there is device-mapper")
	}
	if _, err := Guard("vg0-snap-cow"); !errors.Is(err, ErrNoMapper) || !strings.Contains(err.Error(), "vg0-snap-cow: /dev/mapper/control is missing") {
		t.Error(err)
	}
}
