package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

// module is where the module is.
type module struct{ dir string }

// source is one file of a package that is to be mutated.
type source struct {
	name    string // as people write it: from the module's directory
	path    string
	pkg     string // as name
	fset    *token.FileSet
	syntax  *ast.File
	info    *types.Info
	types   *types.Package
	content []byte
}

func (s *source) text(n ast.Node) string {
	return string(s.content[s.offset(n.Pos()):s.offset(n.End())])
}

func (s *source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

// load reads packages, named from the module's directory, with the types of all that is in them.
func load(patterns []string) (module, []*source, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return module{}, nil, err
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	for i, p := range patterns {
		patterns[i] = "./" + strings.TrimPrefix(p, "./")
	}
	loaded, err := packages.Load(&packages.Config{Mode: packages.LoadSyntax, Dir: root}, patterns...)
	if err != nil {
		return module{}, nil, err
	}
	if len(loaded) == 0 {
		return module{}, nil, fmt.Errorf("%s: there is no such package", strings.Join(patterns, " "))
	}
	m := module{root}
	var sources []*source
	for _, p := range loaded {
		if len(p.Errors) > 0 {
			return m, nil, p.Errors[0]
		}
		for i, syntax := range p.Syntax {
			s := &source{path: p.CompiledGoFiles[i], fset: p.Fset, syntax: syntax, info: p.TypesInfo, types: p.Types}
			if s.content, err = os.ReadFile(s.path); err != nil {
				return m, nil, err
			}
			if s.name, err = filepath.Rel(m.dir, s.path); err != nil {
				return m, nil, err
			}
			s.pkg = filepath.Dir(s.name)
			sources = append(sources, s)
		}
	}
	return m, sources, nil
}
