package lvm_test

import (
	"fmt"
	"testing"

	"dmcow/lvm"
)

// TestApart: volumes have something in common where one is made of the other, or both of a third one.
func TestApart(t *testing.T) {
	text := `vg0 { id = "VVVVVV-0000-0000-0000-0000-0000-000000" seqno = 1 extent_size = 8
physical_volumes { pv0 { id = "AAAAAA-0000-0000-0000-0000-0000-000000" pe_start = 2048 pe_count = 1000 } }
logical_volumes {
`
	for i, l := range []string{
		`a|type = "striped" stripes = ["pv0", 0]`, `b|type = "striped" stripes = ["pv0", 100]`, `on|type = "striped" stripes = ["a", 0]`, `upon|type = "striped" stripes = ["on", 0]`,
		`pool|type = "thin-pool" metadata = "a" pool = "b"`, `thin|type = "thin" thin_pool = "pool" device_id = 1`, `other|type = "thin" thin_pool = "pool" device_id = 2`,
		`cow|type = "striped" stripes = ["pv0", 200]`, `loop|type = "striped" stripes = ["loop", 0]`,
	} {
		var name, segment string
		for j := range l {
			if l[j] == '|' {
				name, segment = l[:j], l[j+1:]
			}
		}
		text += fmt.Sprintf("%s { id = \"LLLLLL-0000-0000-0000-0000-0000-%06d\" segment_count = 1 segment1 { start_extent = 0 extent_count = 10 %s } }\n", name, i, segment)
	}
	g, err := lvm.ParseGroup([]byte(text + "} }"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a, b  string
		apart bool
	}{
		{"a", "b", true}, {"a", "a", false}, {"a", "on", false}, {"a", "upon", false}, {"b", "upon", true}, {"thin", "cow", true}, {"thin", "other", false},
		{"thin", "pool", false}, {"thin", "upon", false}, {"loop", "cow", true}, {"loop", "loop", false},
	} {
		a, b := g.Find(c.a), g.Find(c.b)
		if g.Apart(a, b) != c.apart || g.Apart(b, a) != c.apart {
			t.Errorf("%s and %s: %t, %t, want %t", c.a, c.b, g.Apart(a, b), g.Apart(b, a), c.apart)
		}
	}
}
