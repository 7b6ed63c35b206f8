package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"dmcow/format"
)

// mergeable is a store of n exceptions with the data of its chunks, and an origin of
// twice as many chunks. Its order is one of orders; in random order the chunks are
// chosen at random, and runs are 1 to 64 chunks long. There is one order more, quarter: that
// is random with an origin of four times as many chunks.
type mergeable struct {
	n     uint64
	order string
}

const longestRun = 64

func (m mergeable) chunks() uint64 {
	if m.order == "quarter" {
		return 4 * m.n
	}
	return 2 * m.n
}

func (m mergeable) old() []uint64 {
	rng := rand.New(rand.NewPCG(7, 11))
	all := make([]uint64, m.n)
	switch m.order {
	case "random", "quarter":
		for i, chunk := range rng.Perm(int(m.chunks()))[:m.n] {
			all[i] = uint64(chunk)
		}
	case "runs":
		return m.runs(rng, all[:0])
	default:
		for i := range all {
			all[i] = uint64(i)
		}
	}
	return all
}

// runs appends the origin chunks of runs in random order. The gaps between them are
// as long as the runs are.
func (m mergeable) runs(rng *rand.Rand, all []uint64) []uint64 {
	var lengths []uint64
	for left := m.n; left > 0; left -= lengths[len(lengths)-1] {
		lengths = append(lengths, min(left, 1+rng.Uint64N(longestRun)))
	}
	starts, next := make([]uint64, len(lengths)), uint64(0)
	for i, gap := range rng.Perm(len(lengths)) {
		starts[i] = next
		next += lengths[i] + lengths[gap]
	}
	for _, run := range rng.Perm(len(lengths)) {
		for i := range lengths[run] {
			all = append(all, starts[run]+i)
		}
	}
	return all
}

func (m mergeable) storeSize() format.Bytes {
	size, _ := extent(m.n)
	return size
}
func (m mergeable) originSize() format.Bytes {
	return format.Bytes(m.chunks()) * geometry().ChunkBytes()
}

func (m mergeable) write(store, origin string) error {
	return errors.Join(
		into(store, func(f *os.File) error {
			if err := writeHeader(f); err != nil {
				return err
			}
			return m.writeData(f)
		}),
		m.restore(store),
		writeChunks(origin, m.chunks(), func(buf []byte, chunk uint64) { content(buf, chunk, false) }))
}

func (m mergeable) writeData(f *os.File) error {
	buf := make([]byte, geometry().ChunkBytes())
	for i, old := range m.old() {
		content(buf, old, true)
		if _, err := f.WriteAt(buf, int64(geometry().Offset(geometry().DataChunk(uint64(i))))); err != nil {
			return err
		}
	}
	return nil
}

// restore writes the store's areas, which a merge clears.
func (m mergeable) restore(store string) error {
	return into(store, func(f *os.File) error {
		all := m.old()
		return writeAreas(f, m.n, func(i uint64) format.OldChunk { return format.OldChunk(all[i]) })
	})
}

// content is what a chunk of the origin holds before the merge and after it, where
// an exception replaces it.
func content(buf []byte, chunk uint64, merged bool) {
	word := (chunk*2 + 1) * 0x9e3779b97f4a7c15
	if merged {
		word = ^word
	}
	for i := 0; i < len(buf); i += 8 {
		binary.LittleEndian.PutUint64(buf[i:], word+uint64(i))
	}
}

func (m mergeable) check(origin string) error {
	f, err := os.Open(origin)
	if err != nil {
		return err
	}
	defer f.Close()
	replaced := make([]bool, m.chunks())
	for _, chunk := range m.old() {
		replaced[chunk] = true
	}
	r := bufio.NewReaderSize(f, 1<<20)
	want, got := make([]byte, geometry().ChunkBytes()), make([]byte, geometry().ChunkBytes())
	for chunk := range m.chunks() {
		if _, err := io.ReadFull(r, got); err != nil {
			return err
		}
		if content(want, chunk, replaced[chunk]); !bytes.Equal(want, got) {
			return fmt.Errorf("%s: chunk %d does not hold what the merge must leave there", origin, chunk)
		}
	}
	return nil
}
