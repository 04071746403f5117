// Package jq compiles jq expressions for settings. The expressions are those of gojq (https://github.com/itchyny/gojq). They have
// the same meaning in every kind of source, fetcher and sink:
//
//   - An expression only reads its input. It cannot read files or environment variables, and has no function "input".
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
	"sync"
	"time"

	"github.com/itchyny/gojq"
)

// maxText is the maximum length of an expression in bytes.
const maxText = 16 << 10

// Compile parses and compiles an expression. The caller must not change the query.
func Compile(text string) (*gojq.Query, *Code, error) {
	return compile(text, func(q *gojq.Query) *gojq.Query { return q })
}

// nowVariable is the variable whose value is the result of the function "now" in an expression from CompileAt.
const nowVariable = "$__now"

// CompileAt is like Compile, for code with variables such as "$start". The first value with which the code is run is an [Epoch]: the result
// of jq's function "now". The values of the variables follow.
func CompileAt(text string, variables ...string) (*gojq.Query, *Code, error) {
	return compile(text, withNow, append([]string{nowVariable}, variables...)...)
}

// withNow adds a definition of the function "now" to a query. It changes the query and returns it.
func withNow(q *gojq.Query) *gojq.Query {
	now := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: nowVariable}}}
	q.FuncDefs = append([]*gojq.FuncDef{{Name: "now", Body: now}}, q.FuncDefs...)
	return q
}

// Epoch returns a time as jq's function "now" does: in seconds since the beginning of 1970.
func Epoch(t time.Time) float64 { return float64(t.Unix()) + float64(t.Nanosecond())/1e9 }

// compile parses an expression, and compiles the query that the function "prepare" makes from the parsed one. The compiled expression is
// not kept: it takes about 60 KB, and most expressions of a configuration are evaluated without gojq. Its first run compiles it again. A
// query that certainly compiles is not even compiled to find its errors.
func compile(text string, prepare func(*gojq.Query) *gojq.Query, variables ...string) (*gojq.Query, *Code, error) {
	query, err := parse(text)
	if err != nil {
		return nil, nil, err
	}
	own := sync.OnceValues(func() (*gojq.Query, error) { // parsed once more, because compiling changes a query
		own, err := parse(text)
		if err != nil {
			return nil, err
		}
		own = prepare(own)
		return own, bound(own)
	})
	code := &Code{max: maxMemory, compile: func() (*machine, error) {
		own, err := own()
		if err != nil {
			return nil, err
		}
		return newMachine(own, variables)
	}}
	if !compiles(query) {
		if _, err := code.compile(); err != nil {
			return query, nil, fmt.Errorf("jq: %w%s", err, hint(err.Error()))
		}
	}
	return query, code, nil
}

// compiles reports whether a query certainly compiles: it consists of paths, constants and operators. For some other queries that
// compile, it returns false nevertheless.
func compiles(q *gojq.Query) bool {
	switch {
	case q == nil || q.Meta != nil || len(q.Imports) > 0 || len(q.FuncDefs) > 0 || len(q.Patterns) > 0:
		return false
	case q.Term != nil:
		return termCompiles(q.Term)
	}
	switch q.Op {
	case gojq.OpPipe, gojq.OpComma, gojq.OpAlt, gojq.OpAdd, gojq.OpSub, gojq.OpMul, gojq.OpDiv, gojq.OpMod,
		gojq.OpEq, gojq.OpNe, gojq.OpLt, gojq.OpLe, gojq.OpGt, gojq.OpGe, gojq.OpAnd, gojq.OpOr:
		return compiles(q.Left) && compiles(q.Right)
	}
	return false
}

func termCompiles(t *gojq.Term) bool {
	for _, s := range t.SuffixList {
		if s.Index != nil && !indexCompiles(s.Index) { // nil = []
			return false
		}
	}
	switch t.Type {
	case gojq.TermTypeIdentity, gojq.TermTypeTrue, gojq.TermTypeFalse, gojq.TermTypeNull:
		return true
	case gojq.TermTypeIndex:
		return indexCompiles(t.Index)
	case gojq.TermTypeNumber:
		return len(t.Number) <= shortNumber
	case gojq.TermTypeString:
		return t.Str.Queries == nil
	case gojq.TermTypeQuery:
		return compiles(t.Query)
	}
	return false
}

func indexCompiles(i *gojq.Index) bool {
	if _, plain := plainName(i); plain {
		return true
	}
	return i.Start != nil && !i.IsSlice && isConstant(i.Start)
}

func parse(text string) (*gojq.Query, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the expression exceeds %d bytes: use a script for logic of this size", maxText)
	}
	query, err := gojq.Parse(text)
	if err != nil {
		if p, ok := errors.AsType[*gojq.ParseError](err); ok {
			return nil, fmt.Errorf("not a jq expression: %w, after %d characters%s", err, max(0, p.Offset-len(p.Token)), hint(p.Token))
		}
		return nil, fmt.Errorf("not a jq expression: %w", err)
	}
	return query, nil
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
