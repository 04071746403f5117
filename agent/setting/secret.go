package setting

import (
	"errors"
	"log/slog"
	"strings"
)

// Secret is a reference to a secret, never the secret itself: env:NAME, file:/path, or file:/path#KEY for the line KEY=value of
// that file. [SecretStore.Secret] reads the secret.
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

// Text is a value, a reference to a value as in [Secret], or a text that contains references, such as Bearer {{ secret "env:TOKEN"
// }}. A text that starts with env: or file: is a reference. For the literal text env:prod, write {{ "env:prod" }}.
type Text string

// UnmarshalText does not accept a reference without a name, or a text that looks like a reference but would be sent literally.
func (t *Text) UnmarshalText(text []byte) error {
	s := string(text)
	if err := CheckText(s); err != nil {
		return err
	}
	*t = Text(s)
	return nil
}

// CheckText returns an error for a text that is not a valid [Text].
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

// IsReference reports whether the whole text is a reference to a secret.
func (t Text) IsReference() bool { return IsReference(string(t)) }

// HasSecret reports whether the text is a reference or contains one.
func (t Text) HasSecret() bool {
	if t.IsReference() {
		return true
	}
	pieces, err := Pieces(string(t))
	return err == nil && len(pieces) > 1
}

// Template is a text like [Text]. Arguments of functions in it may also be secrets, such as {{ base64 "ops:" (secret "env:KEY") }}. The
// code that uses the setting evaluates the functions.
type Template string

// UnmarshalText implements encoding.TextUnmarshaler. It checks the text as [CheckTemplate] does.
func (t *Template) UnmarshalText(text []byte) error {
	if err := CheckTemplate(string(text)); err != nil {
		return err
	}
	*t = Template(text)
	return nil
}

// CheckTemplate returns an error for a text that is not a valid [Template].
func CheckTemplate(s string) error { return CheckText(withoutArguments(s)) }

// IsReference reports whether the whole text is a reference to a secret.
func (t Template) IsReference() bool { return IsReference(string(t)) }

// HasSecret reports whether the text is a reference or contains one.
func (t Template) HasSecret() bool {
	return Text(t).HasSecret() || withoutArguments(string(t)) != string(t)
}

// LogValue returns what [Text.LogValue] returns for the same text.
func (t Template) LogValue() slog.Value { return Text(t).LogValue() }

// LogValue returns a reference unchanged, and "<text>" for any other text, since it may be a key.
func (t Text) LogValue() slog.Value {
	if t.IsReference() {
		return slog.StringValue(string(t))
	}
	return slog.StringValue("<text>")
}
