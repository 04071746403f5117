package httpclient

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/collectington/collectington/agent/setting"
)

// TestShownBodies checks that the beginning of a body is shown without secrets, and that the body of a token request is not shown.
func TestShownBodies(t *testing.T) {
	for body, want := range map[string]string{
		"":                                       "nil",
		`{"query": "{orders}", "n": 5}`:          `{"query": "{orders}", "n": 5}`,
		`{"user": "ops", "password" : "a\"b c"}`: `{"user": "ops", "password" : <secret>}`,
		`{"pin_token":123456,"n":1}`:             `{"pin_token":<secret>,"n":1}`,
		"user=ops&client_secret=a%20b&n=1":       "user=ops&client_secret=<secret>&n=1",
		`<a>hunter22</a>`:                        `<a><secret></a>`,
		strings.Repeat("x", maxBodyShown+1):      strings.Repeat("x", maxBodyShown) + "…",
		strings.Repeat("x", maxBodyRead+1):       "65537 bytes",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.Serve(t, "a.example:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
			w.Serve(t, "login.example:80", tokenServer(nil, "3600"))
			w.host.Secrets.Remember("hunter22")
			w.open(t, w.client(t, oauth2Settings), http.MethodPost, "http://a.example/", strings.NewReader(body)).Close()
			seen := w.exchanges()
			if len(seen) != 2 || seen[0].Body != nil {
				t.Fatalf("got %d exchanges, or the body of the token request", len(seen))
			}
			got := "nil"
			if seen[1].Body != nil {
				got = seen[1].Body()
			}
			if got != want {
				t.Errorf("%.100s: got %.100s, want %.100s", body, got, want)
			}
		})
	}
}

// TestShownFiles checks that, in a multipart body, only the name and size of a file are shown, and that other parts are shown as in a form.
func TestShownFiles(t *testing.T) {
	file := strings.Repeat("<?xml ordinary text?>", 10_000)
	for parts, want := range map[string]string{
		"--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n<a>hunter22</a>\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.xml\"\r\nContent-Type: text/plain\r\n\r\n" + file + "\r\n--b--\r\n": "--b\nContent-Disposition: form-data; name=\"n\"\n\n<a><secret></a>\n" +
			"--b\nContent-Disposition: form-data; name=\"f\"; filename=\"a.xml\"\nContent-Type: text/plain\n\n<file a.xml, 210000 bytes>\n--b--",
		"--b\r\nContent-Disposition: form-data; name=\"api_key\"\r\n\r\nxyz\r\n--b--\r\n": "--b\nContent-Disposition: form-data; name=\"api_key\"\n\n<secret>\n--b--",
		"no parts": "8 bytes",
		"--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n" + file + "\r\n--b--\r\n": "210058 bytes",
	} {
		req, err := http.NewRequest(http.MethodPost, "http://a.example/", strings.NewReader(parts))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		secrets := &setting.SecretStore{}
		secrets.Remember("hunter22")
		if got := (redactor{secrets}).body(req)(); got != want {
			t.Errorf("%.80q: got %.300q, want %q", parts, got, want)
		}
	}
}
