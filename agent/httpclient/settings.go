package httpclient

import (
	"errors"
	"strings"

	"github.com/collectington/collectington/agent/setting"
)

// Settings are the settings of an HTTP client. They are inlined into a kind's own. The keys are those of Prometheus'
// HTTP client configuration, but a secret is always a reference, so there is no key that ends in _file for one.
type Settings struct {
	Auth          string         `yaml:"auth"` // the name of a Provider; "" = one of the next four, or none
	BasicAuth     *BasicAuth     `yaml:"basic_auth"`
	Authorization *Authorization `yaml:"authorization"`
	OAuth2        *OAuth2        `yaml:"oauth2"`
	SigV4         *SigV4         `yaml:"sigv4"`
	TLS           *TLS           `yaml:"tls_config"`
	Proxy         `yaml:",inline"`
}

// BasicAuth is a name and a password with every request (RFC 7617).
type BasicAuth struct {
	Username setting.Text   `yaml:"username"`
	Password setting.Secret `yaml:"password"`
}

// Authorization is the Authorization header of every request: a scheme and what goes with it.
type Authorization struct {
	Type        string         `yaml:"type"` // "" = Bearer; one that ends in = names a parameter of the scheme: "Token token="
	Credentials setting.Secret `yaml:"credentials"`
}

// OAuth2 gets an access token by client credentials (RFC 6749 section 4.4) and sends it as a bearer token.
type OAuth2 struct {
	ClientID     setting.Text   `yaml:"client_id"`
	ClientSecret setting.Secret `yaml:"client_secret"`
	TokenServer  `yaml:",inline"`
}

// TokenServer is who gives access tokens, and how it is asked.
type TokenServer struct {
	TokenURL       setting.URL             `yaml:"token_url"`
	Scopes         []string                `yaml:"scopes"`
	EndpointParams map[string]setting.Text `yaml:"endpoint_params"`
	TLS            *TLS                    `yaml:"tls_config"`
	Proxy          `yaml:",inline"`
}

// AuthName is the provider that the settings name, "" where they name none.
func (s *Settings) AuthName() string { return s.Auth }

// Validate names every problem by its setting.
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
		problems = append(problems, setting.Bad(name, "cannot stand beside %s: a request carries one of them", given[0]))
	}
	problems = append(problems, setting.Under("tls_config", s.TLS.validate()), s.Proxy.validate())
	return errors.Join(problems...)
}

// Authenticates tells whether the settings make the Authorization header, so that no other may be set.
func (s *Settings) Authenticates() bool {
	return s.Auth != "" || s.BasicAuth != nil || s.Authorization != nil || s.OAuth2 != nil || s.SigV4 != nil
}

func (b *BasicAuth) validate() error {
	var problems []error
	if b.Username == "" && b.Password == "" {
		problems = append(problems, setting.Bad("", "wants username and password"))
	}
	if strings.Contains(string(b.Username), ":") && !b.Username.IsReference() {
		problems = append(problems, setting.Bad("username", "cannot hold a colon, which ends the name"))
	}
	return errors.Join(problems...)
}

func (a *Authorization) validate() error {
	var problems []error
	switch {
	case strings.EqualFold(a.Type, "basic"):
		problems = append(problems, setting.Bad("type", "use basic_auth for a name and a password"))
	case a.Type != "" && !isScheme(a.Type):
		problems = append(problems, setting.Bad("type", `want one word such as Bearer, or one and a parameter such as "Token token="`))
	}
	if a.Credentials == "" {
		problems = append(problems, setting.Bad("credentials", "required"))
	}
	return errors.Join(problems...)
}

// isScheme tells whether a secret can stand behind the type: a scheme, or a scheme and a parameter's name (RFC 9110 section
// 11.4).
func isScheme(text string) bool {
	scheme, parameter, more := strings.Cut(text, " ")
	name, equals := strings.CutSuffix(parameter, "=")
	return IsToken(scheme) && (!more || equals && IsToken(name))
}

func (o *OAuth2) validate() error {
	var problems []error
	if o.ClientID == "" {
		problems = append(problems, setting.Bad("client_id", "required"))
	}
	if o.ClientSecret == "" {
		problems = append(problems, setting.Bad("client_secret", "required"))
	}
	return errors.Join(append(problems, o.TokenServer.Validate())...)
}

// Validate names every problem by its setting.
func (o *TokenServer) Validate() error {
	var problems []error
	if o.TokenURL.IsZero() {
		problems = append(problems, setting.Bad("token_url", "required"))
	}
	if _, both := o.EndpointParams["scope"]; both && len(o.Scopes) > 0 {
		problems = append(problems, setting.Bad("endpoint_params.scope", "cannot stand beside scopes, which sets it"))
	}
	problems = append(problems, setting.Under("tls_config", o.TLS.validate()), o.Proxy.validate())
	return errors.Join(problems...)
}

// IsToken tells whether s is a token (RFC 9110 section 5.6.2), as header names and authentication schemes are.
func IsToken(s string) bool {
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && !digit && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
