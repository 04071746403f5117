package httpclient

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	httpdigest "github.com/icholy/digest"

	"github.com/collectington/collectington/agent/setting"
)

// DigestAuth has the settings for answering the challenge of a server with a hash of a user name and a password (RFC 7616).
type DigestAuth struct {
	Username setting.Text   `yaml:"username"`
	Password setting.Secret `yaml:"password"`
}

func (d *DigestAuth) validate() error {
	if d.Username == "" || d.Password == "" {
		return setting.Errorf("", "set username and password")
	}
	return nil
}

// login returns the user name and the password.
func (d *DigestAuth) login(h *Host) (user, password string, err error) {
	if user, err = h.Secrets.Text(d.Username); err != nil {
		return "", "", setting.Errorf("digest_auth.username", "%v", err)
	}
	if password, err = h.Secrets.Secret(d.Password); err != nil {
		return "", "", setting.Errorf("digest_auth.password", "%v", err)
	}
	return user, password, nil
}

// maxChallenges is the maximum number of servers whose challenges a client keeps.
const maxChallenges = 1000

// digestTransport answers challenges. It keeps the challenge of each server, so that only the first request is sent twice.
type digestTransport struct {
	next http.RoundTripper
	host *Host
	set  *DigestAuth

	mu         sync.Mutex
	challenges map[string]*keptChallenge // by origin
}

// keptChallenge is a challenge of a server.
type keptChallenge struct {
	*httpdigest.Challenge
	answered int  // how many requests have answered this challenge
	refused  bool // the server has refused the latest answer; the next request asks for a new challenge
}

// RoundTrip sends the request, and sends it a second time if the server answers with a new challenge.
func (d *digestTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	user, password, err := d.set.login(d.host)
	if err != nil {
		closeBody(req)
		return nil, &CredentialsError{err}
	}
	resp, err := d.send(req, user, password)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	found, err := d.learn(req, resp)
	if err != nil || !found {
		return d.failed(resp, err)
	}
	again, err := rewound(req)
	if err != nil {
		return resp, nil
	}
	io.CopyN(io.Discard, resp.Body, 4<<10) // read the rest, so that the connection can be used again
	resp.Body.Close()
	resp, err = d.send(again, user, password)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		d.refused(req)
	}
	return resp, err
}

// failed returns the response if err is nil, and otherwise an error that says why the challenge cannot be answered.
func (d *digestTransport) failed(resp *http.Response, err error) (*http.Response, error) {
	if err == nil {
		return resp, nil
	}
	resp.Body.Close()
	return nil, fmt.Errorf("the server's Digest challenge cannot be answered: %w", err)
}

// send sends the request, with an answer to the server's challenge if that challenge is known.
func (d *digestTransport) send(req *http.Request, user, password string) (*http.Response, error) {
	signed := req.Clone(req.Context())
	if challenge := d.answer(req); challenge != nil {
		credentials, err := httpdigest.Digest(challenge.Challenge, httpdigest.Options{
			Method: req.Method, URI: req.URL.RequestURI(), GetBody: req.GetBody,
			Count: challenge.answered, Username: user, Password: password,
		})
		if err != nil {
			closeBody(req)
			return nil, err
		}
		signed.Header.Set("Authorization", credentials.String())
	}
	resp, err := d.next.RoundTrip(signed)
	if err == nil {
		resp.Request = withSignature(req, signed, "")
	}
	return resp, err
}

// answer returns a copy of the server's challenge, and counts one more answer to the challenge. It returns nil if no challenge is known.
// The counter is part of the answer (nc, RFC 7616 section 3.4).
func (d *digestTransport) answer(req *http.Request) *keptChallenge {
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.challenges[originOf(req.URL)]
	if kept == nil || kept.refused {
		return nil
	}
	kept.answered++
	copied := *kept
	return &copied
}

// learn keeps the challenge of a response that refuses a request. It reports whether the response has a challenge.
func (d *digestTransport) learn(req *http.Request, resp *http.Response) (bool, error) {
	challenge, err := challengeOf(resp.Header)
	if challenge == nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.challenges == nil || len(d.challenges) >= maxChallenges {
		d.challenges = map[string]*keptChallenge{}
	}
	kept := &keptChallenge{Challenge: challenge}
	if old := d.challenges[originOf(req.URL)]; old != nil && old.Nonce == challenge.Nonce {
		kept.answered = old.answered // a server accepts each number once
	}
	d.challenges[originOf(req.URL)] = kept
	return true, nil
}

// refused is called when a server has refused a request with an answer to the server's challenge. It records this. So wrong credentials are
// sent only once for each request.
func (d *digestTransport) refused(req *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if kept := d.challenges[originOf(req.URL)]; kept != nil {
		kept.refused = true
	}
}

func (d *digestTransport) CloseIdleConnections() { closeIdle(d.next) }

// challengeOf returns the first Digest challenge whose algorithm is known (RFC 7616 section 3.7), nil if there is none.
func challengeOf(header http.Header) (*httpdigest.Challenge, error) {
	var unknown error
	for _, text := range header.Values("WWW-Authenticate") {
		if !httpdigest.IsDigest(text) {
			continue
		}
		challenge, err := httpdigest.ParseChallenge(text)
		if err != nil {
			unknown = errors.New("its syntax is not that of RFC 7616; if the server allows it, use basic_auth")
			continue
		}
		for i, qop := range challenge.QOP {
			challenge.QOP[i] = strings.TrimSpace(qop)
		}
		if httpdigest.CanDigest(challenge) {
			return challenge, nil
		}
		unknown = fmt.Errorf("its algorithm %.40q with qop %.40q is not supported: want MD5, SHA-256 or SHA-512-256 with qop auth; if the server allows it, use basic_auth",
			challenge.Algorithm, strings.Join(challenge.QOP, ","))
	}
	return nil, unknown
}
