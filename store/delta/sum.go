package delta

import (
	"crypto/sha256"
	"runtime"
	"sync"
)

// Sum is the SHA-256 of a chunk's content.
type Sum [sha256.Size]byte

// Digest is as much of a Sum as a delta keeps.
type Digest [8]byte

// Digest is the beginning of the sum.
func (s Sum) Digest() Digest { return Digest(s[:len(Digest{})]) }

// SumOf is the sum of a chunk's content, as far as the device goes.
func SumOf(content []byte) Sum { return sha256.Sum256(content) }

// inParallel does n things by all processors: each calls do with a part of them.
func inParallel(n int, do func(first, end int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		do(0, n)
		return
	}
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() { do(n*i/workers, n*(i+1)/workers) })
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
