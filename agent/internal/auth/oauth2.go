package auth

import (
	"errors"
	"net/url"
	"slices"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// OAuth2 gets access tokens (RFC 6749): with a username by password (section 4.3), with a refresh token by that (section 6),
// else by client credentials (section 4.4).
type OAuth2 struct {
	Username     setting.Text   `yaml:"username"`
	Password     setting.Secret `yaml:"password"`
	RefreshToken setting.Secret `yaml:"refresh_token"`
	TokenFile    string         `yaml:"token_file"` // keeps what comes in place of refresh_token; "" = memory alone

	httpclient.OAuth2 `yaml:",inline"`
}

func (o *OAuth2) validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Bad(path, format, args...))
	}
	byPassword, byRefresh := o.Username != "" || o.Password != "", o.RefreshToken != ""
	switch {
	case byPassword && byRefresh:
		bad("refresh_token", "cannot stand beside username and password: a token is got by one or the other")
	case byPassword && (o.Username == "" || o.Password == ""):
		bad("", "wants username and password together")
	case o.TokenFile != "" && !byRefresh:
		bad("token_file", "goes with refresh_token, whose successors it keeps")
	case o.ClientSecret == "" && !byPassword && !byRefresh:
		bad("client_secret", "required, unless there is username or refresh_token")
	}
	if o.ClientID == "" {
		bad("client_id", "required")
	}
	return errors.Join(append(problems, ownParams(o.EndpointParams), o.TokenServer.Validate())...)
}

// ownParams refuses parameters that a grant sets itself.
func ownParams(given map[string]setting.Text) error {
	var problems []error
	for name := range given {
		if slices.Contains([]string{"grant_type", "username", "password", "refresh_token", "assertion"}, name) {
			problems = append(problems, setting.Bad("endpoint_params."+name, "has a setting of its own, or is set by itself"))
		}
	}
	return errors.Join(problems...)
}

func (o *OAuth2) grant() httpclient.Grant {
	switch {
	case o.Username != "":
		return password{o}
	case o.RefreshToken != "":
		return &refresh{set: o}
	}
	return nil
}

// password is the grant of RFC 6749 section 4.3.
type password struct{ set *OAuth2 }

// Key implements httpclient.Grant.
func (p password) Key(h *httpclient.Host) (string, error) {
	params, err := p.Params(h)
	return params.Encode(), err
}

// Params implements httpclient.Grant.
func (p password) Params(h *httpclient.Host) (url.Values, error) {
	user, err := h.Secrets.Text(p.set.Username)
	if err != nil {
		return nil, setting.Bad("oauth2.username", "%v", err)
	}
	secret, err := h.Secrets.Secret(p.set.Password)
	if err != nil {
		return nil, setting.Bad("oauth2.password", "%v", err)
	}
	return url.Values{"grant_type": {"password"}, "username": {user}, "password": {secret}}, nil
}

// Granted implements httpclient.Grant. A refresh token is not needed: the password is good for the next time too.
func (password) Granted(*httpclient.Host, string) error { return nil }

// refresh is the grant of RFC 6749 section 6. A server may give another refresh token with each access token, and take none
// but the last, so the last is kept.
type refresh struct {
	set     *OAuth2
	seed    string // the setting's token, of which the last has come
	last    string
	unsaved bool // last could not be written to the file, and is newer than what stands there
}

// Key implements httpclient.Grant.
func (r *refresh) Key(h *httpclient.Host) (string, error) {
	seed, err := h.Secrets.Secret(r.set.RefreshToken)
	if err != nil {
		return "", setting.Bad("oauth2.refresh_token", "%v", err)
	}
	return seed, nil
}

// Params implements httpclient.Grant. The file is read each time: another process may have used it since.
func (r *refresh) Params(h *httpclient.Host) (url.Values, error) {
	seed, err := r.Key(h)
	if err != nil {
		return nil, err
	}
	if seed != r.seed {
		r.seed, r.last, r.unsaved = seed, seed, false
	}
	if file := r.file(h); file != "" {
		// Before the token is spent: one that cannot be kept would be lost with the process.
		if err := durable.CheckReplace(file); err != nil {
			return nil, setting.Bad("oauth2.token_file", "%v", err)
		}
		kept, err := readToken(file, seed)
		if err != nil {
			return nil, setting.Bad("oauth2.token_file", "%v", err)
		}
		if kept != "" && !r.unsaved {
			r.last = kept
		}
	}
	h.Secrets.Remember(r.last)
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {r.last}}, nil
}

// Granted implements httpclient.Grant.
func (r *refresh) Granted(h *httpclient.Host, token string) error {
	if token != "" && token != r.last {
		r.last, r.unsaved = token, true
	}
	file := r.file(h)
	if file == "" || !r.unsaved {
		return nil
	}
	if err := writeToken(file, r.seed, r.last); err != nil {
		return setting.Bad("oauth2.token_file", "%v: the next start would be without a login", err)
	}
	r.unsaved = false
	return nil
}

// file is where the last token is kept, "" for nowhere: a host without a network has answers of somebody's own making.
func (r *refresh) file(h *httpclient.Host) string {
	if r.set.TokenFile == "" || h.Answer != nil {
		return ""
	}
	return inFolder(h, r.set.TokenFile)
}
