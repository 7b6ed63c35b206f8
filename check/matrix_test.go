package check_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// Of what matrix damages.
const (
	matrixSectors = 800 // of the COW device
	matrixOrigin  = 500 // chunks
)

// seen is what the kernel sees of a store: the header, and the list.
type seen struct {
	refused, formatted, invalid bool
	chunk                       int
	list                        []entry
}

// sees reads an image as the kernel does, straight from the description of the
// format.
func sees(image []byte) (s seen) {
	field := func(n int) uint32 { return binary.LittleEndian.Uint32(image[4*n:]) }
	chunk := field(3)
	switch {
	case field(0) == 0:
		s.formatted = true
	case field(0) != format.Magic, bits.OnesCount32(chunk) != 1, chunk > 2097152, field(2) != 1:
		s.refused = true
	case field(1) == 0:
		s.invalid = true
	default:
		s.chunk, s.list = int(chunk), list(image)
		areas := len(s.list) / (s.chunk * 32) // before the one in which the list ends
		s.refused = (2+areas*(s.chunk*32+1))*s.chunk*512 > len(image)
	}
	if s.refused || s.formatted {
		s.list = nil
	}
	return s
}

func (s seen) same(o seen) bool {
	return s.refused == o.refused && s.formatted == o.formatted && s.invalid == o.invalid &&
		s.chunk == o.chunk && slices.Equal(s.list, o.list)
}

// undetectable is why nobody can tell that damage made one store of another: the
// classes that the README has. It is empty where somebody could.
func undetectable(before, after seen) string {
	switch n := len(before.list); {
	case before.refused || before.formatted || after.refused || after.formatted || before.invalid != after.invalid:
		return ""
	case before.chunk != after.chunk:
		if len(before.list) == 0 && len(after.list) == 0 {
			return "an empty store of another chunk size"
		}
		if len(after.list) == 0 && after.chunk < before.chunk {
			return "a chunk size that became smaller, so that the list reads as empty"
		}
	case len(after.list) < n && slices.Equal(after.list, before.list[:len(after.list)]):
		return "the list's end cut off"
	case len(after.list) == n+1 && slices.Equal(after.list[:n], before.list):
		return "an exception more"
	case len(after.list) == n:
		return changed(before.list, after.list)
	}
	return ""
}

// changed tells what became of the one exception in which two lists differ.
func changed(before, after []entry) string {
	which := -1
	for i := range before {
		if before[i] != after[i] {
			if which >= 0 {
				return ""
			}
			which = i
		}
	}
	switch b, a := before[which], after[which]; {
	case b.new == a.new:
		return "an old chunk that became another, unused one"
	case b.old == a.old:
		return "a new chunk that became another, unused one"
	}
	return ""
}

// damage is one change of an image.
type damage struct {
	name  string
	image []byte
}

// matrix is an image with each field of the header, and of exceptions in all kinds
// of places, set to each interesting value.
func matrix(image []byte, chunk, exceptions int) (all []damage) {
	put := func(name string, change func([]byte)) {
		c := bytes.Clone(image)
		if change(c); !bytes.Equal(c, image) {
			all = append(all, damage{name, c})
		}
	}
	for f, name := range []string{"magic", "valid", "version", "chunk size"} {
		was := binary.LittleEndian.Uint32(image[4*f:])
		values := []uint32{0, 1, 2, 3, math.MaxUint32, was - 1, was + 1, bits.ReverseBytes32(was)}
		for bit := range 32 {
			values = append(values, was^1<<bit)
		}
		for _, v := range values {
			put(fmt.Sprintf("%s %#x", name, v), func(c []byte) { binary.LittleEndian.PutUint32(c[4*f:], v) })
		}
	}
	for _, at := range []int{16, 511, chunk*512 - 1} {
		put(fmt.Sprint("padding byte ", at), func(c []byte) { c[at] ^= 0x40 })
	}
	e := chunk * 32
	for _, slot := range []int{0, e / 2, e - 1, e, e + e/2, 2*e - 1, 2 * e, exceptions / 2, exceptions - 1, exceptions, exceptions + 1} {
		at := slotOffset(slot, chunk)
		if slot < 0 || at+16 > len(image) {
			continue
		}
		for f, name := range []string{"old", "new"} {
			was := binary.LittleEndian.Uint64(image[at+8*f:])
			for _, v := range values64(was, uint64(len(image)/512/chunk), uint64(e)) {
				put(fmt.Sprintf("slot %d: %s %#x", slot, name, v), func(c []byte) { binary.LittleEndian.PutUint64(c[at+8*f:], v) })
			}
		}
		put(fmt.Sprint("slot ", slot, ": zero"), func(c []byte) { clear(c[at : at+16]) })
		put(fmt.Sprint("slot ", slot, ": ones"), func(c []byte) { copy(c[at:], bytes.Repeat([]byte{0xff}, 16)) })
		put(fmt.Sprint("slot ", slot, ": sector zero"), func(c []byte) { clear(c[at/512*512:][:512]) })
		put(fmt.Sprint("slot ", slot, ": sector of text"), func(c []byte) {
			copy(c[at/512*512:][:512], bytes.Repeat([]byte("lorem ipsum dolor "), 29))
		})
		put(fmt.Sprint("slot ", slot, ": a header"), func(c []byte) { copy(c[at:], image[:16]) })
	}
	return all
}

// values64 are interesting values for a chunk number that is was, on a device of n
// chunks whose areas hold e exceptions.
func values64(was, n, e uint64) []uint64 {
	values := []uint64{0, 1, 2, 3, was - 1, was + 1, was + 100, bits.ReverseBytes64(was), n - 1, n, n + 1, 2 * n,
		1 + (e + 1), 1 + 2*(e+1), 1 << 32, 1<<56 - 1, math.MaxUint64, matrixOrigin - 1, matrixOrigin}
	for bit := range 64 {
		values = append(values, was^1<<bit)
	}
	return values
}

func slotOffset(slot, chunk int) int {
	e := chunk * 32
	return (1+slot/e*(e+1))*chunk*512 + slot%e*16
}

// TestMatrix damages stores in every way of the matrix. Each damage is reported, or
// it changes nothing that the kernel sees, or it is one that nobody can detect.
func TestMatrix(t *testing.T) {
	counts := map[string]int{}
	for _, chunk := range []int{1, 2} {
		e := 32 * chunk
		for _, exceptions := range []int{0, 1, e - 1, e, e + 1, 3*e + 5} {
			spec := fmt.Sprintf("device %d\nheader chunk=%d\nfill %d 0\ndata 9", matrixSectors, chunk, exceptions)
			image := storespec.MustCompile(t, spec)
			base := report(t, matrixOptions(image, chunk))
			if n := base.Count(check.Error); n > 0 {
				t.Fatalf("%s: %d errors", spec, n)
			}
			for _, d := range matrix(image, chunk, exceptions) {
				r := report(t, matrixOptions(d.image, chunk))
				before, after := sees(image), sees(d.image)
				why := "reported"
				switch {
				case reported(base, r):
				case before.same(after):
					why = "changes nothing"
				default:
					why = undetectable(before, after)
				}
				if counts[why]++; why == "" {
					t.Errorf("%d exceptions, chunk %d, %s: not reported (%v)", exceptions, chunk, d.name, rules(r))
				}
			}
		}
	}
	t.Log(counts)
}

func matrixOptions(image []byte, chunk int) check.Options {
	return check.Options{Device: devicetest.Of(image), Origin: format.Bytes(matrixOrigin * chunk * 512)}
}

// reported tells whether a report says of a store that something is wrong with it
// which another did not say.
func reported(base, r check.Report) bool {
	if r.Outcome() != base.Outcome() {
		return true
	}
	for _, t := range r.Tallies {
		if t.Severity != check.Info && !slices.Contains(rules(base), t.Name) {
			return true
		}
	}
	return false
}
