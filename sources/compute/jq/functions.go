package jq

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/jq"
)

// compileFunc compiles a call of one of jq's own functions, or of ours.
func (p *place) compileFunc(f *gojq.Func) (step, error) {
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
			return func(_ *machine, in value) (value, bool) { return boolValue(!in.isTrue()), true }, nil
		case "now":
			return func(m *machine, _ value) (value, bool) { return floatValue(m.now) }, nil
		case "empty":
			return nothing, nil
		case "fromdate":
			return fromDate, nil
		case "timestamp":
			return timestamp, nil
		}
	}
	return nil, needs(f)
}

func pipe(left, right step) step {
	return func(m *machine, in value) (value, bool) {
		v, ok := left(m, in)
		if !ok || v.form == none {
			return v, ok
		}
		return right(m, v)
	}
}

func alternative(left, right step) step {
	return func(m *machine, in value) (value, bool) {
		v, ok := left(m, in)
		if !ok || v.form != none && v.isTrue() {
			return v, ok
		}
		return right(m, in)
	}
}

// logic is or, or and. What is told from the left alone does not look at the right.
func logic(left, right step, or bool) step {
	return func(m *machine, in value) (value, bool) {
		v, ok := left(m, in)
		if ok && v.form != none && v.isTrue() != or {
			v, ok = right(m, in)
		}
		if !ok || v.form == none {
			return v, ok
		}
		return boolValue(v.isTrue()), true
	}
}

// binary is an operator on two steps. An operator takes nothing that is empty.
func binary(left, right step, op operator) step {
	return func(m *machine, in value) (value, bool) {
		l, ok := left(m, in)
		if !ok {
			return value{}, false
		}
		r, ok := right(m, in)
		if !ok {
			return value{}, false
		}
		return op(m, l, r)
	}
}

// choice is if.
func choice(condition, then, otherwise step) step {
	return func(m *machine, in value) (value, bool) {
		v, ok := condition(m, in)
		switch {
		case !ok || v.form == none:
			return v, ok
		case v.isTrue():
			return then(m, in)
		}
		return otherwise(m, in)
	}
}

func identity(_ *machine, in value) (value, bool) { return in, true }

func nothing(*machine, value) (value, bool) { return value{form: none}, true }

// length is how many characters a text, or items a list has. A number's is what it is without its sign.
func length(_ *machine, in value) (value, bool) {
	if in.form == inDoc {
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

// toNumber takes numbers as they are, with all their digits.
func toNumber(_ *machine, in value) (value, bool) {
	if in.isNumber() || in.form == inDoc && in.doc().Kind() == document.Number {
		return in, true
	}
	if v := scalar(in); v.isText() {
		return numberOf(v.text())
	}
	return value{}, false
}

func toString(m *machine, in value) (value, bool) {
	if in.form == inDoc && in.doc().Kind() == document.Number {
		return m.text(in.doc().Raw())
	}
	switch v := scalar(in); v.rank() {
	case text:
		return v, true
	case integer:
		return m.text(strconv.FormatInt(v.int(), 10))
	case boolean:
		return m.text(strconv.FormatBool(v.isTrue()))
	case null:
		return m.text("null")
	}
	return value{}, false
}

// downcase makes the letters of ASCII small.
func downcase(m *machine, in value) (value, bool) {
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
	return m.lower(s)
}

// fromDate reads times such as 2026-03-01T12:00:00Z; those of another zone are jq's.
func fromDate(_ *machine, in value) (value, bool) {
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

// timestamp reads times of any offset, with fractions of a second.
func timestamp(_ *machine, in value) (value, bool) {
	v := scalar(in)
	if v.isNull() {
		return value{}, true
	}
	if !v.isText() {
		return value{}, false
	}
	t, err := jq.ParseTime(v.text())
	if err != nil {
		return value{}, false
	}
	return floatValue(jq.Epoch(t))
}

func isUpper(r rune) bool { return r >= 'A' && r <= 'Z' }
