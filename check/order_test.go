package check_test

import (
	"fmt"
	"testing"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// inOrder are n exceptions in the kernel's order on 8-sector chunks, that leave out data chunk hole, counted from 0.
func inOrder(n, hole int) (spec string) {
	for i := range n {
		rank := i
		if i >= hole {
			rank++
		}
		spec += fmt.Sprintf("ex %d %d %d\n", i, 3*i, 2+rank+rank/256)
	}
	return spec
}

// TestOutOfPlace: how far from its neighbours a new chunk is out of place: farther than parallel copies
// bring it, and not among those that follow the list's end, to which a repair may have taken it.
func TestOutOfPlace(t *testing.T) {
	const none = 1 << 20
	at := func(slot, rank int) string { return fmt.Sprintf("ex %d %d %d", slot, 3*slot, 2+rank) }
	for _, c := range []struct {
		name, spec string
		told       uint64
	}{
		{"16 chunks ahead", inOrder(31, none) + at(20, 36), 0},
		{"17 ahead", inOrder(31, none) + at(20, 37), 1},
		{"16 behind", inOrder(40, 4) + at(19, 4), 0},
		{"17 behind", inOrder(40, 3) + at(19, 3), 1},
		{"the fifth behind the list's end", inOrder(40, none) + at(20, 44), 0},
		{"the sixth", inOrder(40, none) + at(20, 45), 1},
		{"two, the sixth", inOrder(40, none) + at(10, 41) + "\n" + at(20, 45), 0},
		{"two, the seventh", inOrder(40, none) + at(10, 41) + "\n" + at(20, 46), 2},
		{"two, the seventh first", inOrder(40, none) + at(10, 46) + "\n" + at(20, 41), 2},
		{"two, and one of them from before", inOrder(40, 3) + at(10, 45) + "\n" + at(30, 3), 2},
		{"the first", inOrder(40, none) + at(0, 90), 1},
		{"the last", inOrder(40, none) + at(39, 90), 0}, // nothing says so
		{"64 of them", inOrder(800, none) + apart(64), 64},
		{"65: the list follows another order", inOrder(800, none) + apart(65), 0},
		{"one, and another place where the list falls", inOrder(40, none) + at(20, 90) + "\n" + at(30, 31) + "\n" + at(31, 30), 1},
		{"one, and two others", inOrder(60, none) + at(20, 90) + "\n" + at(30, 31) + "\n" + at(31, 30) + "\n" + at(40, 41) + "\n" + at(41, 40), 0},
	} {
		d := devicetest.Of(storespec.MustCompile(t, "device 20000\nheader chunk=8\n"+c.spec))
		r := report(t, check.Options{Device: d})
		if got := count(r, "new-chunk-out-of-place"); got != c.told {
			t.Errorf("%s: %d are told, want %d: %v", c.name, got, c.told, rules(r))
		}
	}
}

// apart are n exceptions of a list that are far from their neighbours, and from each other.
func apart(n int) (spec string) {
	for i := range n {
		slot := 5 + 12*i
		spec += fmt.Sprintf("ex %d %d %d\n", slot, 3*slot, 1000+7*i)
	}
	return spec
}
