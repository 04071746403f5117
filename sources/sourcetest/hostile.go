package sourcetest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// endures runs a tick with each hostile document. Each of these ticks must return an error or valid readings. After them, a good
// document must be measured.
func (s *suite) endures() {
	i := s.open()
	for _, document := range append(hostile(), variants(s.Documents[0])...) {
		i.answer(document)
		_, _ = i.tick(s.Context()) // tick checks the result
		if s.Failed() {
			s.Fatalf("on %.300q", document)
		}
	}
	i.answer(s.Documents[1])
	readings, err := i.tick(s.Context())
	if err != nil {
		s.Fatalf("Collect of a good document after them: %v", err)
	}
	i.isWhole(readings, "")
}

// hostile returns documents that no API should send.
func hostile() []string {
	return []string{
		"", " ", "null", "true", "0", "-0", "1e400", "-1e-400", `"text"`, `"\ud800"`, `"\u0000"`, "\"\xff\"", "[]", "{}", "[null]", "[{}]", `{"": null}`,
		`{"a": 1, "a": 2}`, "\ufeff{}", "\xff\xfe{\x00}\x00", "<!DOCTYPE html>", "{", `{"a"`, `{"a":`, "[1,", "NaN", "Infinity", "'x'",
		strings.Repeat("9", 100_000), `"` + strings.Repeat("x", 1<<20) + `"`, strings.Repeat(" ", 1<<16),
		strings.Repeat("[", 300) + strings.Repeat("]", 300), strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000),
		"[" + strings.Repeat("{},", 100_000) + "{}]",
	}
}

// maxVariants is the maximum number of variants of a document.
const maxVariants = 3000

// variants returns copies of a document. In each, one value is replaced by another, or one member is removed.
func variants(document string) []string {
	nasty := []any{
		nil, true, false, -1, 0, 1e308, json.Number("12345678901234567890123"), json.Number("1e999"), "", "text", "1e999", "NaN", "line\nbreak\x00\x1b[31m",
		strings.Repeat("é", 5000),
		[]any{},
		map[string]any{},
		[]any{nil, []any{}, map[string]any{"a": 1}},
		map[string]any{"": []any{0}},
	}
	var root any
	if json.Unmarshal([]byte(document), &root) != nil {
		return nil
	}
	var all []string
	add := func() {
		if text, err := json.Marshal(root); err == nil && len(all) < maxVariants {
			all = append(all, string(text))
		}
	}
	var walk func(v any, set func(any))
	walk = func(v any, set func(any)) {
		for _, other := range nasty {
			set(other)
			add()
		}
		set(v)
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				member := v[key]
				walk(member, func(other any) { v[key] = other })
				delete(v, key)
				add()
				v[key] = member
			}
		case []any:
			for at, item := range v {
				walk(item, func(other any) { v[at] = other })
			}
		}
	}
	walk(root, func(other any) { root = other })
	return all
}
