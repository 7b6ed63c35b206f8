package check_test

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/damaged"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
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
	list                        []naive.Exception
}

// sees reads an image as the kernel does, straight from the description of the
// format.
func sees(image []byte) (s seen) {
	field := func(n int) uint32 { return binary.LittleEndian.Uint32(image[4*n:]) }
	chunk := field(3)
	switch {
	case field(0) == 0:
		s.formatted = true
	case string(image[:4]) != "SnAp", bits.OnesCount32(chunk) != 1, chunk > 2097152, field(2) != 1:
		s.refused = true
	case field(1) == 0:
		s.invalid = true
	default:
		s.chunk, s.list = int(chunk), naive.Of(image).List()
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
func changed(before, after []naive.Exception) string {
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
	case b.New == a.New:
		return "an old chunk that became another, unused one"
	case b.Old == a.Old:
		return "a new chunk that became another, unused one"
	}
	return ""
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
			for d := range damaged.Matrix(image, chunk, exceptions, matrixOrigin) {
				r := report(t, matrixOptions(d.Image, chunk))
				before, after := sees(image), sees(d.Image)
				why := "reported"
				switch {
				case reported(base, r):
				case before.same(after):
					why = "changes nothing"
				default:
					why = undetectable(before, after)
				}
				if counts[why]++; why == "" {
					t.Errorf("%d exceptions, chunk %d, %s: not reported (%v)", exceptions, chunk, d.Name, rules(r))
				}
			}
		}
	}
	t.Log(counts)
}

func matrixOptions(image []byte, chunk int) check.Options {
	return check.Options{Device: devicetest.Of(image), Origin: format.Bytes(matrixOrigin * chunk * 512)}
}

// reported reports whether a report says of a store that something is wrong with it
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
