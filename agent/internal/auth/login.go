package auth

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/setting"
)

// Login is one request that is answered with a token, and where the token goes from then on.
type Login struct {
	URL     setting.URL             `yaml:"url"`
	Method  string                  `yaml:"method"` // "" = POST
	Query   map[string]setting.Text `yaml:"query"`
	Headers map[string]setting.Text `yaml:"headers"`
	Body    any                     `yaml:"body"` // a text, or what is sent as JSON; texts in it may be references
	Form    map[string]setting.Text `yaml:"form"`

	Token       jq.Expression `yaml:"token"` // on the answer, which is JSON
	TokenHeader string        `yaml:"token_header"`
	TokenCookie string        `yaml:"token_cookie"`
	Expires     jq.Expression `yaml:"expires"` // on the answer: seconds from now, or a time; none = when it is refused

	Send *Send `yaml:"send"` // nil = as it came, and out of JSON as a bearer token

	TLS              *httpclient.TLS `yaml:"tls_config"`
	httpclient.Proxy `yaml:",inline"`
}

// loginProvider logs in when a token is needed.
type loginProvider struct {
	set    *Login
	tokens *httpclient.Tokens
}

// Login implements httpclient.Provider.
func (p *loginProvider) Login(h *httpclient.Host) (httpclient.Login, error) {
	client, err := h.Client(&httpclient.Settings{TLS: p.set.TLS, Proxy: p.set.Proxy})
	if err != nil {
		return nil, setting.Under("login", err)
	}
	if !p.set.reads() {
		// The answer to a form is often a redirect, and the token comes with it.
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return &httpclient.TokenLogin{
		Host: h, Tokens: p.tokens, Asker: &asker{p.set, h, client}, Place: p.set.placement().place, Client: client,
	}, nil
}

// reads tells whether the answer's body says anything.
func (l *Login) reads() bool { return !l.Token.IsZero() || !l.Expires.IsZero() }

func (l *Login) method() string { return cmp.Or(l.Method, http.MethodPost) }

// placement is where the token goes.
func (l *Login) placement() *Send {
	switch {
	case l.Send != nil:
		return l.Send
	case l.TokenCookie != "":
		return &Send{Cookie: l.TokenCookie}
	case l.TokenHeader != "":
		return &Send{Header: placedHeader{l.TokenHeader, "", ""}}
	}
	return &Send{Header: placedHeader{"Authorization", "Bearer ", ""}}
}

func (l *Login) validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	if l.URL.IsZero() {
		bad("url", "is needed: the address to log in at")
	}
	hasBody := l.Body != nil || len(l.Form) > 0
	switch m := l.method(); {
	case m != http.MethodGet && m != http.MethodPost && m != http.MethodPut:
		bad("method", "want POST, GET or PUT")
	case m == http.MethodGet && hasBody:
		bad("method", "a GET has no body")
	}
	if l.Body != nil && len(l.Form) > 0 {
		bad("form", "cannot stand beside body: a request has one of them")
	}
	problems = append(problems, validateBody("body", l.Body), setting.Under("headers", validateHeaders(l.Headers)))
	from := 0
	for name, given := range map[string]bool{"token": !l.Token.IsZero(), "token_header": l.TokenHeader != "", "token_cookie": l.TokenCookie != ""} {
		if given {
			from++
		}
		if name != "token" && given && !httpclient.IsToken(l.TokenHeader+l.TokenCookie) {
			bad(name, "want the name of a header or cookie: letters, digits and hyphens")
		}
	}
	if from != 1 {
		bad("token", "want one of token (jq on the answer, such as .access_token), token_header and token_cookie")
	}
	if l.Send != nil {
		problems = append(problems, setting.Under("send", l.Send.validate()))
	}
	// The client's own settings are checked as those of any client.
	return errors.Join(append(problems, (&httpclient.Settings{TLS: l.TLS, Proxy: l.Proxy}).Validate())...)
}

// validateBody holds a body to what JSON can carry, and references to their form.
func validateBody(path string, v any) error {
	switch v := v.(type) {
	case nil, bool, int, int64, uint64, float64:
		return nil
	case string:
		if err := new(setting.Text).UnmarshalText([]byte(v)); err != nil {
			return setting.Bad(path, "%v", err)
		}
		return nil
	case []any:
		var problems []error
		for i, item := range v {
			problems = append(problems, validateBody(fmt.Sprintf("%s.%d", path, i), item))
		}
		return errors.Join(problems...)
	case map[string]any:
		var problems []error
		for name, value := range v {
			problems = append(problems, validateBody(path+"."+name, value))
		}
		return errors.Join(problems...)
	case time.Time:
		return setting.Bad(path, "quote a time, so that it is sent as it is written")
	}
	return setting.Bad(path, "want texts, numbers, true, false, lists, and mappings of names to them")
}
