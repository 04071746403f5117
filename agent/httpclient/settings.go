package httpclient

import (
	"errors"
	"strings"

	"github.com/collectington/collectington/agent/setting"
)

// Settings are the settings of an HTTP client. They are inlined into the settings of a source or sink. The keys are the same as in
// the HTTP client configuration of Prometheus. But there are no keys that end in _file for secrets, since a secret is always a
// reference, which can name a file.
type Settings struct {
	Auth          string         `yaml:"auth"` // the name of a [Provider]; "" = none
	BasicAuth     *BasicAuth     `yaml:"basic_auth"`
	DigestAuth    *DigestAuth    `yaml:"digest_auth"`
	Authorization *Authorization `yaml:"authorization"`
	OAuth2        *OAuth2        `yaml:"oauth2"`
	SigV4         *SigV4         `yaml:"sigv4"`
	TLS           *TLS           `yaml:"tls_config"`
	Proxy         `yaml:",inline"`
}

// BasicAuth sends a user name and a password with every request (RFC 7617).
type BasicAuth struct {
	Username setting.Text   `yaml:"username"`
	Password setting.Secret `yaml:"password"`
}

// Authorization sets the Authorization header of every request: a scheme and credentials.
type Authorization struct {
	Type        string         `yaml:"type"` // scheme; "" = Bearer; may end in the name of a parameter: "Token token="
	Credentials setting.Secret `yaml:"credentials"`
}

// OAuth2 gets an access token by client credentials (RFC 6749 section 4.4) and sends it with every request.
type OAuth2 struct {
	ClientID     setting.Text   `yaml:"client_id"`
	ClientSecret setting.Secret `yaml:"client_secret"`
	TokenServer  `yaml:",inline"`
}

// TokenServer is the settings of the endpoint that issues access tokens: its URL, and how to send requests to it.
type TokenServer struct {
	TokenURL       setting.URL             `yaml:"token_url"`
	Scopes         []string                `yaml:"scopes"`
	EndpointParams map[string]setting.Text `yaml:"endpoint_params"`
	TLS            *TLS                    `yaml:"tls_config"`
	Proxy          `yaml:",inline"`
}

// AuthName returns the name of the provider, "" if the settings name none.
func (s *Settings) AuthName() string { return s.Auth }

// Validate returns all problems, each naming its setting.
func (s *Settings) Validate() error {
	var problems []error
	var given []string
	if s.Auth != "" {
		given = append(given, "auth")
	}
	if s.BasicAuth != nil {
		given = append(given, "basic_auth")
		problems = append(problems, setting.Under("basic_auth", s.BasicAuth.validate()))
	}
	if s.DigestAuth != nil {
		given = append(given, "digest_auth")
		problems = append(problems, setting.Under("digest_auth", s.DigestAuth.validate()))
	}
	if s.Authorization != nil {
		given = append(given, "authorization")
		problems = append(problems, setting.Under("authorization", s.Authorization.validate()))
	}
	if s.OAuth2 != nil {
		given = append(given, "oauth2")
		problems = append(problems, setting.Under("oauth2", s.OAuth2.validate()))
	}
	if s.SigV4 != nil {
		given = append(given, "sigv4")
		problems = append(problems, setting.Under("sigv4", s.SigV4.validate()))
	}
	for _, name := range given[min(1, len(given)):] {
		problems = append(problems, setting.Errorf(name, "%s is set too: set only one way to authenticate", given[0]))
	}
	problems = append(problems, setting.Under("tls_config", s.TLS.validate()), s.Proxy.validate())
	return errors.Join(problems...)
}

// Authenticates reports whether the settings authenticate requests, so that no Authorization header may be set.
func (s *Settings) Authenticates() bool {
	return s.Auth != "" || s.BasicAuth != nil || s.DigestAuth != nil || s.Authorization != nil || s.OAuth2 != nil || s.SigV4 != nil
}

func (b *BasicAuth) validate() error {
	var problems []error
	if b.Username == "" && b.Password == "" {
		problems = append(problems, setting.Errorf("", "set username and password"))
	}
	if strings.Contains(string(b.Username), ":") && !b.Username.IsReference() {
		problems = append(problems, setting.Errorf("username", "cannot contain a colon: it would end the name"))
	}
	return errors.Join(problems...)
}

func (a *Authorization) validate() error {
	var problems []error
	switch {
	case strings.EqualFold(a.Type, "basic"):
		problems = append(problems, setting.Errorf("type", "use basic_auth for a user name and password"))
	case a.Type != "" && !isScheme(a.Type):
		problems = append(problems, setting.Errorf("type", `want a scheme such as Bearer, or a scheme and a parameter such as "Token token="`))
	}
	if a.Credentials == "" {
		problems = append(problems, setting.Errorf("credentials", "is required"))
	}
	return errors.Join(problems...)
}

// isScheme reports whether the text is a scheme, or a scheme and the name of a parameter (RFC 9110 section 11.4).
func isScheme(text string) bool {
	scheme, parameter, more := strings.Cut(text, " ")
	name, equals := strings.CutSuffix(parameter, "=")
	return IsToken(scheme) && (!more || equals && IsToken(name))
}

func (o *OAuth2) validate() error {
	var problems []error
	if o.ClientID == "" {
		problems = append(problems, setting.Errorf("client_id", "is required"))
	}
	if o.ClientSecret == "" {
		problems = append(problems, setting.Errorf("client_secret", "is required"))
	}
	return errors.Join(append(problems, o.TokenServer.Validate())...)
}

// Validate returns all problems, each naming its setting.
func (o *TokenServer) Validate() error {
	var problems []error
	if o.TokenURL.IsZero() {
		problems = append(problems, setting.Errorf("token_url", "is required"))
	}
	if _, both := o.EndpointParams["scope"]; both && len(o.Scopes) > 0 {
		problems = append(problems, setting.Errorf("endpoint_params.scope", "is set by scopes already: remove one of them"))
	}
	problems = append(problems, setting.Under("tls_config", o.TLS.validate()), o.Proxy.validate())
	return errors.Join(problems...)
}
