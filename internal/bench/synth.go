package main

import (
	"bufio"
	"fmt"
	"math/bits"
	"os"

	"dmcow/format"
)

const chunkSectors = 8 // 4 KiB, LVM's default

// orders are the ways in which a snapshot's origin gets written.
var orders = []string{"random", "runs", "sequential"}

// extent is how large a store of n exceptions is, and how much of that are its
// header and its areas: all that a sparse file has to hold.
func extent(n uint64) (size, metadata format.Bytes) {
	g := geometry()
	areas := n/uint64(g.ExceptionsPerArea()) + 1
	return g.Offset(g.AreaLocation(format.AreaIndex(areas))), format.Bytes(areas+1) * g.ChunkBytes()
}

// synthesize writes a sound store to a new sparse file, without data.
func synthesize(path string, n uint64, order string) error {
	return into(path, func(f *os.File) error {
		size, _ := extent(n)
		if err := f.Truncate(int64(size)); err != nil {
			return err
		}
		if err := writeHeader(f); err != nil {
			return err
		}
		return writeAreas(f, n, oldChunks(n, order))
	})
}

// into calls use with a device or file that may not be there yet, and makes durable
// what it wrote: what is still being written back would disturb what is measured.
func into(path string, use func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := use(f); err != nil {
		return err
	}
	return f.Sync()
}

func writeChunks(path string, n uint64, fill func(buf []byte, chunk uint64)) error {
	return into(path, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		buf := make([]byte, geometry().ChunkBytes())
		for chunk := range n {
			fill(buf, chunk)
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return w.Flush()
	})
}

func writeHeader(f *os.File) error {
	header := format.Header{Magic: format.Magic, Valid: 1, Version: format.Version, ChunkSectors: chunkSectors}
	buf := make([]byte, geometry().ChunkBytes())
	header.Encode(buf)
	_, err := f.WriteAt(buf, 0)
	return err
}

func writeAreas(f *os.File, n uint64, old func(i uint64) format.OldChunk) error {
	g := geometry()
	e := uint64(g.ExceptionsPerArea())
	buf := make([]byte, g.ChunkBytes())
	for area := format.AreaIndex(0); uint64(area) <= n/e; area++ {
		clear(buf)
		first := uint64(area) * e
		for i := uint64(0); i < e && first+i < n; i++ {
			x := format.Exception{Old: old(first + i), New: g.DataChunk(first + i)}
			x.Encode(buf[i*format.ExceptionSize:])
		}
		if _, err := f.WriteAt(buf, int64(g.Offset(g.AreaLocation(area)))); err != nil {
			return err
		}
	}
	return nil
}

func geometry() format.Geometry {
	g, err := format.NewGeometry(chunkSectors)
	if err != nil {
		panic(err) // the chunk size is legal
	}
	return g
}

// oldChunks gives the origin chunk of the i-th of n exceptions, each once, in
// memory that does not grow with n.
func oldChunks(n uint64, order string) func(i uint64) format.OldChunk {
	width := bits.Len64(max(n, 1) - 1)
	switch order {
	case "random":
		return func(i uint64) format.OldChunk { return format.OldChunk(scatter(i, width)) }
	case "runs":
		const log = 4 // 16 chunks a run
		return func(i uint64) format.OldChunk {
			return format.OldChunk(scatter(i>>log, max(width-log, 0))<<log | i&(1<<log-1))
		}
	case "sequential":
		return func(i uint64) format.OldChunk { return format.OldChunk(i) }
	}
	panic(fmt.Sprintf("no order %q", order))
}

// scatter permutes the numbers of the given width in bits. Each step can be
// taken back: an odd factor, and a shift by half the width.
func scatter(i uint64, width int) uint64 {
	mask := uint64(1)<<width - 1
	for _, factor := range []uint64{0x9e3779b97f4a7c15, 0xd6e8feb86659fd93} {
		i = i * factor & mask
		i ^= i >> (width/2 + 1)
	}
	return i
}
