package httpclient

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	httpdigest "github.com/icholy/digest"
	bindigest "github.com/mccutchen/go-httpbin/v2/httpbin/digest"
)

const digestSettings = `digest_auth: {username: ops, password: "env:PASSWORD"}`

// digestServer accepts an answer to its challenge if httpbin finds the answer right. It accepts each number (nc) once. It shows the
// method and the body of a request. Each call of the method renew changes the challenge.
type digestServer struct {
	challenge string
	nonce     string
	seen      []string // the numbers (nc) of the accepted answers
	codes     []int
}

func newDigestServer(sha256 bool) *digestServer {
	s := &digestServer{}
	s.renew(sha256)
	return s
}

func (s *digestServer) renew(sha256 bool) {
	s.challenge = bindigest.Challenge("a", bindigest.MD5)
	if sha256 {
		s.challenge = bindigest.Challenge("a", bindigest.SHA256)
	}
	s.nonce = regexp.MustCompile(`nonce=(\w+)`).FindStringSubmatch(s.challenge)[1]
	s.seen = nil
}

func (s *digestServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	answer := r.Header.Get("Authorization")
	code := http.StatusOK
	if given, err := httpdigest.ParseCredentials(answer); err != nil || given.Nonce != s.nonce || slices.Contains(s.seen, fmt.Sprint(given.Nc)) || !bindigest.Check(r, "ops", "hunter22") {
		code = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", s.challenge)
	} else {
		s.seen = append(s.seen, fmt.Sprint(given.Nc))
	}
	s.codes = append(s.codes, code)
	w.WriteHeader(code)
	fmt.Fprintf(w, "%s %s", r.Method, body)
}

func TestDigest(t *testing.T) {
	for _, sha256 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.host.Shared = new(SharedState)
			server := newDigestServer(sha256)
			w.Serve(t, "a.example:80", server)
			client := w.client(t, digestSettings)
			get := func(want ...int) {
				t.Helper()
				server.codes = nil
				resp := w.open(t, client, http.MethodPut, "http://a.example/x/y?a=b%20c&d=%22", strings.NewReader("text"))
				body, err := resp.ReadBody(nil, maxBody(1<<10))
				if string(body) != "PUT text" || err != nil || resp.StatusCode != want[len(want)-1] || !slices.Equal(server.codes, want) {
					t.Errorf("got %d %q, %v; the server answered %v, want %v", resp.StatusCode, body, err, server.codes, want)
				}
			}
			get(401, 200) // the challenge is not known yet
			get(200)
			get(200)
			server.renew(sha256)
			get(401, 200)
			if got := strings.Join(server.seen, " "); got != "1" {
				t.Errorf("numbers of answers: %s", got)
			}
			get(200)
			w.rotate("PASSWORD", "hunter33")
			get(401, 401)
			get(401, 401) // only one wrong answer for each request, since servers count them
			w.rotate("PASSWORD", "hunter22")
			get(401, 200)
			for _, e := range w.exchanges() {
				if got := e.Header.Get("Authorization"); got != "" && got != "<secret>" {
					t.Errorf("%s shows %q", e.URL, got)
				}
			}
		})
	}
}

func TestDigestChallenges(t *testing.T) {
	for challenge, want := range map[string]string{
		`Digest realm="a", nonce="b", qop="auth-int, auth"`:                    "200",
		`digest realm="a",nonce="b"`:                                           "200", // RFC 2069
		`Digest realm="a", nonce="b", qop="auth", algorithm=SHA-256, opaque=x`: "200",
		`Digest realm="a", nonce="b", algorithm=MD5-sess`:                      `the server's Digest challenge cannot be answered: its algorithm "MD5-sess" with qop "" is not supported`,
		`Digest realm="a`:    "the server's Digest challenge cannot be answered: its syntax is not that of RFC 7616; if the server allows it, use basic_auth",
		`Basic realm="a"`:    "401",
		`Negotiate`:          "401",
		"Digest " + `a=",,"`: "200", // without a nonce
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if given := r.Header.Get("Authorization"); !strings.HasPrefix(given, `Digest username="ops"`) {
					w.Header().Set("WWW-Authenticate", challenge)
					w.WriteHeader(http.StatusUnauthorized)
				}
			}))
			_, code, err := w.get(t.Context(), w.client(t, digestSettings), "http://a.example/")
			if err != nil {
				wantError(t, err, want)
			} else if fmt.Sprint(code) != want {
				t.Errorf("%s: got %d, want %s", challenge, code, want)
			}
		})
	}
}

func FuzzDigestChallenge(f *testing.F) {
	f.Add(`Digest realm="a", nonce="b", qop="auth, auth-int", algorithm=SHA-256`)
	f.Add(`Digest a=\"`)
	f.Fuzz(func(t *testing.T, text string) {
		challenge, err := challengeOf(http.Header{"Www-Authenticate": {text}})
		if challenge == nil {
			return
		}
		if err != nil {
			t.Fatal("a challenge and an error")
		}
		answer, err := httpdigest.Digest(challenge, httpdigest.Options{Method: "GET", URI: "/", Count: 1, Username: "ops", Password: "hunter22"})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if strings.Contains(answer.String(), "hunter22") && !strings.Contains(text, "hunter22") {
			t.Fatalf("%q: the answer shows the password: %s", text, answer)
		}
	})
}
