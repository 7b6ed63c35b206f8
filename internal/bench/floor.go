package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"

	"dmcow/format"
	"dmcow/internal/bitmap"
)

// areas reads every area of a store, in order, with one pread each, and has look look at each, until it says that
// the list ends there.
func areas(path string, look func(k format.AreaIndex, area []byte) (last bool)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, format.SectorSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return err
	}
	g, err := format.NewGeometry(format.DecodeHeader(head).ChunkSectors)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	area := make([]byte, g.ChunkBytes())
	for k := format.AreaIndex(0); ; k++ {
		if _, err := f.ReadAt(area, int64(g.Offset(g.AreaLocation(k)))); err != nil {
			return err
		}
		if look(k, area) {
			return nil
		}
	}
}

// floor is the least that anything which reads metadata has to do: it reads
// every area of a store with one pread and looks at each new chunk. It returns
// the number of exceptions and the highest new chunk.
func floor(path string) (n, highest uint64, err error) {
	err = areas(path, func(_ format.AreaIndex, area []byte) bool {
		for i := 0; i < len(area); i += format.ExceptionSize {
			chunk := binary.LittleEndian.Uint64(area[i+8:])
			if chunk == 0 {
				return true
			}
			highest = max(highest, chunk)
			n++
		}
		return false
	})
	return n, highest, err
}

// A bound is the floor and the one thing more that a command cannot do without, in one loop with Go's own library.
// What is faster than that is bound by it.
var bounds = map[string]func(path string) (n uint64, err error){"digits": digits, "bits": bitForEach}

// digits writes a line of CSV for each exception to /dev/null.
func digits(path string) (n uint64, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	var lines []byte
	err = areas(path, func(k format.AreaIndex, area []byte) bool {
		last := false
		lines = lines[:0]
		for i := 0; i < len(area) && !last; i += format.ExceptionSize {
			if last = binary.LittleEndian.Uint64(area[i+8:]) == 0; !last {
				lines = append(strconv.AppendUint(lines, uint64(k), 10), ',')
				lines = append(strconv.AppendInt(lines, int64(i/format.ExceptionSize), 10), ',')
				lines = append(strconv.AppendUint(lines, binary.LittleEndian.Uint64(area[i:]), 10), ',')
				lines = append(strconv.AppendUint(lines, binary.LittleEndian.Uint64(area[i+8:]), 10), '\n')
				n++
			}
		}
		null.Write(lines)
		return last
	})
	return n, err
}

// bitForEach looks for duplicates: it sets a bit for each old chunk.
func bitForEach(path string) (n uint64, err error) {
	var set bitmap.Set
	var twice uint64
	err = areas(path, func(_ format.AreaIndex, area []byte) bool {
		for i := 0; i < len(area); i += format.ExceptionSize {
			if binary.LittleEndian.Uint64(area[i+8:]) == 0 {
				return true
			}
			twice += set.Add(binary.LittleEndian.Uint64(area[i:]))
			n++
		}
		return false
	})
	if err == nil && twice > 0 {
		err = fmt.Errorf("%s: %d old chunks stand there twice", path, twice)
	}
	return n, err
}
