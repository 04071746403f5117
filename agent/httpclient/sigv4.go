package httpclient

import (
	"context"
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

// SigV4 is the settings for signing every request for AWS (Signature Version 4). The keys are read again for each request.
type SigV4 struct {
	Region       string         `yaml:"region"`
	AccessKey    setting.Text   `yaml:"access_key"`
	SecretKey    setting.Secret `yaml:"secret_key"`
	SessionToken setting.Secret `yaml:"session_token"` // only for temporary credentials; "" = none
	Service      string         `yaml:"service_name"`  // "" = aps, Amazon Managed Service for Prometheus
}

func (s *SigV4) validate() error {
	var problems []error
	required := func(name string, missing bool) {
		if missing {
			problems = append(problems, setting.Errorf(name, "is required"))
		}
	}
	required("region", s.Region == "")
	required("access_key", s.AccessKey == "")
	required("secret_key", s.SecretKey == "")
	return errors.Join(problems...)
}

// sigV4Signer is the [Authenticator] for the settings SigV4.
type sigV4Signer struct {
	host   *Host
	set    *SigV4
	signer *v4.Signer
}

func newSigV4Signer(h *Host, s *SigV4) *sigV4Signer {
	return &sigV4Signer{host: h, set: s, signer: v4.NewSigner()}
}

// Sign implements Authenticator.
func (s *sigV4Signer) Sign(req *http.Request) (string, bool, error) {
	keys, err := s.keys()
	if err != nil {
		return "", false, err
	}
	digest, err := bodyDigest(req)
	if err != nil {
		return "", false, err
	}
	service := s.set.Service
	if service == "" {
		service = "aps"
	}
	if err := s.signer.SignHTTP(req.Context(), keys, req, digest, service, s.set.Region, time.Now()); err != nil {
		return "", false, setting.Errorf("sigv4", "%v", err)
	}
	return "", false, nil
}

// Forget implements Authenticator.
func (*sigV4Signer) Forget(context.Context, string) error { return nil }

// CloseIdleConnections implements Authenticator.
func (*sigV4Signer) CloseIdleConnections() {}

func (s *sigV4Signer) keys() (keys aws.Credentials, err error) {
	if keys.AccessKeyID, err = s.host.Secrets.Text(s.set.AccessKey); err != nil {
		return keys, setting.Errorf("sigv4.access_key", "%v", err)
	}
	if keys.SecretAccessKey, err = s.host.Secrets.Secret(s.set.SecretKey); err != nil {
		return keys, setting.Errorf("sigv4.secret_key", "%v", err)
	}
	if s.set.SessionToken != "" {
		if keys.SessionToken, err = s.host.Secrets.Secret(s.set.SessionToken); err != nil {
			return keys, setting.Errorf("sigv4.session_token", "%v", err)
		}
	}
	return keys, nil
}

// bodyDigest returns the SHA-256 of a request's body in hexadecimal. It reads a copy of the body.
func bodyDigest(req *http.Request) (string, error) {
	var sum hash.Hash = sha256.New()
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return "", errors.New("sigv4: the body cannot be read twice")
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
