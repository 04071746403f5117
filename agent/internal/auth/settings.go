// Package auth provides the named authentications of the configuration's auth section. Jobs and sinks that name the same
// authentication share its token. They also share the login when the token expires, and the pause when a login fails.
package auth

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

//go:embed example.yaml
var example string

// Example returns an entry of auth that names every setting.
func Example() string { return example }

// Settings is one entry of auth. Exactly one field is set.
type Settings struct {
	Login         *Login                    `yaml:"login"`
	OAuth2        *OAuth2                   `yaml:"oauth2"`
	JWTBearer     *JWTBearer                `yaml:"jwt_bearer"`
	Headers       map[string]setting.Text   `yaml:"headers"`
	BasicAuth     *httpclient.BasicAuth     `yaml:"basic_auth"`
	Authorization *httpclient.Authorization `yaml:"authorization"`
	SigV4         *httpclient.SigV4         `yaml:"sigv4"`
}

// Validate returns all problems, each naming its setting.
func (s *Settings) Validate() error {
	var problems []error
	var given []string
	check := func(name string, set bool, validate func() error) {
		if set {
			given = append(given, name)
			problems = append(problems, validate())
		}
	}
	check("login", s.Login != nil, func() error { return setting.Under("login", s.Login.validate()) })
	check("oauth2", s.OAuth2 != nil, func() error { return setting.Under("oauth2", s.OAuth2.validate()) })
	check("jwt_bearer", s.JWTBearer != nil, func() error { return setting.Under("jwt_bearer", s.JWTBearer.validate()) })
	check("headers", len(s.Headers) > 0, func() error { return setting.Under("headers", validateHeaders(s.Headers)) })
	check("basic_auth", s.BasicAuth != nil, (&httpclient.Settings{BasicAuth: s.BasicAuth}).Validate)
	check("authorization", s.Authorization != nil, (&httpclient.Settings{Authorization: s.Authorization}).Validate)
	check("sigv4", s.SigV4 != nil, (&httpclient.Settings{SigV4: s.SigV4}).Validate)
	if len(given) == 0 {
		return setting.Errorf("", "set one of login, oauth2, jwt_bearer, headers, basic_auth, authorization, sigv4")
	}
	for _, name := range given[1:] {
		problems = append(problems, setting.Errorf(name, "%s is set too: set only one way to authenticate", given[0]))
	}
	return errors.Join(problems...)
}

// Provider returns the provider for these settings, which must have passed Validate. The argument "memory" is a function that returns the
// memory in which the provider keeps its tokens. Provider calls this function with "token" to get the memory for access tokens, and with
// "refresh_token" to get the memory for refresh tokens.
func (s *Settings) Provider(memory func(what string) httpclient.TokenMemory) httpclient.Provider {
	keep := func(p interface {
		httpclient.Provider
		httpclient.Keeper
	},
	) httpclient.Provider {
		p.Keep(memory("token"))
		return p
	}
	switch {
	case s.Login != nil:
		return keep(newLoginProvider(s.Login))
	case s.OAuth2 != nil:
		return keep(httpclient.NewOAuth2Provider(&s.OAuth2.OAuth2, s.OAuth2.grant(memory("refresh_token"))))
	case s.JWTBearer != nil:
		return keep(httpclient.NewOAuth2Provider(&httpclient.OAuth2{TokenServer: s.JWTBearer.TokenServer}, bearer{s.JWTBearer}))
	case len(s.Headers) > 0:
		return headers(s.Headers)
	}
	return clientSettings{httpclient.Settings{BasicAuth: s.BasicAuth, Authorization: s.Authorization, SigV4: s.SigV4}}
}

// clientSettings is a provider that uses the authentication settings of an HTTP client.
type clientSettings struct{ set httpclient.Settings }

// Authenticator implements httpclient.Provider.
func (c clientSettings) Authenticator(h *httpclient.Host) (httpclient.Authenticator, error) {
	return h.Authenticator(&c.set)
}

func validateHeaders(all map[string]setting.Text) error {
	var problems []error
	for name, value := range all {
		if problem := httpclient.CheckHeader(name, value); problem != "" {
			problems = append(problems, setting.Errorf(name, "%s", problem))
		}
	}
	return errors.Join(problems...)
}

// resolve returns the texts with their references to secrets replaced by the current secrets.
func resolve(h *httpclient.Host, under string, texts map[string]setting.Text) (map[string]string, error) {
	values := make(map[string]string, len(texts))
	for name, text := range texts {
		value, err := h.Secrets.Text(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.TrimPrefix(under+"."+name, "."), err)
		}
		h.RememberNamed(name, value)
		values[name] = value
	}
	return values, nil
}
