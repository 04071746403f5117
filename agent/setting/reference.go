package setting

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/collectington/collectington/agent/pattern"
)

// Verbatim is implemented by the types of settings whose text the reader of the configuration must not change. These are types that
// read references themselves, such as [Text], and types with their own syntax, such as an expression. For a field of another type,
// use the tag `setting:"verbatim"`. In all other settings, a reference is replaced by its value before the setting is read, and a
// text that only looks like a reference is an error.
type Verbatim interface{ Verbatim() }

// Verbatim implements [Verbatim]: the secret is read at each use.
func (Secret) Verbatim() {}

// Verbatim implements [Verbatim]: the reference is read at each use.
func (Text) Verbatim() {}

// Verbatim implements [Verbatim]: references are read at each use.
func (Template) Verbatim() {}

// action matches {{ secret "env:NAME" }} and {{ "letters" }}.
var action = pattern.OnUse(`\{\{\s*(secret\s+)?("(?:[^"\\\n]|\\.)*"|` + "`[^`]*`" + `)\s*\}\}`)

// argument matches (secret "env:NAME"), the argument of a function.
var argument = pattern.OnUse(`\(\s*secret\s+("(?:[^"\\\n]|\\.)*"|` + "`[^`]*`" + `)\s*\)`)

// withoutArguments returns a text without the references to secrets that are arguments of functions.
func withoutArguments(text string) string {
	if !strings.Contains(text, "secret") {
		return text
	}
	return argument().ReplaceAllString(text, `("")`)
}

// Piece is a part of a text: either literal text, or a reference to a secret.
type Piece struct {
	Letters string
	Secret  Secret // "" = the piece is Letters
}

// Pieces splits a text at each {{ secret "env:NAME" }}. It does not replace {{ "letters" }} in the pieces: see [Letters].
func Pieces(text string) ([]Piece, error) {
	var all []Piece
	from := 0
	for _, at := range action().FindAllStringSubmatchIndex(text, -1) {
		if at[2] < 0 {
			continue // not a reference, but {{ "letters" }}
		}
		name, err := strconv.Unquote(text[at[4]:at[5]])
		if err != nil || !IsReference(name) {
			return nil, errInside
		}
		all = append(all, Piece{Letters: text[from:at[0]]}, Piece{Secret: Secret(name)})
		from = at[1]
	}
	return append(all, Piece{Letters: text[from:]}), nil
}

// MapReferences replaces each reference in a text by what the function "to" returns for this reference. It replaces the references in {{
// secret "env:NAME" }}, and in (secret "env:NAME") as the argument of a function.
func MapReferences(text string, to func(reference string) string) string {
	text = argument().ReplaceAllStringFunc(text, func(found string) string {
		reference, err := strconv.Unquote(argument().FindStringSubmatch(found)[1])
		if err != nil || !IsReference(reference) || to(reference) == reference {
			return found
		}
		return "(secret " + strconv.Quote(to(reference)) + ")"
	})
	return action().ReplaceAllStringFunc(text, func(found string) string {
		parts := action().FindStringSubmatch(found)
		reference, err := strconv.Unquote(parts[2])
		if parts[1] == "" || err != nil || !IsReference(reference) || to(reference) == reference {
			return found
		}
		return "{{ secret " + strconv.Quote(to(reference)) + " }}"
	})
}

var errInside = errors.New(`want {{ secret "env:NAME" }}, {{ secret "file:/path" }} or {{ secret "file:/path#KEY" }}`)

// Letters replaces each {{ "letters" }} in a text by the letters between the quotes. Users write a text in this way if the text looks like
// a reference but is not one.
func Letters(text string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	return action().ReplaceAllStringFunc(text, func(found string) string {
		parts := action().FindStringSubmatch(found)
		letters, err := strconv.Unquote(parts[2])
		if parts[1] != "" || err != nil {
			return found
		}
		return letters
	})
}

// IsReference reports whether the whole text is a reference: env:NAME, file:/path or file:/path#KEY.
func IsReference(s string) bool {
	if name, ok := strings.CutPrefix(s, "env:"); ok {
		return name != "" && !strings.ContainsAny(name, " =")
	}
	path, ok := strings.CutPrefix(s, "file:")
	if !ok {
		return false
	}
	path, key, keyed := strings.Cut(path, "#")
	return path != "" && (!keyed || key != "")
}

// lookalike matches parts of a text that users write as references, but that are not replaced by a value. These are references within a
// text, and variables of shells, of Kubernetes and of other template languages. It matches names of variables only if they are in upper
// case, since env:prod within a text can also be a search for a tag.
var lookalike = pattern.OnUse(`\benv:([A-Z_][A-Z0-9_]*)\b` +
	`|\bfile:/[^/\s"'&,;)\]}][^\s"'&,;)\]}]*` +
	`|\$\{([A-Za-z_]\w*)(?::?[-?+=][^}]*)?\}` +
	`|\$\(([A-Z_][A-Z0-9_]*)\)` +
	`|\$([A-Z_][A-Z0-9_]{2,})\b` +
	`|\{\{-?\s*(?:secret|env|\.Env)\b`)

// Lookalike is a part of a text that is probably meant as a reference, but would be sent as it is written.
type Lookalike struct {
	Letters   string // the part as it is written, without default values, which may be secrets
	Reference string // the reference that is probably meant; "" = it has the syntax of a template
}

// FindLookalike returns the first lookalike in a text, or nil if there is none.
func FindLookalike(text string) *Lookalike {
	parts := lookalike().FindStringSubmatch(action().ReplaceAllString(text, "\x00"))
	if parts == nil {
		return nil
	}
	for _, name := range parts[1:] {
		if name == "" {
			continue
		}
		letters, _, defaulted := strings.Cut(parts[0], ":")
		switch {
		case strings.HasPrefix(parts[0], "env:"):
			letters = parts[0]
		case strings.HasPrefix(parts[0], "${"):
			letters = "${" + name + "}"
		case !defaulted:
			letters = parts[0]
		}
		return &Lookalike{letters, "env:" + name}
	}
	if strings.HasPrefix(parts[0], "{{") {
		return &Lookalike{parts[0] + " … }}", ""}
	}
	return &Lookalike{parts[0], parts[0]}
}

// Inside returns an error message for a text that is allowed to contain references to secrets.
func (l *Lookalike) Inside() string {
	if l.Reference == "" {
		return l.Letters + " is not filled in: " + errInside.Error()
	}
	return fmt.Sprintf("%s would be sent as these letters: write {{ secret %q }} for the value, or {{ %q }} for the letters", l.Letters, l.Reference, l.Letters)
}

// Whole returns an error message for a text that is allowed to be a reference, but not to contain one.
func (l *Lookalike) Whole() string {
	if l.Reference == "" {
		return l.Letters + " is not filled in: write env:NAME, file:/path or file:/path#KEY as the whole value"
	}
	return fmt.Sprintf("%s stays these letters: write %s as the whole value, or {{ %q }} for the letters", l.Letters, l.Reference, l.Letters)
}

// InURL returns an error message for a URL whose path is allowed to contain references to secrets.
func (l *Lookalike) InURL() string {
	if l.Reference == "" {
		return l.Inside()
	}
	return fmt.Sprintf("%s would be sent as these letters: in the path write {{ secret %q }} for the value or %s for the letters, and set a parameter under query",
		l.Letters, l.Reference, l.escaped())
}

// WholeURL returns an error message for a URL that is allowed to be a reference, but not to contain one.
func (l *Lookalike) WholeURL() string {
	if l.Reference == "" {
		return l.Whole()
	}
	return fmt.Sprintf("%s would be sent as these letters: put the whole URL into a variable and write env:NAME, or write %s for the letters", l.Letters, l.escaped())
}

// escaped returns Letters in percent-encoding: the characters $, :, { and }, which would make the text a reference again, are written as
// %24, %3A, %7B and %7D.
func (l *Lookalike) escaped() string {
	return strings.NewReplacer("$", "%24", ":", "%3A", "{", "%7B", "}", "%7D").Replace(l.Letters)
}

// maxValue is the maximum size of a value that is not a secret, in bytes.
const maxValue = 64 << 10

// Value returns the value to which a reference refers. It is for a setting that is not a secret, so Scrub does not remove the value from
// texts. It returns an error if the value is missing, empty, longer than maxValue, or not UTF-8.
func (s *SecretStore) Value(reference string) (string, error) {
	if s == nil {
		s = &SecretStore{}
	}
	value, err := s.read(reference)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w%s", reference, err, orLetters(reference))
	case len(value) > maxValue:
		return "", fmt.Errorf("%s: the value is larger than %s", reference, Bytes(maxValue))
	case !utf8.ValidString(value):
		return "", fmt.Errorf("%s: the value is not UTF-8", reference)
	}
	return value, nil
}

// orLetters returns a hint for a reference that cannot be read. The hint says how to write the same text so that it is not a reference.
// orLetters returns "" if the text is surely meant as a reference.
func orLetters(reference string) string {
	name, isVariable := strings.CutPrefix(reference, "env:")
	if !isVariable || strings.ToUpper(name) == name {
		return ""
	}
	return fmt.Sprintf("; if these letters are meant, write {{ %q }}", reference)
}
