package delta

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"runtime"
	"sync"

	"dmcow/format"
)

// Sum is the SHA-256 of a chunk's content at its place on the device that is changed.
type Sum [sha256.Size]byte

// Digest is as much of a Sum as a delta keeps.
type Digest [8]byte

// Digest is the beginning of the sum.
func (s Sum) Digest() Digest { return Digest(s[:len(Digest{})]) }

// Summer makes sums, in one goroutine.
type Summer struct {
	hash  hash.Hash
	place [8]byte
	out   Sum
}

// NewSummer is a summer.
func NewSummer() *Summer { return &Summer{hash: sha256.New()} }

// Sum is the sum of a chunk's content, as far as the device goes.
func (s *Summer) Sum(old format.OldChunk, content []byte) Sum {
	s.hash.Reset()
	binary.LittleEndian.PutUint64(s.place[:], uint64(old))
	s.hash.Write(s.place[:])
	s.hash.Write(content)
	s.hash.Sum(s.out[:0])
	return s.out
}

// inParallel does n things by all processors: each calls do with a part of them, and a summer of its own.
func inParallel(n int, do func(s *Summer, first, end int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		do(NewSummer(), 0, n)
		return
	}
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() { do(NewSummer(), n*i/workers, n*(i+1)/workers) })
	}
	all.Wait()
}

// SlotSize is the size of a digest chunk's slot, in bytes.
const SlotSize = 2 * len(Digest{})

// Slot is both digests of an exception's chunk.
type Slot struct {
	Before Digest // of what must be there before
	After  Digest // of what will be there after
}

func decodeSlot(b []byte) Slot { return Slot{Digest(b), Digest(b[len(Digest{}):])} }

func (s Slot) encode(b []byte) {
	copy(b, s.Before[:])
	copy(b[len(s.Before):], s.After[:])
}

// check is the check of a stripe, by which each stripe vouches for those before.
type check [SlotSize]byte

// next is the check of the next stripe, whose own slot in its digest chunk is number at; before is what stands in
// front of it: the beginning's SHA-256, or the check of the stripe before.
func next(before, area, digests []byte, at int) check {
	var own check
	s := sha256.New()
	s.Write(before)
	s.Write(area)
	s.Write(digests[:at*SlotSize])
	s.Write(own[:])
	s.Write(digests[(at+1)*SlotSize:])
	return check(s.Sum(nil)[:SlotSize])
}
