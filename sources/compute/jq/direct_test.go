package jq

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/sources"
)

// exprOf compiles an expression, with a tree of paths of its own.
func exprOf(t testing.TB, text string) *Expr {
	t.Helper()
	x := &Expr{}
	if err := x.UnmarshalText([]byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return x.atNode(&pathNode{})
}

// values returns the results of an expression, its error, and its single value.
func values(t testing.TB, x *Expr, in value) []string {
	var all []string
	m := evaluatorAt(time.UnixMilli(60_500))
	err := x.evalAll(t.Context(), m, &item{value: in}, func(v value) error {
		all = append(all, fmt.Sprint(shown(v)))
		return nil
	})
	one, oneErr := x.evalOne(t.Context(), m, &item{value: in})
	return append(all, fmt.Sprint(err), fmt.Sprint(shown(one), oneErr))
}

// shown returns a value in every form: JSON, label, number, event id.
func shown(v value) string {
	if v.form == formEmpty {
		v = value{}
	}
	text, err := gojq.Marshal(v.jq())
	label, isLabel := v.label()
	number, isNumber := v.number()
	if !isNumber {
		number = 0
	}
	id, _ := v.id()
	return fmt.Sprintf("%s %v, label %q %v, number %v %v, null %v, id %q, %s", text, err, label, isLabel, number, isNumber, v.isNull(), id, v.preview())
}

// agree checks that the direct form of an expression returns what gojq returns. It reports whether there is a direct form.
func agree(t *testing.T, text, doc string) (direct bool) {
	t.Helper()
	x := exprOf(t, text)
	var p sources.Parser
	parsed, err := p.JSON("", []byte(doc))
	if x.stages == nil || err != nil {
		return false
	}
	agreeOn(t, x, parsed.Root)
	return true
}

// agreeOn does the check of the function "agree" for one value.
func agreeOn(t *testing.T, x *Expr, in document.Value) {
	t.Helper()
	got, want := values(t, x, ofDocument(in)), values(t, &Expr{code: x.code}, ofJQ(in.JQ()))
	if x.path != nil { // a plain path has other error texts than gojq
		for _, all := range [][]string{got, want} {
			for i, s := range all[len(all)-2:] {
				if failed := s != "<nil>" && !strings.HasSuffix(s, " <nil>"); failed {
					all[len(all)-2+i] = "an error"
				}
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s of %s:\ndirect %q\njq     %q", x, in.Raw(), got, want)
	}
}

// TestDirectAtItsBounds checks values that random expressions seldom reach.
func TestDirectAtItsBounds(t *testing.T) {
	for _, text := range []string{
		".n * 9 + .n * 9", "0 - .n * 9 - .n * 9", ".n * .n", ".n * 10", ".n * -9", ".n + 0.5", ".n / 7", ".n / .n", ".n % -1", ".zero / 0", "1 / .zero", "1 % .zero",
		"268435456 * 268435456 * 64 * -2 * -1", "268435456 * 268435456 * 64 * -2 / -1", "268435456 * 268435456 * 64 * -2 % -1", "268435456 * 268435456 * 64 * 2", "-1 * 0",
		".big + 1", ".big == .big", ".big | tostring", ".big | length", ".exp | tostring", ".exp | tonumber", ".exp + 0 | tostring", ".minus | tostring", ".minus + 0", ".minus | length",
		".odd", ".odd + .odd", ".odd | length", ".odd | ascii_downcase", ".odd == .odd", ".up | ascii_downcase", ".up + null", "null + .exp", ".esc", ".esc + .esc | length", `.esc == "é\n"`,
		".list[-1]", ".list[-4]", ".list[3]", ".list[0].x?", ".list[]?", ".list[].x?", ".up[]?", ".none[]?", ".none.x.y", ".up.x", ".list[] | select(. > 1)", ".list[] | 1 / (. - 2)",
		".list | length", ". | length", ".yes | tostring", ".none | tostring", ".none | length", ".yes | length", ".yes < .no", ".list < 1", "now - 60", "(.none // empty) // 3", "empty + .up.x", ".up.x + empty",
		".at | timestamp", "(.at | timestamp) - now", ".up | timestamp", ".n | timestamp", ".none | timestamp", ".at + .odd | timestamp",
	} {
		if !agree(t, text, `{"n":999999999999999999,"zero":0,"big":12345678901234567890,"exp":1E-7,"minus":-0,"odd":"A`+"\xff"+`","up":"É Ab","esc":"\u00e9\n","list":[1,2,3],"yes":true,"no":false,"at":"2026-03-01 13:00:00.25\u002b0100"}`) {
			t.Errorf("%s needs jq", text)
		}
	}
}

// writer writes random expressions and documents.
type writer struct{ pick func(n int) int }

func (w writer) of(choices ...string) string { return choices[w.pick(len(choices))] }

func (w writer) expr(depth int) string {
	if depth <= 0 {
		return w.of(".", ".a", ".b", ".a.b", `."é"`, `.["c"]`, ".a?", ".b?.a?", ".[0]", ".[-2]", ".a[1]", "null", "true", "false", "empty", "now",
			"0", "1", "-3", "2.5", "1e1", "9007199254740993", "9223372036854775807", "1e400", `""`, `"a"`, `"Ab é"`, `"-7.50"`, ".a[]", ".[]", ".[]?", ".a[]?.b")
	}
	sub := func() string { return w.expr(depth - 1 - w.pick(depth)) }
	switch w.pick(11) {
	case 0:
		if left := sub(); !branches(left) {
			return left + " | " + sub()
		}
		return sub() + " | .a"
	case 1, 2, 3:
		return "(" + sub() + w.of(" + ", " - ", " * ", " / ", " % ") + sub() + ")"
	case 4, 5:
		return "(" + sub() + w.of(" == ", " != ", " < ", " <= ", " > ", " >= ") + sub() + ")"
	case 6:
		return "(" + sub() + w.of(" // ", " and ", " or ") + sub() + ")"
	case 7:
		return "select(" + sub() + ")"
	case 8:
		return "(" + sub() + ")" + w.of("", ".a", "[0]", "[]", "[]?", ".b?")
	case 9:
		return "if " + sub() + " then " + sub() + w.of("", " elif "+sub()+" then "+sub()) + w.of("", " else "+sub()) + " end"
	}
	return "(" + sub() + ") | " + w.of("length", "tonumber", "tostring", "ascii_downcase", "not", "select(.)", "fromdate", "timestamp")
}

// branches reports whether gojq 0.12.20 may be wrong about a constant that follows the expression: its optimizer returns 1 for select((.a
// or .b) | 1).
func branches(text string) bool {
	return strings.Contains(text, "and") || strings.Contains(text, "or") || strings.Contains(text, "//") || strings.Contains(text, "if")
}

func (w writer) doc(depth int) string {
	if depth <= 0 || w.pick(4) == 0 {
		return w.of("null", "true", "false", "0", "-0", "-0.0", "1", "7", "-3", "2.50", "1e1", "1E-7", "1e400", "-1e400", "9007199254740993", "-9223372036854775808",
			"123456789012345678901234567890", "0.1", `""`, `"a"`, `"AB"`, `"7"`, `" 7"`, `"+7"`, `"1."`, `".5"`, `"2026-03-01T12:00:00Z"`, `"2026-03-01T12:00:00+02:00"`, `"2026-02-30T12:00:00Z"`, `"2024-02-29T23:59:60Z"`, `"0000-01-01T00:00:00Z"`, `"2026-03-01T12:00:0.5Z"`, `"2026-03-01 13:00:00.25+0100"`, `"2026-03-01T12:00:00"`, `"2026-03-01"`, `"1e1"`, `"0x1"`, `"NaN"`, `"007"`, `"-"`, `"É"`, `"\u00e9\n"`, "\"\xff\"", "[]", "{}")
	}
	var parts []string
	if w.pick(2) == 0 {
		for range w.pick(4) {
			parts = append(parts, w.doc(depth-1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	for range w.pick(5) {
		parts = append(parts, w.of(`"a"`, `"a"`, `"b"`, `"c"`, `"é"`, `"\u0061"`)+":"+w.doc(depth-1))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// TestDirectAgreesWithJQ checks many random expressions. They are the same in each run of the test.
func TestDirectAgreesWithJQ(t *testing.T) {
	w, direct := writer{rand.New(rand.NewPCG(1, 2)).IntN}, 0
	const all = 10_000
	for range all {
		if agree(t, w.expr(3), w.doc(3)) {
			direct++
		}
		if t.Failed() {
			return
		}
	}
	if direct < all/2 {
		t.Errorf("only %d of %d expressions have a direct form", direct, all)
	}
}

// FuzzDirect checks the expressions that the fuzzer's bytes choose, on documents of the fuzzer.
func FuzzDirect(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, `{"a":{"b":[1,2]}}`)
	f.Add([]byte{7, 4, 0, 21, 0, 3}, `[{"a":1.50,"é":"\ud83d\ude00"},null]`)
	f.Add([]byte{9, 9, 9, 1}, `{"a":{"b":1,"b":2},"a b":"12345678901234567890"}`)
	f.Fuzz(func(t *testing.T, choices []byte, doc string) {
		w := writer{func(n int) int {
			if len(choices) == 0 {
				return 0
			}
			c := int(choices[0])
			choices = choices[1:]
			return c % n
		}}
		text := w.expr(3)
		agree(t, text, doc)
		agree(t, text, w.doc(3))
	})
}

// FuzzExpr checks expressions of the fuzzer.
func FuzzExpr(f *testing.F) {
	for _, expr := range []string{".", ".a.b[]", `."a b"`, ".a[0].b?", "(.a // 1) * 2 | tostring", "select(.a >= 2 and .b != null)", "-1 + .a", ".[][]?", ".a as $x | $x", "def f: 1; f", "length, 1"} {
		f.Add(expr, `{"a":{"b":[1,2]},"a b":[{"a":1}]}`)
	}
	f.Fuzz(func(t *testing.T, text, doc string) {
		if (&Expr{}).UnmarshalText([]byte(text)) != nil || strings.Contains(text, "|") && branches(text) || strings.ContainsAny(text, "*") || strings.Contains(text, "def") {
			t.Skip()
		}
		agree(t, text, doc)
	})
}
