package packaging

import (
	"os"
	"strings"
	"testing"

	"dmcow/packaging/licences"
)

// TestCopyright compares packaging/copyright with the modules that are linked in and with the texts of their
// licences. DMCOW_GOLDEN=1 writes it anew.
func TestCopyright(t *testing.T) {
	all, err := licences.Collect("..")
	if err != nil {
		t.Fatal(err)
	}
	want := licences.Copyright(all)
	if os.Getenv("DMCOW_GOLDEN") != "" {
		if err := os.WriteFile("copyright", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("copyright")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("packaging/copyright differs from what is linked in: DMCOW_GOLDEN=1 go test ./packaging -run TestCopyright, and read the difference")
	}
	config, err := os.ReadFile("nfpm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if line := "\nlicense: " + licences.Expression(all) + "\n"; !strings.Contains(string(config), line) {
		t.Errorf("nfpm.yaml has not the line %s", line)
	}
}

// TestOutgoing: Apache-2.0 does not go with version 2 of the GPL.
func TestOutgoing(t *testing.T) {
	for want, names := range map[string][]string{
		"GPL-2.0-or-later AND BSD-3-Clause AND MIT":                {"MIT", "BSD-3-Clause", "MIT"},
		"GPL-3.0-or-later AND Apache-2.0 AND BSD-3-Clause AND MIT": {"MIT", "Apache-2.0", "BSD-3-Clause"},
	} {
		var all []*licences.Licence
		for _, name := range names {
			all = append(all, &licences.Licence{Name: name})
		}
		if got := licences.Expression(all); got != want {
			t.Errorf("%v: %s, want %s", names, got, want)
		}
	}
}
