package device_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dmcow/internal/device"
	"dmcow/internal/kernellab"
	"dmcow/internal/memory"
)

// TestKernelManyInBlocks writes pieces of some blocks in any order, all at once,
// to devices of either block size and to sections of them, and reads them back in
// other pieces.
func TestKernelManyInBlocks(t *testing.T) {
	kernellab.Require(t)
	for _, block := range []int{512, 4096} {
		const sectors = 16 << 10
		path := kernellab.Loop(t, kernellab.File(t, "blocks", sectors), kernellab.BlockSize(block))
		w := openWritable(t, path)
		want := make([]byte, sectors*512)
		random := rand.New(rand.NewPCG(uint64(block), 5))
		for range 10 {
			first := random.IntN(100) * block
			size := (1 + random.IntN(1500)) * block
			size = min(size, len(want)-first)
			section, err := w.Section(int64(first), int64(size))
			if err != nil {
				t.Fatal(err)
			}
			content := anyMemory(size, random)
			for i := range content {
				content[i] = byte(random.Uint32())
			}
			copy(want[first:], content)
			p, at := shuffled(content, block*(1+random.IntN(3)), random)
			if failed, err := section.WriteMany(p, at); err != nil {
				t.Fatal(failed, err)
			}
			got := anyMemory(size, random)
			p, at = shuffled(got, []int{block, 2 * block, 5000}[random.IntN(3)], random)
			if failed, err := section.ReadMany(p, at); err != nil || !bytes.Equal(got, content) {
				t.Errorf("blocks of %d bytes: %d, %v, same is %v", block, failed, err, bytes.Equal(got, content))
			}
		}
		got := make([]byte, len(want))
		if _, err := w.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("blocks of %d bytes: other content, or %v", block, err)
		}
	}
}

// anyMemory is n bytes of memory, which is fit for direct I/O or not.
func anyMemory(n int, random *rand.Rand) []byte {
	return memory.Aligned(n + 1)[random.IntN(2):][:n]
}

// shuffled cuts p into pieces of at most size bytes, in any order; at is where
// they were.
func shuffled(p []byte, size int, random *rand.Rand) (pieces [][]byte, at []int64) {
	for _, i := range random.Perm((len(p) + size - 1) / size) {
		pieces = append(pieces, p[i*size:min((i+1)*size, len(p))])
		at = append(at, int64(i*size))
	}
	return pieces, at
}

// TestKernelManyIsAsynchronous: the kernel has what it takes for that until the
// device is closed, once for all its sections.
func TestKernelManyIsAsynchronous(t *testing.T) {
	kernellab.Require(t)
	if !kernellab.InLab() {
		t.Skip("others may use asynchronous I/O, too")
	}
	d := Open(t, patternLoop(t, 800))
	section, err := d.Section(4096, -1)
	if err != nil {
		t.Fatal(err)
	}
	before := aioRequests(t)
	p, at := shuffled(memory.Aligned(1<<16), 4096, rand.New(rand.NewPCG(6, 6)))
	for _, d := range []*device.Device{section, d} {
		if failed, err := d.ReadMany(p, at); err != nil {
			t.Error(failed, err)
		}
	}
	if n := aioRequests(t) - before; n != 1024 {
		t.Errorf("room for %d requests, want 1024", n)
	}
	d.Close()
	if n := aioRequests(t) - before; n != 0 {
		t.Errorf("room for %d requests remains", n)
	}
}

// aioRequests is how many requests all processes have made room for.
func aioRequests(t *testing.T) (n int) {
	t.Helper()
	content, err := os.ReadFile("/proc/sys/fs/aio-nr")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(content), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestKernelManyAndBadSectors: of several transfers those over bad sectors fail,
// the first of them is named, and the others are done.
func TestKernelManyAndBadSectors(t *testing.T) {
	kernellab.Require(t)
	const sectors, pieces, size = 400, 50, 4096
	loop := patternLoop(t, sectors)
	bad := []int{20, 33} // pieces
	path := kernellab.Create(t, "bad", strings.Join([]string{
		fmt.Sprintf("0 167 linear %s 0", loop),
		"167 1 error", // the last sector of piece 20
		fmt.Sprintf("168 96 linear %s 168", loop),
		"264 1 error", // the first one of piece 33
		fmt.Sprintf("265 %d linear %s 265", sectors-265, loop),
	}, "\n"), false).Path
	w := openWritable(t, path)
	content := kernellab.Pattern(0, sectors, 0)
	random := rand.New(rand.NewPCG(7, 7))
	for _, skip := range []int{0, 1} { // aligned memory, and other
		got := memory.Aligned(pieces*size + 1)[skip:][:pieces*size]
		p, at := shuffled(got, size, random)
		failed, err := w.ReadMany(p, at)
		checkFirst(t, at, bad, failed, err)
		checkPieces(t, got, content, bad)

		for i := range content {
			content[i] ^= 0xff
		}
		copy(got, content)
		failed, err = w.WriteMany(p, at)
		checkFirst(t, at, bad, failed, err)
		under := make([]byte, len(content))
		if _, err := Open(t, loop).ReadAt(under, 0); err != nil {
			t.Fatal(err)
		}
		checkPieces(t, under, content, bad)
	}
}

// checkFirst wants the first of the bad pieces of 4096 bytes to be named.
func checkFirst(t *testing.T, at []int64, bad []int, failed int, err error) {
	t.Helper()
	want := slices.IndexFunc(at, func(at int64) bool { return slices.Contains(bad, int(at/4096)) })
	if failed != want || !errors.Is(err, unix.EIO) {
		t.Errorf("failed %d, %v; want %d", failed, err, want)
	}
}

// checkPieces wants all pieces of 4096 bytes to be as they are in content, but
// for the bad ones.
func checkPieces(t *testing.T, got, content []byte, bad []int) {
	t.Helper()
	for i := range len(content) / 4096 {
		same := bytes.Equal(got[i*4096:][:4096], content[i*4096:][:4096])
		if !same && !slices.Contains(bad, i) {
			t.Errorf("other content at piece %d", i)
		}
	}
}
