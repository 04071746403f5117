package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/collectington/collectington/agent/setting"
)

// SigV4 signs every request for AWS (Signature Version 4, "Authenticating Requests"). The keys are read afresh for each.
type SigV4 struct {
	Region       string         `yaml:"region"`
	AccessKey    setting.Text   `yaml:"access_key"`
	SecretKey    setting.Secret `yaml:"secret_key"`
	SessionToken setting.Secret `yaml:"session_token"` // of temporary keys
	Service      string         `yaml:"service_name"`  // "" = aps, Amazon Managed Service for Prometheus
}

func (s *SigV4) validate() error {
	var problems []error
	required := func(name string, missing bool) {
		if missing {
			problems = append(problems, setting.Bad(name, "required"))
		}
	}
	required("region", s.Region == "")
	required("access_key", s.AccessKey == "")
	required("secret_key", s.SecretKey == "")
	return errors.Join(problems...)
}

// signed signs requests on their way.
type signed struct {
	next   http.RoundTripper
	host   *Host
	set    *SigV4
	signer *v4.Signer
}

func (h *Host) signed(next http.RoundTripper, s *SigV4) *signed {
	return &signed{next: next, host: h, set: s, signer: v4.NewSigner()}
}

func (s *signed) RoundTrip(req *http.Request) (*http.Response, error) {
	keys, err := s.keys()
	if err != nil {
		closeBody(req)
		return nil, err
	}
	digest, err := bodyDigest(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	service := s.set.Service
	if service == "" {
		service = "aps"
	}
	out := req.Clone(req.Context())
	if err := s.signer.SignHTTP(req.Context(), keys, out, digest, service, s.set.Region, time.Now()); err != nil {
		closeBody(req)
		return nil, setting.Bad("sigv4", "%v", err)
	}
	return s.next.RoundTrip(out)
}

func (s *signed) CloseIdleConnections() { closeIdle(s.next) }

func (s *signed) keys() (keys aws.Credentials, err error) {
	if keys.AccessKeyID, err = s.host.Secrets.Text(s.set.AccessKey); err != nil {
		return keys, setting.Bad("sigv4.access_key", "%v", err)
	}
	if keys.SecretAccessKey, err = s.host.Secrets.Secret(s.set.SecretKey); err != nil {
		return keys, setting.Bad("sigv4.secret_key", "%v", err)
	}
	if s.set.SessionToken != "" {
		if keys.SessionToken, err = s.host.Secrets.Secret(s.set.SessionToken); err != nil {
			return keys, setting.Bad("sigv4.session_token", "%v", err)
		}
	}
	return keys, nil
}

// bodyDigest is the SHA-256 of a request's body in hexadecimal; the body stays unread.
func bodyDigest(req *http.Request) (string, error) {
	var sum hash.Hash = sha256.New()
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return "", errors.New("sign for AWS: the body cannot be read twice")
		}
		body, err := req.GetBody()
		if err != nil {
			return "", err
		}
		defer body.Close()
		if _, err := io.Copy(sum, body); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
