package lvm_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"dmcow/internal/pvimage"
	"dmcow/lvm"
)

// ring is a physical volume whose metadata area has these texts, each behind the one before, from a byte of the area on; it
// may be shorter than they are. The last one is the current one.
func ring(size, start int, texts ...string) image {
	b := pvimage.Volume{UUID: uuid, Size: int64(4096 + size), Label: 1, Areas: []pvimage.Area{{Offset: 4096, Size: int64(size), Start: 512, Text: texts[len(texts)-1]}}}.Image()
	area := b[4096:]
	clear(area[512:])
	at := start
	for _, s := range texts {
		start = at
		for _, c := range []byte(s + "\x00") {
			area[at] = c
			if at++; at == len(area) {
				at = 512
			}
		}
		for at%512 != 0 {
			at++
		}
		if at == len(area) {
			at = 512
		}
	}
	last := len(texts[len(texts)-1]) + 1
	putArea(area, start, last)
	pvimage.Seal(b)
	return b
}

func putArea(area []byte, start, size int) {
	for i := range 8 {
		area[40+i], area[48+i] = byte(start>>(8*i)), byte(size>>(8*i))
	}
}

// ofStripes is the text of a group whose COW volume has these segments: of extents, and where each begins.
func ofStripes(seqno int, more string, segments ...[2]int) string {
	var b strings.Builder
	at := 0
	for i, s := range segments {
		fmt.Fprintf(&b, "segment%d { start_extent = %d extent_count = %d type = \"striped\" stripes = [\"pv0\", %d] }\n", i+1, at, s[0], s[1])
		at += s[0]
	}
	return text("vg0", seqno, volume(2, "snap", b.String())+more)
}

// TestFormer: what a reduced volume had elsewhere is found, with who has it now; not what it got again, what another text
// hides, or what was moved.
func TestFormer(t *testing.T) {
	other := volume(3, "other", `segment1 { start_extent = 0 extent_count = 1 type = "striped" stripes = ["pv0", 17] }`)
	on := func(from, to uint64, now ...string) []string { return append([]string{fmt.Sprint(from, to)}, now...) }
	for name, c := range map[string]struct {
		texts []string
		want  []any
	}{
		"elsewhere": {[]string{ofStripes(1, "", [2]int{8, 10}), ofStripes(2, "", [2]int{6, 10}), ofStripes(3, "", [2]int{6, 10}, [2]int{3, 40})},
			[]any{uint64(6), uint64(8), uint64(2), on(16, 18)}},
		"of another": {[]string{ofStripes(1, "", [2]int{8, 10}), ofStripes(2, "", [2]int{6, 10}), ofStripes(3, other, [2]int{6, 10}), ofStripes(4, other, [2]int{6, 10}, [2]int{1, 40})},
			[]any{uint64(6), uint64(7), uint64(2), on(16, 17)}},
		"of another, more": {[]string{ofStripes(1, "", [2]int{8, 10}), ofStripes(2, "", [2]int{6, 10}), ofStripes(4, other, [2]int{6, 10}, [2]int{2, 40})},
			[]any{uint64(6), uint64(8), uint64(2), on(16, 18, "other")}},
		"in two pieces": {[]string{ofStripes(1, "", [2]int{7, 10}, [2]int{1, 30}), ofStripes(2, "", [2]int{6, 10}), ofStripes(3, "", [2]int{6, 10}, [2]int{2, 40})},
			[]any{uint64(6), uint64(7), uint64(2), on(16, 17), uint64(7), uint64(8), uint64(2), on(30, 31)}},
		"the same again":    {[]string{ofStripes(1, "", [2]int{8, 10}), ofStripes(2, "", [2]int{6, 10}), ofStripes(3, "", [2]int{8, 10})}, nil},
		"in part the same":  {[]string{ofStripes(1, "", [2]int{8, 10}), ofStripes(2, "", [2]int{6, 10}), ofStripes(3, "", [2]int{7, 10}, [2]int{1, 50})}, []any{uint64(7), uint64(8), uint64(2), on(17, 18)}},
		"still reduced":     {[]string{ofStripes(1, "", [2]int{8, 10}), ofStripes(2, "", [2]int{6, 10})}, nil},
		"moved":             {[]string{ofStripes(1, "", [2]int{8, 10}), ofStripes(2, "", [2]int{8, 60})}, nil},
		"one text":          {[]string{ofStripes(3, "", [2]int{8, 10})}, nil},
		"another group's":   {[]string{strings.ReplaceAll(ofStripes(1, "", [2]int{8, 10}), id(1), id(9)), ofStripes(2, "", [2]int{6, 10}), ofStripes(3, "", [2]int{6, 10}, [2]int{2, 40})}, nil},
		"another volume's":  {[]string{strings.ReplaceAll(ofStripes(1, "", [2]int{8, 10}), id(2), id(9)), ofStripes(2, "", [2]int{6, 10}), ofStripes(3, "", [2]int{6, 10}, [2]int{2, 40})}, nil},
		"one that is newer": {[]string{ofStripes(9, "", [2]int{8, 10}), ofStripes(2, "", [2]int{6, 10}), ofStripes(3, "", [2]int{6, 10}, [2]int{2, 40})}, nil},
	} {
		for _, start := range []int{512, 16384 - 512, 16384 - 1024} {
			groups := lvm.Read(found(t, ring(16384, start, c.texts...)))
			if len(groups.All) != 1 {
				t.Fatal(name, groups.Unread())
			}
			g := groups.All[0]
			var got []any
			for _, f := range groups.Former(g, g.Find("snap")) {
				got = append(got, f.From, f.To, f.Until)
				for _, p := range f.Places {
					got = append(got, on(p.From, p.To, p.Now...))
				}
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s, from byte %d on: %v, want %v", name, start, got, c.want)
			}
		}
	}
}

// TestFormerHostile: of a metadata area in which a text begins in each sector, each byte is parsed once.
func TestFormerHostile(t *testing.T) {
	good := ofStripes(3, "", [2]int{8, 10})
	b := ring(1<<20, 512, good)
	begin := []byte("vg0 {\nid = \"" + id(1) + "\"\n" + strings.Repeat("#", 512)) // a comment, up to the next one's first line
	for at := 4096 + 4096; at+512 <= len(b); at += 512 {
		copy(b[at:], begin[:512])
	}
	groups := lvm.Read(found(t, b))
	g := groups.All[0]
	if got := groups.Former(g, g.Find("snap")); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	grows := testing.AllocsPerRun(1, func() { groups.Former(g, g.Find("snap")) })
	if most := float64(len(b) / 512 * 100); grows > most {
		t.Errorf("%.0f allocations for %d sectors", grows, len(b)/512)
	}
}

// FuzzFormer: whatever stands in a metadata area beside the current text, stretches that lay elsewhere are the volume's.
func FuzzFormer(f *testing.F) {
	b := ring(8192, 512, ofStripes(1, "", [2]int{8, 10}), ofStripes(2, "", [2]int{6, 10}), ofStripes(3, "", [2]int{6, 10}, [2]int{3, 40}))
	f.Add([]byte(b[4096+512:]), uint16(0), []byte(nil))
	f.Fuzz(func(t *testing.T, area []byte, at uint16, patch []byte) {
		if len(area) > 1<<16 {
			return
		}
		if int(at)+len(patch) <= len(area) {
			copy(area[at:], patch)
		}
		current := ofStripes(3, "", [2]int{6, 10}, [2]int{3, 40})
		b := ring(512+512*((len(area)+len(current)+1024)/512), 512, current)
		copy(b[4096+512+1024*((len(current)+1024)/1024):], area)
		groups := lvm.Read(found(t, b))
		if len(groups.All) == 0 {
			return
		}
		g := groups.All[0]
		v := g.Find("snap")
		for _, s := range groups.Former(g, v) {
			if s.From >= s.To || s.To > v.Extents || s.Until >= g.Seqno {
				t.Errorf("%+v of %d extents", s, v.Extents)
			}
		}
	})
}
