package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmcow/internal/device/devicetest"
	"dmcow/internal/kernellab"
	"dmcow/store/delta"
	"dmcow/store/delta/deltatest"
)

// TestKernelReceive: a volume with a snapshot is the target, active or not, by its name or its device: it becomes the source,
// the kernel shows of the snapshot what it showed, and a target in use is refused.
func TestKernelReceive(t *testing.T) {
	kernellab.Require(t)
	l := usedGroup(t)
	file := func(content []byte) string {
		name := filepath.Join(t.TempDir(), "delta")
		devicetest.WriteFile(t, name, content)
		return name
	}
	content := func() []byte {
		l.lvm("lvchange", "--activate", "y", "vg0/origin")
		return kernellab.MustRead(t, l.mapped("origin", ""))
	}
	view := func() string {
		l.lvm("lvchange", "--activate", "y", "vg0/origin")
		return kernellab.MustDigest(t, l.mapped("snap", ""))
	}
	shown := view()
	for i, c := range []struct {
		active bool
		target string
	}{{false, "vg0/origin"}, {true, "vg0/origin"}, {true, l.mapped("origin", "")}} {
		base := content()
		source := append([]byte{}, base...)
		for at := i * 4096; at < len(source); at += 256 << 10 {
			source[at] ^= 0xff
		}
		d := file(deltatest.Make(t, delta.Forward, 8, base, source))
		if !c.active {
			l.lvm("lvchange", "--activate", "n", "vg0/origin")
		} else {
			f, err := os.OpenFile(l.mapped("origin", ""), os.O_RDWR|os.O_EXCL, 0)
			if err != nil {
				t.Fatal(err)
			}
			refusedWith(t, "in use", "receive", c.target, d, "--yes")
			f.Close()
		}
		_, stderr := expect(t, 0, "receive", c.target, d, "--yes")
		if c.active && c.target == "vg0/origin" && !strings.Contains(stderr, "is active: it is written as") {
			t.Errorf("%s", stderr)
		}
		if got := content(); string(got) != string(source) {
			t.Errorf("%+v: the target is not what it should be", c)
		}
		if got := view(); got != shown {
			t.Errorf("%+v: the snapshot shows something else", c)
		}
	}
	refusedWith(t, "this is a snapshot", "receive", "vg0/snap", file(deltatest.Make(t, delta.Forward, 8, content(), content())), "--yes")
}
