package cmd

import (
	"io"
	"slices"
	"strings"
	"testing"

	"dmcow/dump"
)

// TestDocuments: what a command can write for programs is documented, and nothing else.
func TestDocuments(t *testing.T) {
	want := map[[2]string]bool{}
	for _, c := range newParser(&cli{}, nil, io.Discard, io.Discard).Model.Children {
		for _, f := range c.Flags {
			for _, format := range []string{"json", "csv"} {
				if f.Name == "output" && slices.Contains(f.EnumSlice(), format) {
					want[[2]string{c.Name, "--output " + format}] = true
				}
			}
			if f.Name == "output" && f.Short != 'o' {
				t.Errorf("%s: --output has no -o", c.Name)
			}
		}
	}
	for _, d := range dump.Documented() {
		of := [2]string{d.Command, d.Flag}
		if strings.HasPrefix(d.Flag, "--output") && !want[of] {
			t.Errorf("%q is documented, and cannot be asked for, or twice", of)
		}
		delete(want, of)
	}
	for of := range want {
		t.Errorf("%q is not documented", of)
	}
}
