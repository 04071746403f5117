package document

import (
	"strconv"
	"strings"
)

// ParseNumber parses a decimal number. Unlike strconv.ParseFloat, it does not accept texts such as NaN and 0x10.
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

// shortDecimal parses a number with up to 15 digits and without an exponent. The digits and the power of ten are exact as floats,
// so their quotient is the nearest float (W. Clinger, How to read floating point numbers accurately, 1990).
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

// maxExact is the number of decimal digits that a float64 can always represent exactly.
const maxExact = 15

// maxDigits is the number of decimal digits that always fit into an int64.
const maxDigits = 18

// ParseInt parses an integer of up to 18 digits, with an optional minus sign.
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
