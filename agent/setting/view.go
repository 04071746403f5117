package setting

import (
	"bytes"
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxNested is the largest number of nested escapes that are decoded, such as JSON inside a query inside a quoted log line.
const maxNested = 5

// view is a text with some levels of its escape sequences decoded. For each byte it has the position in the original text.
type view struct {
	plain    []byte
	folded   []byte // "plain" after foldByte, which removes differences between upper and lower case and between the two alphabets of base64
	from, to []int  // where each byte of "plain" starts and ends in the original text; nil = at the same position
}

func newView(text string) *view { return (&view{plain: []byte(text)}).fold() }

// fold sets folded by applying foldByte to each byte of plain.
func (v *view) fold() *view {
	v.folded = make([]byte, len(v.plain))
	for i, c := range v.plain {
		v.folded[i] = foldByte(c)
	}
	return v
}

// foldByte maps bytes that mean the same in some encoding to one byte: upper and lower case, the plus sign that means a space in a
// query, and the characters that are different in base64 for URLs.
func foldByte(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	case c == '+' || c == '-':
		return ' '
	case c == '_':
		return '/'
	}
	return c
}

// span returns the part of the original text from which a part of the view was decoded.
func (v *view) span(from, to int) span {
	if v.from == nil {
		return span{from, to}
	}
	return span{v.from[from], v.to[to-1]}
}

// decoded returns the view with one more level of escape sequences decoded, or nil if there are no more. It decodes the escapes of
// URLs (%2B), of JSON and programming languages (\u002b, \x2b, \"), and of HTML (&#43;).
func (v *view) decoded() *view {
	if !bytes.ContainsAny(v.plain, `%\&`) {
		return nil
	}
	next, changed := &view{}, false
	for i := 0; i < len(v.plain); {
		char, size := unescape(v.plain[i:])
		if size == 0 {
			char, size = v.plain[i:i+1], 1
		} else {
			changed = true
		}
		s := v.span(i, i+size)
		for _, c := range char {
			next.plain = append(next.plain, c)
			next.from, next.to = append(next.from, s.from), append(next.to, s.to)
		}
		i += size
	}
	if !changed {
		return nil
	}
	return next.fold()
}

// unescape decodes the escape sequence at the beginning of a text. It returns the decoded bytes and the length of the sequence. If there is
// no escape sequence, the length is 0.
func unescape(text []byte) (char []byte, size int) {
	switch text[0] {
	case '%':
		return hexByte(text, 1)
	case '\\':
		return unescapeBackslash(text)
	case '&':
		end := bytes.IndexByte(text[:min(len(text), 12)], ';')
		if end < 0 {
			return nil, 0
		}
		entity := string(text[:end+1])
		if plain := html.UnescapeString(entity); plain != entity {
			return []byte(plain), len(entity)
		}
	}
	return nil, 0
}

func unescapeBackslash(text []byte) (char []byte, size int) {
	if len(text) < 2 {
		return nil, 0
	}
	switch c := text[1]; c {
	case '"', '\\', '/', '\'':
		return text[1:2], 2
	case 'x':
		return hexByte(text, 2)
	case 'u', 'U':
		r, size := hexRune(text, map[byte]int{'u': 4, 'U': 8}[c])
		if size == 0 {
			return nil, 0
		}
		if low, more := hexRune(text[size:], 4); utf16.IsSurrogate(r) && more > 0 {
			if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
				r, size = both, size+more
			}
		}
		return utf8.AppendRune(nil, r), size
	default:
		if i := strings.IndexByte("ntrbfav", c); i >= 0 {
			return []byte{"\n\t\r\b\f\a\v"[i]}, 2
		}
	}
	return nil, 0
}

// hexByte returns the byte that the two hexadecimal digits at a position stand for.
func hexByte(text []byte, at int) (char []byte, size int) {
	if len(text) < at+2 {
		return nil, 0
	}
	n, err := strconv.ParseUint(string(text[at:at+2]), 16, 8)
	if err != nil {
		return nil, 0
	}
	return []byte{byte(n)}, at + 2
}

// hexRune decodes the \u or \U and the hexadecimal digits at the beginning of a text. It returns the character that they stand for.
func hexRune(text []byte, digits int) (r rune, size int) {
	if len(text) < 2+digits || text[0] != '\\' || text[1] != 'u' && text[1] != 'U' {
		return 0, 0
	}
	n, err := strconv.ParseUint(string(text[2:2+digits]), 16, 32)
	if err != nil {
		return 0, 0
	}
	return rune(n), 2 + digits
}

// isMark reports whether there is an ellipsis or stars at this position. They show that the value before them is cut off.
func (v *view) isMark(at int) bool {
	rest := bytes.TrimLeft(v.plain[at:min(at+16, len(v.plain))], "\"\\ ")
	for _, mark := range []string{"...", "…", "***", "•••"} {
		if bytes.HasPrefix(rest, []byte(mark)) {
			return true
		}
	}
	return false
}
