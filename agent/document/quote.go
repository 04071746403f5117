package document

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// AppendQuoted appends a text as a JSON string. Invalid UTF-8 becomes U+FFFD.
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

// plain returns the number of bytes at the beginning that need no escape in JSON.
func plain(text string) int {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return len(text)
}

// special returns the index of the next quote, backslash or control character at or after i. It tests eight bytes at a time: a
// subtraction sets the high bit of each byte that is zero (or below a space). It may wrongly set that bit in higher bytes too, but the
// lowest bit that is set is always right.
func special(text []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(text); i += 8 {
		x := binary.LittleEndian.Uint64(text[i:])
		quote, slash := x^(ones*'"'), x^(ones*'\\')
		found := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*' ')&^x) & highs
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c == '"' || c == '\\' || c < ' ' {
			break
		}
	}
	return i
}

// escape returns the length of the escape sequence at the beginning of a text, or 0 if it is invalid.
func escape(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := unit(text[2:]); ok {
			return 6
		}
	}
	return 0
}

// unit parses the four hexadecimal digits of a UTF-16 code unit.
func unit(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(view(text[:4]), 16, 16)
	return rune(n), err == nil
}

// unescape appends a string and decodes its escapes. A surrogate without its other half becomes U+FFFD, as in encoding/json.
func unescape(into []byte, raw string) []byte {
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			into = append(into, c)
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b', 'f', 'n', 'r', 't':
			into = append(into, map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}[c])
		case 'u':
			r, _ := unit([]byte(raw[i+2 : i+6]))
			if utf16.IsSurrogate(r) && i+12 <= len(raw) && raw[i+6] == '\\' && raw[i+7] == 'u' {
				low, _ := unit([]byte(raw[i+8 : i+12]))
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					into = utf8.AppendRune(into, pair)
					i += 12
					continue
				}
			}
			into = utf8.AppendRune(into, r) // a surrogate becomes U+FFFD
			i += 6
			continue
		default:
			into = append(into, c)
		}
		i += 2
	}
	return into
}

// view returns the bytes as a string without copying them.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
