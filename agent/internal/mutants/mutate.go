package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
)

// mutation is a replacement of a part of a source file.
type mutation struct {
	file     string
	line     int
	from, to int    // range of the replaced part in the file
	old, new string // the replaced part and its replacement; new = "" removes the part
}

// apply returns the source after the replacement.
func (m *mutation) apply(source []byte) []byte {
	return slices.Concat(source[:m.from], []byte(m.new), source[m.to:])
}

// String returns the replacement as one line.
func (m *mutation) String() string {
	short := func(text string) string {
		text = strings.Join(strings.Fields(text), " ")
		if runes := []rune(text); len(runes) > 60 {
			text = string(runes[:60]) + "…"
		}
		return text
	}
	if m.new == "" {
		return "without: " + short(m.old)
	}
	return short(m.old) + " → " + short(m.new)
}

// mutationsOf returns all mutations of a Go file in the order of their positions.
func mutationsOf(file string) ([]mutation, error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var all []mutation
	replace := func(from, to token.Pos, text string) {
		start, end := files.Position(from), files.Position(to)
		all = append(all, mutation{file, start.Line, start.Offset, end.Offset, string(source[start.Offset:end.Offset]), text})
	}
	for _, decl := range parsed.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil || fn.Name.Name == "String" {
			continue
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			mutate(n, replace)
			return true
		})
	}
	return all, nil
}

// mutate calls replace for each mutation of the node n. It does not look at the nodes below n.
func mutate(n ast.Node, replace func(from, to token.Pos, text string)) {
	remove := func(n ast.Node) { replace(n.Pos(), n.End(), "") }
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if other := opposite(n.Op); other != token.ILLEGAL && (n.Op != token.ADD || !isString(n)) {
			replace(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), other.String())
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			replace(n.OpPos, n.OpPos+1, "")
		}
	case *ast.Ident:
		switch n.Name {
		case "true":
			replace(n.Pos(), n.End(), "false")
		case "false":
			replace(n.Pos(), n.End(), "true")
		}
	case *ast.BasicLit:
		if v, err := strconv.Atoi(n.Value); n.Kind == token.INT && err == nil {
			replace(n.Pos(), n.End(), strconv.Itoa(v+1))
		}
	case *ast.IfStmt:
		if n.Else == nil && n.Init == nil {
			remove(n)
		}
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.BranchStmt, *ast.DeferStmt:
		remove(n)
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			remove(n)
		}
	}
}

// opposite returns the operator that replaces op in a mutation, or ILLEGAL if there is none.
func opposite(op token.Token) token.Token {
	return map[token.Token]token.Token{
		token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
		token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
		token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	}[op]
}

// isString reports whether an expression is a string literal, or a sum that contains one.
func isString(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.BasicLit:
		return x.Kind == token.STRING
	case *ast.BinaryExpr:
		return x.Op == token.ADD && (isString(x.X) || isString(x.Y))
	}
	return false
}
