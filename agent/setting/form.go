package setting

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode"

	"github.com/collectington/collectington/agent/pattern"
)

// formKind is how a value is written.
type formKind int

const (
	asIs    formKind = iota
	decoded          // as it is, with what looks like an escape undone, as it is in a view
	inHex
	base64At0 // in base64, at a distance of 0, 1 or 2 from the beginning of a group of three bytes, as after "user:"
	base64At1
	base64At2
	kinds
)

func (k formKind) isBase64() bool { return k >= base64At0 }

// maxKept is the maximum length of a value whose forms are kept, in bytes. Those of a longer one are made when they are needed,
// since they need far more memory than the value.
const maxKept = 2 << 10

// form is a value as it is written in some way.
type form struct {
	value string
	kind  formKind
	kept  string // the text; "" = it is not kept
	size  int    // of the text

	isAddress bool // of a database or proxy
}

func newForm(value string, kind formKind) form {
	f := form{value: value, kind: kind, isAddress: address().MatchString(value)}
	text := f.text()
	if f.size = len(text); len(value) <= maxKept {
		f.kept = text
	}
	return f
}

// text returns the form as it is in the folded bytes of a view.
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
	// Of the first and last character, some bits belong to the neighbours of the value.
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

// comparable returns what [form.common] compares: the text, or a value that has the same folded bytes.
func (f form) comparable() string {
	if f.kept == "" && f.kind == asIs {
		return f.value
	}
	return f.text()
}

// common returns how many bytes the form and a text have in common at their beginnings.
func (f form) common(text []byte) int {
	whole := f.comparable()
	n := 0
	for n < len(whole) && n < len(text) && (whole[n] == text[n] || foldByte(whole[n]) == text[n]) {
		n++
	}
	return n
}

// commonEnd returns how many bytes the form and a text have in common at their ends.
func (f form) commonEnd(text []byte) int {
	whole := f.comparable()
	n := 0
	for n < len(whole) && n < len(text) && (whole[len(whole)-1-n] == text[len(text)-1-n] || foldByte(whole[len(whole)-1-n]) == text[len(text)-1-n]) {
		n++
	}
	return n
}

// least returns the minimum length of the form's text: a part of base64 is shorter than its value.
func (f form) least() int {
	if f.kind.isBase64() {
		return minSecret + 2
	}
	return minSecret
}

// is reports whether a text of the length of the form is the form, with the case of its letters.
func (f form) is(plain []byte) bool {
	return f.kind != asIs || string(plain) == f.value
}

// A value with words and names in it, which messages may show on their own.
var (
	address = pattern.OnUse(`://|@(tcp|unix)\(|\b(host|dbname|password)=`)
	words   = pattern.OnUse(`^([A-Z]?[a-z]*|[A-Z]+)([-_+ /.:]+([A-Z]?[a-z]*|[A-Z]+))*$`)
)

// isCut reports whether the first n bytes of the form, or the last if n is negative, can only be a part of the secret. A few words
// are not: a key can begin with the name of the service. Of the address of a database, whose password is a secret of its own, no
// part is.
func (f form) isCut(n int, marked bool) bool {
	if f.kind == inHex || f.kind.isBase64() {
		return true
	}
	written := f.value // with the case of its letters
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
