package soak_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"dmcow/internal/kernellab"
	"dmcow/internal/naive"

	"golang.org/x/sys/unix"
)

// driver is the kernel's driver, with two block devices that hold one sample after the other: making
// devices takes the lab longer than all that is done with them.
type driver struct {
	testing.TB
	cow, origin disk
}

type disk struct {
	file *os.File // behind the loop device
	path string   // of the loop device
}

func newDriver(t testing.TB) *driver {
	return &driver{t, newDisk(t, "cow"), newDisk(t, "origin")}
}

func newDisk(t testing.TB, name string) disk {
	path := kernellab.File(t, name, 8)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	kernellab.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return disk{f, kernellab.Loop(t, path)}
}

// put gives the disk content, and as many sectors as that has.
func (d disk) put(t testing.TB, content []byte) {
	t.Helper()
	_, err := d.file.WriteAt(content, 0)
	kernellab.Must(t, err)
	kernellab.Must(t, d.file.Truncate(int64(len(content))))
	kernellab.Refit(t, d.path)
}

func (d disk) get(t testing.TB) []byte {
	t.Helper()
	fi, err := d.file.Stat()
	kernellab.Must(t, err)
	b := make([]byte, fi.Size())
	_, err = d.file.ReadAt(b, 0)
	kernellab.Must(t, err)
	return b
}

// content is what was read of a device, and of which of its sectors nothing could be.
type content struct {
	bytes []byte
	bad   map[int]bool
}

// seen is what the driver did with a sample.
type seen struct {
	refused   string // the kernel's words where it would not load the store
	formatted bool   // it wrote an empty store over it
	status    string
	view      content

	failed      int    // writes that the kernel would not do
	wrote       string // the status after the writes
	cow, origin []byte // after them
	again       *seen  // loaded once more, without writes
}

// write is a write of some sectors, to the snapshot or to its origin.
type write struct {
	toOrigin     bool
	first, count uint64 // first is a multiple of count
}

const writtenVersion = 5 // of the pattern in chunks that are written

// serve has the driver load a sample, show it, and take writes.
func (d *driver) serve(image, origin []byte, writes []write) *seen {
	d.Helper()
	d.cow.put(d, image)
	d.origin.put(d, origin)
	s, up := d.load()
	if up == nil {
		return s
	}
	s.formatted = bytes.HasPrefix(image, make([]byte, 4)) && string(d.cow.get(d)[:4]) == "SnAp"
	if s.status == "Invalid" || s.formatted || len(writes) == 0 {
		up.Remove(d)
		return s
	}
	d.write(s, up, writes)
	up.Remove(d)
	s.cow, s.origin = d.cow.get(d), d.origin.get(d)
	if s.again, up = d.load(); up != nil {
		up.Remove(d)
	}
	return s
}

func (d *driver) write(s *seen, up *kernellab.Device, writes []write) {
	d.Helper()
	for _, w := range writes {
		to := up
		if w.toOrigin {
			to = kernellab.Create(d, "origin", fmt.Sprintf("0 %d snapshot-origin %s", kernellab.Size(d, d.origin.path), d.origin.path), false)
		}
		failed, err := kernellab.WritePattern(to.Path, w.count, []uint64{w.first / w.count}, writtenVersion)
		kernellab.Must(d, err)
		s.failed += failed
		if w.toOrigin {
			to.Remove(d)
		}
	}
	s.wrote = up.Status(d)
}

// load has the driver load what is on the disks, and show it. The device is nil where it refuses.
func (d *driver) load() (*seen, *kernellab.Device) {
	d.Helper()
	up, err := d.create("snapshot")
	if err != nil {
		return &seen{refused: kernelWords(err)}, nil
	}
	s := &seen{status: up.Status(d)}
	if s.status != "Invalid" {
		s.view = d.read(up.Path)
	}
	return s, up
}

// create makes a device of one of the snapshot's targets.
func (d *driver) create(target string) (*kernellab.Device, error) {
	d.Helper()
	head := make([]byte, 16)
	_, err := d.cow.file.ReadAt(head, 0)
	kernellab.Must(d, err)
	table := fmt.Sprintf("0 %d %s %s %s P %d", kernellab.Size(d, d.origin.path), target, d.origin.path, d.cow.path, tableChunk(head))
	return kernellab.TryCreate(d, target, table, false)
}

// tableChunk is the chunk size of the table that a store is loaded with: its own, for the driver reads the
// header with the table's; 0, for which the driver takes freshChunk, where it has none.
func tableChunk(image []byte) uint64 {
	if bytes.HasPrefix(image, make([]byte, 4)) && naive.Of(image).Chunk == 0 {
		return 0
	}
	return chunkOf(image)
}

// freshChunk is the chunk size, in sectors, of a store that the driver makes where the table names none.
const freshChunk = 32

// kernelWords are the kernel's words for why it refuses a store.
func kernelWords(err error) string {
	var words []string
	for line := range strings.Lines(err.Error()) {
		if _, said, ok := strings.Cut(strings.TrimSpace(line), "kernel: "); ok && !strings.Contains(said, "ioctl error") {
			words = append(words, said)
		}
	}
	return strings.Join(words, "; ")
}

// read reads all of a device that can be read.
func (d *driver) read(path string) content {
	d.Helper()
	var all []byte
	if err := kernellab.Read(path, func(piece []byte) { all = append(all, piece...) }); err == nil {
		return content{bytes: all}
	}
	size := int(kernellab.Size(d, path)) * kernellab.SectorSize
	c := content{make([]byte, size), map[int]bool{}}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECT, 0)
	kernellab.Must(d, err)
	defer f.Close()
	buf, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	kernellab.Must(d, err)
	defer unix.Munmap(buf)
	for at := 0; at < size; at += kernellab.SectorSize {
		if _, err := f.ReadAt(buf[:kernellab.SectorSize], int64(at)); err != nil {
			c.bad[at/kernellab.SectorSize] = true
		}
		copy(c.bytes[at:], buf[:kernellab.SectorSize])
	}
	return c
}

// merged is what the driver's merge came to.
type merged struct {
	refused     bool
	failed      bool   // it said so, or came to no end
	ended       bool   // all is merged
	last        string // status
	cow, origin []byte
}

// merge has the driver merge a sample, to its end or to some point before.
func (d *driver) merge(image, origin []byte, rng *rand.Rand) merged {
	d.Helper()
	d.cow.put(d, image)
	d.origin.put(d, origin)
	stop := uint64(0)
	if rng.IntN(3) == 0 {
		stop = uint64(rng.IntN(len(image)/kernellab.SectorSize + 1))
	}
	const enough = 100
	looks, left := 0, uint64(0) // how often the same was left
	up, err := d.create("snapshot-merge")
	if err != nil {
		return merged{refused: true, last: kernelWords(err)}
	}
	_, last := up.Merged(d, func(allocated uint64) bool {
		if looks++; allocated != left {
			looks, left = 0, allocated
		}
		return looks == enough || allocated <= stop
	})
	m := merged{last: last, cow: d.cow.get(d), origin: d.origin.get(d)}
	m.failed = looks == enough || strings.Contains(last, "ailed") || last == "Invalid"
	m.ended = !m.failed && len(naive.Of(m.cow).List()) == 0
	return m
}
