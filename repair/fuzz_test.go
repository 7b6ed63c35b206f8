package repair_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/naive"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// FuzzRepair changes entries of a sound store, and mends it with the user's word on all:
// a check finds no error then, but for what no flag of loss mends, and every exception that was not changed is there still,
// with its data.
//
// What is changed is told by records of a slot, of what (0 the old chunk, 1 the new one,
// 2 both, 3 the whole entry, which becomes a copy of another), and of a number.
func FuzzRepair(f *testing.F) {
	record := func(slot, what byte, number uint64) []byte {
		return binary.LittleEndian.AppendUint64([]byte{slot, what}, number)
	}
	f.Add(record(40, 1, 0), true, false)
	f.Add(record(40, 1, 9999), false, true)
	f.Add(append(record(99, 0, 3), record(5, 1, 7)...), true, true)
	f.Add(append(record(31, 2, 0), record(32, 1, 0)...), false, false)
	f.Add(append(record(97, 1, 1), record(98, 1, 34)...), true, false)
	f.Add(append(record(30, 2, 0), record(31, 3, 3)...), true, false)
	f.Add(record(48, 1, 88), true, false)
	f.Add(append(record(31, 2, 0), record(1, 3, 48)...), false, false)
	images := map[bool][]byte{
		false: storespec.MustCompile(f, "device 400\nheader chunk=1\nfill 100 0\ndata 9"),
		true:  storespec.MustCompile(f, "device 800\nheader chunk=2\nfill 100 0\ndata 9"),
	}
	f.Fuzz(func(t *testing.T, records []byte, first, wide bool) {
		image := images[wide]
		now := bytes.Clone(image)
		s := naive.Of(now)
		changed := map[int]bool{}
		for ; len(records) >= 10 && len(changed) < 40; records = records[10:] {
			slot, number := int(records[0])%100, binary.LittleEndian.Uint64(records[2:])
			at := s.Entry(slot)
			changed[slot] = true
			switch records[1] % 4 {
			case 0:
				binary.LittleEndian.PutUint64(at, number)
			case 1:
				binary.LittleEndian.PutUint64(at[8:], number)
			case 2:
				binary.LittleEndian.PutUint64(at, number)
				binary.LittleEndian.PutUint64(at[8:], number)
			default:
				copy(at, s.Entry(int(number%100)))
			}
		}
		keep := repair.KeepLast
		if first {
			keep = repair.KeepFirst
		}
		if err := mendFuzzed(image, now, changed, keep); err != nil {
			t.Fatal(err)
		}
	})
}

func mendFuzzed(image, damaged []byte, changed map[int]bool, keep repair.Keep) error {
	d := devicetest.Of(damaged)
	p, err := repair.Make(options(d, patient{}.origin(image), everything(keep)))
	if err != nil {
		return err
	}
	if err := p.Apply(d, nil, nil); err != nil {
		return err
	}
	r, err := check.Make(check.Options{Device: d, Origin: patient{}.origin(image)})
	if err != nil {
		return err
	}
	if full := noRoom(p); !leavesOpen(r) && (!full || len(p.Undecided) > 1) {
		return fmt.Errorf("left: %s", findings(r))
	}
	was, now, after := pictureOf(image, crashOrigin), pictureOf(damaged, crashOrigin), pictureOf(d.Image(), crashOrigin)
	list := now.gapless()
	if err := after.serves(now.saved(list), keep, nil); err != nil {
		return err
	}
	in := map[naive.Exception]bool{}
	for _, x := range list {
		in[x] = true
	}
	saved := after.saved(after.List())
	for slot := range 100 {
		x, _ := was.Slot(slot)
		switch {
		case changed[slot] || len(saved[x.Old]) > 0:
		case !in[x] && ends(now, slot):
			// Nobody can tell the list's end from an area whose last entries are zero.
		default:
			return errors.New("an exception that was not changed is lost")
		}
	}
	return nil
}

// leavesOpen reports whether no other error is left than those that no flag of loss mends: a new chunk
// that the entries around contradict, and an area behind the list's end that names lost chunks.
func leavesOpen(r check.Report) bool {
	return !slices.ContainsFunc(r.Tallies, func(t check.Tally) bool {
		return t.Severity == check.Error && t.Rule != check.NewChunkOutOfPlace && t.Rule != check.MisplacedArea
	})
}

// noRoom reports whether there was no free chunk for a copy, which only a larger device
// has.
func noRoom(p *repair.Plan) bool {
	return len(p.Undecided) > 0 && p.Undecided[0].Rule == check.DuplicateNewChunk && strings.Contains(p.Undecided[0].Advice, "no free chunk")
}

// ends reports whether the last entry of an area before a slot is zero.
func ends(p picture, slot int) bool {
	for at := p.PerArea() - 1; at < slot; at += p.PerArea() {
		if x, _ := p.Slot(at); x.New == 0 {
			return true
		}
	}
	return false
}
