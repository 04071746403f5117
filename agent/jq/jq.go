// Package jq compiles jq expressions for settings. The expressions are those of gojq (https://github.com/itchyny/gojq). They have
// the same meaning in every kind of source, fetcher and sink:
//
//   - An expression only reads its input. It cannot read files or environment variables, and has no function input.
//   - It has at most 16 KiB.
//   - It has a few more functions than jq. timestamp returns the Unix seconds of a time (see [ParseTime]), and null for a time that
//     means never (see [IsNever]). quantity("B"), decimal(","), hex and duration convert texts such as "12.3 MiB", "1.234,5", "0x1f" and
//     "3d 4h" to numbers.
//   - An error of compiling names the character and suggests what was meant.
//
// A kind uses [Expression] as the type of a setting. The expression is compiled when the configuration is read. [Expression.Run]
// returns one value and [Expression.Each] all values. A run ends soon after its context, or when it exceeds its limits of memory
// and depth: see [Exceeded]. A caller must provide a context with a timeout, and input of limited size.
//
// Values are those of gojq: nil, bool, int, float64, *big.Int, json.Number, string, []any and map[string]any. The package is part
// of the public API for plug-ins. Its exported names do not change within a major version.
package jq

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// maxText is the maximum length of an expression in bytes.
const maxText = 16 << 10

// Compile parses and compiles an expression. The caller must not change the query.
func Compile(text string) (*gojq.Query, *Code, error) {
	query, own, err := parse(text)
	if err != nil {
		return nil, nil, err
	}
	code, err := compile(own)
	return query, code, err
}

// nowVariable is the variable whose value is the result of the function now, in an expression from CompileAt.
const nowVariable = "$__now"

// CompileAt is like Compile, for code with variables such as "$start". The first value with which the code is run is an [Epoch]: the
// result of jq's function now. The values of the variables follow.
func CompileAt(text string, variables ...string) (*gojq.Query, *Code, error) {
	query, own, err := parse(text)
	if err != nil {
		return nil, nil, err
	}
	now := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: nowVariable}}}
	own.FuncDefs = append([]*gojq.FuncDef{{Name: "now", Body: now}}, own.FuncDefs...)
	code, err := compile(own, append([]string{nowVariable}, variables...)...)
	return query, code, err
}

// Epoch returns a time as jq's function now does: in seconds since 1970.
func Epoch(t time.Time) float64 { return float64(t.Unix()) + float64(t.Nanosecond())/1e9 }

// parse parses an expression twice, because compiling changes a query. own is the query to compile.
func parse(text string) (query, own *gojq.Query, err error) {
	if len(text) > maxText {
		return nil, nil, fmt.Errorf("the expression exceeds %d bytes: use a script for logic of this size", maxText)
	}
	if query, err = gojq.Parse(text); err != nil {
		if p, ok := errors.AsType[*gojq.ParseError](err); ok {
			return nil, nil, fmt.Errorf("not a jq expression: %w, after %d characters%s", err, max(0, p.Offset-len(p.Token)), hint(p.Token))
		}
		return nil, nil, fmt.Errorf("not a jq expression: %w", err)
	}
	own, err = gojq.Parse(text)
	return query, own, err
}

func compile(query *gojq.Query, variables ...string) (*Code, error) {
	code, err := newCode(query, variables...)
	if err != nil {
		return nil, fmt.Errorf("jq: %w%s", err, hint(err.Error()))
	}
	return code, nil
}

// hint returns a suggestion for the most common mistakes.
func hint(problem string) string {
	if name, plain := strings.CutSuffix(strings.TrimPrefix(problem, "function not defined: "), "/0"); plain && name != problem {
		return fmt.Sprintf("; write .%s for a field, .[\"a-b\"] for a field with a dash, and \"quotes\" around a string", name)
	}
	if problem == "$" {
		return "; this is jq, not JSONPath: write .a.b for a field, and .a[] for all items of a list"
	}
	return ""
}
