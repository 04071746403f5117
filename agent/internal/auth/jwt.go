package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// JWTBearer gets access tokens by a signed assertion (RFC 7523 section 2.1).
type JWTBearer struct {
	Key      setting.Secret          `yaml:"key"` // private key in PEM; an RSA key signs with RS256, P-256 with ES256, P-384 with ES384
	KeyID    string                  `yaml:"key_id"`
	Issuer   setting.Text            `yaml:"issuer"`
	Subject  setting.Text            `yaml:"subject"`
	Audience string                  `yaml:"audience"` // "" = token_url
	Claims   map[string]setting.Text `yaml:"claims"`

	httpclient.TokenServer `yaml:",inline"`
}

// assertionLife is how long an assertion is valid. It can be short, since an assertion is used at once.
const assertionLife = 5 * time.Minute

const jwtGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"

func (j *JWTBearer) validate() error {
	var problems []error
	if j.Key == "" {
		problems = append(problems, setting.Errorf("key", "is required: a private key in PEM, such as file:/run/secrets/key.pem"))
	}
	if j.Issuer == "" {
		problems = append(problems, setting.Errorf("issuer", "is required: the iss claim, often the client's ID"))
	}
	for name := range j.Claims {
		switch name {
		case "iss", "sub", "aud", "exp", "iat", "jti", "scope":
			problems = append(problems, setting.Errorf("claims."+name, "remove it: it is set by issuer, subject, audience or scopes, or automatically"))
		}
	}
	return errors.Join(append(problems, ownParams(j.EndpointParams), j.TokenServer.Validate())...)
}

func (j *JWTBearer) keyText(h *httpclient.Host) (string, error) {
	text, err := h.Secrets.Secret(j.Key)
	if err != nil {
		return "", setting.Errorf("jwt_bearer.key", "%v", err)
	}
	return text, nil
}

// assertion returns a new signed assertion.
func (j *JWTBearer) assertion(h *httpclient.Host) (string, error) {
	text, err := j.keyText(h)
	if err != nil {
		return "", err
	}
	key, method, err := parseKey(text)
	if err != nil {
		return "", setting.Errorf("jwt_bearer.key", "%s: %v", j.Key, err)
	}
	claims, err := j.claims(h)
	if err != nil {
		return "", setting.Under("jwt_bearer", err)
	}
	token := jwt.NewWithClaims(method, claims)
	if j.KeyID != "" {
		token.Header["kid"] = j.KeyID
	}
	signed, err := token.SignedString(key)
	if err != nil {
		return "", setting.Errorf("jwt_bearer.key", "%s: %v", j.Key, err)
	}
	h.Secrets.Remember(signed)
	return signed, nil
}

func (j *JWTBearer) claims(h *httpclient.Host) (jwt.MapClaims, error) {
	own, err := resolve(h, "claims", j.Claims)
	if err != nil {
		return nil, err
	}
	names, err := resolve(h, "", map[string]setting.Text{"issuer": j.Issuer, "subject": j.Subject})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": names["issuer"], "aud": j.TokenURL.String(), "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	}
	if names["subject"] != "" {
		claims["sub"] = names["subject"]
	}
	if j.Audience != "" {
		claims["aud"] = j.Audience
	}
	if len(j.Scopes) > 0 {
		claims["scope"] = strings.Join(j.Scopes, " ")
	}
	for name, value := range own {
		claims[name] = value
	}
	return claims, nil
}

// parseKey parses a private key in PEM and returns it with the signing method for its type.
func parseKey(text string) (crypto.PrivateKey, jwt.SigningMethod, error) {
	if key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(text)); err == nil {
		return key, jwt.SigningMethodRS256, nil
	}
	key, err := jwt.ParseECPrivateKeyFromPEM([]byte(text))
	if err != nil {
		return nil, nil, errors.New("want a private key of RSA, P-256 or P-384 in PEM, without a passphrase")
	}
	method, err := methodOf(key)
	return key, method, err
}

func methodOf(key *ecdsa.PrivateKey) (jwt.SigningMethod, error) {
	switch bits := key.Curve.Params().BitSize; bits {
	case 256:
		return jwt.SigningMethodES256, nil
	case 384:
		return jwt.SigningMethodES384, nil
	default:
		return nil, fmt.Errorf("want a key of P-256 or P-384, got one with %d bits", bits)
	}
}

// bearer is the [httpclient.Grant] of JWTBearer.
type bearer struct{ *JWTBearer }

// Key implements httpclient.Grant.
func (b bearer) Key(h *httpclient.Host) (string, error) { return b.keyText(h) }

// Params implements httpclient.Grant.
func (b bearer) Params(h *httpclient.Host) (url.Values, error) {
	signed, err := b.assertion(h)
	if err != nil {
		return nil, err
	}
	return url.Values{"grant_type": {jwtGrant}, "assertion": {signed}}, nil
}

// Granted implements httpclient.Grant. It ignores refresh tokens, since the key can be used for every login.
func (bearer) Granted(*httpclient.Host, string) error { return nil }
