package format

import "encoding/binary"

// scan looks for the terminator in raw, whole exceptions as they stand on disk. It returns the number of
// exceptions before it, all of them if it is not in raw, and their highest new chunk.
//
// It takes four exceptions a turn, in lanes that do not wait for each other:
// the speed of every walk is the speed of this loop.
func scan(raw []byte) (live int, highest NewChunk) {
	const group = 4 * ExceptionSize
	var h0, h1, h2, h3 uint64
	i := 0
	for ; i+group <= len(raw); i += group {
		q := raw[i : i+group : i+group]
		n0 := binary.LittleEndian.Uint64(q[8:])
		n1 := binary.LittleEndian.Uint64(q[24:])
		n2 := binary.LittleEndian.Uint64(q[40:])
		n3 := binary.LittleEndian.Uint64(q[56:])
		if n0 == 0 || n1 == 0 || n2 == 0 || n3 == 0 {
			break
		}
		h0, h1, h2, h3 = max(h0, n0), max(h1, n1), max(h2, n2), max(h3, n3)
	}
	high := max(h0, h1, h2, h3)
	for ; i < len(raw); i += ExceptionSize {
		n := binary.LittleEndian.Uint64(raw[i+8:])
		if n == 0 {
			break
		}
		high = max(high, n)
	}
	return i / ExceptionSize, NewChunk(high)
}

// nextFree carries the kernel's next free chunk over the exceptions of raw, none of them a terminator, whose
// highest new chunk is highest (insert_exceptions). The kernel adds in 64 bits: a new chunk of all ones makes
// it start again from 0.
func nextFree(from NewChunk, raw []byte, highest NewChunk) NewChunk {
	if len(raw) == 0 {
		return from // which may be 0 by now
	}
	if highest != ^NewChunk(0) {
		return max(from, highest+1)
	}
	for ; len(raw) > 0; raw = raw[ExceptionSize:] {
		if n := DecodeException(raw).New; from <= n {
			from = n + 1
		}
	}
	return from
}
