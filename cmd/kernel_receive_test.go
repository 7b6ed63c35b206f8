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

// TestKernelReceiveDevices: a delta that stands on a block device, with something else behind it, is applied to another
// one, collected on a third, and undone by a log on a fourth.
func TestKernelReceiveDevices(t *testing.T) {
	kernellab.Require(t)
	base := devicetest.Numbered(2048 * 512)
	source := append([]byte{}, base...)
	for at := 0; at < len(source); at += 9000 {
		source[at] ^= 0xff
	}
	d := deltatest.Make(t, delta.Forward, 8, base, source)
	from := kernellab.LoopOf(t, append(append([]byte{}, d...), base...))
	target, kept := kernellab.LoopOf(t, base), kernellab.LoopOf(t, make([]byte, 2*len(d)/4096*4096))
	log := kernellab.LoopOf(t, make([]byte, 4<<20))
	expect(t, 0, "receive", "--check", from)
	expect(t, 0, "receive", "--to-store", kept, from, "--yes")
	if got := kernellab.MustRead(t, kept); string(got[:len(d)]) != string(d) {
		t.Error("what was collected is not the delta")
	}
	expect(t, 0, "receive", target, kept, "--undo", log, "--yes")
	if string(kernellab.MustRead(t, target)) != string(source) {
		t.Error("the target is not what it should be")
	}
	expect(t, 0, "receive", target, from, "--yes")
	expect(t, 0, "merge", log, "--into", target, "--yes")
	if string(kernellab.MustRead(t, target)) != string(base) {
		t.Error("the log does not undo it")
	}
	large := kernellab.LoopOf(t, append(append([]byte{}, base...), base...))
	refusedWith(t, "the delta is for a device of", "receive", large, from, "--yes")
}
