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
	"time"

	"github.com/itchyny/gojq"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/setting"
)

// Login is the settings of a login by a request: the request, where its response contains the token, and where other requests carry
// the token.
type Login struct {
	Before []*Step `yaml:"before"` // requests before the login's own request, in order

	request `yaml:",inline"` // the login's own request; by default a POST

	tokenPlace `yaml:",inline"`
	Expires    jq.Expression `yaml:"expires"`     // gives the seconds from now, or a time; none = the token is used until it is refused
	MoreTokens []*tokenPlace `yaml:"more_tokens"` // further tokens that the same response has

	After []*Step `yaml:"after"` // requests after the login's own request, with the tokens, in order

	RefusedBy httpclient.StatusCodes `yaml:"refused_by"` // statuses that mean that the token is not valid any more
	Logout    *Logout                `yaml:"logout"`     // nil = the session ends by itself

	TLS              *httpclient.TLS `yaml:"tls_config"`
	httpclient.Proxy `yaml:",inline"`
}

// tokenPlace says where a response has a token, and where later requests carry the token. One of the first three fields is set.
type tokenPlace struct {
	Token       jq.Expression `yaml:"token"` // gives the token from the response
	TokenHeader string        `yaml:"token_header"`
	TokenCookie string        `yaml:"token_cookie"`

	Send *Send `yaml:"send"` // nil = in the same header or cookie as in the response; a token from the body is sent as a bearer token
}

// tokens returns the places of all tokens, the main token first.
func (l *Login) tokens() []*tokenPlace { return append([]*tokenPlace{&l.tokenPlace}, l.MoreTokens...) }

// readsBody reports whether the settings need the response's body.
func (l *Login) readsBody() bool {
	return !l.Expires.IsZero() || slices.ContainsFunc(l.tokens(), func(t *tokenPlace) bool { return !t.Token.IsZero() })
}

// hasSteps reports whether the login has requests before or after it.
func (l *Login) hasSteps() bool { return len(l.Before)+len(l.After) > 0 }

// placement returns where requests carry the token.
func (p *tokenPlace) placement() *Send {
	switch {
	case p.Send != nil:
		return p.Send
	case p.TokenCookie != "":
		return &Send{Cookie: p.TokenCookie}
	case p.TokenHeader != "":
		return &Send{Header: placedHeader{p.TokenHeader, "", ""}}
	}
	return &Send{Header: placedHeader{"Authorization", "Bearer ", ""}}
}

func (p *tokenPlace) validate() error {
	var problems []error
	from := 0
	for name, given := range map[string]bool{"token": !p.Token.IsZero(), "token_header": p.TokenHeader != "", "token_cookie": p.TokenCookie != ""} {
		if given {
			from++
		}
		if name != "token" && given && !httpclient.IsToken(p.TokenHeader+p.TokenCookie) {
			problems = append(problems, setting.Errorf(name, "want the name of a header or cookie: letters, digits and hyphens"))
		}
	}
	if from != 1 {
		problems = append(problems, setting.Errorf("token", "set one of token (jq on the response, such as .access_token), token_header and token_cookie"))
	}
	if p.Send != nil {
		problems = append(problems, setting.Under("send", p.Send.validate()))
	}
	return errors.Join(problems...)
}

// Bounds of a login.
const (
	maxSteps  = 10 // maximum number of steps in the setting "before", and in the setting "after"
	maxTokens = 5  // maximum number of tokens, including the one outside more_tokens
)

func (l *Login) validate() error {
	var problems []error
	known := map[string]bool{}
	for _, steps := range []struct {
		name string
		list []*Step
	}{{"before", l.Before}, {"", nil}, {"after", l.After}} {
		if steps.name == "" {
			problems = append(problems, l.request.validate(http.MethodPost, known))
		}
		if len(steps.list) > maxSteps {
			problems = append(problems, setting.Errorf(steps.name, "want at most %d", maxSteps))
		}
		for i, step := range steps.list {
			problems = append(problems, setting.Under(fmt.Sprintf("%s.%d", steps.name, i), step.validate(known)))
		}
	}
	problems = append(problems, l.tokenPlace.validate(), l.validateServers())
	if len(l.MoreTokens) >= maxTokens {
		problems = append(problems, setting.Errorf("more_tokens", "want at most %d", maxTokens-1))
	}
	for i, place := range l.MoreTokens {
		problems = append(problems, setting.Under(fmt.Sprintf("more_tokens.%d", i), place.validate()))
	}
	if l.Logout != nil {
		problems = append(problems, setting.Under("logout", l.Logout.validate(known)))
	}
	return errors.Join(append(problems, (&httpclient.Settings{TLS: l.TLS, Proxy: l.Proxy}).Validate())...)
}

// validateServers checks that either all URLs of the login are only paths, or none is. If some were paths and others were not, the values
// and tokens of one server would go to another server.
func (l *Login) validateServers() error {
	var problems []error
	check := func(path string, u setting.PathOrURL) {
		switch {
		case u.IsZero() || u.IsPath == l.URL.IsPath:
		case l.URL.IsPath:
			problems = append(problems, setting.Errorf(path, "want only a path, as the url of the login: a login at each server sends all its requests there"))
		default:
			problems = append(problems, setting.Errorf(path, "want a whole URL, or only a path as the url of the login too"))
		}
	}
	for name, steps := range map[string][]*Step{"before": l.Before, "after": l.After} {
		for i, step := range steps {
			if step != nil {
				check(fmt.Sprintf("%s.%d.url", name, i), step.URL)
			}
		}
	}
	if l.Logout != nil {
		check("logout.url", l.Logout.URL)
	}
	return errors.Join(problems...)
}

// loginSource gets tokens by the requests of a Login. It sends them through one host.
type loginSource struct {
	set    *Login
	host   *httpclient.Host
	client *httpclient.Client
	server *url.URL // see account.at

	loggedIn func(values map[string]string) // is called after each login with the values of its steps
}

// hostname returns the host of the login's server.
func (s *loginSource) hostname() string {
	if s.server != nil {
		return s.server.Hostname()
	}
	return s.set.URL.Hostname()
}

// Key implements httpclient.TokenSource. It returns a hash of the requests with the current secrets.
func (s *loginSource) Key() (string, error) {
	sum := sha256.New()
	for _, steps := range [][]*Step{s.set.Before, {{request: s.set.request}}, s.set.After} {
		for _, step := range steps {
			text, err := step.key(s.host)
			if err != nil {
				return "", setting.Under("login", err)
			}
			sum.Write([]byte(text))
		}
	}
	return string(sum.Sum(nil)), nil
}

// Token implements httpclient.TokenSource.
func (s *loginSource) Token(ctx context.Context) (httpclient.Token, error) {
	session := newSession(s)
	for i, step := range s.set.Before {
		if err := session.play(ctx, step, nil); err != nil {
			return httpclient.Token{}, fmt.Errorf("login.before.%d: %w", i, err)
		}
	}
	token, err := session.logIn(ctx)
	if err != nil {
		return httpclient.Token{}, err
	}
	for i, step := range s.set.After {
		if err := session.play(ctx, step, &token); err != nil {
			return httpclient.Token{}, fmt.Errorf("login.after.%d: %w", i, err)
		}
	}
	s.loggedIn(session.values)
	return token, nil
}

// maxResponse is the maximum size of the response to a login, in bytes.
const maxResponse = 1 << 20

// tokenOf returns the token of a response. Errors do not show the content of a successful response, since any part of it can be a
// token.
func (s *loginSource) tokenOf(ctx context.Context, resp *httpclient.Response) (token httpclient.Token, err error) {
	last := 399
	if s.set.readsBody() {
		last = 299
	}
	if !s.set.request.accepts(resp.StatusCode, last) {
		return token, httpclient.Refused(resp.StatusError())
	}
	var root any
	if s.set.readsBody() {
		text, err := readBody(resp)
		if err != nil {
			return token, err
		}
		if root, err = s.set.request.decode(ctx, resp, text); err != nil {
			return token, httpclient.Refused(fmt.Errorf("want %s, got %s: check that url is the API's login, and not a web page", s.set.request.wanted(), kindOf(text)))
		}
	}
	if token, err = s.parse(ctx, resp, root); err != nil {
		return token, httpclient.Refused(err)
	}
	return token, nil
}

// readBody reads the body of a response to a login.
func readBody(resp *httpclient.Response) ([]byte, error) {
	text, err := resp.ReadBody(nil, httpclient.Limit{Bytes: maxResponse})
	if _, tooLarge := errors.AsType[*httpclient.TooLargeError](err); tooLarge {
		return nil, httpclient.Refused(err)
	}
	return text, err
}

// kindOf says what a text that is not JSON seems to be.
func kindOf(text []byte) string {
	switch {
	case len(text) == 0:
		return "an empty body"
	case strings.HasPrefix(strings.TrimSpace(string(text[:min(len(text), 100)])), "<"):
		return "HTML or XML"
	}
	return "other text"
}

// parse finds the tokens and their expiry in a response.
func (s *loginSource) parse(ctx context.Context, resp *httpclient.Response, root any) (token httpclient.Token, err error) {
	var values []string
	for i, place := range s.set.tokens() {
		value, expires, err := place.find(ctx, resp, root)
		if err != nil {
			return token, err
		}
		if err := place.placement().check(value); err != nil {
			return token, err
		}
		s.host.Secrets.Remember(value)
		if i == 0 {
			token.Expires = expires
		}
		values = append(values, value)
	}
	token.Value = joinTokens(values)
	if !s.set.Expires.IsZero() {
		v, err := s.set.Expires.Run(ctx, root)
		if err != nil {
			return token, fmt.Errorf("expires: the expression %s does not fit the response%s", s.set.Expires, fieldsOf(root))
		}
		if token.Expires, err = expiry(v, time.Now()); err != nil {
			return token, fmt.Errorf("expires: %s gives %w%s", s.set.Expires, err, fieldsOf(root))
		}
	}
	return token, nil
}

// joinTokens joins several tokens to one text, a JSON list, so that they are stored together. It returns a single token unchanged.
func joinTokens(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	text, _ := json.Marshal(values) // marshaling strings cannot fail
	return string(text)
}

// setTokens puts the tokens on a request.
func (s *loginSource) setTokens(req *http.Request, token string) {
	s.eachToken(token, func(_ int, place *tokenPlace, value string) { place.placement().setToken(req, value) })
}

// eachToken calls f for each token, with its index and place. The argument "token" is the result of joinTokens.
func (s *loginSource) eachToken(token string, f func(i int, place *tokenPlace, value string)) {
	places := s.set.tokens()
	values := []string{token}
	if len(places) > 1 && json.Unmarshal([]byte(token), &values) != nil {
		return // the stored token is not a list; the server refuses the request, and a new login follows
	}
	for i, value := range values[:min(len(values), len(places))] {
		s.host.Secrets.Remember(value)
		f(i, places[i], value)
	}
}

// find returns the token of a response. If the token is a cookie, find also returns when the cookie expires.
func (p *tokenPlace) find(ctx context.Context, resp *httpclient.Response, root any) (value string, expires time.Time, err error) {
	switch {
	case p.TokenHeader != "":
		if value = resp.Header.Get(p.TokenHeader); value == "" {
			return "", expires, fmt.Errorf("the response has no header %s", p.TokenHeader)
		}
	case p.TokenCookie != "":
		cookie := lastCookie(resp, p.TokenCookie)
		if cookie == nil {
			return "", expires, fmt.Errorf("the response sets no cookie %s", p.TokenCookie)
		}
		return cookie.Value, cookieExpiry(cookie), nil
	default:
		v, err := p.Token.Run(ctx, root)
		if err != nil { // the text of err may show the token
			return "", expires, fmt.Errorf("token: the expression %s does not fit the response%s", p.Token, fieldsOf(root))
		}
		if value, err = textOf(v); err != nil {
			return "", expires, fmt.Errorf("token: %s gives %w%s", p.Token, err, fieldsOf(root))
		}
	}
	return value, expires, nil
}

// lastCookie returns the cookie with this name that a browser would have after a response: the last cookie that the response sets and does
// not delete (RFC 6265 section 5.3). If there is no such cookie, it returns the cookie that was deleted last, so that the caller reports
// its expiry. It returns nil if the value of that cookie is empty.
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
		return time.Time{}, errors.New("no value: correct the expression, or leave out expires, so that the token is used until it is refused")
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

// fieldsOf lists the fields of a response for an error. It leaves out keys that do not look like the name of a field.
func fieldsOf(root any) string {
	fields, ok := root.(map[string]any)
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
