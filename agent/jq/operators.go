package jq

import (
	"encoding/json"
	"maps"
	"math/big"
	"strings"

	"github.com/itchyny/gojq"
)

// number converts a json.Number to the type with which gojq calculates. It returns large integers and other values unchanged.
func number(v any) any {
	text, ok := v.(json.Number)
	if !ok {
		return v
	}
	if n, err := text.Int64(); err == nil {
		return int(n)
	}
	if strings.ContainsAny(string(text), ".eE") {
		if f, err := text.Float64(); err == nil {
			return f
		}
	}
	return v
}

// floats converts two numbers to floats. The result "ok" is false for large integers, which gojq handles, and for other values.
func floats(l, r any) (x, y float64, ok bool) {
	switch l := l.(type) {
	case int:
		x, ok = float64(l), true
	case float64:
		x, ok = l, true
	}
	switch r := r.(type) {
	case int:
		return x, float64(r), ok
	case float64:
		return x, r, ok
	}
	return 0, 0, false
}

func (m *meter) add(in any, a []any) any {
	l, r := number(a[0]), number(a[1])
	switch x := l.(type) {
	case nil:
		if _, large := r.(json.Number); !large {
			return r
		}
	case int:
		if y, ok := r.(int); ok {
			if sum := x + y; (sum >= x) == (y >= 0) {
				return sum
			}
			return m.original("+", in, a...)
		}
	case string:
		if y, ok := r.(string); ok {
			if err := m.allocate(int64(len(x)) + int64(len(y))); err != nil {
				return err
			}
			return x + y
		}
	case []any:
		if y, ok := r.([]any); ok {
			return m.addLists(x, y)
		}
	case map[string]any:
		if y, ok := r.(map[string]any); ok {
			return m.addObjects(x, y)
		}
	}
	if x, y, ok := floats(l, r); ok {
		return x + y
	}
	return m.original("+", in, a...)
}

func (m *meter) addLists(l, r []any) any {
	if len(l) == 0 {
		return r
	}
	if len(r) == 0 {
		return l
	}
	if err := m.allocate(slotSize * int64(len(l)+len(r))); err != nil {
		return err
	}
	sum := make([]any, len(l)+len(r))
	copy(sum, l)
	copy(sum[len(l):], r)
	return sum
}

func (m *meter) addObjects(l, r map[string]any) any {
	if len(l) == 0 {
		return r
	}
	if len(r) == 0 {
		return l
	}
	if err := m.allocate(pairSize * int64(len(l)+len(r))); err != nil {
		return err
	}
	sum := make(map[string]any, len(l)+len(r))
	maps.Copy(sum, l)
	maps.Copy(sum, r)
	return sum
}

func (m *meter) subtract(in any, a []any) any {
	l, r := number(a[0]), number(a[1])
	if x, ok := l.([]any); ok {
		if y, ok := r.([]any); ok {
			return m.subtractLists(x, y)
		}
	}
	if x, ok := l.(int); ok {
		if y, ok := r.(int); ok {
			if v := x - y; (v <= x) == (y >= 0) {
				return v
			}
			return m.original("-", in, a...)
		}
	}
	if x, y, ok := floats(l, r); ok {
		return x - y
	}
	return m.original("-", in, a...)
}

func (m *meter) subtractLists(l, r []any) any {
	rest := make([]any, 0, len(l))
	for _, x := range l {
		found := false
		for _, y := range r {
			order, err := m.compare(x, y)
			if err != nil {
				return err
			}
			if found = order == 0; found {
				break
			}
		}
		if !found {
			rest = append(rest, x)
		}
	}
	return rest
}

func (m *meter) multiply(in any, a []any) any {
	l, r := number(a[0]), number(a[1])
	if x, y, ok := floats(l, r); ok {
		_, whole := l.(int)
		if _, also := r.(int); !whole || !also {
			return x * y
		}
	}
	if err := m.checkProduct(l, r); err != nil {
		return err
	}
	return m.original("*", in, a...)
}

// checkProduct checks the operands of a multiplication that gojq does. It counts the memory of the result.
func (m *meter) checkProduct(l, r any) error {
	if _, text := r.(string); text {
		l, r = r, l
	}
	switch x := l.(type) {
	case string:
		times, ok := gojq.ToFloat64(r)
		if ok && times > 1 && float64(len(x))*times < 1<<31 { // gojq returns an error for longer ones
			return m.allocate(int64(float64(len(x)) * times))
		}
	case map[string]any:
		if y, ok := r.(map[string]any); ok {
			return m.allocateBoth(x, y)
		}
	case json.Number, *big.Int, int:
		if bits(l)+bits(r) > maxBits {
			return m.fail(exceeded("multiplies numbers to more than %d bits", maxBits))
		}
	}
	return nil
}

func (m *meter) allocateBoth(l, r any) error {
	if err := m.checkText(l); err != nil {
		return err
	}
	return m.checkText(r)
}

// bits returns the approximate number of bits of a large integer.
func bits(v any) int {
	switch x := v.(type) {
	case json.Number:
		return 4 * len(x)
	case *big.Int:
		return x.BitLen()
	}
	return 0
}

func (m *meter) divide(in any, a []any) any {
	l, r := number(a[0]), number(a[1])
	if text, ok := l.(string); ok {
		if separator, ok := r.(string); ok {
			return m.split("/", in, a, text, separator)
		}
	}
	_, whole := l.(int)
	_, also := r.(int)
	if x, y, ok := floats(l, r); ok && y != 0 && !(whole && also) {
		return x / y
	}
	return m.original("/", in, a...)
}

func (m *meter) modulo(in any, a []any) any {
	if l, ok := number(a[0]).(int); ok {
		if r, ok := number(a[1]).(int); ok && r > 0 {
			return l % r
		}
	}
	return m.original("%", in, a...)
}

// split returns the parts of a string. If the argument "text" or "separator" is not a string, split returns the error of gojq's own
// function with the given name.
func (m *meter) split(name string, in any, a []any, text, separator any) any {
	s, ok := text.(string)
	sep, also := separator.(string)
	if !ok || !also {
		return m.original(name, in, a...)
	}
	if s == "" {
		return []any{}
	}
	n := strings.Count(s, sep) + 1
	if err := m.allocate(3 * slotSize * int64(n)); err != nil {
		return err
	}
	parts := make([]any, 0, n)
	for part := range strings.SplitSeq(s, sep) {
		parts = append(parts, part)
	}
	return parts
}

// comparison returns an operator that compares two values. The function "holds" gets the order of the two values and returns the result of
// the operator.
func comparison(holds func(order int) bool) func(m *meter, in any, a []any) any {
	return func(m *meter, _ any, a []any) any {
		order, err := m.compare(a[0], a[1])
		if err != nil {
			return err
		}
		return holds(order)
	}
}

// compare compares two values in the order of gojq.
func (m *meter) compare(l, r any) (int, error) {
	if err := m.work(1); err != nil {
		return 0, err
	}
	switch x := l.(type) {
	case []any:
		if y, ok := r.([]any); ok {
			return m.compareWhole(l, r, len(x) <= len(y))
		}
	case map[string]any:
		if y, ok := r.(map[string]any); ok {
			return m.compareWhole(l, r, len(x) <= len(y))
		}
	case string:
		if y, ok := r.(string); ok {
			return strings.Compare(x, y), m.work(min(len(x), len(y)) >> 8)
		}
	}
	return gojq.Compare(l, r), nil
}

// compareWhole compares two lists or objects. It first measures the one with fewer items, which limits the work of the comparison. This is
// l if the argument "left" is true, otherwise r.
func (m *meter) compareWhole(l, r any, left bool) (int, error) {
	shorter := r
	if left {
		shorter = l
	}
	if _, err := m.measure(shorter); err != nil {
		return 0, err
	}
	return gojq.Compare(l, r), nil
}
