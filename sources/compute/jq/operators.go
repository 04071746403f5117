package jq

import (
	"cmp"
	"math"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
)

// operator computes a value of two, as a step does.
type operator func(m *machine, l, r value) (value, bool)

// operators are the arithmetic and the comparisons; nil where there is none.
func operators(op gojq.Operator) operator {
	switch op {
	case gojq.OpAdd:
		return add
	case gojq.OpSub:
		return arithmetic(subtractInts, func(l, r float64) float64 { return l - r })
	case gojq.OpMul:
		return arithmetic(multiplyInts, func(l, r float64) float64 { return l * r })
	case gojq.OpDiv: // by zero is not finite, so that jq is asked
		return arithmetic(divideInts, func(l, r float64) float64 { return l / r })
	case gojq.OpMod:
		return arithmetic(moduloInts, func(float64, float64) float64 { return math.NaN() })
	case gojq.OpEq:
		return comparison(func(order int) bool { return order == 0 })
	case gojq.OpNe:
		return comparison(func(order int) bool { return order != 0 })
	case gojq.OpLt:
		return comparison(func(order int) bool { return order < 0 })
	case gojq.OpLe:
		return comparison(func(order int) bool { return order <= 0 })
	case gojq.OpGt:
		return comparison(func(order int) bool { return order > 0 })
	case gojq.OpGe:
		return comparison(func(order int) bool { return order >= 0 })
	}
	return nil
}

// arithmetic is an operator of two numbers, of which jq computes integers as such.
func arithmetic(ints func(l, r int64) (value, bool), floats func(l, r float64) float64) operator {
	return func(_ *machine, l, r value) (value, bool) {
		switch l, r = scalar(l), scalar(r); {
		case l.form == integer && r.form == integer:
			return ints(l.int(), r.int())
		case l.isNumber() && r.isNumber():
			return floatValue(floats(l.float(), r.float()))
		}
		return value{}, false
	}
}

// add adds numbers and texts; null adds nothing.
func add(m *machine, l, r value) (value, bool) {
	switch l, r = scalar(l), scalar(r); {
	case l.form == integer && r.form == integer:
		sum := l.int() + r.int()
		return intValue(sum), (sum >= l.int()) == (r.int() >= 0)
	case l.isNumber() && r.isNumber():
		return floatValue(l.float() + r.float())
	case l.isText() && r.isText():
		return m.keep(l.text(), r.text())
	case l.isNull() && r.form != none:
		return r, true
	case r.isNull() && l.form != none:
		return l, true
	}
	return value{}, false
}

func subtractInts(l, r int64) (value, bool) {
	v := l - r
	return intValue(v), (v <= l) == (r >= 0)
}

func multiplyInts(l, r int64) (value, bool) {
	if r == 0 {
		return intValue(0), true
	}
	v := l * r
	return intValue(v), v/r == l && (r != -1 || l != math.MinInt64)
}

func divideInts(l, r int64) (value, bool) {
	switch {
	case r == 0, r == -1 && l == math.MinInt64:
		return value{}, false
	case l%r != 0:
		return floatValue(float64(l) / float64(r))
	}
	return intValue(l / r), true
}

func moduloInts(l, r int64) (value, bool) {
	if r == 0 {
		return value{}, false
	}
	return intValue(l % r), true
}

// comparison orders null, false, true, numbers and texts, in this order. Lists and objects are jq's.
func comparison(holds func(order int) bool) operator {
	return func(_ *machine, l, r value) (value, bool) {
		l, r = scalar(l), scalar(r)
		order := cmp.Compare(l.rank(), r.rank())
		switch {
		case l.rank() > text || r.rank() > text:
			return value{}, false
		case l.form == integer && r.form == integer:
			order = cmp.Compare(l.int(), r.int())
		case l.isNumber() && r.isNumber():
			order = cmp.Compare(l.float(), r.float())
		case order == 0 && l.isText():
			order = strings.Compare(l.text(), r.text())
		case order == 0:
			order = cmp.Compare(l.bits, r.bits)
		}
		return boolValue(holds(order)), true
	}
}

// scalar takes a value out of the document, where texts stay; none of a list or an object, or of a number that has to be
// jq's.
func scalar(v value) value {
	if v.form != inDoc {
		return v
	}
	switch v.doc().Kind() {
	case document.Null:
		return value{}
	case document.False, document.True:
		return boolValue(v.doc().Kind() == document.True)
	case document.String:
		return v
	case document.Number:
		if n, ok := numberOf(v.doc().Raw()); ok {
			return n
		}
	}
	return value{form: none}
}

// numberOf reads a decimal number as jq does: an integer where it is written as one. Those of 19 digits and more, and what
// is too large for a float, are jq's.
func numberOf(s string) (value, bool) {
	if n, ok := document.ParseInt(s); ok {
		return intValue(n), true
	}
	if !strings.ContainsAny(s, ".eE") {
		return value{}, false
	}
	f, ok := document.ParseNumber(s)
	if !ok {
		return value{}, false
	}
	return floatValue(f)
}
