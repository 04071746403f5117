package jq

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/itchyny/gojq"
)

// join is the function join(separator).
func (m *meter) join(in any, a []any) any {
	list, ok := in.([]any)
	separator, isText := a[0].(string)
	if err := m.checkText(in); err != nil {
		return err
	}
	if !ok || !isText {
		return m.original("join", in, a...)
	}
	if err := m.allocate(int64(len(list)) * int64(len(separator))); err != nil {
		return err
	}
	var b strings.Builder
	for i, item := range list {
		if i > 0 {
			b.WriteString(separator)
		}
		switch x := item.(type) {
		case nil:
		case string:
			b.WriteString(x)
		case []any, map[string]any:
			return m.original("join", in, a...)
		default:
			text, err := gojq.Marshal(x)
			if err != nil {
				return err
			}
			b.Write(text)
		}
	}
	return b.String()
}

// itemSize is the approximate memory of a value that is read from JSON, in bytes.
const itemSize = 64

// fromJSON is the function fromjson. Before it reads the text, it counts the memory that the text's values will need.
func (m *meter) fromJSON(in any, _ []any) any {
	if text, ok := in.(string); ok {
		values, longest := scanJSON(text)
		if longest > maxDigits {
			return m.fail(exceeded("reads a number of %d digits, more than %d", longest, maxDigits))
		}
		if err := m.allocate(int64(len(text)) + itemSize*int64(values)); err != nil {
			return err
		}
	}
	if v, ok := decodeJSON(in); ok {
		return v
	}
	return m.original("fromjson", in)
}

// decodeJSON reads a JSON text in the same way as gojq.
func decodeJSON(in any) (v any, ok bool) {
	text, ok := in.(string)
	if !ok {
		return nil, false
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&v) != nil {
		return nil, false
	}
	_, err := decoder.Token()
	return v, errors.Is(err, io.EOF)
}

// scanJSON returns the approximate number of values in a JSON text, and the length of the longest number.
func scanJSON(text string) (values, longest int) {
	quoted, digits := false, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == ',' || c == ':' || c == '[' || c == '{'):
			values++
		case !quoted && c >= '0' && c <= '9':
			digits++
			longest = max(longest, digits)
			continue
		}
		digits = 0
	}
	return values, longest
}
