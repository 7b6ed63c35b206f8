package store_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"dmcow/internal/device/devicetest"
)

var errBroken = errors.New("broken")

// faults are what is tried on each operation in turn: it fails, at once or when
// a part of it is done.
var faults = map[string]*devicetest.NthOp{
	"reads":                {Kinds: devicetest.Read},
	"writes":               {Kinds: devicetest.Write},
	"writes after 1 of 2":  {Kinds: devicetest.Write, Part: 512},
	"writes that are done": {Kinds: devicetest.Write, Part: 1 << 20},
	"syncs":                {Kinds: devicetest.Sync},
}

// everyFault has work done on a device once for each of its operations, which
// fails, and each kind of fault; then it calls check.
func everyFault(t *testing.T, device func() *devicetest.Memory, work func(*devicetest.Memory), check func(d *devicetest.Memory, fault string, n int)) {
	t.Helper()
	for name, fault := range faults {
		for n := 0; ; n++ {
			f := &devicetest.NthOp{N: n, Kinds: fault.Kinds, Part: fault.Part, Err: errBroken}
			d := device()
			d.Fault = f.Fault
			work(d)
			d.Fault = nil
			check(d, name, n)
			if !f.Failed() {
				if n == 0 && fault.Kinds != devicetest.Read { // create need not read
					t.Errorf("%s: there are none", name)
				}
				break
			}
		}
	}
}

// TestFaults has the Nth read, write or sync of a life fail, for all N: what was
// acknowledged is there, also when power fails then, and what was refused does
// no harm. The life leads over the end of an area, with hidden exceptions to be
// cleared, a merge and a reload.
func TestFaults(t *testing.T) {
	rng := rand.New(rand.NewPCG(devicetest.Seed(t), 0))
	inOrder := []int{0, 1, 2, 3, 4, 5, 6}
	all := func(int) bool { return true }
	var h *history
	begin := func() *devicetest.Memory {
		h = newHistory(t, rng, "device 300\nheader chunk=2")
		h.begin(28)
		h.d.Put(1024+32*16, []byte{200, 0, 0, 0, 0, 0, 0, 0, 90}) // of a torn commit
		h.startRecord()
		h.faults = true
		return h.d
	}
	live := func(*devicetest.Memory) {
		h.reopen()
		for range 7 {
			h.batch(inOrder, all)
		}
		h.merge(true)
		h.merge(true)
		h.batch([]int{1, 0}, all)
		h.reopen()
		h.batch([]int{0}, all)
	}
	everyFault(t, begin, live, func(_ *devicetest.Memory, fault string, n int) {
		h.record.Mark("the end")
		for c := range h.record.Crashes(16, rng) {
			if c.Events < h.record.Len() {
				continue
			}
			if err := h.check(c, false); err != nil {
				t.Fatalf("%s: number %d failed, then %v: %v", fault, n, c, err)
			}
		}
	})
}
