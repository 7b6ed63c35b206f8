// Package damaged has the project's damaged stores: specs of them, with what a
// check is to say of each, and what a kernel did with them (testdata/damaged).
package damaged

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"dmcow/internal/storespec"
)

// OriginSectors is the size of the origin of all of them, in sectors.
const OriginSectors = 256

// Case is a store.
type Case struct {
	Name  string
	Image []byte
	// Result and Rules are what a check that knows the origin's size says: the
	// outcome, and the rules that find something, in any order.
	Result string
	Rules  []string
}

// Load reads testdata/damaged/cases.txtar. The first line of each case is
// "# RESULT: RULE ...".
func Load(t testing.TB) []Case {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join(dir, "cases.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var all []Case
	for _, f := range archive.Files {
		head, _, _ := strings.Cut(strings.TrimPrefix(string(f.Data), "# "), "\n")
		result, rules, _ := strings.Cut(head, ":")
		image, err := storespec.Compile(string(f.Data))
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		all = append(all, Case{Name: f.Name, Image: image, Result: result, Rules: strings.Fields(rules)})
	}
	return all
}

// dir is where the cases are, seen from the packages whose tests load them.
const dir = "../testdata/damaged"

// Verdict is what a kernel did with a store, each time with a fresh copy of it.
type Verdict struct {
	// Refused has the kernel's words where it would not load the store.
	Refused string `json:"refused,omitempty"`
	// Formatted is true where it wrote an empty store over it.
	Formatted bool   `json:"formatted,omitempty"`
	Status    string `json:"status,omitempty"`
	// View reports whether the snapshot read as the list says. After tells the same
	// after a write to one chunk and another load, of the other chunks and of the
	// list. Merge reports whether the origin read as the list says after a merge.
	View  string `json:"view,omitempty"`
	After string `json:"after,omitempty"`
	Merge string `json:"merge,omitempty"`
}

// What View, After and Merge say.
const (
	AsListed  = "as listed"
	Otherwise = "otherwise"
	IOError   = "I/O error"
	Lost      = "lost" // the snapshot was dropped
	Failed    = "failed"
)

// Right reports whether the kernel did well by the store, as far as was tried.
func (v Verdict) Right() bool {
	return v.Refused == "" && !v.Formatted && v.View == AsListed && v.After == AsListed && v.Merge == AsListed
}

// Verdicts reads testdata/damaged/kernel.json.
func Verdicts(t testing.TB) map[string]Verdict {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]Verdict
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// Save writes kernel.json to a directory.
func Save(t testing.TB, to string, all map[string]Verdict) {
	t.Helper()
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "kernel.json"), append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
