// Package jq compiles jq expressions, and says in the words of who wrote them what is wrong with one. They have one function
// more than jq, timestamp: see ParseTime.
package jq

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// maxText bounds an expression's length, in bytes.
const maxText = 16 << 10

// Compile compiles an expression.
func Compile(text string) (*gojq.Query, *gojq.Code, error) {
	query, err := parse(text)
	if err != nil {
		return nil, nil, err
	}
	code, err := compile(query)
	return query, code, err
}

// nowVariable is what CompileAt's now stands for.
const nowVariable = "$__now"

// CompileAt compiles an expression for code that is run with values beside its input: the Epoch that now gives, and those of
// these variables, such as "$start".
func CompileAt(text string, variables ...string) (*gojq.Query, *gojq.Code, error) {
	query, err := parse(text)
	if err != nil {
		return nil, nil, err
	}
	now := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: nowVariable}}}
	timed := *query
	timed.FuncDefs = append([]*gojq.FuncDef{{Name: "now", Body: now}}, query.FuncDefs...)
	code, err := compile(&timed, gojq.WithVariables(append([]string{nowVariable}, variables...)))
	return query, code, err
}

// Epoch is a time as jq's now has it, in seconds since 1970.
func Epoch(t time.Time) float64 { return float64(t.Unix()) + float64(t.Nanosecond())/1e9 }

func parse(text string) (*gojq.Query, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the expression exceeds %d bytes; a script is the place for that much", maxText)
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

func compile(query *gojq.Query, options ...gojq.CompilerOption) (*gojq.Code, error) {
	code, err := gojq.Compile(query, append(options, gojq.WithFunction("timestamp", 0, 0, timestamp))...)
	if err != nil {
		return nil, fmt.Errorf("jq: %w%s", err, hint(err.Error()))
	}
	return code, nil
}

// hint is what the commonest mistakes were meant to be.
func hint(problem string) string {
	if name, plain := strings.CutSuffix(strings.TrimPrefix(problem, "function not defined: "), "/0"); plain && name != problem {
		return fmt.Sprintf("; a field is written .%s, a field with a dash .[\"a-b\"], and a text \"in quotes\"", name)
	}
	if problem == "$" {
		return "; this is jq, not JSONPath: a field is .a.b, all items of a list .a[]"
	}
	return ""
}
