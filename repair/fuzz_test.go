package repair_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// FuzzRepair changes entries of a sound store, and mends it with the user's word on all:
// a check finds no error then, and every exception that was not changed is there still,
// with its data.
//
// What is changed is told by records of a slot, of what (0 the old chunk, 1 the new one,
// 2 both), and of a number.
func FuzzRepair(f *testing.F) {
	record := func(slot, what byte, number uint64) []byte {
		return binary.LittleEndian.AppendUint64([]byte{slot, what}, number)
	}
	f.Add(record(40, 1, 0), true)
	f.Add(record(40, 1, 9999), false)
	f.Add(append(record(99, 0, 3), record(5, 1, 7)...), true)
	f.Add(append(record(31, 2, 0), record(32, 1, 0)...), false)
	f.Add(append(record(97, 1, 1), record(98, 1, 34)...), true)
	image := storespec.MustCompile(f, "device 400\nheader chunk=1\nfill 100 0\ndata 9")
	f.Fuzz(func(t *testing.T, records []byte, first bool) {
		now := append([]byte(nil), image...)
		changed := map[int]bool{}
		for ; len(records) >= 10 && len(changed) < 40; records = records[10:] {
			slot := int(records[0]) % 100
			at, number := slotOffset(slot), binary.LittleEndian.Uint64(records[2:])
			if changed[slot] = true; records[1]%3 != 1 {
				binary.LittleEndian.PutUint64(now[at:], number)
			}
			if records[1]%3 != 0 {
				binary.LittleEndian.PutUint64(now[at+8:], number)
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
	if full := noRoom(p); r.Count(check.Error) > 0 && (!full || len(p.Undecided) > 1) {
		return fmt.Errorf("left: %s", findings(r))
	}
	was, now, after := pictureOf(image, crashOrigin), pictureOf(damaged, crashOrigin), pictureOf(d.Image(), crashOrigin)
	list := now.gapless()
	if err := after.serves(now.saved(list), keep, nil); err != nil {
		return err
	}
	in := map[entry]bool{}
	for _, x := range list {
		in[x] = true
	}
	saved := after.saved(after.list())
	for slot := range 100 {
		x, _ := was.slot(uint64(slot))
		switch {
		case changed[slot] || len(saved[x.old]) > 0:
		case !in[x] && ends(now, slot):
			// Nobody can tell the list's end from an area whose last entries are zero.
		default:
			return errors.New("an exception that was not changed is lost")
		}
	}
	return nil
}

// noRoom tells whether there was no free chunk for a copy, which only a larger device
// has.
func noRoom(p *repair.Plan) bool {
	return len(p.Undecided) > 0 && p.Undecided[0].Rule == "duplicate-new-chunk" && strings.Contains(p.Undecided[0].Advice, "no free chunk")
}

// ends tells whether the last entry of an area before a slot is zero.
func ends(p picture, slot int) bool {
	for at := uint64(31); at < uint64(slot); at += 32 {
		if x, _ := p.slot(at); x.new == 0 {
			return true
		}
	}
	return false
}
