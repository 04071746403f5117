package setting

import (
	"errors"
	"log/slog"
	"strings"
)

// Secret is a reference to a secret, never the secret itself: env:NAME, file:/path, or file:/path#KEY for the line
// KEY=value of a file of such lines. A [Vault] reads it.
type Secret string

var errSecret = errors.New(`a secret is not written here but referred to: "env:NAME", "file:/path" or "file:/path#KEY"`)

// UnmarshalText accepts references alone, so that no secret stands in a configuration file.
func (s *Secret) UnmarshalText(text []byte) error {
	if !isReference(string(text)) {
		return errSecret
	}
	*s = Secret(text)
	return nil
}

// Text is a value that is written out, or a reference as of [Secret]. Text that starts like a reference is one.
type Text string

// UnmarshalText refuses a reference that names nothing.
func (t *Text) UnmarshalText(text []byte) error {
	s := string(text)
	if (strings.HasPrefix(s, "env:") || strings.HasPrefix(s, "file:")) && !isReference(s) {
		return errSecret
	}
	*t = Text(s)
	return nil
}

// IsReference tells whether the text stands for a secret.
func (t Text) IsReference() bool { return isReference(string(t)) }

// LogValue keeps a text that may be a key out of logs.
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
