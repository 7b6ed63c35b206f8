package devicetest

import (
	"slices"
	"sync"
)

// ballast returns memory that nobody touches, which therefore takes no room but in the
// collector's sums. Tests look at millions of devices and keep next to nothing of them: Go would
// collect garbage each time that four megabytes of it have come together, and take most of the
// time for that. With the ballast it does so an eighth as often, however much else a test holds.
// It comes with the first device, so that a program which a test runs does without.
var ballast = sync.OnceValue(func() []byte { return make([]byte, 32<<20) })

// images are what Lend has lent before.
var images = sync.Pool{New: func() any { return new([]byte) }}

// Lend calls use with all content, which is use's until it returns: where millions of states are
// looked at, [Memory.Image] would take its time for making room.
func (m *Memory) Lend(use func(image []byte) error) error { return m.Part(0, m.size).Lend(use) }

// Lend is Memory's.
func (p *Part) Lend(use func(image []byte) error) error {
	image := images.Get().(*[]byte)
	defer images.Put(image)
	*image = slices.Grow((*image)[:0], int(p.size))[:p.size]
	p.memory.Peek(*image, p.offset)
	return use(*image)
}
