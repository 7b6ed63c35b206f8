package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"runtime"
	"slices"
	"strings"
)

// The operators that the score is over. They are those that gremlins has on by default.
const (
	boundary   = "CONDITIONALS_BOUNDARY"
	negation   = "CONDITIONALS_NEGATION"
	increment  = "INCREMENT_DECREMENT"
	negative   = "INVERT_NEGATIVES"
	arithmetic = "ARITHMETIC_BASE"
)

// Two more, with -more. They do not count.
const (
	logical = "INVERT_LOGICAL"
	removal = "REMOVE_STATEMENT"
)

// mutant is one change of one operator.
type mutant struct {
	Number   uint32  `json:"-"`
	Package  string  `json:"package"`
	File     string  `json:"file"`
	Line     int     `json:"line"`
	Column   int     `json:"column"`
	Function string  `json:"function"`
	Operator string  `json:"operator"`
	Before   string  `json:"before"`
	After    string  `json:"after"`
	Status   status  `json:"status"`
	Same     bool    `json:"never_different,omitempty"` // no test makes the mutant have another value
	Killer   string  `json:"killer,omitempty"`
	Reason   string  `json:"explained,omitempty"`
	Seconds  float64 `json:"seconds"`
}

func (m *mutant) scored() bool { return m.Operator != logical && m.Operator != removal }

func (m *mutant) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s: %s -> %s", m.File, m.Line, m.Column, m.Function, m.Operator, m.Before, m.After)
}

// finder goes through one file, and writes down its mutants and what is to be changed for them.
type finder struct {
	*source
	more     bool
	wanted   func(m *mutant) bool
	next     *uint32
	function string
	mutants  []*mutant
	edits    edits
}

func (f *finder) file() {
	for _, d := range f.syntax.Decls {
		f.function = "-"
		if d, ok := d.(*ast.FuncDecl); ok {
			f.function = functionName(d)
		}
		f.walk(d)
	}
}

func functionName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if generic, ok := t.(*ast.IndexExpr); ok {
		t = generic.X
	}
	return types.ExprString(t) + "." + d.Name.Name
}

// walk finds the mutants of a node, then those of its children. What is around comes first: edits rely on it.
func (f *finder) walk(root ast.Node) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			return n.Tok != token.CONST
		case *ast.ArrayType: // its length must be constant
			f.walk(n.Elt)
			return false
		case *ast.CompositeLit:
			return f.literal(n)
		case *ast.IncDecStmt:
			return !f.step(n)
		case *ast.UnaryExpr:
			f.unary(n)
		case *ast.BinaryExpr:
			f.binary(n)
		case *ast.BlockStmt:
			f.statements(n.List)
		case *ast.CaseClause:
			f.statements(n.Body)
		case *ast.CommClause:
			f.statements(n.Body)
		}
		return true
	})
}

// literal leaves out the keys of arrays and slices, which must be constant.
func (f *finder) literal(l *ast.CompositeLit) bool {
	switch f.info.Types[l].Type.Underlying().(type) {
	case *types.Array, *types.Slice:
	default:
		return true
	}
	for _, e := range l.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			e = pair.Value
		}
		f.walk(e)
	}
	return false
}

// add makes a mutant, if it is wanted. Those of one point have numbers one after another.
func (f *finder) add(operator string, at token.Pos, before ast.Node, after string) uint32 {
	p := f.fset.Position(at)
	*f.next++
	m := &mutant{Number: *f.next, Package: f.pkg, File: f.name, Line: p.Line, Column: p.Column, Function: f.function,
		Operator: operator, Before: oneLine(f.text(before)), After: oneLine(after)}
	if f.wanted(m) {
		f.mutants = append(f.mutants, m)
	}
	return m.Number
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// changes is how an operator is changed: the function of package point that has it, and the mutants.
var changes = map[token.Token]struct {
	point    string
	boundary token.Token
	negation token.Token
	base     token.Token
}{
	token.LSS:  {"Less", token.LEQ, token.GEQ, 0},
	token.LEQ:  {"LessOrEqual", token.LSS, token.GTR, 0},
	token.GTR:  {"Greater", token.GEQ, token.LEQ, 0},
	token.GEQ:  {"GreaterOrEqual", token.GTR, token.LSS, 0},
	token.EQL:  {"", 0, token.NEQ, 0},
	token.NEQ:  {"", 0, token.EQL, 0},
	token.ADD:  {"Add", 0, 0, token.SUB},
	token.SUB:  {"Subtract", 0, 0, token.ADD},
	token.MUL:  {"Multiply", 0, 0, token.QUO},
	token.QUO:  {"Divide", 0, 0, token.MUL},
	token.REM:  {"Remainder", 0, 0, token.MUL},
	token.LAND: {},
	token.LOR:  {},
}

func (f *finder) binary(e *ast.BinaryExpr) {
	c, known := changes[e.Op]
	if !known {
		return
	}
	with := func(op token.Token) string { return f.text(e.X) + " " + op.String() + " " + f.text(e.Y) }
	switch {
	case c.base != 0:
		if f.countable(e, e.X, e.Y) {
			n := f.add(arithmetic, e.OpPos, e, with(c.base))
			f.call(e, n, c.point)
		}
	case c.boundary != 0:
		if f.info.Types[e].Value == nil && f.plainBool(e) {
			n := f.add(boundary, e.OpPos, e, with(c.boundary))
			f.add(negation, e.OpPos, e, with(c.negation))
			f.call(e, n, c.point)
		}
	case c.negation != 0:
		n := f.add(negation, e.OpPos, e, with(c.negation))
		f.edits.around(e, "((", fmt.Sprintf(") != %s)", at(n)))
	case f.more && f.plainBool(e) && f.plainBool(e.X) && f.plainBool(e.Y):
		f.logic(e, with)
	}
}

// logic writes a && b so that it becomes a || b when a mutant lives, without writing either twice: by De Morgan's law.
func (f *finder) logic(e *ast.BinaryExpr, with func(token.Token) string) {
	other := token.LAND
	if e.Op == token.LAND {
		other = token.LOR
	}
	n := f.add(logical, e.OpPos, e, with(other))
	invert := fmt.Sprintf(") != %s)", at(n))
	f.edits.around(e, "(", " != "+at(n)+")")
	f.edits.around(e, "(", ")")
	f.edits.around(e.X, "((", invert)
	f.edits.around(e.Y, "((", invert)
}

func at(n uint32) string { return fmt.Sprintf("%s.At(%d)", pointName, n) }

// call makes of a + b a call of a function of package point.
func (f *finder) call(e *ast.BinaryExpr, n uint32, function string) {
	operand := e.X // of a comparison, the value has another type
	if f.info.Types[e.X].Value != nil {
		operand = e.Y
	}
	if f.info.Types[e].Value != nil {
		operand = e
	}
	t := ""
	if f.info.Types[e].Value != nil || untypedShift(f.info, e.X) || untypedShift(f.info, e.Y) {
		t = f.typeArgument(operand)
	}
	f.edits.around(e, fmt.Sprintf("%s.%s%s(%d, ", pointName, function, t, n), ")")
	f.edits.replace(e.OpPos, e.Op.String(), ",")
}

func (f *finder) unary(e *ast.UnaryExpr) {
	if e.Op != token.SUB || !f.countable(e, e.X) {
		return
	}
	n := f.add(negative, e.OpPos, e, f.text(e.X))
	t := ""
	if f.info.Types[e].Value != nil || untypedShift(f.info, e.X) {
		t = f.typeArgument(e)
	}
	f.edits.around(e, fmt.Sprintf("%s.Negative%s(%d, ", pointName, t, n), ")")
	f.edits.replace(e.OpPos, "-", "")
}

// step is i++ or i--. It has i twice, so its operand must be one that can be evaluated twice; mutants within it
// are left out.
func (f *finder) step(s *ast.IncDecStmt) bool {
	if hasCall(s.X) {
		return false
	}
	function, other := "Increment", "--"
	if s.Tok == token.DEC {
		function, other = "Decrement", "++"
	}
	n := f.add(increment, s.TokPos, s, f.text(s.X)+other)
	f.edits.replace(s.TokPos, s.Tok.String(), fmt.Sprintf(" = %s.%s(%d, %s)", pointName, function, n, f.text(s.X)))
	return true
}

// statements are removed, one a mutant: calls whose value nobody wants, and assignments to what there is already.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		if f.more && removable(s) {
			n := f.add(removal, s.Pos(), s, "nothing")
			f.edits.around(s, "if !"+at(n)+" { ", " }")
		}
	}
}

func removable(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ExprStmt:
		call, ok := s.X.(*ast.CallExpr)
		if !ok {
			return false
		}
		name, ok := call.Fun.(*ast.Ident)
		return !ok || name.Name != "panic" // which ends a function that returns something
	case *ast.AssignStmt:
		name, ok := s.Lhs[0].(*ast.Ident)
		return s.Tok != token.DEFINE && !(ok && name.Name == "_")
	}
	return false
}

// countable: what is computed is a number, and if it is a constant, so that its operands fit its type.
func (f *finder) countable(e ast.Expr, operands ...ast.Expr) bool {
	t := f.info.Types[e]
	basic := basicType(t.Type)
	if basic == nil || basic.Info()&(types.IsInteger|types.IsFloat) == 0 {
		return false
	}
	if t.Value == nil {
		return true
	}
	if f.typeName(e) == "" {
		return false
	}
	return !slices.ContainsFunc(operands, func(o ast.Expr) bool {
		v := constant.ToInt(f.info.Types[o].Value)
		return v.Kind() != constant.Int || constant.BitLen(v) >= bits(basic) || constant.Sign(v) < 0 && basic.Info()&types.IsUnsigned != 0
	})
}

// basicType is that of a type, or of what a type parameter may be.
func basicType(t types.Type) *types.Basic {
	if p, ok := t.(*types.TypeParam); ok {
		if u, ok := p.Constraint().Underlying().(*types.Interface); ok && u.NumEmbeddeds() > 0 {
			t = u.EmbeddedType(0)
		}
		if u, ok := t.(*types.Union); ok {
			t = u.Term(0).Type()
		}
	}
	basic, _ := types.Default(t).Underlying().(*types.Basic)
	return basic
}

func bits(t *types.Basic) int { return int(types.SizesFor("gc", runtime.GOARCH).Sizeof(t)) * 8 }

func (f *finder) plainBool(e ast.Expr) bool {
	t, ok := f.info.Types[e].Type.(*types.Basic)
	return ok && t.Info()&types.IsBoolean != 0
}

// typeName is how a type is written in this file, or empty.
func (f *finder) typeName(e ast.Expr) string {
	known := true
	name := types.TypeString(types.Default(f.info.Types[e].Type), func(p *types.Package) string {
		if p == f.types {
			return ""
		}
		for _, i := range f.syntax.Imports {
			if imported := f.info.PkgNameOf(i); imported != nil && imported.Imported() == p {
				return imported.Name()
			}
		}
		known = false
		return ""
	})
	if !known {
		return ""
	}
	return name
}

// typeArgument is what makes a call have a type that its arguments do not tell.
func (f *finder) typeArgument(e ast.Expr) string {
	if name := f.typeName(e); name != "" {
		return "[" + name + "]"
	}
	return ""
}

// untypedShift: 1<<n takes its type from where it stands, which a call does not tell.
func untypedShift(info *types.Info, e ast.Expr) (found bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		if b, ok := n.(*ast.BinaryExpr); ok && (b.Op == token.SHL || b.Op == token.SHR) && info.Types[b.X].Value != nil {
			found = true
		}
		return true
	})
	return found
}

func hasCall(e ast.Expr) (found bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		_, ok := n.(*ast.CallExpr)
		found = found || ok
		return true
	})
	return found
}
