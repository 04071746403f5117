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

// Send is where requests carry a token: in a header, a cookie or the query. Exactly one field is set.
type Send struct {
	Header placedHeader `yaml:"header"`
	Cookie string       `yaml:"cookie"` // name of the cookie
	Query  string       `yaml:"query"`  // name of the parameter
}

// placedHeader is a header that contains a token, such as Authorization: Bearer {{ .Token }}.
type placedHeader struct{ name, before, after string }

var errHeader = errors.New(`want a name, a colon and a value that contains the token once: "Authorization: Bearer {{ .Token }}"`)

// UnmarshalText parses a header line.
func (p *placedHeader) UnmarshalText(text []byte) error {
	name, value, colon := strings.Cut(string(text), ":")
	parts := regexp.MustCompile(`\{\{\s*\.Token\s*\}\}`).Split(strings.TrimSpace(value), -1)
	if !colon || !httpclient.IsToken(name) || len(parts) != 2 || strings.Contains(parts[0]+parts[1], "{{") || !httpclient.IsHeaderValue(value) {
		return errHeader
	}
	*p = placedHeader{name, parts[0], parts[1]}
	return nil
}

// Verbatim implements setting.Verbatim.
func (*placedHeader) Verbatim() {}

func (s *Send) validate() error {
	given := 0
	for _, set := range []bool{s.Header.name != "", s.Cookie != "", s.Query != ""} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return setting.Errorf("", "set one of header, cookie and query")
	case s.Cookie != "" && !httpclient.IsToken(s.Cookie):
		return setting.Errorf("cookie", "not a valid cookie name: use letters, digits and hyphens")
	}
	return nil
}

// setToken puts the token on a request.
func (s *Send) setToken(req *http.Request, token string) {
	switch {
	case s.Cookie != "":
		if others := req.Cookies(); len(req.CookiesNamed(s.Cookie)) > 0 { // remove it: of two cookies with one name, a server may use either
			req.Header.Del("Cookie")
			for _, c := range others {
				if c.Name != s.Cookie {
					req.AddCookie(c)
				}
			}
		}
		req.AddCookie(&http.Cookie{Name: s.Cookie, Value: token})
	case s.Query != "":
		req.URL.RawQuery = strings.Trim(req.URL.RawQuery+"&"+url.QueryEscape(s.Query)+"="+url.QueryEscape(token), "&")
	default:
		req.Header.Set(s.Header.name, s.Header.before+token+s.Header.after)
	}
}

// maxToken is the maximum length of a token, in bytes. Servers do not accept longer headers.
const maxToken = 16 << 10

// check returns an error if a token cannot be sent. The error does not show the token.
func (s *Send) check(token string) error {
	invalid := func(more string) bool {
		return strings.ContainsFunc(token, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(more, r) })
	}
	switch {
	case token == "":
		return errors.New("the token is empty: does the expression of token select the right value?")
	case len(token) > maxToken:
		return errors.New("the token exceeds " + setting.Bytes(maxToken).String())
	case s.Cookie != "" && invalid(` ",;\`): // RFC 6265 section 4.1.1
		return errors.New("the token contains characters that are not valid in a cookie: if it is the right value, send it in a header (send)")
	case s.Query == "" && (invalid("") || strings.TrimSpace(token) != token):
		return errors.New("the token contains characters that are not valid in a header: does the expression of token select the right value?")
	}
	return nil
}
