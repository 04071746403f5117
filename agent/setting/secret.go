package setting

import (
	"errors"
	"log/slog"
	"strings"
)

// Secret is a reference to a secret, never the secret itself: env:NAME, file:/path, or file:/path#KEY for the line
// KEY=value of that file. [SecretStore.Secret] reads it.
type Secret string

var errSecret = errors.New(`a secret must not be written here: refer to it by "env:NAME", "file:/path" or "file:/path#KEY"`)

// UnmarshalText accepts only a reference, so that no configuration file contains a secret.
func (s *Secret) UnmarshalText(text []byte) error {
	if !IsReference(string(text)) {
		return errSecret
	}
	*s = Secret(text)
	return nil
}

// Text is a value, a reference to one in the form of [Secret], or a text with secrets in it: Bearer {{ secret "env:TOKEN" }}. A text
// that starts with env: or file: is a reference; {{ "env:prod" }} is these letters.
type Text string

// UnmarshalText refuses a reference without a name, and what looks like a reference but would be sent as letters.
func (t *Text) UnmarshalText(text []byte) error {
	s := string(text)
	if err := CheckText(s); err != nil {
		return err
	}
	*t = Text(s)
	return nil
}

// CheckText returns an error for a text that is no valid [Text].
func CheckText(s string) error {
	switch {
	case IsReference(s):
		return nil
	case strings.HasPrefix(s, "env:") || strings.HasPrefix(s, "file:"):
		return errReference
	}
	if _, err := Pieces(s); err != nil {
		return err
	}
	if l := FindLookalike(s); l != nil {
		return errors.New(l.Inside())
	}
	return nil
}

var errReference = errors.New(`a text that begins with env: or file: is a reference: want "env:NAME", "file:/path" or "file:/path#KEY", or {{ "env:" }} for these letters`)

// IsReference reports whether the text as a whole is a reference to a secret.
func (t Text) IsReference() bool { return IsReference(string(t)) }

// HasSecret reports whether the text is a reference or contains one.
func (t Text) HasSecret() bool {
	if t.IsReference() {
		return true
	}
	pieces, err := Pieces(string(t))
	return err == nil && len(pieces) > 1
}

// LogValue returns a reference as it is, and "<text>" for a value, which may be a key.
func (t Text) LogValue() slog.Value {
	if t.IsReference() {
		return slog.StringValue(string(t))
	}
	return slog.StringValue("<text>")
}
