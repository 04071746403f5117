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
	if !isReference(string(text)) {
		return errSecret
	}
	*s = Secret(text)
	return nil
}

// Text is a value, or a reference to one in the form of [Secret]. A text that starts with env: or file: is a reference.
type Text string

// UnmarshalText refuses a reference without a name.
func (t *Text) UnmarshalText(text []byte) error {
	s := string(text)
	if (strings.HasPrefix(s, "env:") || strings.HasPrefix(s, "file:")) && !isReference(s) {
		return errSecret
	}
	*t = Text(s)
	return nil
}

// IsReference reports whether the text is a reference to a secret.
func (t Text) IsReference() bool { return isReference(string(t)) }

// LogValue returns a reference as it is, and "<text>" for a value, which may be a key.
func (t Text) LogValue() slog.Value {
	if isReference(string(t)) {
		return slog.StringValue(string(t))
	}
	return slog.StringValue("<text>")
}

func isReference(s string) bool {
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
