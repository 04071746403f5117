package auth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/setting"
)

// world is an API, a login, and clients that share a provider.
type world struct {
	*memnet.Network
	host     *httpclient.Host
	renew    func()             // begins with a new provider, as a new process does
	memories map[string]*memory // in which the providers keep tokens

	mu     sync.Mutex
	env    map[string]string
	logins int
	answer func(w http.ResponseWriter, r *http.Request, n int) // answers the login number n
	good   string                                              // the Authorization that the API accepts; "any" = all; "" = the newest token
	shown  []string                                            // the observed exchanges
}

// memory stores tokens in a test. It keeps them after a restart if its field "lasts" is set.
type memory struct {
	data  []byte
	lasts bool
	err   error // error that Store returns

	notReady error // error that Ready returns
	locked   bool
	unlocked int // number of calls of Store without a lock

	mu      sync.Mutex
	servers map[string]*memory
}

func (m *memory) Load() []byte { return m.data }
func (m *memory) Ready() error { return m.notReady }
func (m *memory) Used()        {}

func (m *memory) At(server string) httpclient.TokenMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.servers[server] == nil {
		if m.servers == nil {
			m.servers = map[string]*memory{}
		}
		m.servers[server] = &memory{lasts: m.lasts}
	}
	return m.servers[server]
}

func (m *memory) Lock(context.Context) (func(), bool, error) {
	m.locked = true
	return func() { m.locked = false }, false, nil
}

func (m *memory) Store(data []byte) (bool, error) {
	if !m.locked {
		m.unlocked++
	}
	if m.lasts && m.err == nil {
		m.data = data
	}
	return m.lasts && m.err == nil, m.err
}

func newWorld(t *testing.T, text string) *world {
	var s Settings
	if err := yaml.Load([]byte(text), &s, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	w := &world{Network: memnet.NewNetwork(), env: map[string]string{"PASSWORD": "hunter22"}}
	w.answer = func(rw http.ResponseWriter, _ *http.Request, n int) {
		fmt.Fprintf(rw, `{"token": "token-%d", "ttl": 3600}`, n)
	}
	w.memories = map[string]*memory{}
	w.renew = func() {
		w.host.Providers = map[string]httpclient.Provider{"cloud": s.Provider(func(what string) httpclient.TokenMemory {
			if w.memories[what] == nil {
				w.memories[what] = &memory{}
			}
			return w.memories[what]
		})}
	}
	w.host = &httpclient.Host{
		Secrets: &setting.SecretStore{Dir: t.TempDir(), LookupEnv: w.lookup},
		Dial:    w.Dial,
		Observe: func(x httpclient.Exchange) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.shown = append(w.shown, fmt.Sprint(x.Method, x.URL, x.Header, x.Err))
		},
	}
	w.renew()
	w.Serve(t, "login.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		w.mu.Lock()
		w.logins++
		n, answer := w.logins, w.answer
		w.mu.Unlock()
		answer(rw, r, n)
	}))
	w.Serve(t, "a.example:80", http.HandlerFunc(w.data))
	return w
}

func (w *world) lookup(name string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	value, ok := w.env[name]
	return value, ok
}

func (w *world) data(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := w.good
	if want == "" {
		want = fmt.Sprintf("Bearer token-%d", w.logins)
	}
	if want == "any" {
		want = r.Header.Get("Authorization")
	}
	if got := r.Header.Get("Authorization"); got != want {
		http.Error(rw, "no such token: "+got, http.StatusUnauthorized)
		return
	}
	io.WriteString(rw, want)
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logins
}

func (w *world) client(t *testing.T) *httpclient.Client {
	t.Helper()
	client, err := w.host.Client(&httpclient.Settings{Auth: "cloud"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// get sends one request to the API. The error is what a user sees.
func (w *world) get(ctx context.Context, client *httpclient.Client) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://a.example/x", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Close()
	text, err := resp.ReadBody(nil, httpclient.Limit{Bytes: 1 << 20})
	return string(text), err
}

func (w *world) want(t *testing.T, client *httpclient.Client, want string, logins int) {
	t.Helper()
	if got, err := w.get(t.Context(), client); err != nil || got != want || w.asked() != logins {
		t.Errorf("got %q, %v after %d logins, want %q after %d", got, err, w.asked(), want, logins)
	}
}

func (w *world) wantError(t *testing.T, client *httpclient.Client, want string, logins int) {
	t.Helper()
	_, err := w.get(t.Context(), client)
	if err == nil || !strings.Contains(err.Error(), want) || w.asked() != logins {
		t.Errorf("got %v after %d logins\nwant … %s … after %d", err, w.asked(), want, logins)
		return
	}
	w.leaks(t, err.Error())
}

// leaks fails the test if a secret is in the text or in what was observed.
func (w *world) leaks(t *testing.T, text string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, shown := range append(w.shown, text) {
		for _, secret := range []string{"hunter", "token-", "refresh-", "\n"} {
			if strings.Contains(shown, secret) {
				t.Errorf("%q is shown: %s", secret, shown)
			}
		}
	}
}
