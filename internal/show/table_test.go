package show

import "testing"

// TestTable: columns are aligned, numbers end in one line, and what is too wide becomes a sheet for each row.
func TestTable(t *testing.T) {
	head := []column{{Head: "name"}, {Head: "full", Right: true}, {Head: "none"}, {Head: "origin"}}
	rows := func(int) [][]string {
		return [][]string{{"a", "4.30%", "-", "x"}, {"a-long-name", "100.00%", "-", "-"}}
	}
	for width, want := range map[int]string{
		0:  "name            full  origin\na              4.30%  x\na-long-name  100.00%  -\n",
		28: "name            full  origin\na              4.30%  x\na-long-name  100.00%  -\n",
		27: "name    a\nfull    4.30%\norigin  x\n\nname  a-long-name\nfull  100.00%\n",
	} {
		if got, err := fitted(head, rows, width); err != nil || got != want {
			t.Errorf("%d: %v\n%s, want\n%s", width, err, got, want)
		}
	}
}

// TestSheet: what is long goes on under its beginning.
func TestSheet(t *testing.T) {
	got := sheet([][2]string{{"state", "a store that goes on"}, {"size", "1 MiB"}}, 16)
	if want := "state  a store\n       that goes\n       on\nsize   1 MiB\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
