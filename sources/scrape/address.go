package scrape

import (
	"strings"

	"github.com/collectington/collectington/agent/setting"
)

// Address is a target: host:port, or the URL of its page, whose scheme, path and query then replace those of the settings.
type Address struct{ setting.URL }

// UnmarshalText parses either form. The scheme of host:port is empty.
func (a *Address) UnmarshalText(text []byte) error {
	isURL := strings.Contains(string(text), "://")
	if !isURL {
		text = append([]byte("http://"), text...)
	}
	if err := a.URL.UnmarshalText(text); err != nil {
		return err
	}
	if !isURL {
		a.Scheme = ""
	}
	return nil
}

// MarshalText implements [encoding.TextMarshaler].
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// String returns the address as it is written.
func (a *Address) String() string { return strings.TrimPrefix(a.URL.String(), "//") }

// Place returns the address without its query, for messages.
func (a *Address) Place() string { return strings.TrimPrefix(a.URL.Place(), "//") }
