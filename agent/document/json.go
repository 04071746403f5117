package document

import (
	"fmt"
	"unicode/utf8"
)

// AppendJSON appends the value as JSON, in UTF-8 and without white space. What is not UTF-8 in texts becomes U+FFFD. It
// breaks off when the result is longer than max bytes, and is no JSON then.
func (v Value) AppendJSON(into []byte, max int) []byte {
	comma := false
	separate := func() {
		if comma {
			into = append(into, ',')
		}
		comma = true
	}
	switch v.Kind() {
	case Object:
		into = append(into, '{')
		for key, member := range v.Members {
			if len(into) > max {
				return into
			}
			separate()
			into = append(AppendQuoted(into, key), ':')
			into = member.AppendJSON(into, max)
		}
		return append(into, '}')
	case Array:
		into = append(into, '[')
		for item := range v.Items {
			if len(into) > max {
				return into
			}
			separate()
			into = item.AppendJSON(into, max)
		}
		return append(into, ']')
	case String:
		return AppendQuoted(into, v.Text())
	case Number:
		return append(into, v.Raw()...)
	case True:
		return append(into, "true"...)
	case False:
		return append(into, "false"...)
	}
	return append(into, "null"...)
}

// AppendQuoted appends a text as JSON has it. What is not UTF-8 becomes U+FFFD.
func AppendQuoted(into []byte, text string) []byte {
	into = append(into, '"')
	for text != "" {
		n := plain(text)
		into, text = append(into, text[:n]...), text[n:]
		if text == "" {
			break
		}
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch {
		case r == '"' || r == '\\':
			into = append(into, '\\', byte(r))
		case r == '\n':
			into = append(into, `\n`...)
		case r == '\t':
			into = append(into, `\t`...)
		case r < ' ':
			into = fmt.Appendf(into, `\u%04x`, r)
		default:
			into = utf8.AppendRune(into, r)
		}
	}
	return append(into, '"')
}

// plain is how many of a text's first bytes stand in JSON as they are, one character each.
func plain(text string) int {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return len(text)
}
