package sandbox

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// The names of the checks, which Compile inserts into scripts. A script cannot contain such names, since they are not valid
// identifiers.
const (
	operandName      = "·"   // guardOperand
	rightOperandName = "·="  // guardRightOperand
	formatName       = "·%=" // guardFormat
	addendName       = "·+"  // boundAddend
	comparandName    = "·==" // expandComparand
)

// guardOperators rewrites a script so that these values are checked: the operands of * and %, the right operand of +, the right operand of
// a comparison, and a value on which one of these methods is called: join, format, replace, split, extend, index, remove.
func guardOperators(tree *syntax.File) {
	syntax.Walk(tree, func(n syntax.Node) bool {
		switch x := n.(type) {
		case *syntax.BinaryExpr:
			guardBinary(x)
		case *syntax.AssignStmt:
			switch x.Op {
			case syntax.PLUS_EQ:
				x.RHS = check(addendName, x.OpPos, x.RHS)
			case syntax.PIPE_EQ:
				x.RHS = check(comparandName, x.OpPos, x.RHS)
			case syntax.STAR_EQ, syntax.PERCENT_EQ:
				guardAssignment(x)
			}
		case *syntax.DotExpr:
			switch x.Name.Name {
			case "join", "replace", "format", "index", "remove", "extend", "split", "rsplit", "splitlines":
				x.X = check(operandName, x.Dot, x.X)
			}
		}
		return true
	})
}

// guardAssignment rewrites x *= y and x %= y. If the left side is a name, the statement becomes x = x * y, whose operands are then
// checked. Other left sides may have side effects and must not be evaluated twice, so only the right side is checked.
func guardAssignment(x *syntax.AssignStmt) {
	op, name := syntax.STAR, rightOperandName
	if x.Op == syntax.PERCENT_EQ {
		op, name = syntax.PERCENT, formatName
	}
	if left, ok := x.LHS.(*syntax.Ident); ok {
		x.Op = syntax.EQ
		x.RHS = &syntax.BinaryExpr{X: &syntax.Ident{NamePos: left.NamePos, Name: left.Name}, OpPos: x.OpPos, Op: op, Y: x.RHS}
		return
	}
	x.RHS = callOf(name, x.OpPos, x.RHS)
}

func guardBinary(x *syntax.BinaryExpr) {
	switch x.Op {
	case syntax.STAR, syntax.PERCENT:
		x.X = check(operandName, x.OpPos, x.X)
		x.Y = check(operandName, x.OpPos, x.Y)
	case syntax.PLUS:
		x.Y = check(addendName, x.OpPos, x.Y)
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE:
		if !isLiteral(x.X) && !isLiteral(x.Y) {
			x.Y = check(comparandName, x.OpPos, x.Y)
		}
	case syntax.IN, syntax.NOT_IN: // for these operators, Starlark compares the right operand's items with the left operand
		if !isLiteral(x.X) {
			x.X = check(comparandName, x.OpPos, x.X)
		}
	}
}

// check returns a call of the check with this name, with x as the argument. A number in the script needs no check, so it is returned
// unchanged.
func check(name string, at syntax.Position, x syntax.Expr) syntax.Expr {
	if literal, ok := x.(*syntax.Literal); ok && literal.Token != syntax.STRING && literal.Token != syntax.BYTES {
		return x
	}
	return callOf(name, at, x)
}

func callOf(name string, at syntax.Position, x syntax.Expr) syntax.Expr {
	return &syntax.CallExpr{Fn: &syntax.Ident{NamePos: at, Name: name}, Lparen: at, Args: []syntax.Expr{x}, Rparen: at}
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

// guardOperand returns its argument. If an operator or method could make a very large result from the argument, the argument is wrapped in
// an operand.
func guardOperand(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	switch x := args[0].(type) {
	case starlark.String, starlark.Bytes, *starlark.List, starlark.Tuple:
		return &operand{x}, nil
	case starlark.Int:
		if _, small := x.Int64(); !small && x.BigInt().BitLen() > maxBits {
			return nil, errBits
		}
	}
	return args[0], nil
}

// guardRightOperand returns the right side of *= as an operand. It does so even for numbers, since the left side is not checked and may
// be a string or a list.
func guardRightOperand(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return &operand{args[0]}, nil
}

// guardFormat returns an error if the right side of %= could make a very large result. The text on the left side is not known here. Since
// that text may use a key of a dict several times, a dict is always an error.
func guardFormat(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	if _, ok := args[0].(starlark.Mapping); ok {
		return nil, errors.New("%= with a dict needs a variable on its left side")
	}
	_, err := Size(args[0], MaxString)
	return args[0], err
}

// boundAddend returns an error if the right operand of + or += is large, so that a loop that doubles a value in each step ends soon.
func boundAddend(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	switch x := args[0].(type) {
	case starlark.String:
		if len(x) > MaxString {
			return nil, ErrString
		}
	case *starlark.List, starlark.Tuple:
		if starlark.Len(x) > maxItems {
			return nil, errItems
		}
	}
	return args[0], nil
}

// operand is a value whose operators and methods check the size of their results.
type operand struct{ starlark.Value }

// Binary checks the operands and then does the operation.
func (o *operand) Binary(op syntax.Token, other starlark.Value, side starlark.Side) (starlark.Value, error) {
	if right, ok := other.(*operand); ok {
		other = right.Value
	}
	x, y := o.Value, other
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

// Attr returns a method of the value. If the method could make a very large result, or compares items, the returned method first
// checks its arguments.
func (o *operand) Attr(name string) (starlark.Value, error) {
	x, ok := o.Value.(starlark.HasAttrs)
	if !ok {
		return nil, nil
	}
	method, err := x.Attr(name)
	if err != nil || method == nil {
		return method, err
	}
	before := o.beforeCall(name)
	if before == nil {
		return method, nil
	}
	return starlark.NewBuiltin(name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		args, err := before(args, kwargs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return starlark.Call(thread, method, args, kwargs)
	}), nil
}

// beforeCall returns the check for the arguments of a method, or nil if they are not checked.
func (o *operand) beforeCall(name string) func(args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Tuple, error) {
	switch x := o.Value.(type) {
	case starlark.String:
		var check func(starlark.String, starlark.Tuple, []starlark.Tuple) error
		switch name {
		case "join":
			check = checkJoin
		case "replace":
			check = checkReplace
		case "format":
			check = checkArguments
		case "split", "rsplit", "splitlines":
			check = checkSplit
		default:
			return nil
		}
		return func(args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Tuple, error) {
			return args, check(x, args, kwargs)
		}
	case *starlark.List:
		switch name {
		case "extend":
			return func(args starlark.Tuple, _ []starlark.Tuple) (starlark.Tuple, error) {
				if len(args) == 1 && x.Len()+max(starlark.Len(args[0]), 0) > maxItems {
					return nil, errItems
				}
				return args, nil
			}
		case "index", "remove":
			return expandFirst
		}
	}
	return nil
}

// AttrNames returns the attribute names of the value.
func (o *operand) AttrNames() []string {
	if x, ok := o.Value.(starlark.HasAttrs); ok {
		return x.AttrNames()
	}
	return nil
}

// checkRepeat checks the size of the result of x * y.
func checkRepeat(x, y starlark.Value) error {
	n, ok := y.(starlark.Int)
	if !ok {
		if n, ok = x.(starlark.Int); !ok {
			return nil // the operation is neither a repetition nor a product of ints
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
	size, most, err := int64(starlark.Len(x)), int64(MaxString), ErrString
	switch x.(type) {
	case *starlark.List, starlark.Tuple:
		most, err = maxItems, errItems
	}
	if n.Sign() > 0 && size > 0 && (!small || times > most/size) {
		return err
	}
	return nil
}

// checkFormat checks the size of the result of text % values. Starlark has no field widths, so the result is not longer than its parts. A
// text may use a key of a dict several times, so each use is counted with the size of the largest value.
func checkFormat(text starlark.String, values starlark.Value) error {
	most := MaxString - min(len(text), MaxString)
	if _, ok := values.(starlark.Mapping); ok {
		most = max(most/max(strings.Count(string(text), "%("), 1), 1000)
	}
	_, err := Size(values, most)
	return err
}

func checkJoin(sep starlark.String, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) != 1 {
		return nil // the method itself reports the error
	}
	list, ok := args[0].(starlark.Iterable)
	if !ok {
		return nil
	}
	size := 0
	for item := range starlark.Elements(list) {
		text, _ := item.(starlark.String)
		if size += len(sep) + len(text); size > MaxString {
			return ErrString
		}
	}
	return nil
}

// checkSplit limits the number of parts.
func checkSplit(text starlark.String, args starlark.Tuple, _ []starlark.Tuple) error {
	pieces := 0
	if sep, ok := starlark.AsString(append(args, starlark.None)[0]); ok && sep != "" {
		pieces = strings.Count(string(text), sep)
	} else {
		for _, space := range " \t\n\r\v\f" {
			pieces += strings.Count(string(text), string(space))
		}
	}
	if len(args) > 1 {
		if most, err := starlark.AsInt32(args[1]); err == nil && most >= 0 {
			pieces = min(pieces, most)
		}
	}
	if pieces > maxItems {
		return errItems
	}
	return nil
}

func checkReplace(text starlark.String, args starlark.Tuple, _ []starlark.Tuple) error {
	if len(args) < 2 {
		return nil
	}
	from, _ := starlark.AsString(args[0])
	to, _ := starlark.AsString(args[1])
	if n := strings.Count(string(text), from); len(text)+n*len(to) > MaxString {
		return ErrString
	}
	return nil
}

// checkArguments checks the size of the result of text.format(…). A field may be used several times, so each use is counted with the size
// of the largest value.
func checkArguments(text starlark.String, args starlark.Tuple, kwargs []starlark.Tuple) error {
	fields := max(strings.Count(string(text), "{"), 1)
	most := (MaxString - min(len(text), MaxString)) / fields
	for _, arg := range args {
		if _, err := Size(arg, max(most, 1000)); err != nil {
			return err
		}
	}
	for _, kv := range kwargs {
		if _, err := Size(kv[1], max(most, 1000)); err != nil {
			return err
		}
	}
	return nil
}
