package main

import (
	"encoding/binary"
	"fmt"
	"os"

	"dmcow/format"
)

// floor is the least that anything which reads metadata has to do: it reads
// every area of a store with one pread and looks at each new chunk. It returns
// the number of exceptions and the highest new chunk.
func floor(path string) (n, highest uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	head := make([]byte, format.SectorSize)
	if _, err := f.ReadAt(head, 0); err != nil {
		return 0, 0, err
	}
	g, err := format.NewGeometry(format.DecodeHeader(head).ChunkSectors)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	area := make([]byte, g.ChunkBytes())
	for k := format.AreaIndex(0); ; k++ {
		if _, err := f.ReadAt(area, int64(g.Offset(g.AreaLocation(k)))); err != nil {
			return n, highest, err
		}
		for i := 0; i < len(area); i += format.ExceptionSize {
			chunk := binary.LittleEndian.Uint64(area[i+8:])
			if chunk == 0 {
				return n, highest, nil
			}
			highest = max(highest, chunk)
			n++
		}
	}
}
