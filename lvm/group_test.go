package lvm_test

import (
	"strings"
	"testing"
)

// TestReadOnly: WRITE stands in the status, or by its other name among the flags; of a group and of
// a volume alike.
func TestReadOnly(t *testing.T) {
	for words, want := range map[string]bool{
		``:                                        false,
		`status = ["READ"]`:                       true,
		`status = []`:                             true,
		`status = ["READ", "WRITE"] flags = []`:   false,
		`status = ["READ"] flags = []`:            true,
		`status = ["READ"] flags = ["PVMOVE"]`:    true,
		`flags = ["WRITE_LOCKED"] status = []`:    false,
		`status = ["READ"] flags = WRITE_LOCKED`:  false,
		`status = ["WRITE"] flags = ["NO_WRITE"]`: false,
	} {
		good := text("vg0", 7, whole())
		g, err := read(t, strings.Replace(good, "seqno", words+" seqno", 1))
		if err != nil || g.ReadOnly != want || g.Find("origin").ReadOnly {
			t.Errorf("%s in a group: read-only %v, %v", words, g.ReadOnly, err)
		}
		g, err = read(t, strings.Replace(good, "origin { ", "origin { "+words+" ", 1))
		if err != nil || g.Find("origin").ReadOnly != want || g.ReadOnly {
			t.Errorf("%s in a volume: read-only %v, %v", words, g.Find("origin").ReadOnly, err)
		}
	}
}
