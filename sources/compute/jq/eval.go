package jq

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/sources"
)

// evaluator holds what all evaluations of a tick share: the time, the variables, and the memory for new strings.
type evaluator struct {
	now       float64         // the time of the tick, which jq's now returns
	variables []any           // for gojq: the time of the tick, $start and $end
	strings   strings.Builder // the bytes of new strings; the strings stay valid when the builder grows
	boxes     []box           // the boxes of new strings; pointers to them stay valid when the slice grows
	visited   int             // number of items of lists and objects that were visited
	twice     *localTime      // set when a time was read whose local time occurs twice; the caller resets it
	ended     error           // why the tick ends together with the expression; nil while the tick continues
}

// Limits for the strings that the evaluator makes. The evaluator keeps these strings until the end of the tick. An expression that exceeds
// a limit is evaluated by gojq, which frees strings earlier.
const (
	maxStrings = 64 << 20 // bytes of all strings
	maxBoxes   = 1 << 20  // number of strings
)

// reset prepares the evaluator for a tick.
func (e *evaluator) reset(tick sources.Tick) {
	size := min(e.strings.Len(), maxStrings)
	now, w := jq.Epoch(tick.Time), windowOf(tick)
	clear(e.boxes)
	*e = evaluator{boxes: e.boxes[:0], now: now, variables: []any{now, seconds(w.start), seconds(w.end)}}
	e.strings.Grow(size)
}

// newString returns a value for a string. The result "ok" is false if a limit is reached.
func (e *evaluator) newString(s string) (value, bool) {
	if len(e.boxes) == maxBoxes {
		return value{}, false
	}
	e.boxes = append(e.boxes, box{text: s})
	return value{form: formString, box: &e.boxes[len(e.boxes)-1]}, true
}

// concat returns a + b for two strings.
func (e *evaluator) concat(a, b string) (value, bool) {
	from := e.strings.Len()
	if from+len(a)+len(b) > maxStrings {
		return value{}, false
	}
	e.strings.WriteString(a)
	e.strings.WriteString(b)
	return e.newString(e.strings.String()[from:])
}

// lowercase returns the string with ASCII letters in lower case.
func (e *evaluator) lowercase(s string) (value, bool) {
	from := e.strings.Len()
	if from+len(s) > maxStrings {
		return value{}, false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		e.strings.WriteByte(c)
	}
	return e.newString(e.strings.String()[from:])
}

// compileFunc compiles the call of a function.
func (p *pathNode) compileFunc(f *gojq.Func) (step, error) {
	if f.Name == "select" && len(f.Args) == 1 {
		condition, err := p.compile(f.Args[0])
		return choice(condition, identity, nothing), err
	}
	if len(f.Args) == 0 {
		switch f.Name {
		case "length":
			return length, nil
		case "tonumber":
			return toNumber, nil
		case "tostring":
			return toString, nil
		case "ascii_downcase":
			return downcase, nil
		case "not":
			return func(_ *evaluator, in value) (value, bool) { return boolValue(!in.isTrue()), true }, nil
		case "now":
			return func(e *evaluator, _ value) (value, bool) { return floatValue(e.now) }, nil
		case "empty":
			return nothing, nil
		case "fromdate":
			return fromDate, nil
		case "timestamp":
			return timestamp, nil
		}
	}
	return nil, needJQ(f)
}

// pipe returns the step for the operator "left | right".
func pipe(left, right step) step {
	return func(e *evaluator, in value) (value, bool) {
		v, ok := left(e, in)
		if !ok || v.form == formEmpty {
			return v, ok
		}
		return right(e, v)
	}
}

// alternative returns the step for the operator "left // right".
func alternative(left, right step) step {
	return func(e *evaluator, in value) (value, bool) {
		v, ok := left(e, in)
		if !ok || v.form != formEmpty && v.isTrue() {
			return v, ok
		}
		return right(e, in)
	}
}

// logic returns the step for the operator "or" if its parameter "or" is true, and otherwise for the operator "and". The step evaluates the
// right operand only if the left operand does not determine the result.
func logic(left, right step, or bool) step {
	return func(e *evaluator, in value) (value, bool) {
		v, ok := left(e, in)
		if ok && v.form != formEmpty && v.isTrue() != or {
			v, ok = right(e, in)
		}
		if !ok || v.form == formEmpty {
			return v, ok
		}
		return boolValue(v.isTrue()), true
	}
}

// binary returns a step that applies an operator to the results of two other steps. If one of these is not ok, the new step is not ok.
func binary(left, right step, op operator) step {
	return func(e *evaluator, in value) (value, bool) {
		l, ok := left(e, in)
		if !ok {
			return value{}, false
		}
		r, ok := right(e, in)
		if !ok {
			return value{}, false
		}
		return op(e, l, r)
	}
}

// choice returns the step for the expression "if condition then … else … end".
func choice(condition, then, otherwise step) step {
	return func(e *evaluator, in value) (value, bool) {
		v, ok := condition(e, in)
		switch {
		case !ok || v.form == formEmpty:
			return v, ok
		case v.isTrue():
			return then(e, in)
		}
		return otherwise(e, in)
	}
}

func identity(_ *evaluator, in value) (value, bool) { return in, true }

func nothing(*evaluator, value) (value, bool) { return value{form: formEmpty}, true }

// length returns the number of characters of a string, the number of items of a list, or the absolute value of a number.
func length(_ *evaluator, in value) (value, bool) {
	if in.form == formDoc {
		switch in.doc().Kind() {
		case document.Array:
			return intValue(int64(in.doc().Len())), true
		case document.Number:
			return in, !strings.HasPrefix(in.doc().Raw(), "-")
		}
	}
	switch v := scalar(in); {
	case v.isText():
		return intValue(int64(utf8.RuneCountInString(v.text()))), true
	case v.isNull():
		return intValue(0), true
	}
	return value{}, false
}

// toNumber is jq's function tonumber. A number keeps all its digits.
func toNumber(_ *evaluator, in value) (value, bool) {
	if in.isNumber() || in.form == formDoc && in.doc().Kind() == document.Number {
		return in, true
	}
	if v := scalar(in); v.isText() {
		return numberOf(v.text())
	}
	return value{}, false
}

// toString is jq's function tostring.
func toString(e *evaluator, in value) (value, bool) {
	if in.form == formDoc && in.doc().Kind() == document.Number {
		return e.newString(in.doc().Raw())
	}
	switch v := scalar(in); v.rank() {
	case formString:
		return v, true
	case formInt:
		return e.newString(strconv.FormatInt(v.int(), 10))
	case formBool:
		return e.newString(strconv.FormatBool(v.isTrue()))
	case formNull:
		return e.newString("null")
	}
	return value{}, false
}

// downcase is jq's function ascii_downcase.
func downcase(e *evaluator, in value) (value, bool) {
	v := scalar(in)
	if !v.isText() {
		return value{}, false
	}
	s := v.text()
	if !utf8.ValidString(s) {
		return value{}, false
	}
	if strings.IndexFunc(s, isUpper) < 0 {
		return v, true
	}
	return e.lowercase(s)
}

// fromDate is jq's function fromdate, for times such as 2026-03-01T12:00:00Z. Times in other zones are left to gojq.
func fromDate(_ *evaluator, in value) (value, bool) {
	s := scalar(in).text()
	if len(s) != len("2026-03-01T12:00:00Z") {
		return value{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return value{}, false
	}
	return floatValue(jq.Epoch(t))
}

// timestamp is the function "timestamp", which package agent/jq adds to jq.
func timestamp(_ *evaluator, in value) (value, bool) {
	v := scalar(in)
	if v.isNull() {
		return value{}, true
	}
	if !v.isText() {
		return value{}, false
	}
	t, err := jq.ParseTime(v.text())
	if err != nil || jq.IsNever(v.text()) {
		return value{}, false
	}
	return floatValue(jq.Epoch(t))
}

func isUpper(r rune) bool { return r >= 'A' && r <= 'Z' }

// operator computes a value from two values. The result "ok" has the same meaning as for a step.
type operator func(e *evaluator, l, r value) (value, bool)

// operators returns the operator for arithmetic and comparisons, and nil for other operators.
func operators(op gojq.Operator) operator {
	switch op {
	case gojq.OpAdd:
		return add
	case gojq.OpSub:
		return arithmetic(subtractInts, func(l, r float64) float64 { return l - r })
	case gojq.OpMul:
		return arithmetic(multiplyInts, func(l, r float64) float64 { return l * r })
	case gojq.OpDiv: // a division by zero is not finite, so ok is false and gojq reports the error
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

// arithmetic returns an operator for two integers or two floats.
func arithmetic(ints func(l, r int64) (value, bool), floats func(l, r float64) float64) operator {
	return func(_ *evaluator, l, r value) (value, bool) {
		switch l, r = scalar(l), scalar(r); {
		case l.form == formInt && r.form == formInt:
			return ints(l.int(), r.int())
		case l.isNumber() && r.isNumber():
			return floatValue(floats(l.float(), r.float()))
		}
		return value{}, false
	}
}

// add adds numbers or strings. If one operand is null, the result is the other operand.
func add(e *evaluator, l, r value) (value, bool) {
	switch l, r = scalar(l), scalar(r); {
	case l.form == formInt && r.form == formInt:
		sum := l.int() + r.int()
		return intValue(sum), (sum >= l.int()) == (r.int() >= 0)
	case l.isNumber() && r.isNumber():
		return floatValue(l.float() + r.float())
	case l.isText() && r.isText():
		return e.concat(l.text(), r.text())
	case l.isNull() && r.form != formEmpty:
		return r, true
	case r.isNull() && l.form != formEmpty:
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

// comparison returns an operator that compares two values. The order is: null, false, true, numbers, strings. Lists and objects are
// left to gojq.
func comparison(holds func(order int) bool) operator {
	return func(_ *evaluator, l, r value) (value, bool) {
		l, r = scalar(l), scalar(r)
		order := cmp.Compare(l.rank(), r.rank())
		switch {
		case l.rank() > formString || r.rank() > formString:
			return value{}, false
		case l.form == formInt && r.form == formInt:
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

// scalar converts a value of the document to a value with its own type. A string is returned unchanged. The result for a list, an
// object, and a number that is left to gojq has formEmpty.
func scalar(v value) value {
	if v.form != formDoc {
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
	return value{form: formEmpty}
}

// numberOf parses a decimal number as jq does: as an integer if it has no fraction and no exponent. Integers with 19 or more
// digits, and numbers outside the range of floats, are left to gojq.
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
