package check_test

import (
	"fmt"
	"testing"

	"dmcow/check"
	"dmcow/format"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
)

// Of what is damaged: two runs, and behind them exceptions of old chunks that have nothing to do with each other,
// over four areas.
func written() (all []format.Exception) {
	g, _ := format.NewGeometry(1)
	for i := range uint64(110) {
		x := format.Exception{Old: format.OldChunk(i), New: g.DataChunk(i)}
		switch {
		case i >= 90:
			x.Old = format.OldChunk(1000 + 7*i%110*3)
		case i >= 60:
			x.Old += 300
		}
		all = append(all, x)
	}
	return all
}

// isAmid reports whether both neighbours of a slot, and those of the neighbours, go on in a run.
func isAmid(all []format.Exception, i int) bool {
	for j := i - 1; j <= i+1; j++ {
		if j < 0 || j+1 >= len(all) || all[j].Old+1 != all[j+1].Old {
			return false
		}
	}
	return i > 0
}

// damages are what one slot may suffer; other is the exception of another slot. In a run, it shows for certain what
// stood there if sure is true.
var damages = []struct {
	name   string
	sure   bool
	damage func(x *format.Exception, other format.Exception)
}{
	{"the new chunk is wild", true, func(x *format.Exception, _ format.Exception) { x.New = 1 << 60 }},
	{"the new chunk is past the end", true, func(x *format.Exception, _ format.Exception) { x.New += 5000 }},
	{"the new chunk is metadata", true, func(x *format.Exception, _ format.Exception) { x.New = 34 }},
	{"the new chunk is another's", true, func(x *format.Exception, other format.Exception) { x.New = other.New }},
	{"the new chunk is far", true, func(x *format.Exception, _ format.Exception) { x.New = 300 }},
	{"the new chunk is lost", true, func(x *format.Exception, _ format.Exception) { x.New = 0 }},
	{"the old chunk is wild", true, func(x *format.Exception, _ format.Exception) { x.Old = 1 << 60 }},
	{"the old chunk is another's", true, func(x *format.Exception, other format.Exception) { x.Old = other.Old }},
	{"all of it is wild", true, func(x *format.Exception, _ format.Exception) { *x = format.Exception{Old: 1 << 61, New: 1 << 60} }},
	{"all of it is lost", true, func(x *format.Exception, _ format.Exception) { *x = format.Exception{} }},
	{"all of it is another's", true, func(x *format.Exception, other format.Exception) { *x = other }},
	{"the new chunk is wild, and the old one another", false, func(x *format.Exception, _ format.Exception) {
		*x = format.Exception{Old: 700, New: 1 << 60}
	}},
}

// specOf is a store with a list.
func specOf(all []format.Exception) string {
	spec := "device 400\nheader chunk=1\n"
	for i, x := range all {
		spec += fmt.Sprintf("ex %d %d %d\n", i, x.Old, x.New)
	}
	return spec
}

// TestSuggestsWhatWas damages each slot of a list in each way. What is suggested for certain is what stood there,
// and nothing else, anywhere; amid a run that is always known.
func TestSuggestsWhatWas(t *testing.T) {
	list := written()
	g, _ := format.NewGeometry(1)
	for _, c := range damages {
		for i := range list {
			all := written()
			found := false
			c.damage(&all[i], list[(i+50)%len(list)])
			_, err := check.Run(check.Options{Device: devicetest.Of(storespec.MustCompile(t, specOf(all)))}, func(f check.Finding) error {
				s := f.Suggests
				if s == nil {
					return nil
				}
				found = true
				at := int(g.Position(s.Place))
				if s.Count != 1 || at != i || s.Unsure && c.sure && isAmid(list, i) || !s.Unsure && (!c.sure || s.First != list[i]) {
					t.Errorf("%s, slot %d: %s at %d (unsure %v), and it was %v", c.name, i, s, at, s.Unsure, list[i])
				}
				return nil
			})
			ends := all[i] == (format.Exception{}) && i%32 == 31 // nobody knows that the list did not end there
			if err != nil || !found && isAmid(list, i) && !ends {
				t.Errorf("%s, slot %d: nothing is suggested (%v)", c.name, i, err)
			}
		}
	}
}
