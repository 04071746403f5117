package httpclient

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/setting"
)

// world is an in-memory network with a host, and the exchanges that the host has observed.
type world struct {
	*memnet.Network
	host *Host
	env  map[string]string

	mu   sync.Mutex
	seen []Exchange
}

func newWorld(t *testing.T) *world {
	w := &world{Network: memnet.NewNetwork(), env: map[string]string{"PASSWORD": "hunter22"}}
	lookup := func(name string) (string, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		value, ok := w.env[name]
		return value, ok
	}
	w.host = &Host{
		Secrets:   &setting.SecretStore{Dir: t.TempDir(), LookupEnv: lookup},
		UserAgent: "cton/test",
		Dial:      w.Dial,
		Observe: func(e Exchange) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen = append(w.seen, e)
		},
	}
	return w
}

func (w *world) rotate(name, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.env[name] = value
}

func (w *world) exchanges() []Exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// client returns a client with the settings in a text, as a user writes them. Its idle connections are closed when the test ends.
func (w *world) client(t *testing.T, text string) *Client {
	t.Helper()
	s := settings(t, text)
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	client, err := w.host.Client(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func settings(t *testing.T, text string) *Settings {
	t.Helper()
	var s Settings
	if err := yaml.Load([]byte(text), &s, yaml.WithKnownFields()); err != nil && text != "" {
		t.Fatal(err)
	}
	return &s
}

// maxBody is the limit of the bodies in tests.
func maxBody(n int) Limit { return Limit{Bytes: setting.Bytes(n), Setting: "max_body"} }

// get sends a GET request and reads the body of a response of any status.
func (w *world) get(ctx context.Context, client *Client, url string) (string, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", 0, err
	}
	resp, err := client.DoAnyStatus(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Close()
	body, err := resp.ReadBody(nil, maxBody(1<<20))
	return string(body), resp.StatusCode, err
}

// open sends a request of any method and returns the response, which is closed when the test ends.
func (w *world) open(t *testing.T, client *Client, method, url string, body io.Reader) *Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.DoAnyStatus(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Close() })
	return resp
}

func (w *world) mustGet(t *testing.T, client *Client, url string) string {
	t.Helper()
	body, code, err := w.get(t.Context(), client, url)
	if err != nil || code != http.StatusOK {
		t.Fatalf("%s: %d %q, %v", url, code, body, err)
	}
	return body
}

// wantError checks that the error contains a text, and that it is one line without secrets and queries.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v\nwant … %s …", err, want)
		return
	}
	for _, leak := range []string{"hunter22", "key=", "value-of-query", "\n"} {
		if strings.Contains(err.Error(), leak) {
			t.Errorf("the error shows %q: %v", leak, err)
		}
	}
}

func say(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func echoHeader(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get(name)) }
}

func within(t *testing.T, d time.Duration, cause string) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, causeError(cause))
	t.Cleanup(cancel)
	return ctx
}

type causeError string

func (c causeError) Error() string { return string(c) }
