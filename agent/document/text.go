package document

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// string reads a text and leaves its backslashes where they are.
func (p *Parser) string() error {
	text := p.tree.text
	start, escaped := p.at+1, false
	for i := start; ; {
		i = special(text, i)
		if i >= len(text) {
			p.at = i
			return ErrShort
		}
		switch c := text[i]; {
		case c == '"':
			p.add(String, start, i, escaped)
			p.at = i + 1
			return nil
		case c == '\\':
			n := escape(text[i:])
			if n == 0 {
				p.at = i
				if rest := len(text) - i; rest < 2 || text[i+1] == 'u' && rest < 6 {
					return ErrShort
				}
				return p.want(`an escape such as \n or \u00e9`)
			}
			escaped = true
			i += n
		default:
			p.at = i
			return p.want("no control character in a text")
		}
	}
}

// special is where the next quote, backslash or control character stands, from i on. It looks at eight bytes at a time:
// subtracting turns on the high bit of a byte that was zero (or below a space), and the lowest such bit is exact.
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

// escape is the length of the escape that a text begins with, 0 where it is none.
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

// unit reads the four hexadecimal digits of a UTF-16 code unit.
func unit(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(view(text[:4]), 16, 16)
	return rune(n), err == nil
}

// unescape appends what a text with backslashes says. Half a surrogate pair is U+FFFD, as for encoding/json.
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
			into = utf8.AppendRune(into, r) // U+FFFD for a surrogate
			i += 6
			continue
		default:
			into = append(into, c)
		}
		i += 2
	}
	return into
}

// view is the bytes as a string without a copy, valid as long as they are.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
