package script

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A script's memory is bounded in two ways. What grows step by step is watched, and the script is stopped when it holds
// too much. What a single operation could blow up at once is refused beforehand, since nothing can interrupt it: repeating,
// formatting, joining and replacing texts, writing nested values out, and ranges.
const (
	maxBuilt = 64 << 20 // bytes of a text that one operation makes
	maxItems = 4 << 20  // items of a list that one operation makes
	maxRange = 10_000_000
	maxBits  = 1 << 16 // of an int that is multiplied
	maxDeep  = 1000    // of a value that is written out
)

var (
	errBuilt = fmt.Errorf("makes a text of more than %d MiB", maxBuilt>>20)
	errItems = fmt.Errorf("makes a list of more than %d items", maxItems)
	errBits  = errors.New("the numbers are too large to multiply")
	errDeep  = fmt.Errorf("is nested more than %d deep", maxDeep)
)

// The names under which scripts call wrap and wrapAll. No script can write them itself.
const (
	wrapName   = "·"
	wrapNumber = "·="
	boundName  = "·+"
	plus       = syntax.PLUS
)

// guardOperators has every operand of * and %, and every text whose join, format or replace is called, pass wrap, and what
// is added pass bound.
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
		case *syntax.AssignStmt:
			if x.Op == syntax.PLUS_EQ {
				x.RHS = call(boundName, x.OpPos, x.RHS)
			}
			if x.Op == syntax.STAR_EQ || x.Op == syntax.PERCENT_EQ {
				x.RHS = &syntax.CallExpr{Fn: &syntax.Ident{NamePos: x.OpPos, Name: wrapNumber}, Lparen: x.OpPos, Args: []syntax.Expr{x.RHS}, Rparen: x.OpPos}
			}
		case *syntax.DotExpr:
			switch x.Name.Name {
			case "join", "replace", "format":
				x.X = call(wrapName, x.Dot, x.X)
			}
		}
		return true
	})
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

func checkRepeat(x, y starlark.Value) error {
	n, ok := y.(starlark.Int)
	if !ok {
		if n, ok = x.(starlark.Int); !ok {
			return nil // no repetition
		}
		x = y
	}
	if other, ok := x.(starlark.Int); ok {
		for _, i := range []starlark.Int{n, other} {
			if i.BigInt().BitLen() > maxBits {
				return errBits
			}
		}
		return nil
	}
	times, small := n.Int64()
	size, most, err := int64(starlark.Len(x)), int64(maxBuilt), errBuilt
	switch x.(type) {
	case *starlark.List, starlark.Tuple:
		most, err = maxItems, errItems
	}
	if n.Sign() > 0 && size > 0 && (!small || times > most/size) {
		return err
	}
	return nil
}

// checkFormat bounds text % values. A width cannot be given in Starlark, so what comes out is no longer than its parts.
func checkFormat(text starlark.String, values starlark.Value) error {
	_, err := textSize(values, maxBuilt-min(len(text), maxBuilt), 0)
	return err
}

// textSize is about how long a value is when it is written out; an error where it is more than max. Shared values count
// each time.
func textSize(v starlark.Value, max, depth int) (int, error) {
	size := 8
	if depth > maxDeep {
		return 0, errDeep
	}
	add := func(item starlark.Value) error {
		n, err := textSize(item, max-size, depth+1)
		size += n
		return err
	}
	switch x := v.(type) {
	case *wrapped:
		return textSize(x.Value, max, depth)
	case starlark.String:
		size += len(x)
	case starlark.Bytes:
		size += len(x)
	case starlark.Int:
		if _, small := x.Int64(); !small {
			size += x.BigInt().BitLen() / 3
		}
	case *starlark.Dict:
		for key, value := range x.Entries() {
			if err := errors.Join(add(key), add(value)); err != nil {
				return 0, err
			}
		}
	case starlark.Iterable:
		if _, ok := x.(starlark.Sequence); ok && starlark.Len(x) > max/2 {
			return 0, errBuilt
		}
		for item := range starlark.Elements(x) {
			if err := add(item); err != nil {
				return 0, err
			}
		}
	}
	if size > max {
		return 0, errBuilt
	}
	return size, nil
}
