package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/setting"
)

// Login is the settings of a login by a request: the request, where its response contains the token, and where other requests carry
// the token.
type Login struct {
	URL     setting.URL             `yaml:"url"`
	Method  string                  `yaml:"method"` // "" = POST
	Query   map[string]setting.Text `yaml:"query"`
	Headers map[string]setting.Text `yaml:"headers"`
	Body    any                     `yaml:"body" setting:"text"` // a string, or a value that is sent as JSON; strings may be references
	Form    map[string]setting.Text `yaml:"form"`

	Token       jq.Expression `yaml:"token"` // extracts the token from the response, which must be JSON
	TokenHeader string        `yaml:"token_header"`
	TokenCookie string        `yaml:"token_cookie"`
	Expires     jq.Expression `yaml:"expires"` // extracts a time, or seconds from now, from the response; unset = until the token is refused

	Logout *Logout `yaml:"logout"` // nil = no logout: the session ends when it expires

	Send *Send `yaml:"send"` // nil = in the header or cookie that contained the token; a token from JSON is sent as a bearer token

	TLS              *httpclient.TLS `yaml:"tls_config"`
	httpclient.Proxy `yaml:",inline"`
}

// readsBody reports whether the settings need the response's body.
func (l *Login) readsBody() bool { return !l.Token.IsZero() || !l.Expires.IsZero() }

func (l *Login) method() string { return cmp.Or(l.Method, http.MethodPost) }

// placement returns where requests carry the token.
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
		bad("url", "required: the URL of the login")
	}
	hasBody := l.Body != nil || len(l.Form) > 0
	switch m := l.method(); {
	case m != http.MethodGet && m != http.MethodPost && m != http.MethodPut:
		bad("method", "want POST, GET or PUT")
	case m == http.MethodGet && hasBody:
		bad("method", "a GET has no body")
	}
	if l.Body != nil && len(l.Form) > 0 {
		bad("form", "body is set too: set only one of them")
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
		bad("token", "set one of token (jq on the response, such as .access_token), token_header and token_cookie")
	}
	if l.Logout != nil {
		problems = append(problems, setting.Under("logout", l.Logout.validate()))
	}
	if l.Send != nil {
		problems = append(problems, setting.Under("send", l.Send.validate()))
	}
	return errors.Join(append(problems, (&httpclient.Settings{TLS: l.TLS, Proxy: l.Proxy}).Validate())...)
}

// validateBody checks that a body can be encoded as JSON and that the references in it are well-formed.
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
		return setting.Bad(path, "quote a time: it is sent as it is written")
	}
	return setting.Bad(path, "want strings, numbers, booleans, lists or mappings of them")
}

// loginProvider is the provider of a Login. Its authenticators share one token.
type loginProvider struct {
	set   *Login
	cache *httpclient.TokenCache

	mu   sync.Mutex
	host *httpclient.Host // host of the first authenticator, used for the logout
}

// Keep implements httpclient.Keeper.
func (p *loginProvider) Keep(memory httpclient.TokenMemory) { p.cache.Keep(memory) }

// Authenticator implements httpclient.Provider.
func (p *loginProvider) Authenticator(h *httpclient.Host) (httpclient.Authenticator, error) {
	client, err := h.Under("login").Client(&httpclient.Settings{TLS: p.set.TLS, Proxy: p.set.Proxy})
	if err != nil {
		return nil, setting.Under("login", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.host = cmp.Or(p.host, h)
	if !p.set.readsBody() {
		client.ReturnRedirects() // the response to a login form is often a redirect, and the redirect sets the cookie
	}
	return &httpclient.TokenAuthenticator{
		Host: h, Cache: p.cache, Source: &loginSource{p.set, h, client}, SetToken: p.set.placement().setToken, Client: client,
	}, nil
}

// State returns the state of the token.
func (p *loginProvider) State() httpclient.LoginState { return p.cache.State() }

// loginSource gets tokens by the request of a Login. It sends the request through one host.
type loginSource struct {
	set    *Login
	host   *httpclient.Host
	client *httpclient.Client
}

// Key implements httpclient.TokenSource. The key is a hash of the login request with the current secrets.
func (s *loginSource) Key() (string, error) {
	req, body, err := s.request(context.Background())
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", req.URL.RawQuery, req.Header, body))
	return string(sum[:]), nil
}

// Token implements httpclient.TokenSource.
func (s *loginSource) Token(ctx context.Context) (httpclient.Token, error) {
	req, _, err := s.request(ctx)
	if err != nil {
		return httpclient.Token{}, err
	}
	resp, err := s.client.DoAnyStatus(req)
	if err != nil {
		return httpclient.Token{}, err
	}
	defer resp.Close()
	token, err := s.tokenOf(ctx, resp)
	return token, resp.Wrap(err)
}

// request returns the login's request and its body.
func (s *loginSource) request(ctx context.Context) (*http.Request, string, error) {
	query, err := resolve(s.host, "query", s.set.Query)
	if err != nil {
		return nil, "", setting.Under("login", err)
	}
	text, contentType, err := s.body()
	if err != nil {
		return nil, "", setting.Under("login", err)
	}
	target, values := s.set.URL.URL, url.Values{}
	for name, given := range target.Query() {
		for _, value := range given {
			s.host.RememberNamed(name, value)
		}
	}
	for name, value := range query {
		values.Set(name, value)
	}
	target.RawQuery = strings.Trim(target.RawQuery+"&"+values.Encode(), "&")
	req, err := http.NewRequestWithContext(ctx, s.set.method(), target.String(), strings.NewReader(text))
	if err != nil {
		return nil, "", errors.New("login: invalid request") // the error of net/http would show the query
	}
	if text != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	return req, text, setting.Under("login", setHeaders(s.host, req, s.set.Headers))
}

// body returns the body of the request and its type.
func (s *loginSource) body() (text, contentType string, err error) {
	if len(s.set.Form) > 0 {
		values, err := resolve(s.host, "form", s.set.Form)
		form := url.Values{}
		for name, value := range values {
			form.Set(name, value)
		}
		return form.Encode(), "application/x-www-form-urlencoded", err
	}
	resolved, err := resolveBody(s.host, "body", "", s.set.Body)
	if err != nil || resolved == nil {
		return "", "", err
	}
	if text, ok := resolved.(string); ok {
		if json.Valid([]byte(text)) {
			return text, "application/json", nil
		}
		return text, "text/plain; charset=utf-8", nil
	}
	encoded, err := json.Marshal(resolved)
	return string(encoded), "application/json", err
}

// resolveBody returns a copy of v in which references are replaced by their secrets. If v is the value of a member of an object, name
// is the key of that member.
func resolveBody(h *httpclient.Host, path, name string, v any) (any, error) {
	switch v := v.(type) {
	case string:
		value, err := h.Secrets.Text(setting.Text(v))
		if err != nil {
			return nil, setting.Bad(path, "%v", err)
		}
		h.RememberNamed(name, value)
		return value, nil
	case []any:
		all := make([]any, len(v))
		for i := range v {
			var err error
			if all[i], err = resolveBody(h, fmt.Sprintf("%s.%d", path, i), name, v[i]); err != nil {
				return nil, err
			}
		}
		return all, nil
	case map[string]any:
		all := make(map[string]any, len(v))
		for name, item := range v {
			var err error
			if all[name], err = resolveBody(h, path+"."+name, name, item); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	return v, nil
}

// maxResponse is the maximum size of the response to a login, in bytes.
const maxResponse = 1 << 20

// tokenOf returns the token of a response. Errors do not show the content of a successful response, since any part of it can be a
// token.
func (s *loginSource) tokenOf(ctx context.Context, resp *httpclient.Response) (token httpclient.Token, err error) {
	if resp.StatusCode < 200 || resp.StatusCode > 399 || resp.StatusCode > 299 && s.set.readsBody() {
		return token, httpclient.Refused(resp.StatusError())
	}
	var root document.Value
	if s.set.readsBody() {
		text, err := resp.ReadBody(nil, httpclient.Limit{Bytes: maxResponse})
		if _, tooLarge := errors.AsType[*httpclient.TooLargeError](err); tooLarge {
			return token, httpclient.Refused(err)
		}
		if err != nil {
			return token, err
		}
		var parser document.Parser
		if root, err = parser.Parse(text); err != nil {
			return token, httpclient.Refused(fmt.Errorf("want JSON, got %s: is url the API's login, not a web page?", kindOf(text)))
		}
	}
	if token, err = s.parse(ctx, resp, root); err != nil {
		return token, httpclient.Refused(err)
	}
	return token, nil
}

// kindOf describes a text that is not JSON, for an error.
func kindOf(text []byte) string {
	switch {
	case len(text) == 0:
		return "an empty body"
	case strings.HasPrefix(strings.TrimSpace(string(text[:min(len(text), 100)])), "<"):
		return "HTML or XML"
	}
	return "other text"
}

// parse finds the token and its expiry in a response.
func (s *loginSource) parse(ctx context.Context, resp *httpclient.Response, root document.Value) (token httpclient.Token, err error) {
	switch {
	case s.set.TokenHeader != "":
		if token.Value = resp.Header.Get(s.set.TokenHeader); token.Value == "" {
			return token, fmt.Errorf("the response has no header %s", s.set.TokenHeader)
		}
	case s.set.TokenCookie != "":
		cookie := lastCookie(resp, s.set.TokenCookie)
		if cookie == nil {
			return token, fmt.Errorf("the response sets no cookie %s", s.set.TokenCookie)
		}
		token.Value, token.Expires = cookie.Value, cookieExpiry(cookie)
	default:
		v, err := s.set.Token.Run(ctx, root.JQ())
		if err != nil { // err is not shown: its text may contain the token
			return token, fmt.Errorf("token: %s fails%s", s.set.Token, fieldsOf(root))
		}
		if token.Value, err = textOf(v); err != nil {
			return token, fmt.Errorf("token: %s gives %w%s", s.set.Token, err, fieldsOf(root))
		}
	}
	if err := s.set.placement().check(token.Value); err != nil {
		return token, err
	}
	s.host.Secrets.Remember(token.Value)
	if !s.set.Expires.IsZero() {
		v, err := s.set.Expires.Run(ctx, root.JQ())
		if err != nil {
			return token, fmt.Errorf("expires: %s fails%s", s.set.Expires, fieldsOf(root))
		}
		if token.Expires, err = expiry(v, time.Now()); err != nil {
			return token, fmt.Errorf("expires: %s gives %w%s", s.set.Expires, err, fieldsOf(root))
		}
	}
	return token, nil
}

// lastCookie returns the cookie with this name that a browser would keep after a response: the last cookie that the response sets and
// does not delete (RFC 6265 section 5.3). If the response only deletes such cookies, lastCookie returns the last deleted cookie, which
// has expired, so that the caller reports the expiry. It returns nil if there is no such cookie or its value is empty.
func lastCookie(resp *httpclient.Response, name string) *http.Cookie {
	var set []*http.Cookie
	var last *http.Cookie
	for _, c := range resp.Cookies() {
		if c.Name != name {
			continue
		}
		if last = c; c.Value == "" {
			last = nil
		}
		set = slices.DeleteFunc(set, func(old *http.Cookie) bool { // c replaces a cookie with the same domain and path
			return strings.EqualFold(old.Domain, c.Domain) && cmp.Or(old.Path, "/") == cmp.Or(c.Path, "/")
		})
		if expires := cookieExpiry(c); c.Value != "" && (expires.IsZero() || expires.After(time.Now())) {
			set = append(set, c)
		}
	}
	if len(set) == 0 {
		return last
	}
	return set[len(set)-1]
}

// cookieExpiry returns when a cookie expires (RFC 6265 section 5.3), or the zero time if the cookie has no expiry.
func cookieExpiry(c *http.Cookie) time.Time {
	switch {
	case c.MaxAge > 0:
		return time.Now().Add(time.Duration(min(int64(c.MaxAge), int64(maxLifetime/time.Second))) * time.Second)
	case c.MaxAge < 0:
		return time.Now() // the server deletes the cookie
	}
	return c.Expires
}

// textOf returns a string, or a number as text. For any other value it returns an error that names the type but does not show the
// value.
func textOf(v any) (string, error) {
	if text, ok := v.(string); ok {
		return text, nil
	}
	if gojq.TypeOf(v) != "number" {
		return "", fmt.Errorf("%s, want a string", article(gojq.TypeOf(v)))
	}
	text, err := gojq.Marshal(v)
	return string(text), err
}

const (
	maxLifetime = 100 * 365 * 24 * time.Hour
	minUnixTime = 1e9  // a number of at least this is a Unix time (here in 2001), not a duration in seconds (here 31 years)
	maxUnixTime = 1e11 // a number of at least this is in milliseconds
)

var (
	errExpiry = errors.New(`neither seconds nor a time such as "2026-01-31T12:00:00Z"`)
	errPast   = errors.New("a time in the past")
)

// expiry returns when a token expires: v is seconds from now, Unix seconds, or a time as in RFC 3339.
func expiry(v any, now time.Time) (time.Time, error) {
	if v == nil {
		return time.Time{}, errors.New("nothing: correct the expression, or leave it out to use the token until it is refused")
	}
	text, err := textOf(v)
	if err != nil {
		return time.Time{}, errExpiry
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil {
		at, err := time.Parse(time.RFC3339, text)
		switch {
		case err != nil:
			return time.Time{}, errExpiry
		case at.IsZero(): // the year 1: refused, since servers do not agree on its meaning
			return time.Time{}, errPast
		}
		return at, nil
	}
	switch {
	case !(seconds < maxUnixTime): // also true for NaN
		return time.Time{}, errors.New("too large a number: want seconds, so divide milliseconds by 1000")
	case seconds >= minUnixTime:
		return time.UnixMilli(int64(seconds * 1000)), nil
	case seconds <= 0:
		return time.Time{}, errPast
	}
	return now.Add(time.Duration(seconds * float64(time.Second))), nil
}

// article returns the name of a jq type with the indefinite article, or "nothing" for null.
func article(kind string) string {
	switch kind {
	case "null":
		return "nothing"
	case "object", "array":
		return "an " + kind
	}
	return "a " + kind
}

// maxFields is the maximum number of fields that an error names.
const maxFields = 10

// fieldsOf lists the names of a response's fields for an error. It leaves out keys that do not look like names, as they may be secrets.
func fieldsOf(root document.Value) string {
	fields, ok := root.JQ().(map[string]any)
	if !ok {
		return ""
	}
	plain := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,30}$`)
	var names []string
	for name := range fields {
		if plain.MatchString(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "; the response has " + strings.Join(names[:min(len(names), maxFields)], ", ")
}
