package lvm_test

import (
	"fmt"
	"strings"
	"testing"
)

// tie is the text of a volume that ties a snapshot to its origin.
func tie(n int, name, origin, cow string) string {
	return volume(n, name, strings.NewReplacer(`"origin"`, fmt.Sprintf("%q", origin), `"snap"`, fmt.Sprintf("%q", cow)).Replace(snapshot))
}

// TestTies: what cannot be a tie between a snapshot and its origin is an error.
func TestTies(t *testing.T) {
	other := volume(5, "other", strings.Replace(plain, "5]", "45]", 1))
	for _, c := range []struct{ more, want string }{
		{tie(9, "snapshot1", "origin", "other"), ""},
		{tie(9, "snapshot1", "origin", "snap"), `snapshot snapshot1: its COW store "snap" also belongs to snapshot0`},
		{tie(9, "snapshot1", "other", "snap"), `snapshot snapshot1: its COW store "snap" also belongs to snapshot0`},
		{tie(9, "snapshot1", "other", "other"), `snapshot snapshot1: "other" is both its origin and its COW store`},
		{tie(9, "snapshot1", "snap", "other"), `snapshot snapshot1: its origin "snap" is the COW store of snapshot0`},
		{tie(9, "snapshot1", "other", "origin"), `snapshot snapshot0: its origin "origin" is the COW store of snapshot1`},
		{strings.Replace(tie(9, "snapshot1", "origin", "other"), "cow_store", `merging_store = "other" cow_store`, 1),
			"logical volume snapshot1: a segment with two COW stores"},
		{volume(9, "snapshot1", strings.ReplaceAll(snapshot, "snap\"", "other\"")+` segment2 { start_extent = 10 extent_count = 1 type = "zero" }`),
			"snapshot snapshot1: 2 segments, expected one"},
	} {
		_, err := read(t, text("vg0", 1, whole()+other+c.more))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %s", c.more, err, c.want)
		}
	}
}

// TestSnapshotSize: a snapshot's size is its tie's, and neither its origin's nor its store's.
func TestSnapshotSize(t *testing.T) {
	g, err := read(t, text("vg0", 1, strings.Replace(whole(), `extent_count = 10 type = "snapshot"`, `extent_count = 7 type = "snapshot"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if s := g.Snapshots()[0]; s.Size != 7*4096 || g.Size(s.Origin) != 10*4096 {
		t.Errorf("%d bytes, its origin %d", s.Size, g.Size(s.Origin))
	}
}
