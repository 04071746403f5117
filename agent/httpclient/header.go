package httpclient

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/setting"
)

// CheckHeader returns why a header of the settings cannot be sent as it is written, or "". A value that refers to a secret is not
// checked.
func CheckHeader(name string, value setting.Text) string {
	switch {
	case !IsToken(name):
		return "not a valid header name: use letters, digits and hyphens"
	case IsConnectionHeader(name):
		return "is set by the agent and cannot be set here"
	case value.IsReference():
		return ""
	case !IsHeaderValue(string(value)):
		return "the value must be one line without control characters"
	}
	if at := strings.IndexFunc(string(value), func(r rune) bool { return r > '~' }); at >= 0 {
		first := []rune(string(value)[at:])[:1]
		return fmt.Sprintf("the value contains %q, which is not ASCII, and servers read it differently: encode it as the API wants, for instance as %s",
			first[0], url.PathEscape(string(first)))
	}
	return ""
}

// IsConnectionHeader reports whether a header is set by net/http or describes the connection, so that settings cannot set it.
func IsConnectionHeader(name string) bool {
	return slices.Contains([]string{
		"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Upgrade",
	}, http.CanonicalHeaderKey(name))
}

// IsHeaderValue reports whether a text can be sent as the value of a header (RFC 9110 section 5.5).
func IsHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// IsToken reports whether s is a token (RFC 9110 section 5.6.2). Names of headers and of authentication schemes are tokens.
func IsToken(s string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
