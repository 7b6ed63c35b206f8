package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmcow/check"
)

// layers is what each package of the program may import of the project, and of others. Imports run downwards, and each
// thing is known in one place: the command line in cmd, what text for people looks like in internal/show, what is safe
// in snapshot, the operating system in internal/device and internal/inuse, and where LVM has its configuration in
// internal/volume.
var layers = map[string]struct{ own, others []string }{
	"dmcow":                       {own: []string{"dmcow/cmd"}},
	"dmcow/cmd/manual":            {},
	"dmcow/cmd":                   {own: []string{"dmcow/internal/pacefile", "dmcow/internal/pace", "dmcow/cmd/manual", "dmcow/store/look", "dmcow/snapshot", "dmcow/check", "dmcow/dump", "dmcow/repair", "dmcow/store", "dmcow/store/apply", "dmcow/store/merge", "dmcow/view", "dmcow/format", "dmcow/internal/argline", "dmcow/internal/dmtable", "dmcow/fs", "dmcow/internal/early", "dmcow/internal/extract", "dmcow/internal/fuse", "dmcow/internal/process", "dmcow/internal/progress", "dmcow/internal/record", "dmcow/internal/runlog", "dmcow/internal/show", "dmcow/internal/stdio", "dmcow/internal/units", "dmcow/internal/version", "dmcow/internal/words"}, others: []string{"github.com/alecthomas/kong", "golang.org/x/term"}},
	"dmcow/snapshot":              {own: []string{"dmcow/internal/pace", "dmcow/fs", "dmcow/fs/compare", "dmcow/fs/ext", "dmcow/fs/open", "dmcow/internal/inuse", "dmcow/internal/draft", "dmcow/internal/marks", "dmcow/internal/signature", "dmcow/store/create", "dmcow/store/look", "dmcow/store/save", "dmcow/store/undo", "dmcow/store/apply", "dmcow/store/delta", "dmcow/store/lvmsync", "dmcow/internal/memory", "dmcow/internal/raw", "dmcow/check", "dmcow/repair", "dmcow/store", "dmcow/store/merge", "dmcow/view", "dmcow/format", "dmcow/lvm", "dmcow/internal/device", "dmcow/internal/volume", "dmcow/internal/words"}},
	"dmcow/check":                 {own: []string{"dmcow/internal/memory", "dmcow/internal/raw", "dmcow/internal/words", "dmcow/store/look", "dmcow/format", "dmcow/internal/bitmap"}},
	"dmcow/repair":                {own: []string{"dmcow/store/look", "dmcow/store/undo", "dmcow/internal/raw", "dmcow/check", "dmcow/store", "dmcow/format"}},
	"dmcow/dump":                  {own: []string{"dmcow/internal/pace", "dmcow/fs", "dmcow/fs/compare", "dmcow/check", "dmcow/repair", "dmcow/view", "dmcow/store/look", "dmcow/format", "dmcow/internal/bitmap", "dmcow/internal/units", "dmcow/internal/words"}},
	"dmcow/fs":                    {own: []string{"dmcow/internal/bitmap"}},
	"dmcow/fs/compare":            {own: []string{"dmcow/fs", "dmcow/internal/bitmap"}},
	"dmcow/fs/ext":                {own: []string{"dmcow/fs", "dmcow/internal/bitmap", "dmcow/internal/raw"}},
	"dmcow/fs/open":               {own: []string{"dmcow/internal/signature", "dmcow/fs", "dmcow/fs/ext", "dmcow/fs/xfs"}},
	"dmcow/fs/xfs":                {own: []string{"dmcow/fs", "dmcow/internal/bitmap", "dmcow/internal/raw"}},
	"dmcow/internal/extract":      {own: []string{"dmcow/fs"}, others: []string{"golang.org/x/sys/unix"}},
	"dmcow/lvm":                   {others: []string{"github.com/diskfs/go-diskfs/partition"}},
	"dmcow/store":                 {own: []string{"dmcow/internal/raw", "dmcow/format", "dmcow/store/look", "dmcow/store/internal/header"}},
	"dmcow/store/look":            {own: []string{"dmcow/internal/raw", "dmcow/format"}},
	"dmcow/store/internal/header": {own: []string{"dmcow/internal/raw", "dmcow/format", "dmcow/store/look"}},
	"dmcow/store/create":          {own: []string{"dmcow/internal/ahead", "dmcow/internal/raw", "dmcow/format", "dmcow/store", "dmcow/store/look", "dmcow/store/internal/header"}},
	"dmcow/store/merge":           {own: []string{"dmcow/internal/ahead", "dmcow/internal/memory", "dmcow/internal/raw", "dmcow/format", "dmcow/store", "dmcow/store/look", "dmcow/store/undo"}},
	"dmcow/store/save":            {own: []string{"dmcow/internal/memory", "dmcow/internal/raw", "dmcow/internal/bitmap", "dmcow/format", "dmcow/store", "dmcow/store/look"}},
	"dmcow/store/undo":            {own: []string{"dmcow/internal/raw", "dmcow/internal/bitmap", "dmcow/format", "dmcow/store", "dmcow/store/label", "dmcow/store/look", "dmcow/store/internal/header"}},
	"dmcow/store/apply":           {own: []string{"dmcow/internal/ahead", "dmcow/internal/memory", "dmcow/internal/raw", "dmcow/format", "dmcow/store/delta", "dmcow/store/undo"}},
	"dmcow/store/lvmsync":         {own: []string{"dmcow/internal/raw", "dmcow/format", "dmcow/store/apply", "dmcow/store/delta"}},
	"dmcow/store/delta":           {own: []string{"dmcow/internal/ahead", "dmcow/internal/memory", "dmcow/internal/raw", "dmcow/format", "dmcow/store/label", "dmcow/store/look", "dmcow/store/internal/header"}},
	"dmcow/store/label":           {own: []string{"dmcow/internal/raw", "dmcow/format", "dmcow/store/look"}},
	"dmcow/view":                  {own: []string{"dmcow/internal/ahead", "dmcow/internal/memory", "dmcow/store/look", "dmcow/check", "dmcow/store", "dmcow/format", "dmcow/internal/bitmap"}},
	"dmcow/internal/argline":      {own: []string{"dmcow/internal/words"}},
	"dmcow/internal/bitmap":       {},
	"dmcow/internal/pace":         {},
	"dmcow/internal/pacefile":     {own: []string{"dmcow/internal/inuse", "dmcow/internal/pace", "dmcow/internal/words"}, others: []string{"golang.org/x/sys/unix"}},
	"dmcow/internal/words":        {},
	"dmcow/internal/progress":     {own: []string{"dmcow/internal/words"}},
	"dmcow/internal/raw":          {},
	"dmcow/internal/runlog":       {own: []string{"dmcow/internal/words"}},
	"dmcow/internal/record":       {own: []string{"dmcow/internal/pace", "dmcow/dump", "dmcow/snapshot", "dmcow/store/apply", "dmcow/store/delta", "dmcow/store/merge"}},
	"dmcow/internal/show":         {own: []string{"dmcow/internal/pace", "dmcow/fs", "dmcow/fs/compare", "dmcow/snapshot", "dmcow/dump", "dmcow/repair", "dmcow/check", "dmcow/store/apply", "dmcow/store/delta", "dmcow/store/look", "dmcow/store/merge", "dmcow/format", "dmcow/internal/words"}, others: []string{"github.com/fatih/color", "github.com/olekukonko/tablewriter"}},
	"dmcow/internal/memory":       {others: []string{"golang.org/x/sys/unix"}},
	"dmcow/internal/units":        {own: []string{"dmcow/format"}},
	"dmcow/internal/process":      {},
	"dmcow/internal/version":      {},
	"dmcow/internal/fuse":         {others: []string{"github.com/hanwen/go-fuse/v2", "golang.org/x/sys/unix"}},
	"dmcow/format":                {own: []string{"dmcow/internal/ahead"}},
	"dmcow/internal/ahead":        {},
	"dmcow/internal/dmtable":      {own: []string{"dmcow/dump", "dmcow/internal/device", "dmcow/internal/words", "dmcow/lvm", "dmcow/snapshot"}},
	"dmcow/internal/early":        {own: []string{"dmcow/internal/early/limit"}},
	"dmcow/internal/early/limit":  {},
	"dmcow/internal/stdio":        {own: []string{"dmcow/internal/words"}, others: []string{"golang.org/x/sys/unix"}},
	"dmcow/internal/raid":         {},
	"dmcow/internal/raidmeta":     {},
	"dmcow/internal/mirrorlog":    {},
	"dmcow/internal/marks":        {own: []string{"dmcow/internal/raw"}},
	"dmcow/internal/volume":       {own: []string{"dmcow/internal/cache", "dmcow/internal/integrity", "dmcow/internal/marks", "dmcow/internal/md", "dmcow/internal/thin", "dmcow/internal/writecache", "dmcow/internal/mirrorlog", "dmcow/internal/raid", "dmcow/internal/raidmeta", "dmcow/internal/words", "dmcow/internal/inuse", "dmcow/internal/signature", "dmcow/lvm", "dmcow/internal/device"}},
	"dmcow/internal/device":       {own: []string{"dmcow/internal/memory", "dmcow/internal/raw", "dmcow/internal/words", "dmcow/internal/inuse"}, others: []string{"golang.org/x/sys/unix"}},
	"dmcow/internal/inuse":        {own: []string{"dmcow/internal/raw", "dmcow/internal/words"}, others: []string{"golang.org/x/sys/unix"}},
	"dmcow/internal/draft":        {own: []string{"dmcow/internal/memory", "dmcow/internal/raw", "dmcow/internal/words", "dmcow/internal/device"}, others: []string{"golang.org/x/sys/unix"}},
	"dmcow/internal/scatter":      {own: []string{"dmcow/internal/raw"}},
	"dmcow/internal/persistent":   {own: []string{"dmcow/internal/raw"}},
	"dmcow/internal/thin":         {own: []string{"dmcow/internal/persistent", "dmcow/internal/scatter"}},
	"dmcow/internal/cache":        {own: []string{"dmcow/internal/persistent", "dmcow/internal/scatter"}},
	"dmcow/internal/md":           {own: []string{"dmcow/internal/raw", "dmcow/internal/scatter"}},
	"dmcow/internal/writecache":   {own: []string{"dmcow/internal/raw", "dmcow/internal/scatter"}},
	"dmcow/internal/integrity":    {own: []string{"dmcow/internal/raw", "dmcow/internal/scatter"}},
	"dmcow/internal/signature":    {own: []string{"dmcow/internal/raw"}},
}

// fenced are the packages of the standard library that only some may import.
var fenced = map[string][]string{
	"os":        {"dmcow", "dmcow/cmd", "dmcow/snapshot", "dmcow/internal/device", "dmcow/internal/inuse", "dmcow/internal/draft", "dmcow/internal/extract", "dmcow/internal/fuse", "dmcow/internal/pacefile", "dmcow/internal/process", "dmcow/internal/progress", "dmcow/internal/early", "dmcow/internal/early/limit", "dmcow/internal/runlog", "dmcow/internal/stdio", "dmcow/internal/volume"},
	"os/exec":   {"dmcow/internal/signature", "dmcow/internal/fuse"},
	"os/signal": {"dmcow/internal/process", "dmcow/internal/early"},
	"syscall":   {"dmcow/cmd", "dmcow/snapshot", "dmcow/internal/device", "dmcow/internal/inuse", "dmcow/internal/draft", "dmcow/internal/raw", "dmcow/internal/fuse", "dmcow/internal/process", "dmcow/internal/early", "dmcow/internal/early/limit", "dmcow/internal/stdio"},
	"unsafe":    {"dmcow/internal/device", "dmcow/internal/inuse", "dmcow/internal/memory"},
}

// TestLayers holds the imports of what becomes the program to the table.
func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	for pkg, imports := range programImports(t) {
		seen[pkg] = true
		layer, known := layers[pkg]
		if !known {
			t.Errorf("%s is in no layer", pkg)
		}
		for _, i := range imports {
			if !allowed(pkg, i, layer.own, layer.others) {
				t.Errorf("%s must not import %s", pkg, i)
			}
		}
	}
	for pkg := range layers {
		if !seen[pkg] {
			t.Errorf("%s is no part of the program", pkg)
		}
	}
}

func allowed(pkg, imported string, own, others []string) bool {
	if who, ok := fenced[imported]; ok {
		return slices.Contains(who, pkg)
	}
	if imported == "dmcow" || strings.HasPrefix(imported, "dmcow/") {
		return slices.Contains(own, imported)
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	return slices.ContainsFunc(others, func(o string) bool {
		return imported == o || strings.HasPrefix(imported, o+"/")
	})
}

// programImports is what each of the project's packages in the program
// imports.
func programImports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "dmcow").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if strings.HasPrefix(words[0], "dmcow") {
			all[words[0]] = words[1:]
		}
	}
	return all
}

// TestRulesByProperty: nobody outside package check knows a rule by its name; what a rule means stands
// in the rule.
func TestRulesByProperty(t *testing.T) {
	names := map[string]bool{}
	for _, r := range check.Rules() {
		if strings.Contains(r.Name, "-") { // the others are words
			names[r.Name] = true
		}
	}
	dirs := []string{".", "../snapshot", "../repair", "../view", "../store", "../store/merge", "../store/look", "../store/create", "../store/save", "../store/undo", "../dump", "../internal/show", "../internal/volume"}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING && names[strings.Trim(l.Value, "`\"")] {
					t.Errorf("%s: %s", file, l.Value)
				}
				return true
			})
		}
	}
}
