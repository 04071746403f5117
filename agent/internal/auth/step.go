package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/digest"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/jq"
	"github.com/collectington/collectington/agent/pattern"
	"github.com/collectington/collectington/agent/setting"
)

// Step is a request that is sent before or after the login's own request, and the values that later requests use. By default the
// request is a GET, or a POST if it has a body.
type Step struct {
	request `yaml:",inline"`

	Take    map[string]jq.Expression   `yaml:"take"`                       // values taken from {status, headers, body} of the response
	Compute map[string]*digest.Formula `yaml:"compute" setting:"template"` // values computed from other values and secrets, in the order of their names
}

var validName = pattern.OnUse(`^[A-Za-z_]\w{0,39}$`)

// validate returns all problems of the settings, and adds the names of the step's values to the map "known".
func (s *Step) validate(known map[string]bool) error {
	if s == nil {
		return errors.New("is empty: want a request, with url")
	}
	problems := []error{s.request.validate(http.MethodGet, known)}
	add := func(path, name string) {
		if !validName().MatchString(name) {
			problems = append(problems, setting.Errorf(path, "want a name of at most 40 letters, digits and underscores"))
		}
		known[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(s.Take)) {
		add("take."+name, name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Compute)) {
		for _, used := range s.Compute[name].Names() {
			if !known[used] {
				problems = append(problems, setting.Errorf("compute."+name, "no value .%s: %s", used, knownNames(known)))
			}
		}
		add("compute."+name, name)
	}
	return errors.Join(problems...)
}

// key returns a text that changes when a secret of the step changes.
func (s *Step) key(h *httpclient.Host) (string, error) {
	req, body, err := filler{host: h}.request(context.Background(), &s.request, http.MethodGet)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%q %q %q", req.URL.RawQuery, req.Header, body)
	for _, name := range slices.Sorted(maps.Keys(s.Compute)) {
		for _, reference := range s.Compute[name].Secrets() {
			secret, err := h.Secrets.Secret(setting.Secret(reference))
			if err != nil {
				return "", fmt.Errorf("compute.%s: %w", name, err)
			}
			text += fmt.Sprintf(" %q", secret)
		}
	}
	return text, nil
}

// session is the state of one login: the values and cookies that its steps share.
type session struct {
	*loginSource
	values map[string]string
	jar    *cookiejar.Jar
}

func newSession(s *loginSource) *session {
	jar, _ := cookiejar.New(nil) // always returns a nil error
	return &session{s, map[string]string{}, jar}
}

func (s *session) filler() filler { return filler{s.host, s.server, s.values} }

// do sends a request with the cookies of earlier responses, and stores the cookies of its own response. It sends the tokens too, unless
// token is "". If a token is a cookie and the stored cookies for this request already contain it, the token is not added a second time.
func (s *session) do(req *http.Request, token string) (*httpclient.Response, error) {
	stored := map[string]bool{}
	if s.set.hasSteps() {
		for _, c := range s.jar.Cookies(req.URL) {
			s.host.Secrets.Remember(c.Value)
			req.AddCookie(c)
			stored[c.Name] = true
		}
	}
	if token != "" {
		s.eachToken(token, func(_ int, place *tokenPlace, value string) {
			if send := place.placement(); send.Cookie == "" || send.Cookie != place.TokenCookie || !stored[send.Cookie] {
				send.setToken(req, value)
			}
		})
	}
	resp, err := s.client.DoAnyStatus(req)
	if err == nil {
		s.jar.SetCookies(req.URL, resp.Cookies())
	}
	return resp, err
}

// logIn sends the login's own request and returns the token of its response.
func (s *session) logIn(ctx context.Context) (httpclient.Token, error) {
	req, _, err := s.filler().request(ctx, &s.set.request, http.MethodPost)
	if err != nil {
		return httpclient.Token{}, setting.Under("login", err)
	}
	resp, err := s.do(req, "")
	if err != nil {
		return httpclient.Token{}, err
	}
	defer resp.Close()
	token, err := s.tokenOf(ctx, resp)
	return token, resp.Wrap(err)
}

// play sends the request of a step and sets the values of the step. The argument token is the token of the login, or nil in a step before
// the login. play changes the token if the response renews it.
func (s *session) play(ctx context.Context, step *Step, token *httpclient.Token) error {
	req, _, err := s.filler().request(ctx, &step.request, http.MethodGet)
	if err != nil {
		return err
	}
	var given string
	if token != nil {
		given = token.Value
	}
	resp, err := s.do(req, given)
	if err != nil {
		return err
	}
	defer resp.Close()
	if !step.accepts(resp.StatusCode, 399) {
		return resp.Wrap(httpclient.Refused(resp.StatusError()))
	}
	if token != nil {
		if err := s.renew(token, req, resp); err != nil {
			return resp.Wrap(httpclient.Refused(err))
		}
	}
	if err := s.take(ctx, step, resp); err != nil {
		return resp.Wrap(err)
	}
	return s.compute(step)
}

// renew replaces each token that is a cookie by the cookie that the response to req sets: some servers begin a new session when
// something is selected. A cookie that the login's server would not get, or that the response deletes, changes nothing.
func (s *session) renew(token *httpclient.Token, req *http.Request, resp *httpclient.Response) error {
	var values []string
	var problem error
	s.eachToken(token.Value, func(i int, place *tokenPlace, value string) {
		c := lastCookie(resp, place.TokenCookie)
		if c != nil && isSharedWith(s.hostname(), c, req.URL.Hostname()) {
			if expires := cookieExpiry(c); expires.IsZero() || expires.After(time.Now()) {
				if err := place.placement().check(c.Value); err != nil {
					problem = err
				}
				s.host.Secrets.Remember(c.Value)
				if value = c.Value; i == 0 && s.set.Expires.IsZero() {
					token.Expires = expires
				}
			}
		}
		values = append(values, value)
	})
	token.Value = joinTokens(values)
	return problem
}

// isSharedWith reports whether a cookie is also sent to the host in the argument "host" (RFC 6265 section 5.1.3). The argument "setBy" is
// the host that has set the cookie.
func isSharedWith(host string, c *http.Cookie, setBy string) bool {
	domain := strings.ToLower(strings.TrimPrefix(c.Domain, "."))
	isIn := func(host string) bool { return strings.HasSuffix("."+strings.ToLower(host), "."+domain) }
	return strings.EqualFold(host, setBy) || domain != "" && isIn(host) && isIn(setBy)
}

// take sets the values that a step takes from a response. They are treated as secrets, since each may be a token.
func (s *session) take(ctx context.Context, step *Step, resp *httpclient.Response) error {
	if len(step.Take) == 0 {
		return nil
	}
	text, err := readBody(resp)
	if err != nil {
		return err
	}
	body, err := step.decode(ctx, resp, text)
	if err != nil && step.Format != "" {
		return httpclient.Refused(fmt.Errorf("want %s, got %s", step.wanted(), kindOf(text)))
	} else if err != nil {
		body = strings.ToValidUTF8(string(text), "\ufffd")
	}
	headers := map[string]any{}
	for name, values := range resp.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	root := map[string]any{"status": resp.StatusCode, "headers": headers, "body": body}
	for name, expression := range step.Take {
		v, err := expression.Run(ctx, root)
		if err != nil { // the text of err may show a token
			return httpclient.Refused(fmt.Errorf("take.%s: the expression %s does not fit the response%s", name, expression, fieldsOf(body)))
		}
		value, err := textOf(v)
		if err != nil {
			return httpclient.Refused(fmt.Errorf("take.%s: %s gives %w%s", name, expression, err, fieldsOf(body)))
		}
		if len(value) > maxToken {
			return httpclient.Refused(fmt.Errorf("take.%s: the value exceeds %s", name, setting.Bytes(maxToken)))
		}
		if len(value) >= minTaken {
			s.host.Secrets.Remember(value)
		}
		s.values[name] = value
	}
	return nil
}

// minTaken is the minimum length, in bytes, of a value that is hidden in messages. A shorter value, such as a number of iterations, is
// too short for a token, and would be hidden in unrelated texts too.
const minTaken = 8

// compute sets the values that a step computes.
func (s *session) compute(step *Step) error {
	now := time.Now()
	for _, name := range slices.Sorted(maps.Keys(step.Compute)) {
		value, err := step.Compute[name].Compute(s.values, s.host.Secrets, now)
		if err != nil {
			return httpclient.Refused(fmt.Errorf("compute.%s: %w", name, err))
		}
		s.host.Secrets.Remember(value)
		s.values[name] = value
	}
	return nil
}
