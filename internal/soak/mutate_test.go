package soak_test

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"

	"dmcow/internal/kernellab"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
)

// sample is a store and its origin, as the driver and dmcow are given them.
type sample struct {
	spec   []string // lines of a spec (internal/storespec); what the image is made of
	image  []byte
	origin []byte
	seed   uint64 // of the choices in a trial
	cut    *cut   // of a power cut, else nil
}

// compiled is the sample with the image that its spec describes; it is false if the spec describes no store.
func (s sample) compiled() (sample, bool) {
	image, err := storespec.Compile(strings.Join(s.spec, "\n"))
	s.image = image
	return s, err == nil && len(image) >= 2*kernellab.SectorSize && len(image)%kernellab.SectorSize == 0
}

// mutator makes a store.
type mutator struct {
	*rand.Rand
	chunk, slots int    // sectors; exceptions that an area holds
	exceptions   int    // in the list
	device       int    // sectors
	old          uint64 // chunks of the origin
	lines        []string
}

// newSample makes the store of a number.
func newSample(seed uint64) sample {
	for try := uint64(0); ; try++ {
		m := &mutator{Rand: rand.New(rand.NewPCG(seed, try))}
		s := sample{seed: seed, spec: m.spec()}
		s.origin = kernellab.Pattern(0, m.originSectors(), 0)
		if s, ok := s.compiled(); ok { // else a mutation names a slot that is not on the device
			return s
		}
	}
}

func (m *mutator) chance(n int) bool { return m.IntN(n) == 0 }

func (m *mutator) say(format string, args ...any) {
	m.lines = append(m.lines, fmt.Sprintf(format, args...))
}

func (m *mutator) originSectors() uint64 {
	sectors := m.old * uint64(m.chunk)
	if sectors == ordinaryOrigin || m.chunk == 1 || m.old == 0 || m.Uint64()%3 > 0 {
		return sectors
	}
	return sectors - uint64(1+m.IntN(m.chunk-1)) // the last chunk is short
}

// ordinaryOrigin is the size of the origin of the cases of testdata/damaged, in sectors.
const ordinaryOrigin = 256

// spec makes a sound store, and then changes it.
func (m *mutator) spec() []string {
	m.chunk = []int{1, 1, 1, 2, 2, 4, 8}[m.IntN(7)]
	m.slots = 32 * m.chunk
	m.choose()
	m.say("device %d", m.device)
	m.say("layout chunk=%d", m.chunk)
	m.say("header chunk=%d", m.chunk)
	m.fill()
	for range m.IntN(3) {
		m.pick(oddities)
	}
	for range []int{0, 1, 1, 1, 2, 2, 3}[m.IntN(7)] {
		m.pick(damages)
	}
	m.say("data 9")
	return m.lines
}

// choose says how many exceptions there are, on how large a device, and of how large an origin.
func (m *mutator) choose() {
	most := min(4*m.slots, 700/m.chunk)
	m.exceptions = m.IntN(most + 1)
	if edges := most / m.slots; edges > 0 && m.chance(2) { // about a full area
		m.exceptions = (1+m.IntN(edges))*m.slots + m.IntN(3) - 1
	}
	if m.chance(4) {
		m.exceptions = m.IntN(10)
	}
	areas := m.exceptions/m.slots + 1
	chunks := 1 + areas + m.exceptions + []int{-1, 0, 1, 2, 5, 20, 40, m.slots + 1}[m.IntN(8)] // -1: a chunk is missing
	m.device = chunks * m.chunk
	if m.chance(5) {
		m.device += m.IntN(m.chunk)
	}
	m.old = ordinaryOrigin / uint64(m.chunk)
	for m.old < uint64(m.exceptions)+6 {
		m.old = 3 * m.old / 2
	}
}

// fill has the kernel's way of exceptions: runs, in any order.
func (m *mutator) fill() {
	var starts []uint64
	step := uint64(1 + m.IntN(12) + m.exceptions/50)
	for at := uint64(0); at < m.old; at += step {
		starts = append(starts, at)
	}
	m.Shuffle(len(starts), func(i, j int) { starts[i], starts[j] = starts[j], starts[i] })
	left := m.exceptions
	for i := 0; left > 0 && i < len(starts); i++ {
		n := min(left, int(min(step, m.old-starts[i])))
		m.say("fill %d %d", n, starts[i])
		left -= n
	}
}

// now is the store as far as it was said.
func (m *mutator) now() naive.Store {
	image, err := storespec.Compile(strings.Join(m.lines, "\n"))
	if err != nil {
		image = make([]byte, m.device*kernellab.SectorSize)
	}
	return naive.Store{Image: image, Chunk: m.chunk * kernellab.SectorSize}
}

func (m *mutator) pick(from []func(*mutator)) { from[m.IntN(len(from))](m) }

// slot is one of the list, more often than others the first or last of an area, or of all.
func (m *mutator) slot() int {
	n := max(m.exceptions, 1)
	switch m.IntN(4) {
	case 0:
		return n - 1
	case 1:
		return min(n-1, m.IntN(n/m.slots+1)*m.slots)
	}
	return m.IntN(n)
}

func (m *mutator) put(slot int, x naive.Exception) { m.say("ex %d %d %d", slot, x.Old, x.New) }

func (m *mutator) at(slot int) naive.Exception {
	x, _ := m.now().Slot(slot)
	return x
}

// oddities are what a check finds no error in.
var oddities = []func(*mutator){
	func(m *mutator) { // copies ran in parallel
		i := m.slot()
		x, y := m.at(i), m.at(i/2)
		m.put(i, y)
		m.put(i/2, x)
	},
	func(m *mutator) { // leaves a hole
		i := m.slot()
		x := m.at(i)
		m.put(i, naive.Exception{Old: x.Old, New: x.New + 1 + m.Uint64N(4)})
	},
	func(m *mutator) { m.behind((m.exceptions/m.slots + 1) * m.slots) }, // a stale area
	func(m *mutator) { m.say("header valid=%d chunk=%d", 2+m.IntN(3), m.chunk) },
	func(m *mutator) { m.say("raw %d %02x", 16+m.IntN(m.chunk*kernellab.SectorSize-16), 1+m.IntN(255)) },
	func(m *mutator) { m.say("header valid=0 chunk=%d", m.chunk) },
}

// behind puts a few exceptions in slots that the list does not come to.
func (m *mutator) behind(slot int) {
	for range 1 + m.IntN(5) {
		m.put(slot, naive.Exception{Old: m.Uint64N(m.old), New: 2 + m.Uint64N(uint64(m.exceptions+3))})
		slot++
	}
}

// damages are what damages a store.
var damages = []func(*mutator){
	func(m *mutator) { // bits
		i := m.slot()
		x := m.at(i)
		*m.half(&x) ^= 1 << m.IntN(64)
		m.put(i, x)
	},
	func(m *mutator) { // a number that is interesting
		i := m.slot()
		x := m.at(i)
		half := m.half(&x)
		n := uint64(m.device / m.chunk)
		*half = []uint64{0, 1, 2, 3, *half - 1, *half + 1, n - 1, n, n + 1, uint64(m.slots) + 2, 2*uint64(m.slots) + 3,
			bits.ReverseBytes64(*half), 1 << 32, 1<<56 - 1, 1 << 56, math.MaxUint64, m.old - 1, m.old, m.old + 1}[m.IntN(19)]
		m.put(i, x)
	},
	func(m *mutator) { m.put(m.slot(), naive.Exception{}) },
	func(m *mutator) { // twice, whole or by half
		i, j := m.slot(), m.slot()
		x, y := m.at(i), m.at(j)
		switch m.IntN(3) {
		case 0:
			y.Old = x.Old
		case 1:
			y.New = x.New
		default:
			y = x
		}
		m.put(j, y)
	},
	func(m *mutator) { // swapped by half
		i, j := m.slot(), m.slot()
		x, y := m.at(i), m.at(j)
		x.Old, y.Old = y.Old, x.Old
		m.put(i, x)
		m.put(j, y)
	},
	func(m *mutator) { m.say("raw %d 00*512", m.offset(m.sector())) }, // a torn area
	func(m *mutator) { m.say("raw %d %02x*512", m.offset(m.sector()), 1+m.IntN(255)) },
	func(m *mutator) { // a sector in the place of another
		from, to := m.sector(), m.sector()
		s := m.now()
		for i := range perSector {
			x, _ := s.Slot(from + i)
			m.put(to+i, x)
		}
	},
	func(m *mutator) { m.behind(m.exceptions + 1 + m.IntN(m.slots)) }, // hidden, or stale
	func(m *mutator) { m.put(m.exceptions, naive.Exception{Old: 1 + m.Uint64N(m.old)}) },
	func(m *mutator) {
		m.put(m.slot(), naive.Exception{Old: 1<<32 | 0x70416e53, New: uint64(m.chunk)<<32 | 1})
	}, // a header
	func(m *mutator) { m.say("raw 0 00*%d", min(4096, m.device*kernellab.SectorSize)) }, // as lvcreate wipes it
	(*mutator).damageHeader,
	(*mutator).damageHeader,
	func(m *mutator) { // a shrunk device
		less := []int{1, m.chunk, m.chunk + 1, 2 * m.chunk, 1 + m.IntN(m.device/2+1)}[m.IntN(5)]
		m.device = max(2, m.device-less)
		m.lines[0] = fmt.Sprint("device ", m.device)
	},
	func(m *mutator) { m.old = max(1, m.old-1-m.Uint64N(m.old/4+1)) }, // a shrunk origin
}

func (m *mutator) half(x *naive.Exception) *uint64 {
	if m.chance(2) {
		return &x.Old
	}
	return &x.New
}

const perSector = kernellab.SectorSize / 16 // slots

// sector is the first slot of one of the sectors that hold the list, or of one behind them.
func (m *mutator) sector() int { return m.IntN(m.exceptions+40) / perSector * perSector }

func (m *mutator) offset(slot int) int { return m.now().At(slot) }

// damageHeader makes the header another one. Sizes of chunks stay small: the driver keeps an area in memory.
func (m *mutator) damageHeader() {
	field := []string{"magic=0", "magic=0x70416e52", "valid=0", "valid=0x100", "version=0", "version=2", "chunk=0", "chunk=3",
		"chunk=1", "chunk=2", "chunk=4", "chunk=16", "chunk=64", "chunk=0x80000000"}[m.IntN(14)]
	if strings.HasPrefix(field, "chunk") {
		m.say("header %s", field)
		return
	}
	m.say("header chunk=%d %s", m.chunk, field)
	if field == "magic=0" && m.chance(2) {
		m.say("raw 0 00*16")
	}
}

// smaller are samples that have a little less in them.
func (s sample) smaller(yield func(sample) bool) {
	try := func(spec []string) bool {
		less := s
		less.spec = spec
		less, ok := less.compiled()
		return !ok || bytes.Equal(less.image, s.image) && len(spec) == len(s.spec) || yield(less)
	}
	if s.cut != nil {
		plain := s
		plain.cut, plain.origin = nil, kernellab.Pattern(0, uint64(len(s.origin)/kernellab.SectorSize), 0)
		if !yield(plain) {
			return
		}
	}
	for n := len(s.spec) / 2; n > 0; n /= 2 { // without so many lines
		for at := len(s.spec) - n; at > 0; at -= n {
			if !try(slices.Delete(slices.Clone(s.spec), at, at+n)) {
				return
			}
		}
	}
	for at, line := range s.spec {
		for _, other := range simpler(line) {
			spec := slices.Clone(s.spec)
			spec[at] = other
			if !try(spec) {
				return
			}
		}
	}
}

// simpler are lines that say less than one.
func simpler(line string) (all []string) {
	var n, first int
	if _, err := fmt.Sscanf(line, "fill %d %d", &n, &first); err == nil {
		for _, less := range []int{1, n / 2, n - 1} {
			if less > 0 && less < n {
				all = append(all, fmt.Sprintf("fill %d %d", less, first))
			}
		}
	}
	if _, err := fmt.Sscanf(line, "device %d", &n); err == nil {
		for _, less := range []int{n / 2, n - 32, n - 4, n - 1} {
			if less > 1 && less < n {
				all = append(all, fmt.Sprintf("device %d", less))
			}
		}
	}
	return all
}
