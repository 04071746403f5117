package jq

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// overBounds is the value of a panic that ends a sort of package slices when a limit is exceeded.
type overBounds struct{ err error }

// ordered calls the function "sort" with a comparison that can fail. If the comparison fails, ordered ends the sort and returns the error.
func (m *meter) ordered(sort func(compare func(l, r any) int)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			over, ok := p.(overBounds)
			if !ok {
				panic(p)
			}
			err = over.err
		}
	}()
	sort(func(l, r any) int {
		order, err := m.compare(l, r)
		if err != nil {
			panic(overBounds{err})
		}
		return order
	})
	return nil
}

// keyed is an item of a list with the key by which it is sorted.
type keyed struct{ item, key any }

// sorted returns the items of the list "in", ordered by their keys. The keys are the list a[0], or the items themselves if a is empty. The
// result "ok" is false if "in" and a[0] are not lists of the same length.
func (m *meter) sorted(in any, a []any) (items []keyed, ok bool, err error) {
	list, keys, ok := pairs(in, a)
	if !ok {
		return nil, false, nil
	}
	if err := m.allocate(2 * slotSize * int64(len(list))); err != nil {
		return nil, true, err
	}
	items = make([]keyed, len(list))
	for i := range list {
		items[i] = keyed{list[i], keys[i]}
	}
	err = m.ordered(func(compare func(l, r any) int) {
		slices.SortStableFunc(items, func(x, y keyed) int { return compare(x.key, y.key) })
	})
	return items, true, err
}

// pairs returns a list and the keys of its items, as explained at the method sorted. The result "ok" is false if they are not lists of the
// same length.
func pairs(in any, a []any) (list, keys []any, ok bool) {
	list, ok = in.([]any)
	if len(a) == 0 {
		return list, list, ok
	}
	keys, also := a[0].([]any)
	return list, keys, ok && also && len(list) == len(keys)
}

// byName returns the name of a function if a is empty, and otherwise the name of its variant with keys, such as "_sort_by".
func byName(name string, a []any) string {
	if len(a) == 0 {
		return name
	}
	return "_" + name + "_by"
}

func (m *meter) sort(in any, a []any) any {
	items, ok, err := m.sorted(in, a)
	switch {
	case !ok:
		return m.original(byName("sort", a), in, a...)
	case err != nil:
		return err
	}
	list := make([]any, len(items))
	for i := range items {
		list[i] = items[i].item
	}
	return list
}

// groups calls yield for each item, in the order of the items' keys. The argument "first" is true if the item has another key than the item
// before it. The result "ok" has the same meaning as in the method sorted.
func (m *meter) groups(in any, a []any, yield func(item any, first bool)) (ok bool, err error) {
	items, ok, err := m.sorted(in, a)
	if !ok || err != nil {
		return ok, err
	}
	var last any
	for i, x := range items {
		first := i == 0
		if !first {
			order, err := m.compare(last, x.key)
			if err != nil {
				return true, err
			}
			first = order != 0
		}
		if first {
			last = x.key
		}
		yield(x.item, first)
	}
	return true, nil
}

func (m *meter) unique(in any, a []any) any {
	list := []any{}
	ok, err := m.groups(in, a, func(item any, first bool) {
		if first {
			list = append(list, item)
		}
	})
	switch {
	case !ok:
		return m.original(byName("unique", a), in, a...)
	case err != nil:
		return err
	}
	return list
}

func (m *meter) group(in any, a []any) any {
	list := []any{}
	ok, err := m.groups(in, a, func(item any, first bool) {
		if first {
			list = append(list, []any{item})
			return
		}
		last := len(list) - 1
		list[last] = append(list[last].([]any), item)
	})
	switch {
	case !ok:
		return m.original("_group_by", in, a...)
	case err != nil:
		return err
	}
	return list
}

func (m *meter) smallest(in any, a []any) any {
	return m.extreme(byName("min", a), in, a, func(order int) bool { return order > 0 })
}

func (m *meter) largest(in any, a []any) any {
	return m.extreme(byName("max", a), in, a, func(order int) bool { return order <= 0 })
}

// extreme returns the item whose key is the smallest or the largest one. The function "replaces" decides which. Its argument says how the
// best key so far compares with a later key, and it returns true if the later key is better.
func (m *meter) extreme(name string, in any, a []any, replaces func(order int) bool) any {
	list, keys, ok := pairs(in, a)
	if !ok {
		return m.original(name, in, a...)
	}
	if len(list) == 0 {
		return nil
	}
	at := 0
	for i := 1; i < len(keys); i++ {
		order, err := m.compare(keys[at], keys[i])
		if err != nil {
			return err
		}
		if replaces(order) {
			at = i
		}
	}
	return list[at]
}

// contains reports whether l contains r.
func (m *meter) contains(l, r any) any {
	if err := m.work(1); err != nil {
		return err
	}
	switch x := l.(type) {
	case []any:
		if y, ok := r.([]any); ok {
			return m.listContains(x, y)
		}
	case map[string]any:
		if y, ok := r.(map[string]any); ok {
			return m.objectContains(x, y)
		}
	case string:
		if y, ok := r.(string); ok {
			if err := m.work(len(x) >> 8); err != nil {
				return err
			}
			return strings.Contains(x, y)
		}
	case bool:
		if l == r {
			return true
		}
	}
	if x, y, ok := floats(number(l), number(r)); ok && x != y {
		return false
	}
	return m.original("contains", l, r)
}

func (m *meter) listContains(l, r []any) any {
	for _, want := range r {
		found := false
		for _, has := range l {
			if found = m.contains(has, want) == true; found {
				break
			}
			if m.stop != nil {
				return m.stop
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func (m *meter) objectContains(l, r map[string]any) any {
	if len(l) < len(r) {
		return false
	}
	for key, want := range r {
		has, ok := l[key]
		if !ok || m.contains(has, want) != true {
			return m.unless(false)
		}
	}
	return true
}

// unless returns its argument or, if the run has exceeded its limits, the error that says so.
func (m *meter) unless(result any) any {
	if m.stop != nil {
		return m.stop
	}
	return result
}

func (m *meter) indices(in any, a []any) any {
	found := []any{}
	ok, err := m.occurrences(in, a[0], func(at int) bool { found = append(found, at); return true })
	return m.found("indices", in, a, ok, err, found)
}

func (m *meter) firstIndex(in any, a []any) any {
	var found any
	ok, err := m.occurrences(in, a[0], func(at int) bool { found = at; return false })
	return m.found("index", in, a, ok, err, found)
}

func (m *meter) lastIndex(in any, a []any) any {
	var found any
	ok, err := m.occurrences(in, a[0], func(at int) bool { found = at; return true })
	return m.found("rindex", in, a, ok, err, found)
}

func (m *meter) found(name string, in any, a []any, ok bool, err error, found any) any {
	switch {
	case !ok:
		return m.original(name, in, a...)
	case err != nil:
		return err
	}
	return found
}

// occurrences calls yield with each position at which "part" occurs in "in", until yield returns false. Occurrences can overlap. Both
// values are lists or both are strings; otherwise the result "ok" is false.
func (m *meter) occurrences(in, part any, yield func(at int) bool) (ok bool, err error) {
	switch whole := in.(type) {
	case string:
		text, ok := part.(string)
		if !ok {
			return false, nil
		}
		return true, m.occurrencesOf(characters(whole), characters(text), yield)
	case []any:
		items, list := part.([]any)
		if !list {
			items = []any{part}
		}
		if len(items) == 0 {
			return true, nil
		}
		for i := range len(whole) - len(items) + 1 {
			order := 0
			for j := 0; j < len(items) && order == 0; j++ {
				if order, err = m.compare(whole[i+j], items[j]); err != nil {
					return true, err
				}
			}
			if order == 0 && !yield(i) {
				break
			}
		}
		return true, nil
	}
	return false, nil
}

// characters returns a string in which each invalid byte is replaced by U+FFFD.
func characters(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// occurrencesOf calls yield with each position at which the string "text" occurs in the string "whole". Positions are counted in
// characters.
func (m *meter) occurrencesOf(whole, text string, yield func(at int) bool) error {
	if text == "" {
		return nil
	}
	before := 0
	for {
		at := strings.Index(whole, text)
		if err := m.work(1 + (max(at, 0)+len(text))>>8); err != nil || at < 0 {
			return err
		}
		before += utf8.RuneCountInString(whole[:at])
		if !yield(before) {
			return nil
		}
		_, width := utf8.DecodeRuneInString(whole[at:])
		whole = whole[at+width:]
		before++
	}
}

func (m *meter) binarySearch(in any, a []any) any {
	list, ok := in.([]any)
	if !ok {
		return m.original("bsearch", in, a...)
	}
	at, found := 0, false
	err := m.ordered(func(compare func(l, r any) int) { at, found = slices.BinarySearchFunc(list, a[0], compare) })
	switch {
	case err != nil:
		return err
	case found:
		return at
	}
	return -at - 1
}
