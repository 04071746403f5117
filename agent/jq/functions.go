package jq

import (
	"encoding/json"
	"math/big"
	"strings"

	"github.com/itchyny/gojq"
)

// replacement says which function of this package replaces a function of gojq in expressions. The function of this package counts its
// memory and work (see meter).
type replacement struct {
	name      string
	arguments int
	text      string // the function in jq, with the arguments $a, $b and $c; used by the method "original"
	call      func(m *meter, in any, arguments []any) any
}

// replacements returns the replacements. They include the operators.
func replacements() []replacement {
	return []replacement{
		{"+", 2, "$a + $b", (*meter).add},
		{"-", 2, "$a - $b", (*meter).subtract},
		{"*", 2, "$a * $b", (*meter).multiply},
		{"/", 2, "$a / $b", (*meter).divide},
		{"%", 2, "$a % $b", (*meter).modulo},
		{"==", 2, "", comparison(func(order int) bool { return order == 0 })},
		{"!=", 2, "", comparison(func(order int) bool { return order != 0 })},
		{"<", 2, "", comparison(func(order int) bool { return order < 0 })},
		{"<=", 2, "", comparison(func(order int) bool { return order <= 0 })},
		{">", 2, "", comparison(func(order int) bool { return order > 0 })},
		{">=", 2, "", comparison(func(order int) bool { return order >= 0 })},

		{"contains", 1, "contains($a)", func(m *meter, in any, a []any) any { return m.contains(in, a[0]) }},
		{"inside", 1, "", func(m *meter, in any, a []any) any { return m.contains(a[0], in) }},
		{"indices", 1, "indices($a)", (*meter).indices},
		{"index", 1, "index($a)", (*meter).firstIndex},
		{"rindex", 1, "rindex($a)", (*meter).lastIndex},
		{"bsearch", 1, "bsearch($a)", (*meter).binarySearch},
		{"sort", 0, "sort", (*meter).sort},
		{"_sort_by", 1, "_sort_by($a)", (*meter).sort},
		{"unique", 0, "unique", (*meter).unique},
		{"_unique_by", 1, "_unique_by($a)", (*meter).unique},
		{"_group_by", 1, "_group_by($a)", (*meter).group},
		{"min", 0, "min", (*meter).smallest},
		{"_min_by", 1, "_min_by($a)", (*meter).smallest},
		{"max", 0, "max", (*meter).largest},
		{"_max_by", 1, "_max_by($a)", (*meter).largest},

		{"join", 1, "join($a)", (*meter).join},
		{"split", 1, "split($a)", func(m *meter, in any, a []any) any { return m.split("split", in, a, in, a[0]) }},
		{"fromjson", 0, "fromjson", (*meter).fromJSON},
		{"_match", 3, "_match($a; $b; $c)", (*meter).match},
		{"_pieces", 2, "_match($a; $b; false)", (*meter).pieces},
		{"_assemble", 1, "", (*meter).assemble},
	}
}

// replaced returns the names of the replacements, with the number of arguments.
func replaced() map[string]bool {
	names := map[string]bool{}
	for _, r := range replacements() {
		names[key(r.name, r.arguments)] = true
	}
	return names
}

// functions returns the compiler options that define the checks and replacements.
func (m *meter) functions() []gojq.CompilerOption {
	var all []gojq.CompilerOption
	define := func(name string, arguments int, f func(in any, arguments []any) any) {
		all = append(all, gojq.WithFunction(name, arguments, arguments, f))
	}
	for name, check := range map[string]func(any) error{
		checkItems: m.checkItems, checkText: m.checkText, checkWhole: m.checkWhole, checkDeep: m.checkDeep, checkIndex: m.checkIndex,
		checkPath: m.checkPath, checkDigits: m.checkDigits, checkTable: m.checkTable,
	} {
		define(name, 0, func(in any, _ []any) any {
			if err := check(in); err != nil {
				return err
			}
			return in
		})
	}
	for _, r := range replacements() {
		define(hidden+r.name, r.arguments, func(in any, arguments []any) any { return r.call(m, in, arguments) })
	}
	return all
}

// original returns the result of gojq's own function. It is used for errors, so that they have the text of gojq, and for rare
// cases.
func (m *meter) original(name string, in any, arguments ...any) any {
	variables := []string{"$a", "$b", "$c"}[:len(arguments)]
	code := m.originals[key(name, len(arguments))]
	if code == nil {
		for _, r := range replacements() {
			if r.name == name && r.arguments == len(arguments) {
				query, err := gojq.Parse(r.text)
				if err != nil {
					return err
				}
				if code, err = gojq.Compile(query, gojq.WithVariables(variables)); err != nil {
					return err
				}
			}
		}
		if m.originals == nil {
			m.originals = map[string]*gojq.Code{}
		}
		m.originals[key(name, len(arguments))] = code
	}
	v, _ := code.Run(in, arguments...).Next()
	return v
}

// checkItems counts the memory for iterating over a value, because gojq copies the items.
func (m *meter) checkItems(v any) error {
	switch x := v.(type) {
	case []any:
		return m.allocate(2 * slotSize * int64(len(x)))
	case map[string]any:
		return m.allocate(2 * slotSize * int64(len(x)))
	}
	return nil
}

// checkText counts the memory for a value that is written out or copied as a whole.
func (m *meter) checkText(v any) error {
	switch x := v.(type) {
	case nil, bool, int, float64:
		return nil
	case json.Number, *big.Int:
		return nil
	case string:
		return m.allocate(3 * int64(len(x)))
	}
	size, err := m.measure(v)
	if err != nil {
		return err
	}
	return m.allocate(size)
}

// checkDigits does not accept a text that is a number with many digits, because the time to read it is proportional to the square of the
// number of digits.
func (m *meter) checkDigits(v any) error {
	if text, ok := v.(string); ok && len(text) > maxDigits && strings.Trim(text, "+-.0123456789eE") == "" {
		return m.fail(exceeded("reads a number of %d digits, more than %d", len(text), maxDigits))
	}
	return nil
}

// checkTable counts the memory that transpose needs for a list of lists. All lists in its result have the same length, so the memory is
// that of a table with as many columns as the longest list has items.
func (m *meter) checkTable(v any) error {
	rows, _ := v.([]any)
	longest := 0
	for _, row := range rows {
		if list, ok := row.([]any); ok {
			longest = max(longest, len(list))
		}
	}
	return m.allocate(2 * slotSize * int64(longest) * int64(len(rows)))
}

// checkWhole measures a value, which limits its size and depth.
func (m *meter) checkWhole(v any) error {
	switch v.(type) {
	case []any, map[string]any:
		_, err := m.measure(v)
		return err
	}
	return nil
}

// deepEvery is the number of steps between two checks of the depth. In one step, a value becomes deeper by at most one level.
const deepEvery = 500_000

// checkDeep measures a value every deepEvery steps, because gojq's recursion is as deep as the value.
func (m *meter) checkDeep(v any) error {
	if m.steps < m.deepAt {
		return nil
	}
	before := m.steps
	err := m.checkWhole(v)
	m.deepAt = m.steps + max(deepEvery, m.steps-before)
	return err
}

// checkIndex checks the index n in .[n].
func (m *meter) checkIndex(v any) error {
	switch x := v.(type) {
	case []any:
		if len(x) > 1000 {
			return m.fail(exceeded("searches a list for %d items in a row, more than 1000", len(x)))
		}
	case float64, json.Number, *big.Int, int:
		if n, _ := gojq.ToInt(x); n > maxIndex && n < 1<<29 { // gojq returns an error for larger ones
			return m.fail(exceeded("uses the index %d of a list, more than %d", n, maxIndex))
		}
	}
	return nil
}

// checkPath checks a path at which a value is read or set.
func (m *meter) checkPath(v any) error {
	path, ok := v.([]any)
	if ok && len(path) > maxDepth {
		return m.fail(exceeded("uses a path of more than %d levels", maxDepth))
	}
	for _, part := range path {
		if err := m.checkIndex(part); err != nil {
			return err
		}
	}
	return nil
}
