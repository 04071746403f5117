package document

import (
	"strconv"
	"strings"
)

// Number is the value as a number: a number, true (1) or false (0), or a text that is a decimal number and nothing else.
func (v Value) Number() (float64, bool) {
	switch v.Kind() {
	case Number, String:
		return ParseNumber(v.Text())
	case True:
		return 1, true
	case False:
		return 0, true
	}
	return 0, false
}

// ParseNumber reads a decimal number; words such as NaN or 0x10, which strconv knows too, are none.
func ParseNumber(s string) (float64, bool) {
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// Label is the value as a label's value or an event's id: a text, the digits of a number, true or false. It may point into
// the document.
func (v Value) Label() (string, bool) {
	switch v.Kind() {
	case String, Number, True, False:
		return v.Text(), true
	}
	return "", false
}
