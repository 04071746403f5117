package setting

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
)

// URL is an absolute http or https address.
type URL struct{ url.URL }

// UnmarshalText refuses what is not absolute, has another scheme, or carries a password (which belongs into basic_auth).
func (u *URL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	switch {
	case err != nil:
		return errors.New("not an address: want one such as https://api.example.com/v1")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return errors.New("want an address that starts with http:// or https://")
	case parsed.Hostname() == "" || strings.ContainsAny(parsed.Host, " \t"):
		return errors.New("the address names no host")
	case parsed.User != nil:
		return errors.New("a password does not belong into an address: use basic_auth")
	}
	u.URL = *parsed
	return nil
}

// MarshalText is the address as it was written.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue keeps the query out of logs.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.Place()) }

// IsZero tells whether no address was given.
func (u URL) IsZero() bool { return u.Host == "" }

// Place is the address without its query, fit for messages: a query can hold keys.
func (u URL) Place() string { return Place(&u.URL) }

// Place is scheme, host and path of an address, without user, query and fragment.
func Place(u *url.URL) string {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return bare.String()
}
