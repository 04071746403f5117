package auth

import (
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// Send is where a token goes: one of these.
type Send struct {
	Header placedHeader `yaml:"header"`
	Cookie string       `yaml:"cookie"` // a cookie of this name
	Query  string       `yaml:"query"`  // a parameter of this name
}

// placedHeader is a header with a token in it: Authorization: Bearer {{ .Token }}.
type placedHeader struct{ name, before, after string }

var errHeader = errors.New(`want a name, a colon and a value with the token once in it: "Authorization: Bearer {{ .Token }}"`)

// UnmarshalText reads a header's line.
func (p *placedHeader) UnmarshalText(text []byte) error {
	name, value, colon := strings.Cut(string(text), ":")
	parts := regexp.MustCompile(`\{\{\s*\.Token\s*\}\}`).Split(strings.TrimSpace(value), -1)
	if !colon || !httpclient.IsToken(name) || len(parts) != 2 || strings.Contains(parts[0]+parts[1], "{{") || !isLine(value) {
		return errHeader
	}
	*p = placedHeader{name, parts[0], parts[1]}
	return nil
}

func (s *Send) validate() error {
	given := 0
	for _, set := range []bool{s.Header.name != "", s.Cookie != "", s.Query != ""} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return setting.Bad("", "want one of header, cookie and query")
	case s.Cookie != "" && !httpclient.IsToken(s.Cookie):
		return setting.Bad("cookie", "want the name of a cookie: letters, digits and hyphens")
	}
	return nil
}

// place puts the token on a request.
func (s *Send) place(req *http.Request, token string) {
	switch {
	case s.Cookie != "":
		req.AddCookie(&http.Cookie{Name: s.Cookie, Value: token})
	case s.Query != "":
		req.URL.RawQuery = strings.Trim(req.URL.RawQuery+"&"+url.QueryEscape(s.Query)+"="+url.QueryEscape(token), "&")
	default:
		req.Header.Set(s.Header.name, s.Header.before+token+s.Header.after)
	}
}

// maxToken bounds a token, in bytes. Servers take no longer headers.
const maxToken = 16 << 10

// wrong says why a token cannot be sent, nil where it can. It does not show the token.
func (s *Send) wrong(token string) error {
	odd := func(more string) bool {
		return strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(more, r) })
	}
	switch {
	case token == "":
		return errors.New("the token is empty")
	case len(token) > maxToken:
		return errors.New("the token exceeds " + setting.Bytes(maxToken).String())
	case s.Cookie != "" && odd(` ",;\`): // RFC 6265 section 4.1.1
		return errors.New("the token holds characters that a cookie cannot carry")
	case s.Query == "" && (odd("") || strings.TrimSpace(token) != token):
		return errors.New("the token holds characters that a header cannot carry")
	}
	return nil
}
