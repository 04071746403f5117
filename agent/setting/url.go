package setting

import (
	"errors"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
)

// URL is an absolute http or https URL without a user or password.
type URL struct{ url.URL }

// UnmarshalText parses a URL. It does not accept a relative URL, a scheme other than http and https, or a URL with a user or
// password.
func (u *URL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	switch {
	case regexp.MustCompile(`^https?://[^/?#"]*\{\{`).Match(text):
		return errors.New("the host of a URL cannot be a template: write the host, or env:NAME as the whole URL")
	case err != nil:
		return errors.New("not a valid URL: want one such as https://api.example.com/v1")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return errors.New("want a URL that starts with http:// or https://" + withScheme(string(text)))
	case parsed.Hostname() == "" || strings.ContainsAny(parsed.Host, " \t"):
		return errors.New("the URL has no host")
	case parsed.User != nil:
		return errors.New("a URL must not contain a user or password: use basic_auth")
	}
	u.URL = *parsed
	return nil
}

// withScheme returns a hint for a text without a scheme, such as localhost:9091: the URL that was probably meant. If there is no such URL,
// the hint is "". The URL in the hint has no query, since a query may contain keys.
func withScheme(text string) string {
	if !regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(:[0-9]+)?(/[^?#]*)?([?#].*)?$`).MatchString(text) || !strings.ContainsAny(text, ".:") || strings.HasPrefix(text, "http") {
		return ""
	}
	meant, err := url.Parse("http://" + text)
	if err != nil || meant.Hostname() == "" {
		return ""
	}
	return ", such as " + Place(meant)
}

// MarshalText returns the URL as it was written.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue returns the URL without its query.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.Place()) }

// IsZero reports whether no URL was given.
func (u URL) IsZero() bool { return u.Host == "" }

// Place returns the URL without its query and fragment. It is for messages, since a query may contain keys.
func (u URL) Place() string { return Place(&u.URL) }

// Place returns the scheme, host and path of a URL, without user, query and fragment.
func Place(u *url.URL) string {
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return bare.String()
}
