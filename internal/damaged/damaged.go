// Package damaged has the project's damaged stores: specs of them, with what a
// check is to say of each, and what a kernel did with them (testdata/damaged).
package damaged

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// Unnamed is the verdict without the names of errors, which kernels before 6.1 do not log.
func (v Verdict) Unnamed() Verdict {
	v.Refused = errorName.ReplaceAllString(v.Refused, "")
	return v
}

var errorName = regexp.MustCompile(` \(-E[A-Z]+\)`)

// Right reports whether the kernel did well by the store, as far as was tried.
func (v Verdict) Right() bool {
	return v.Refused == "" && !v.Formatted && v.View == AsListed && v.After == AsListed && v.Merge == AsListed
}

// A Version is a kernel's: {6, 12}.
type Version [2]int

// Base is the newest kernel that does with all stores what kernel.json has, as those before it did.
var Base = Version{6, 1}

// Verdicts reads what a kernel does with each store from testdata/damaged: kernel.json, and of kernels since
// another version, kernel-VERSION.json has those that differ.
func Verdicts(t testing.TB, of Version) map[string]Verdict {
	t.Helper()
	all := map[string]Verdict{}
	for _, v := range Versions(t) {
		if v != Base && slices.Compare(v[:], of[:]) > 0 {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, fileOf(v)))
		if err == nil {
			err = json.Unmarshal(b, &all)
		}
		if err != nil {
			t.Fatalf("%s: %v", fileOf(v), err)
		}
	}
	return all
}

// Versions are the kernels that began to do something else with one of the stores, the oldest first, and before
// them the one that kernel.json is of.
func Versions(t testing.TB) []Version {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "kernel-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := []Version{Base}
	for _, f := range files {
		var v Version
		if _, err := fmt.Sscanf(filepath.Base(f), "kernel-%d.%d.json", &v[0], &v[1]); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b Version) int { return slices.Compare(a[:], b[:]) })
	return all
}

func fileOf(v Version) string {
	if v == Base {
		return "kernel.json"
	}
	return fmt.Sprintf("kernel-%d.%d.json", v[0], v[1])
}

// Save writes a kernel's verdicts to a directory, those that differ from what is stored of older ones.
func Save(t testing.TB, to string, of Version, all map[string]Verdict) {
	t.Helper()
	switch slices.Compare(of[:], Base[:]) {
	case -1:
		t.Fatalf("kernel.json is of %v, and has the names of errors, which %v does not log", Base, of)
	case 1:
		older := Verdicts(t, Version{of[0], of[1] - 1})
		maps.DeleteFunc(all, func(name string, v Verdict) bool { return older[name] == v })
	}
	if len(all) == 0 {
		return
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(to, fileOf(of)), append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
