// Package jq compiles jq expressions, and says in the words of who wrote them what is wrong with one.
package jq

import (
	"errors"
	"fmt"
	"strings"

	"github.com/itchyny/gojq"
)

// maxText bounds an expression's length, in bytes.
const maxText = 16 << 10

// Compile compiles an expression that may use these variables, whose values a run is given in their order.
func Compile(text string, variables ...string) (*gojq.Query, *gojq.Code, error) {
	if len(text) > maxText {
		return nil, nil, fmt.Errorf("the expression exceeds %d bytes; a script is the place for that much", maxText)
	}
	query, err := gojq.Parse(text)
	if err != nil {
		if p, ok := errors.AsType[*gojq.ParseError](err); ok {
			return nil, nil, fmt.Errorf("not a jq expression: %w, after %d characters%s", err, max(0, p.Offset-len(p.Token)), hint(p.Token))
		}
		return nil, nil, fmt.Errorf("not a jq expression: %w", err)
	}
	code, err := gojq.Compile(query, gojq.WithVariables(variables))
	if err != nil {
		return nil, nil, fmt.Errorf("jq: %w%s", err, hint(err.Error()))
	}
	return query, code, nil
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
