package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// same is a survivor that no test makes differ.
const same status = "same"

// TestSample runs the whole tool on a package that says what must become of each of its mutants.
func TestSample(t *testing.T) {
	defer func(old time.Duration) { grace = old }(grace)
	grace = 2 * time.Second
	m, sources, err := load([]string{"internal/mutants/testdata/sample"})
	if err != nil {
		t.Fatal(err)
	}
	found, mutants, points := find(sources, true, func(*mutant) bool { return true })
	if err := hunted(t.Context(), options{workers: 2}, m, t.TempDir(), found, mutants, points); err != nil {
		t.Fatal(err)
	}
	got := map[int][]status{}
	for _, x := range mutants {
		s := x.Status
		if x.Same {
			s = same
		}
		got[x.Line] = append(got[x.Line], s)
	}
	for i, line := range strings.Split(string(sources[0].content), "\n") {
		var want []status
		if at := strings.Index(line, "// "); at > 0 {
			for s := range strings.SplitSeq(line[at+3:], ", ") {
				want = append(want, status(s))
			}
		}
		if !reflect.DeepEqual(got[i+1], want) {
			t.Errorf("line %d: %v, want %v", i+1, got[i+1], want)
		}
	}
}

func TestDiff(t *testing.T) {
	diff := "+++ b/a/x.go\n@@ -1,2 +3 @@ func f() {\n-a\n-b\n+c\n@@ -9,0 +11,2 @@\n+d\n+e\n+++ b/y.go\n@@ -4 +3,0 @@\n-f\n"
	want := map[string][]lines{"a/x.go": {{3, 4}, {11, 13}}, "y.go": {{3, 3}}}
	if got := parseDiff(diff); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for line, want := range map[int]bool{2: false, 3: true, 4: false, 10: false, 11: true, 12: true, 13: false} {
		if got := isIn(line, parseDiff(diff)["a/x.go"]); got != want {
			t.Errorf("line %d: %t", line, got)
		}
	}
}

func TestExplained(t *testing.T) {
	path := filepath.Join(t.TempDir(), "explained.txt")
	text := "# why\n\na.go f: a < b -> a <= b\n\tThey never\n\tare equal.\nb.go g: x -> y\n\tGone.\n\nc.go h: x -> y\n\tNot looked at.\n"
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	all, err := readExplained(path)
	if err != nil {
		t.Fatal(err)
	}
	lives := &mutant{Package: "p", File: "a.go", Function: "f", Before: "a < b", After: "a <= b", Operator: boundary, Status: survived}
	dies := &mutant{Package: "p", File: "b.go", Function: "g", Before: "x", After: "y", Operator: boundary, Status: killed}
	stale := explain([]*mutant{lives, dies}, all)
	if lives.Reason != "They never are equal." || dies.Reason != "" {
		t.Errorf("%q, %q", lives.Reason, dies.Reason)
	}
	if len(stale) != 1 || stale[0].what != "b.go g: x -> y" || stale[0].line != 6 {
		t.Errorf("stale: %v", stale)
	}
	if dead, known := count([]*mutant{lives, dies}, true)[0].score(); dead != "50.0%" || known != "100.0%" {
		t.Errorf("score %s, %s", dead, known)
	}
	for _, bad := range []string{"a.go f: a -> b\n", "\tno mutant\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := readExplained(path); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
