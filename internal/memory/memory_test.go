package memory

import (
	"math"
	"strconv"
	"testing"
	"unsafe"
)

// TestWords: there are as many as were asked for, all zero, and all can be used.
func TestWords(t *testing.T) {
	for _, reserve := range []func(int) ([]uint64, func()){func(n int) ([]uint64, func()) { return Words(uint64(n)) }, LargePages} {
		words, free := reserve(1 << 20)
		if len(words) != 1<<20 {
			t.Fatalf("%d words", len(words))
		}
		for i := range words {
			if words[i] != 0 {
				t.Fatalf("word %d is %d", i, words[i])
			}
			words[i] = 1
		}
		free()
	}
	words, free := Words(math.MaxInt / wordSize)
	if words != nil && strconv.IntSize == 64 { // more than any processor addresses
		t.Errorf("%d words", len(words))
	}
	free()
	if words, free = Words(1 << 61); words != nil { // whose bytes no int counts
		t.Errorf("%d words", len(words))
	}
	free()
}

// TestAligned: buffers are as long as was asked for, and aligned.
func TestAligned(t *testing.T) {
	var b Buffers
	for _, n := range []int{1, 4096, 1 << 20} {
		for block, buf := range map[uintptr][]byte{4096: b.New(n), Alignment: Aligned(n)} {
			if len(buf) != n || uintptr(unsafe.Pointer(unsafe.SliceData(buf)))%block != 0 {
				t.Errorf("%d bytes at %p", len(buf), buf)
			}
			buf[n-1] = 1
		}
	}
	b.Free()
	b.Free()
}
