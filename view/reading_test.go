package view

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"dmcow/format"
)

// TestReadingView: a view that is not written to tells how its store is used; one of a list alone
// cannot be read, and says so.
func TestReadingView(t *testing.T) {
	r := newRig(t, "device 400\nheader chunk=1\nfill 40\ndata 9", 256*sector)
	for i, v := range lists(t, r) {
		if u := v.Usage(); u.End.Exceptions != 40 || u.End.NextFree != 43 || u.Free() == 0 {
			t.Errorf("view %d: %+v", i, u)
		}
		if n, err := v.ReadAt(make([]byte, sector), 0); (i == 1) != errors.Is(err, errListOnly) {
			t.Errorf("view %d: %d bytes, %v", i, n, err)
		}
	}
}

// TestManyDoubts: what is kept of very many damaged exceptions is bounded, and each is uncertain all the
// same; the view that shows what there is does not ask.
func TestManyDoubts(t *testing.T) {
	const n = 3 * mostReasons
	var spec strings.Builder
	fmt.Fprintf(&spec, "device %d\nheader chunk=1\nfill %d 0\ndata 9\n", 2*n, n)
	for i := range n { // in each area some are impossible, too few to make it garbage
		if i%32 < 12 {
			fmt.Fprintf(&spec, "ex %d %d %d\n", i, i, 5*n+i)
		}
	}
	r := newRig(t, spec.String(), n*sector)
	v := r.open(t)
	if len(v.doubts.reasons) > mostReasons {
		t.Errorf("%d reasons are kept", len(v.doubts.reasons))
	}
	p := make([]byte, sector)
	for i := range n {
		_, err := v.ReadAt(p, int64(i)*sector)
		if uncertain := errors.As(err, new(*UncertainError)); uncertain != (i%32 < 12) && v.doubts.unlisted == "" {
			t.Fatalf("chunk %d: %v", i, err)
		}
	}
	sum := format.Bytes(0)
	for r := range v.Uncertain() {
		sum += r.Length
	}
	if sum == 0 || v.FirstUncertain() == nil {
		t.Error("nothing is uncertain")
	}
	o := r.options()
	o.DamagedOK = true
	all, err := Open(o)
	if err != nil || all.FirstUncertain() != nil {
		t.Fatal(err, all.FirstUncertain())
	}
	got := content(t, all)
	if cow := r.cowImage(); !bytes.Equal(got[20*sector:21*sector], cow[22*sector:23*sector]) || !bytes.Equal(got[:sector], r.originImage()[:sector]) {
		t.Error("it shows something else than what the list has, and else the origin")
	}
}
