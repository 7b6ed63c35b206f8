package device_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"dmcow/internal/device"
	"dmcow/internal/kernellab"
)

const chunkSectors = 8

// patternLoop is a loop device that holds the lab's pattern.
func patternLoop(t *testing.T, sectors uint64, options ...kernellab.LoopOption) string {
	t.Helper()
	return kernellab.LoopOf(t, kernellab.Pattern(0, sectors, 0), options...)
}

// activeSnapshot is a snapshot with an empty store, and the loop devices under
// it.
func activeSnapshot(t *testing.T) (s *kernellab.Snapshot, origin, cow string) {
	t.Helper()
	origin = patternLoop(t, 64*chunkSectors)
	cow = kernellab.Loop(t, kernellab.File(t, "cow", 100*chunkSectors))
	return kernellab.NewSnapshot(t, origin, cow, "P", chunkSectors), origin, cow
}

func Open(t *testing.T, path string) *device.Device {
	t.Helper()
	d, err := device.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestKernelMetadataReadsFreshWhereTheCacheIsStale(t *testing.T) {
	kernellab.Require(t)
	s, _, cow := activeSnapshot(t)
	// As long as anybody has the device open, its cache is kept.
	buffered, err := os.Open(cow)
	if err != nil {
		t.Fatal(err)
	}
	defer buffered.Close()
	const area0 = chunkSectors * kernellab.SectorSize
	empty, stale, fresh := make([]byte, area0), make([]byte, area0), make([]byte, area0)
	if _, err := buffered.ReadAt(empty, area0); err != nil {
		t.Fatal(err)
	}
	if failed, err := kernellab.WritePattern(s.Origin.Path, chunkSectors, []uint64{5}, 1); failed > 0 || err != nil {
		t.Fatal(failed, err)
	}
	if _, err := buffered.ReadAt(stale, area0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stale, empty) {
		t.Fatal("a buffered read shows what the kernel committed: there is nothing to prove here")
	}
	d := Open(t, cow)
	if _, err := d.ReadAt(fresh, area0); err != nil || !d.Direct() {
		t.Fatalf("%v, direct is %v", err, d.Direct())
	}
	exception := []byte{5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}
	if !bytes.Equal(fresh[:17], append(exception, 0)) {
		t.Errorf("area 0 starts % x, expected the exception % x", fresh[:17], exception)
	}
}

func TestKernelBlocksOf4096Bytes(t *testing.T) {
	kernellab.Require(t)
	const sectors, block = 100 * 8, 4096
	d := Open(t, patternLoop(t, sectors, kernellab.BlockSize(block)))
	content := kernellab.Pattern(0, sectors, 0)
	if d.LogicalBlockSize() != block || !d.Direct() || d.Size() != int64(len(content)) {
		t.Fatalf("blocks of %d bytes, direct is %v, %d bytes", d.LogicalBlockSize(), d.Direct(), d.Size())
	}
	section, err := d.Section(5*512, 70*block+7)
	if err != nil {
		t.Fatal(err)
	}
	sectionContent := content[5*512:][:70*block+7]
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		checkRead(t, d, content, random)
		checkRead(t, section, sectionContent, random)
	}
}

// checkRead reads a piece of the device that may start, end and be wanted in
// memory anywhere, and compares it with what is there.
func checkRead(t *testing.T, d *device.Device, content []byte, random *rand.Rand) {
	t.Helper()
	size := len(content)
	offset, length := random.IntN(size+1), random.IntN(size/2)
	if random.IntN(4) == 0 {
		offset, length = offset/4096*4096, length/4096*4096
	}
	got := make([]byte, length+4096)[random.IntN(4096):][:length]
	n, err := d.ReadAt(got, int64(offset))
	want := content[offset:min(offset+length, size)]
	if !bytes.Equal(got[:n], want) {
		t.Errorf("%d bytes at %d: other content, %d of %d bytes, %v", length, offset, n, len(want), err)
	}
	if short := n < length; short != (err == io.EOF) || !short && err != nil {
		t.Errorf("%d bytes at %d, read %d of them: %v", length, offset, n, err)
	}
}

func TestKernelSaysWhatADeviceIsAndWhoHoldsIt(t *testing.T) {
	kernellab.Require(t)
	s, origin, cow := activeSnapshot(t)
	linear := kernellab.Create(t, "linear", "0 8 linear "+origin+" 16", true)
	d, o := Open(t, cow), Open(t, origin)
	checkTarget(t, s.View.Path, "snapshot", o.Number().String(), d.Number().String(), "P", "8")
	checkTarget(t, s.Origin.Path, "snapshot-origin", o.Number().String())
	checkTarget(t, linear.Path, "linear", o.Number().String(), "16")
	if got, ok := d.Target(); ok || !d.IsBlock() || d.Number().Path() != cow {
		t.Errorf("%s: target %v, number %v (%s)", cow, got, d.Number(), d.Number().Path())
	}
	checkHolders(t, d, s.View)
	checkHolders(t, o, s.View, s.Origin, linear)
	s.Down(t)
	checkHolders(t, d)
}

// checkTarget wants a device-mapper device of this target that nobody holds.
func checkTarget(t *testing.T, path, kind string, args ...string) {
	t.Helper()
	d, err := device.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() // what is open cannot be removed
	if got, ok := d.Target(); !ok || got.Type != kind || !slices.Equal(got.Args, args) {
		t.Errorf("%s: target %v, %v, expected %s %v", path, got, ok, kind, args)
	}
	if got := d.Number().Path(); got != path {
		t.Errorf("the device of number %v is %s, expected %s", d.Number(), got, path)
	}
	checkHolders(t, d)
}

// checkHolders wants these device-mapper devices, and no others, among the
// holders.
func checkHolders(t *testing.T, d *device.Device, want ...*kernellab.Device) {
	t.Helper()
	var names []string
	for _, w := range want {
		var st unix.Stat_t
		if err := unix.Stat(w.Path, &st); err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s (dm-%d)", w.Name, unix.Minor(st.Rdev)))
	}
	got := d.Holders()
	slices.Sort(names)
	slices.Sort(got)
	if !slices.Equal(got, names) {
		t.Errorf("%s: held by %q, expected %q", d.Path(), got, names)
	}
}

func TestKernelReadErrorComesBehindWhatCouldBeRead(t *testing.T) {
	kernellab.Require(t)
	const sectors, bad, behind = 400, 200, 208
	loop := patternLoop(t, sectors)
	d := Open(t, kernellab.Create(t, "bad", strings.Join([]string{
		fmt.Sprintf("0 %d linear %s 0", bad, loop),
		fmt.Sprintf("%d %d error", bad, behind-bad),
		fmt.Sprintf("%d %d linear %s %d", behind, sectors-behind, loop, behind),
	}, "\n"), true).Path)
	content := kernellab.Pattern(0, sectors, 0)
	for name, c := range map[string]struct{ offset, length, aligned int }{
		"aligned":                {0, sectors * 512, 1},
		"unaligned":              {7, sectors*512 - 7, 0},
		"short":                  {bad*512 - 3, 4, 0},
		"nothing before it":      {bad * 512, 512, 1},
		"unaligned in the error": {bad*512 + 700, 10, 0},
		"behind it":              {behind*512 + 1, 1000, 0},
	} {
		// An aligned buffer is read without a copy.
		p := alignedBuffer(c.length + 1)[1-c.aligned:][:c.length]
		n, err := d.ReadAt(p, int64(c.offset))
		want := max(min(c.offset+c.length, bad*512)-c.offset, 0)
		if c.offset >= behind*512 {
			want = c.length
		}
		if failed := errors.Is(err, unix.EIO); n != want || failed != (want < c.length) || !failed && err != nil {
			t.Errorf("%s: read %d of %d bytes, expected %d: %v", name, n, c.length, want, err)
		}
		if !bytes.Equal(p[:n], content[c.offset:][:n]) {
			t.Errorf("%s: other content", name)
		}
	}
}

// alignedBuffer is a buffer at an address that direct I/O takes on any device.
func alignedBuffer(n int) []byte {
	const page = 4096
	b := make([]byte, n+page)
	return b[-uintptr(unsafe.Pointer(unsafe.SliceData(b)))%page:][:n]
}
