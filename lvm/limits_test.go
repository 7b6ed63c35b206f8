package lvm_test

import (
	"fmt"
	"strings"
	"testing"

	"dmcow/internal/pvimage"
	"dmcow/lvm"
)

// changed is a text with one volume "v" more, of one segment, in a group with changes: old, new, old, new...
func changed(segment string, changes ...string) string {
	return strings.NewReplacer(changes...).Replace(text("vg0", 1, whole()+volume(9, "v", segment)))
}

// TestLimits: what is just within a limit is read, and what is just beyond is refused.
func TestLimits(t *testing.T) {
	none := func(start, count string) string {
		return "segment1 { start_extent = " + start + " extent_count = " + count + ` type = "error" }`
	}
	stripes := func(pairs int, extent string) string {
		return `segment1 { start_extent = 0 extent_count = 1 type = "raid0" stripes = [` + strings.Repeat(`"pv0", `+extent+", ", pairs) + "] }"
	}
	nested := func(deep int) string { return strings.Repeat("a { ", deep-1) + strings.Repeat("} ", deep-1) + "seqno" }
	const huge = "extent_size = 1099511627776" // 2^40 sectors: 16383 extents are the most whose bytes can be counted
	for _, c := range []struct{ text, want string }{
		{changed(none("0", "4294967295")), ""},
		{changed(none("0", "4294967296")), "a segment of 4294967296 extents begins at extent 0"},
		{changed(none("0", "1") + strings.Replace(none("1", "4294967294"), "1 {", "2 {", 1)), ""},
		{changed(none("0", "1") + strings.Replace(none("1", "4294967295"), "1 {", "2 {", 1)), "a segment of 4294967295 extents begins at extent 1"},
		{changed(stripes(1, "4294967295")), ""},
		{changed(stripes(1, "4294967296")), "expected pairs of a name and an extent's number"},
		{changed(stripes(1, "0")), ""},
		{changed(stripes(1, "-1")), "expected pairs of a name and an extent's number"},
		{changed(stripes(512, "1")), ""},
		{changed(stripes(1024, "1")), ""},
		{changed(stripes(1025, "1")), "more than 1024 stripes"},
		{changed(plain, `["pv0", 5] }`, `["pv0", 45] }`), "belongs to both"},
		{changed(strings.Replace(plain, "striped", "linear", 1)), "extent 5 of physical volume pv0 belongs to both"},
		{changed(none("0", "1"), "pe_count = 1000", "pe_count = 4294967295"), ""},
		{changed(none("0", "1"), "pe_count = 1000", "pe_count = 4294967296"), "physical volume pv0: 4294967296 extents"},
		{changed(none("0", "16383"), "extent_size = 8", huge, "pe_start = 2048", "pe_start = 1099511627776", "pe_count = 1000", "pe_count = 16382"), ""},
		{changed(none("0", "16384"), "extent_size = 8", huge), "logical volume v: 16384 extents"},
		{changed(none("0", "1"), "extent_size = 8", huge, "pe_start = 2048", "pe_start = 1099511627777", "pe_count = 1000", "pe_count = 16382"), "physical volume pv0: 16382 extents"},
		{changed(none("0", "1"), "extent_size = 8", huge, "pe_start = 2048", "pe_start = 1", "pe_count = 1000", "pe_count = 16383"), "physical volume pv0: 16383 extents"},
		{changed(none("0", "1"), "extent_size = 8", huge, "pe_start = 2048", "pe_start = 0", "pe_count = 1000", "pe_count = 16383"), ""},
		{changed(none("0", "1"), "seqno", nested(64)), ""},
		{changed(none("0", "1"), "seqno", nested(65)), "sections stand more than 64 deep"},
		{changed(none("0", "1"), "seqno", strings.Repeat("a { } ", 100)+"seqno"), ""},
		{strings.ReplaceAll(changed(none("0", "1")), "vg0", "AZaz09"), ""},
		{strings.ReplaceAll(changed(none("0", "1")), "vg0 {", `"vg@" {`), "invalid name of a volume group"},
	} {
		_, err := lvm.ParseGroup([]byte(c.text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.3000s: %v, want %q", c.text, err, c.want)
		}
	}
}

// TestTextEnds: a text need not end with a zero byte, and may end anywhere.
func TestTextEnds(t *testing.T) {
	for text, want := range map[string]string{
		`vg0 { a = "b`:   "a string that does not end",
		`vg0 { a = "b\`:  "a string that does not end",
		`vg0 { a = "b\"`: "a string that does not end",
		`vg0 { a = 7`:    "the text ends in a section",
		`vg0 { a = b`:    "the text ends in a section",
		`vg0 {#`:         "the text ends in a section",
		`vg0`:            `expected a brace or an equals sign behind "vg0"`,
	} {
		if _, err := lvm.ParseGroup([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestShared: a group is shared that has a lock manager; what people are shown is quoted only where it must be.
func TestShared(t *testing.T) {
	for words, want := range map[string]string{
		``:                           "false  ",
		`lock_type = "none"`:         "false none ",
		`lock_type = "sanlock"`:      "true sanlock ",
		`system_id = "host"`:         "false  host",
		"system_id = \"h\x1b[m\"":    `false  "h\x1b[m"`,
		"system_id = \"h\xff\"":      `false  "h\xff"`,
		`status = ["CLUSTERED"]`:     "true  ",
		`lock_type = "dlm" flags=[]`: "true dlm ",
	} {
		g, err := lvm.ParseGroup([]byte(strings.Replace(text("vg0", 7, whole()), "seqno", words+" seqno", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(g.Shared(), " ", g.LockType, " ", g.SystemID); got != want {
			t.Errorf("%s: %s, want %s", words, got, want)
		}
	}
}

// TestDamaged: the copies of a group that are damaged are those on its physical volumes.
func TestDamaged(t *testing.T) {
	two := pvimage.Volume{UUID: uuid, Size: 4 << 20, Label: 1, Areas: []pvimage.Area{
		{Offset: 4096, Size: 65536, Start: 512, Text: text("vg0", 7, whole())},
		{Offset: 2 << 20, Size: 65536, Start: 512, Text: "damaged"},
	}}
	other := pvimage.Usual(id(50), 4<<20, "damaged")
	groups := lvm.Read(found(t, two.Image(), other.Image()))
	if len(groups.All) != 1 || len(groups.Unread()) != 2 {
		t.Fatalf("%+v", groups)
	}
	if c := groups.Damaged(groups.All[0]); len(c) != 1 || c[0].On.UUID != uuid {
		t.Errorf("%+v", c)
	}
	if _, err := lvm.Read(found(t, other.Image())).Named("vg0"); err == nil || err.Error() != "no volume group vg0 on the devices that could be read" {
		t.Errorf("%v", err)
	}
	if a := groups.Damaged(groups.All[0])[0].On.LabelArea(); a != (lvm.Area{Size: 2048}) {
		t.Errorf("a label may be in %+v, and is in one of four sectors", a)
	}
}
