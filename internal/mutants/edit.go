package main

import (
	"cmp"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// What instrumented code calls package point, and where it is.
const (
	pointName = "mutantpoint"
	pointPath = "dmcow/internal/mutants/point"
)

// edits are the changes of a file's text. Lines stay as they are, so that the compiler's messages fit.
type edits struct {
	source *source
	list   []edit
}

type edit struct {
	offset int
	remove int
	insert string
	rank   int // among edits at one offset
}

// around writes something before and behind a node. What is around comes first: of two nodes that begin at one
// offset, the second lies within the first.
func (e *edits) around(n ast.Node, before, behind string) {
	rank := len(e.list) + 1
	e.list = append(e.list,
		edit{offset: e.source.offset(n.Pos()), insert: before, rank: rank},
		edit{offset: e.source.offset(n.End()), insert: behind, rank: -rank})
}

func (e *edits) replace(at token.Pos, old, new string) {
	e.list = append(e.list, edit{offset: e.source.offset(at), remove: len(old), insert: new, rank: len(e.list) + 1})
}

// apply returns the file with its edits, and the import that they need.
func (e *edits) apply() string {
	e.list = append(e.list, edit{offset: e.source.offset(e.source.syntax.Name.End()), insert: "; import " + pointName + ` "` + pointPath + `"`})
	slices.SortStableFunc(e.list, func(a, b edit) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.rank, b.rank))
	})
	var out strings.Builder
	done := 0
	for _, edit := range e.list {
		out.Write(e.source.content[done:edit.offset])
		out.WriteString(edit.insert)
		done = edit.offset + edit.remove
	}
	out.Write(e.source.content[done:])
	return out.String()
}
