package auth

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// OAuth2 gets access tokens (RFC 6749): by a password (section 4.3) if username is set, by a refresh token (section 6) if
// refresh_token is set, else by client credentials (section 4.4).
type OAuth2 struct {
	Username     setting.Text   `yaml:"username"`
	Password     setting.Secret `yaml:"password"`
	RefreshToken setting.Secret `yaml:"refresh_token"`
	TokenFile    string         `yaml:"token_file" setting:"path"` // file for the tokens that replace refresh_token; "" = the state file

	httpclient.OAuth2 `yaml:",inline"`
}

func (o *OAuth2) validate() error {
	var problems []error
	bad := func(path, format string, args ...any) {
		problems = append(problems, setting.Errorf(path, format, args...))
	}
	byPassword, byRefresh := o.Username != "" || o.Password != "", o.RefreshToken != ""
	switch {
	case byPassword && byRefresh:
		bad("refresh_token", "username or password is set too: set only one way to get a token")
	case byPassword && (o.Username == "" || o.Password == ""):
		bad("", "set both username and password")
	case o.TokenFile != "" && !byRefresh:
		bad("token_file", "is only valid with refresh_token: it keeps the newest one")
	case o.ClientSecret == "" && !byPassword && !byRefresh:
		bad("client_secret", "is required, unless username or refresh_token is set")
	}
	if o.ClientID == "" {
		bad("client_id", "is required")
	}
	return errors.Join(append(problems, ownParams(o.EndpointParams), o.TokenServer.Validate())...)
}

// ownParams returns an error for each given parameter that a grant sets automatically.
func ownParams(given map[string]setting.Text) error {
	var problems []error
	for name := range given {
		if slices.Contains([]string{"grant_type", "username", "password", "refresh_token", "assertion"}, name) {
			problems = append(problems, setting.Errorf("endpoint_params."+name, "remove it: it has its own setting, or is set automatically"))
		}
	}
	return errors.Join(problems...)
}

func (o *OAuth2) grant(memory httpclient.TokenMemory) httpclient.Grant {
	switch {
	case o.Username != "":
		return password{o}
	case o.RefreshToken != "":
		return &refresh{set: o, memory: memory}
	}
	return nil
}

// password is the grant by user name and password (RFC 6749 section 4.3).
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
		return nil, setting.Errorf("oauth2.username", "%v", err)
	}
	secret, err := h.Secrets.Secret(p.set.Password)
	if err != nil {
		return nil, setting.Errorf("oauth2.password", "%v", err)
	}
	return url.Values{"grant_type": {"password"}, "username": {user}, "password": {secret}}, nil
}

// Granted implements httpclient.Grant. It ignores refresh tokens, since the password can be used for every login.
func (password) Granted(*httpclient.Host, string) error { return nil }

// refresh is the grant by a refresh token (RFC 6749 section 6). A server may issue a new refresh token with each access token and then
// accept only the new one. So the newest refresh token is kept.
type refresh struct {
	set     *OAuth2
	memory  httpclient.TokenMemory // used if there is no token file
	seed    string                 // the refresh token that was in the settings when the server issued the token in the field last
	last    string                 // the newest refresh token of the server; equal to seed if the server has issued none yet
	unsaved bool                   // the token in the field last has not been written to the token file or the memory
	fixed   bool                   // the memory says that the server did not replace the token in the field seed when it was used before
}

// Key implements httpclient.Grant.
func (r *refresh) Key(h *httpclient.Host) (string, error) {
	seed, err := h.Secrets.Secret(r.set.RefreshToken)
	if err != nil {
		return "", setting.Errorf("oauth2.refresh_token", "%v", err)
	}
	return seed, nil
}

// Lock implements httpclient.GrantLocker with a lock file next to the token file, so that two processes do not use the same refresh
// token. Without a token file it does nothing, since the memory has its own lock.
func (r *refresh) Lock(ctx context.Context, h *httpclient.Host) (unlock func(), err error) {
	file := r.file(h)
	if file == "" {
		return func() {}, nil
	}
	_, unlock, err = durable.NewDir(filepath.Dir(file)).WaitLock(ctx, filepath.Base(file)+".lock", "", lockPause)
	if _, held := errors.AsType[*durable.HeldError](err); held {
		return nil, setting.Errorf("oauth2.token_file", "waited for %s, which is %v: if two logins share the file, give each its own refresh token and token_file", file, err)
	}
	if err != nil { // for example, the folder is not writable; Params reports that
		return func() {}, nil
	}
	return unlock, nil
}

// lockPause is the pause between two attempts to take a lock that another process has.
const lockPause = 20 * time.Millisecond

// Params implements httpclient.Grant. It reads the token file each time, since another process may have written a new token.
func (r *refresh) Params(h *httpclient.Host) (url.Values, error) {
	seed, err := r.Key(h)
	if err != nil {
		return nil, err
	}
	if seed != r.seed {
		r.seed, r.last, r.unsaved, r.fixed = seed, seed, false, false
	}
	if r.set.TokenFile == "" && !r.unsaved { // another process may have stored a newer token
		if kept, err := parseToken(r.memory.Load(), seed); err == nil && kept != "" {
			r.last, r.fixed = kept, kept == seed
		}
	}
	if r.set.TokenFile == "" && !r.fixed { // the server may replace the token, and the new one must then be stored
		if err := r.memory.Ready(); err != nil {
			return nil, setting.Errorf("oauth2.refresh_token", "%v; the refresh token was not used, since the server may replace it", err)
		}
	}
	if file := r.file(h); file != "" {
		// Check this before the token is used: a new token that cannot be written would be lost when the process ends.
		if err := durable.CheckReplace(file); err != nil {
			return nil, setting.Errorf("oauth2.token_file", "%v", err)
		}
		kept, err := readToken(file, seed)
		if err != nil {
			return nil, setting.Errorf("oauth2.token_file", "%v", err)
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
		r.last, r.unsaved, r.fixed = token, true, false
	}
	file := r.file(h)
	switch {
	case !r.unsaved && r.set.TokenFile == "" && !r.fixed && r.last == r.seed:
		r.fixed, _ = r.memory.Store(tokenText(r.seed, r.seed)) // an error only means that other commands do not know that the token is fixed
		return nil
	case !r.unsaved:
		return nil
	case file == "" && r.set.TokenFile != "": // the tokens are not real: see method file
		return nil
	case file == "":
		kept, err := r.memory.Store(tokenText(r.seed, r.last))
		if err != nil {
			return setting.Errorf("oauth2.refresh_token", "%v: after a restart there would be no valid refresh token", err)
		}
		r.unsaved = !kept
		return nil
	}
	if err := writeToken(file, r.seed, r.last); err != nil {
		return setting.Errorf("oauth2.token_file", "%v: after a restart there would be no valid refresh token", err)
	}
	r.unsaved = false
	return nil
}

// file returns the path of the token file, "" if no file is to be used. It returns "" also if Host.Transport answers in place of the
// network: such tokens are not real and must not replace real ones.
func (r *refresh) file(h *httpclient.Host) string {
	if r.set.TokenFile == "" || h.Transport != nil {
		return ""
	}
	return inFolder(h, r.set.TokenFile)
}
