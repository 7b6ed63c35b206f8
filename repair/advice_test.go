package repair_test

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"dmcow/check"
	"dmcow/internal/device/devicetest"
	"dmcow/internal/storespec"
	"dmcow/repair"
)

// adviceOn is what a plan says of a rule that waits for the user's word.
func adviceOn(t *testing.T, p *repair.Plan, rule *check.Rule) repair.Resolution {
	t.Helper()
	for _, m := range p.Undecided {
		if m.Rule == rule {
			return m
		}
	}
	t.Fatalf("nothing waits for %s: %v", rule.Name, p.Undecided)
	return repair.Resolution{}
}

// sectorsIn is the number of sectors in an advice.
func sectorsIn(t *testing.T, advice string) int64 {
	t.Helper()
	m := regexp.MustCompile(`(\d+) sectors`).FindStringSubmatch(advice)
	if m == nil {
		t.Fatal(advice)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestGrowth: a device that is grown as a plan advises, and no less, has room.
func TestGrowth(t *testing.T) {
	const store = "device 4000\nheader chunk=4\nfill 300 0\ndata 9\n"
	for name, c := range map[string]struct {
		spec    string
		sectors int64 // of the device as it was cut off
		rule    *check.Rule
		choices repair.Choices
		times   int64 // what the advice is for
	}{
		"chunks beyond the device":           {store, 1000, check.NewChunkBeyondDevice, repair.Choices{Truncate: true}, 1},
		"the first one is the farthest":      {store + "ex 1 1 450\nex 200 200 440\nex 290 290 400", 1300, check.NewChunkBeyondDevice, repair.Choices{}, 1},
		"the middle one is the farthest":     {store + "ex 1 1 440\nex 200 200 450\nex 290 290 400", 1300, check.NewChunkBeyondDevice, repair.Choices{}, 1},
		"the list":                           {store, 1000, check.AreaBeyondDevice, repair.Choices{}, 1},
		"the list, in the middle of an area": {store, 1034, check.AreaBeyondDevice, repair.Choices{}, 1},
		"no room for a copy":                 {"device 4000\nheader chunk=4\nfill 126 0\ndata 9\nex 3 3 8", 128 * 4, check.DuplicateNewChunk, repair.Choices{Unshare: true}, 1},
		"no room for three copies, an area in between": {
			"device 4000\nheader chunk=4\nfill 127 0\ndata 9\nex 3 3 8\nex 4 4 8\nex 5 5 8", 129 * 4, check.DuplicateNewChunk, repair.Choices{Unshare: true}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			image := storespec.MustCompile(t, c.spec)
			p := patient{choices: c.choices}
			d := devicetest.Of(image[:c.sectors*512])
			advice := adviceOn(t, p.planFor(t, d), c.rule)
			if int64(advice.Count) < c.times {
				t.Errorf("%d wait", advice.Count)
			}
			least := sectorsIn(t, advice.Advice)
			if c.rule == check.DuplicateNewChunk {
				least = c.sectors + c.times*least + 4*int64(btoi(c.times > 1)) // and the area
			}
			for _, grown := range []int64{least - 4, least} {
				d := devicetest.Of(image[:grown*512])
				plan := p.planFor(t, d)
				left := plan.After.Of(c.rule) != nil
				if left != (grown < least) {
					t.Errorf("with %d sectors, of which %d are advised: %s", grown, least, findings(plan.After))
				}
			}
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestCompared: of two exceptions of one chunk a plan tells whether they have the same data, all of which it reads.
func TestCompared(t *testing.T) {
	const store = "device 40960\nheader chunk=4096\nex 0 7 2\nex 1 7 3\nex 2 8 3\nraw 4194304 11*2097152\n"
	const other = 3*4096*512 + 2097151
	sum := func(image []byte, c int) string {
		return fmt.Sprintf("%x", sha256.Sum256(image[c*4096*512:][:4096*512]))
	}
	for name, c := range map[string]struct {
		spec string
		bad  int64
		want func(image []byte) string
	}{
		"the same": {store + "raw 6291456 11*2097152", -1, func(image []byte) string { return "both have the same data, SHA-256 " + sum(image, 2) }},
		"all but a byte": {store + "raw 6291456 11*2097151 12", -1, func(image []byte) string {
			return "SHA-256 of new chunk 2: " + sum(image, 2) + "; of new chunk 3: " + sum(image, 3)
		}},
		"unreadable": {store, other, func([]byte) string { return "the data of new chunk 3 cannot be read: " }},
	} {
		t.Run(name, func(t *testing.T) {
			image := storespec.MustCompile(t, c.spec)
			d := devicetest.Of(image)
			if c.bad >= 0 {
				d.Fault = devicetest.BadByte(c.bad, errBroken)
			}
			for _, choices := range []repair.Choices{{}, {Unshare: true}} {
				p := patient{choices: choices}
				plan, err := repair.Make(options(d, 0, p.choices))
				if err != nil {
					t.Fatal(err)
				}
				if lines := adviceOn(t, plan, check.DuplicateOldChunk).Lines; len(lines) != 1 || !strings.Contains(lines[0], c.want(image)) {
					t.Errorf("%v; expected: %s", lines, c.want(image))
				}
			}
		})
	}
}

// TestSaid: what a plan says of each finding that it repairs or not, and where that is.
func TestSaid(t *testing.T) {
	const store = "device 600\nheader chunk=4\nfill 100 0\ndata 9\n"
	const behind = " behind the end of the list: the snapshot then reads the origin's chunks there"
	for name, c := range map[string]struct {
		spec    string
		choices repair.Choices
		said    []string // beginnings and ends
		advice  string   // its beginning
	}{
		"a lost magic":    {store + "raw 0 00 00 00 00", repair.Choices{}, []string{"write the magic, keep the other fields"}, ""},
		"a bad exception": {store + "ex 99 150 9999", repair.Choices{Drop: true}, []string{"area 0 slot 99: new chunk 9999 is past the end of the device (150 chunks)", ": drop it"}, ""},
		"it is to be decided": {
			store + "ex 99 150 9999", repair.Choices{}, []string{"area 0 slot 99: new chunk 9999 is past the end of the device (150 chunks)"}, "if the device was larger, "},
		"a run says what it was": {
			store + "ex 50 50 9999", repair.Choices{Hidden: repair.DropHidden}, []string{"area 0 slot 50: "}, "--rebuild writes the exceptions that their neighbours show"},
		"one hides":            {store + "ex 110 150 120", repair.Choices{Hidden: repair.DropHidden}, []string{"area 0 slot 110: clear a slot" + behind}, ""},
		"two hide":             {store + "ex 110 150 120\nex 111 151 121", repair.Choices{Hidden: repair.DropHidden}, []string{"area 0 slot 110: clear 2 slots" + behind}, ""},
		"two hide, to be kept": {store + "ex 110 150 120\nex 111 151 121", repair.Choices{Hidden: repair.KeepHidden}, []string{"area 0 slot 100: close the gap: the exceptions from slot 110 on come back, those that were in the gap are lost"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := patient{choices: c.choices}.planFor(t, devicetest.Of(storespec.MustCompile(t, c.spec)))
			said := append(plan.Repaired, plan.Undecided...)
			if len(said) != 1 || len(said[0].Lines) != 1 {
				t.Fatalf("%v, %v", plan.Repaired, plan.Undecided)
			}
			line := said[0].Lines[0]
			if !strings.HasPrefix(line, c.said[0]) || !strings.HasSuffix(line, c.said[len(c.said)-1]) && c.advice == "" || !strings.HasPrefix(said[0].Advice, c.advice) {
				t.Errorf("%q, %q", line, said[0].Advice)
			}
		})
	}
}

// TestGaps closes gaps in a list: what was in them is lost, and all else stands in its order but for what takes the place of
// the copies.
func TestGaps(t *testing.T) {
	const (
		store  = "device 400\nheader chunk=1\nfill 20 100\ndata 9\n"
		closed = "device 400\nheader chunk=1\nfill 19 100\ndata 9\n"
		toBad  = "ex 8 0 0\nex 9 109 9999" // a gap, and one behind it that cannot be copied
	)
	for name, c := range map[string]struct {
		spec string
		want string // empty where the gap cannot be closed
	}{
		"the first one": {"ex 0 0 0", closed + "ex 0 101 3\nex 1 119 21"},
		"the first two": {"ex 0 0 0\nex 1 0 0", closed + "ex 0 102 4\nex 1 119 21\nex 2 118 20\nex 18 0 0"},
		"in the middle": {"ex 8 0 0", closed + "ex 8 119 21"},
		"the one before it is the origin's last chunk":   {"ex 7 499 9\n" + toBad, closed + "ex 7 499 9\nex 8 119 21\nex 9 109 9999"},
		"the one before it begins with the origin's end": {"ex 7 500 9\n" + toBad, ""},
		"the one before it is bad":                       {"ex 7 107 9999\n" + toBad, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := devicetest.Of(storespec.MustCompile(t, store+c.spec))
			p := mend(t, d, 500*512-1, repair.Choices{Hidden: repair.KeepHidden}) // the last chunk is a short one
			if c.want == "" {
				if m := adviceOn(t, p, check.HiddenExceptions); !strings.Contains(m.Lines[0], "the gap cannot be closed") || len(p.Steps) > 0 {
					t.Errorf("%v", m)
				}
				return
			}
			if !d.Holds(storespec.MustCompile(t, c.want)) {
				t.Errorf("it is something else: %v", pictureOf(d.Image(), 500).List())
			}
			if len(p.Repaired) != 1 || p.Repaired[0].Rule != check.HiddenExceptions {
				t.Errorf("that copies are dropped need not be said: %v", p.Repaired)
			}
		})
	}
}
