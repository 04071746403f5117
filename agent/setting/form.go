package setting

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode"

	"github.com/collectington/collectington/agent/pattern"
)

// formKind is a way in which a secret may be written in a text, such as an encoding.
type formKind int

const (
	asIs    formKind = iota
	decoded          // escape sequences in the value are decoded, in the same way as a view decodes them in a text
	inHex
	base64At0 // in base64; the value begins 0, 1 or 2 bytes after the start of a group of three, as after "user:"
	base64At1
	base64At2
	kinds
)

func (k formKind) isBase64() bool { return k >= base64At0 }

// maxKept is the maximum length of a value whose forms are kept in memory, in bytes. The forms of longer values are made when they
// are needed, since they take far more memory than the value.
const maxKept = 2 << 10

// form is a secret value, encoded in one way. A text is searched for all forms of each value.
type form struct {
	value string
	kind  formKind
	kept  string // the result of text; "" = it is not kept
	size  int    // length of the result of text

	isAddress bool // the value is the address of a database or proxy
}

func newForm(value string, kind formKind) form {
	f := form{value: value, kind: kind, isAddress: address().MatchString(value)}
	text := f.text()
	if f.size = len(text); len(value) <= maxKept {
		f.kept = text
	}
	return f
}

// text returns the encoded value, with foldByte applied to each byte. So it can be compared with the folded bytes of a view.
func (f form) text() string {
	if f.kept != "" {
		return f.kept
	}
	switch f.kind {
	case asIs:
		return string(newView(f.value).folded)
	case decoded:
		v := newView(f.value)
		for range maxNested {
			next := v.decoded()
			if next == nil {
				break
			}
			v = next
		}
		return string(v.folded)
	case inHex:
		return hex.EncodeToString([]byte(f.value))
	}
	// Some bits of the first and last character belong to the bytes before and after the value, so these characters are left out.
	distance := int(f.kind - base64At0)
	text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", distance) + f.value))
	skip := (8*distance + 5) / 6
	if (distance+len(f.value))%3 != 0 {
		text = text[:len(text)-1]
	}
	if skip >= len(text) {
		return ""
	}
	return string(newView(text[skip:]).folded)
}

// comparable returns the bytes that [form.common] compares with a text. They are the result of [form.text], or bytes that foldByte converts
// to this result.
func (f form) comparable() string {
	if f.kept == "" && f.kind == asIs {
		return f.value
	}
	return f.text()
}

// common returns the length of the longest common prefix of the form and a text.
func (f form) common(text []byte) int {
	whole := f.comparable()
	n := 0
	for n < len(whole) && n < len(text) && (whole[n] == text[n] || foldByte(whole[n]) == text[n]) {
		n++
	}
	return n
}

// commonEnd returns the length of the longest common suffix of the form and a text.
func (f form) commonEnd(text []byte) int {
	whole := f.comparable()
	n := 0
	for n < len(whole) && n < len(text) && (whole[len(whole)-1-n] == text[len(text)-1-n] || foldByte(whole[len(whole)-1-n]) == text[len(text)-1-n]) {
		n++
	}
	return n
}

// least returns the minimum length of the form's text. This minimum is larger for base64: some characters at its ends are left out, so the
// same length stands for a shorter part of the value.
func (f form) least() int {
	if f.kind.isBase64() {
		return minSecret + 2
	}
	return minSecret
}

// is reports whether the text "plain" is this form. The caller has already found that the two are equal when foldByte is applied to both.
// If the form is the value without an encoding, all bytes must also be equal without foldByte.
func (f form) is(plain []byte) bool {
	return f.kind != asIs || string(plain) == f.value
}

// Values that match these patterns contain words and names. Messages may legitimately contain the same words and names.
var (
	address = pattern.OnUse(`://|@(tcp|unix)\(|\b(host|dbname|password)=`)
	words   = pattern.OnUse(`^([A-Z]?[a-z]*|[A-Z]+)([-_+ /.:]+([A-Z]?[a-z]*|[A-Z]+))*$`)
)

// isCut reports whether the first n bytes of the form (the last -n bytes if n is negative) are surely a part of the secret. A part that is
// only a few words does not count, since a key can begin with the name of the service. No part of an address of a database or proxy counts,
// since its password is a separate secret. The argument "marked" says that an ellipsis follows in the text.
func (f form) isCut(n int, marked bool) bool {
	if f.kind == inHex || f.kind.isBase64() {
		return true
	}
	written := f.value // with upper and lower case as in the value
	if f.kind != asIs {
		written = f.text()
	}
	part := written[:max(n, 0)]
	if n < 0 {
		part = written[len(written)+n:]
	}
	plain := strings.TrimFunc(part, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	switch {
	case f.isAddress:
		return false
	case marked:
		return true
	}
	return len(plain) >= minCut && (4*len(plain) >= 3*len(written) || !words().MatchString(plain))
}
