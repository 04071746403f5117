package starlark

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// The names under which scripts call wrap, wrapAll, bound and plain. No script can write them itself.
const (
	wrapName   = "·"
	wrapNumber = "·="
	boundName  = "·+"
	plainName  = "·=="
	plus       = syntax.PLUS
)

// guardOperators has every operand of * and %, and every value whose join, format, replace, index or remove is called, pass
// wrap, what is added pass bound, and what is compared pass plain.
func guardOperators(tree *syntax.File) {
	call := func(name string, at syntax.Position, x syntax.Expr) syntax.Expr {
		if literal, ok := x.(*syntax.Literal); ok && literal.Token != syntax.STRING && literal.Token != syntax.BYTES {
			return x
		}
		return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: at, Name: name}, Lparen: at, Args: []syntax.Expr{x}, Rparen: at}
	}
	syntax.Walk(tree, func(n syntax.Node) bool {
		switch x := n.(type) {
		case *syntax.BinaryExpr:
			if x.Op == syntax.STAR || x.Op == syntax.PERCENT {
				x.X = call(wrapName, x.OpPos, x.X)
				x.Y = call(wrapName, x.OpPos, x.Y)
			}
			if x.Op == syntax.PLUS {
				x.Y = call(boundName, x.OpPos, x.Y)
			}
			guardComparison(x, call)
		case *syntax.AssignStmt:
			if x.Op == syntax.PLUS_EQ {
				x.RHS = call(boundName, x.OpPos, x.RHS)
			}
			if x.Op == syntax.PIPE_EQ {
				x.RHS = call(plainName, x.OpPos, x.RHS)
			}
			if x.Op == syntax.STAR_EQ || x.Op == syntax.PERCENT_EQ {
				x.RHS = &syntax.CallExpr{Fn: &syntax.Ident{NamePos: x.OpPos, Name: wrapNumber}, Lparen: x.OpPos, Args: []syntax.Expr{x.RHS}, Rparen: x.OpPos}
			}
		case *syntax.DotExpr:
			switch x.Name.Name {
			case "join", "replace", "format", "index", "remove", "extend", "split", "rsplit", "splitlines":
				x.X = call(wrapName, x.Dot, x.X)
			}
		}
		return true
	})
}

// guardComparison has the right side of a comparison pass plain, and of in the left one, which starlark compares second.
// A literal needs nothing of it, whichever side it is.
func guardComparison(x *syntax.BinaryExpr, call func(string, syntax.Position, syntax.Expr) syntax.Expr) {
	switch x.Op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
		if !isLiteral(x.X) && !isLiteral(x.Y) {
			x.Y = call(plainName, x.OpPos, x.Y)
		}
	case syntax.IN, syntax.NOT_IN:
		if !isLiteral(x.X) {
			x.X = call(plainName, x.OpPos, x.X)
		}
	}
}

func isLiteral(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.Literal:
		return true
	case *syntax.Ident:
		return x.Name == "None" || x.Name == "True" || x.Name == "False"
	}
	return false
}

// wrap is the value itself, unless it is one that an operator could blow up.
func wrap(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	switch x := args[0].(type) {
	case starlark.String, starlark.Bytes, *starlark.List, starlark.Tuple:
		return &wrapped{x}, nil
	case starlark.Int:
		if _, small := x.Int64(); !small && x.BigInt().BitLen() > maxBits {
			return nil, errBits
		}
	}
	return args[0], nil
}

// wrapAll wraps the right side of *= and %=, whose left side stays as it is.
func wrapAll(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return &wrapped{args[0]}, nil
}

// bound refuses a large right side of + and +=, so that nothing can double for long.
func bound(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	switch x := args[0].(type) {
	case starlark.String:
		if len(x) > maxBuilt {
			return nil, errBuilt
		}
	case *starlark.List, starlark.Tuple:
		if starlark.Len(x) > maxItems {
			return nil, errItems
		}
	}
	return args[0], nil
}

// wrapped is a value on its way to an operator.
type wrapped struct{ starlark.Value }

// Binary does the operation within the bounds.
func (w *wrapped) Binary(op syntax.Token, other starlark.Value, side starlark.Side) (starlark.Value, error) {
	if o, ok := other.(*wrapped); ok {
		other = o.Value
	}
	x, y := w.Value, other
	if side == starlark.Right {
		x, y = y, x
	}
	if op == syntax.STAR {
		if err := checkRepeat(x, y); err != nil {
			return nil, err
		}
	} else if text, ok := x.(starlark.String); ok {
		if err := checkFormat(text, y); err != nil {
			return nil, err
		}
	}
	return starlark.Binary(op, x, y)
}
