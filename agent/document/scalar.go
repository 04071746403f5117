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
	if f, ok := shortDecimal(s); ok {
		return f, true
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// shortDecimal reads a number of up to 15 digits without an exponent. The digits and the power of ten are exact as floats,
// so that their quotient is the nearest float (W. Clinger, How to read floating point numbers accurately, 1990).
func shortDecimal(s string) (float64, bool) {
	number, negative := strings.CutPrefix(s, "-")
	if len(number) > maxExact+1 {
		return 0, false
	}
	n, digits, fraction, power := uint64(0), 0, false, 1.0
	for i := range len(number) {
		c := number[i]
		switch {
		case c >= '0' && c <= '9':
			n = 10*n + uint64(c-'0')
			digits++
			if fraction {
				power *= 10
			}
		case c == '.' && !fraction:
			fraction = true
		default:
			return 0, false
		}
	}
	f := float64(n) / power
	if negative {
		f = -f
	}
	return f, digits > 0 && digits <= maxExact
}

// maxExact is how many decimal digits a float64 holds exactly, whichever they are.
const maxExact = 15

// maxDigits is how many decimal digits fit an int64, whichever they are.
const maxDigits = 18

// ParseInt reads an integer of up to 18 digits, with or without a minus sign.
func ParseInt(s string) (int64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > maxDigits {
		return 0, false
	}
	n := int64(0)
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(digits[i]-'0')
	}
	if len(digits) < len(s) {
		n = -n
	}
	return n, true
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
