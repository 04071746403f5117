package http

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// Validate names every problem by its setting.
func (c *Config) Validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	switch {
	case c.URL.IsZero():
		bad("url", "is needed: the address to ask, such as https://api.example.com/v1/incidents")
	case strings.Contains(c.URL.RawQuery, "{{"):
		bad("url", "no template stands behind the ?: move that parameter to query")
	}
	switch {
	case c.Method != http.MethodGet && c.Method != http.MethodPost:
		bad("method", "want GET or POST")
	case c.Method == http.MethodGet && c.Body != "":
		bad("body", "a GET has no body: set method to POST")
	}
	_, err := c.texts()
	problems = append(problems, err)
	if c.Paginate != nil {
		problems = append(problems, c.Paginate.validate(c))
	}
	if c.ForEach != nil {
		problems = append(problems, c.ForEach.validate(c))
	}
	if c.MaxBody <= 0 {
		bad("max_body", "want more than 0, such as 64MiB")
	}
	problems = append(problems, c.validateHeaders(), c.Decoding.Validate(), c.RequestPolicy.Validate(), c.Settings.Validate())
	return errors.Join(problems...)
}

func (c *Config) validateHeaders() error {
	var problems []error
	seen := map[string]string{}
	for _, name := range sorted(c.Headers) {
		bad := func(format string, args ...any) {
			problems = append(problems, setting.Bad("headers."+name, format, args...))
		}
		canonical := http.CanonicalHeaderKey(name)
		first, twice := seen[canonical]
		seen[canonical] = name
		switch {
		case !httpclient.IsToken(name):
			bad("not a header's name: want letters, digits and hyphens")
		case isOwn(name):
			bad("is set by the agent and cannot be set here")
		case canonical == "Authorization" && c.Authenticates():
			bad("cannot stand beside auth, basic_auth, authorization, oauth2 or sigv4, which set it")
		case twice:
			bad("is the same header as %s", first)
		case !validValue(string(c.Headers[name])):
			bad("a header's value is one line without control characters")
		}
	}
	return errors.Join(problems...)
}

func isOwn(name string) bool { return slices.Contains(ownHeaders(), http.CanonicalHeaderKey(name)) }

// ownHeaders are those that HTTP itself lives by.
func ownHeaders() []string {
	return []string{
		"Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Upgrade",
	}
}

// validValue tells whether a header can carry the value (RFC 9110 section 5.5).
func validValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// contentType is what the body is when the headers do not say.
func contentType(body []byte) string {
	if json.Valid(body) {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

func sorted(m map[string]setting.Text) []string { return slices.Sorted(maps.Keys(m)) }
