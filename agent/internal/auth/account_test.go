package auth

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
)

const atEach = `{login: {before: [{url: /start, take: {n: .body.n}}], url: "/login/{{ .n }}", form: {password: "env:PASSWORD"}, token: .token,
	refused_by: [403], logout: {url: "/bye/{{ .n }}"}}}`

// device is a server with a login of its own. Its tokens are token-NAME-1, token-NAME-2, …
type device struct {
	name string

	mu     sync.Mutex
	logins int
	ended  int // number of the login whose session was ended by a logout
	byes   []string
	closed bool // every login is refused
}

func (d *device) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch step := "/" + strings.Split(r.URL.Path, "/")[1]; {
	case step == "/start":
		fmt.Fprintf(rw, `{"n": "n-of-%s"}`, d.name)
	case step == "/login" && (d.closed || r.FormValue("password") != "hunter22"):
		d.logins++
		http.Error(rw, "no", http.StatusForbidden)
	case r.URL.Path == "/login/n-of-"+d.name:
		d.logins++
		fmt.Fprintf(rw, `{"token": "token-%s-%d"}`, d.name, d.logins)
	case r.Header.Get("Authorization") != fmt.Sprintf("Bearer token-%s-%d", d.name, d.logins) || d.ended == d.logins:
		http.Error(rw, "no", http.StatusForbidden)
	case step == "/bye":
		d.ended = d.logins
		d.byes = append(d.byes, r.URL.Path)
	default:
		io.WriteString(rw, d.name)
	}
}

// fleet returns a world with the devices a and b.
func fleet(t *testing.T) (w *world, a, b *device) {
	w = newWorld(t, atEach)
	a, b = &device{name: "a"}, &device{name: "b"}
	w.Serve(t, "10.0.0.1:80", a)
	w.Serve(t, "10.0.0.2:8080", b)
	return w, a, b
}

// ask sends a request to a device and returns its answer, or the error.
func ask(t *testing.T, client *httpclient.Client, at string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Close()
	text, err := resp.ReadBody(nil, httpclient.Limit{Bytes: 100})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// wantLogins asks both devices, and checks how many logins they have had.
func wantLogins(t *testing.T, client *httpclient.Client, a, b *device, atA, atB int) {
	t.Helper()
	for d, at := range map[*device]string{a: "http://10.0.0.1/data", b: "http://10.0.0.2:8080/data"} {
		if got := ask(t, client, at); got != d.name {
			t.Errorf("%s: %s", d.name, got)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.logins != atA || b.logins != atB {
		t.Errorf("%d and %d logins, want %d and %d", a.logins, b.logins, atA, atB)
	}
}

// TestEachServerHasItsOwnToken checks that a login whose url is a path has a session at each server: what happens to one session changes
// nothing for the other.
func TestEachServerHasItsOwnToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := fleet(t)
		client := w.client(t)
		wantLogins(t, client, a, b, 1, 1)
		wantLogins(t, w.client(t), a, b, 1, 1) // the tokens are shared with other clients
		time.Sleep(2 * time.Minute)
		a.ended = 1
		wantLogins(t, client, a, b, 2, 1) // renewed
		time.Sleep(2 * time.Minute)
		a.ended, a.closed = 2, true
		for range 2 { // the second request does not log in, since the login was refused a moment ago
			if got := ask(t, client, "http://10.0.0.1/data"); !strings.Contains(got, "403 Forbidden") || a.logins != 3 {
				t.Errorf("%s after %d logins", got, a.logins)
			}
		}
		if got := ask(t, client, "http://10.0.0.2:8080/data"); got != "b" || b.logins != 1 {
			t.Errorf("b: %s after %d logins", got, b.logins)
		}
		state := w.host.Providers["cloud"].(interface{ State() httpclient.LoginState }).State()
		if !strings.HasPrefix(state.Error, "1 of 2 servers, http://10.0.0.1:80 first: POST http://10.0.0.1/login/") || state.Got.IsZero() {
			t.Errorf("the state is %+v", state)
		}
		w.leaks(t, state.Error)
		a.closed = false
		time.Sleep(2 * time.Minute)
		wantLogins(t, client, a, b, 4, 1)
		w.leaks(t, "")
	})
}

// TestEachServerHasItsLogout checks that every session that is not kept is ended when the program ends. The logout goes to the session's
// own server and has the session's own values. If a server leaves, only its session is ended and forgotten.
func TestEachServerHasItsLogout(t *testing.T) {
	for _, kept := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, a, b := fleet(t)
			if kept {
				w.lasting()
			}
			client := w.client(t)
			wantLogins(t, client, a, b, 1, 1)
			if err := client.Leave(t.Context(), &url.URL{Scheme: "http", Host: "10.0.0.1:80"}); err != nil {
				t.Error(err)
			}
			if fmt.Sprint(a.byes, b.byes) != "[/bye/n-of-a] []" {
				t.Errorf("logouts: %v and %v", a.byes, b.byes)
			}
			if m := w.memories["token"].servers["http://10.0.0.1:80"]; len(m.data) > 0 {
				t.Errorf("the token of a server that has left is kept: %s", m.data)
			}
			wantLogins(t, client, a, b, 2, 1) // the server comes back
			if err := w.host.Providers["cloud"].(httpclient.LogoutProvider).Logout(t.Context()); err != nil {
				t.Error(err)
			}
			want := "[/bye/n-of-a /bye/n-of-a] [/bye/n-of-b]"
			if kept {
				want = "[/bye/n-of-a] []"
			}
			if got := fmt.Sprint(a.byes, b.byes); got != want {
				t.Errorf("kept %v: logouts: %s, want %s", kept, got, want)
			}
			if kept {
				wantLogins(t, w.again(t), a, b, 2, 1) // the next process has the tokens
			}
			w.leaks(t, "")
		})
	}
}

// TestLeftDuringARequest checks the case that another job ends the session of a request. The request must get a new session.
func TestLeftDuringARequest(t *testing.T) {
	w, a, _ := fleet(t)
	client, other := w.client(t), w.client(t)
	leave := false
	w.Serve(t, "10.0.0.3:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if leave && r.URL.Path == "/data" {
			leave = false
			if err := other.Leave(t.Context(), &url.URL{Scheme: "http", Host: "10.0.0.3"}); err != nil {
				t.Error(err)
			}
		}
		a.ServeHTTP(rw, r)
	}))
	for range 2 {
		if got := ask(t, client, "http://10.0.0.3/data"); got != "a" {
			t.Errorf("got %s", got)
		}
		leave = !leave
	}
	if a.logins != 2 || len(a.byes) != 1 {
		t.Errorf("%d logins, logouts %v", a.logins, a.byes)
	}
}

// TestLogoutOfManyServers checks that a server which refuses its logout does not prevent the logouts at other servers.
func TestLogoutOfManyServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := fleet(t)
		wantLogins(t, w.client(t), a, b, 1, 1)
		a.ended = 1
		err := w.host.Providers["cloud"].(httpclient.LogoutProvider).Logout(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), "POST http://10.0.0.1/bye/n-of-a: 403 Forbidden") || strings.Contains(err.Error(), "10.0.0.2") {
			t.Errorf("the error is %v", err)
		}
		if fmt.Sprint(a.byes, b.byes) != "[] [/bye/n-of-b]" {
			t.Errorf("logouts: %v and %v", a.byes, b.byes)
		}
	})
}

// TestAtMostManyServers checks that the number of sessions is limited. A request that exceeds the limit must fail, and its error must
// name the limit.
func TestAtMostManyServers(t *testing.T) {
	w := newWorld(t, atEach)
	w.renew()
	p := w.host.Providers["cloud"].(*loginProvider)
	for i := range maxServers {
		if _, err := p.account(w.host, fmt.Sprint(i), &url.URL{Scheme: "http", Host: fmt.Sprint("host-", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := ask(t, w.client(t), "http://10.0.0.1/data"); !strings.Contains(got, "auth.cloud: a login can have sessions at 10000 servers") {
		t.Error(got)
	}
}

// TestConcurrentServers checks concurrent requests to both servers, while one of the servers leaves again and again. It is for the race
// detector.
func TestConcurrentServers(t *testing.T) {
	w, a, b := fleet(t)
	w.host.Providers["cloud"].(*loginProvider).Keep(nil) // the memory of tests does not support several accounts at one server
	client := w.client(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			for range 10 {
				switch i % 4 {
				case 0:
					_ = client.Leave(context.Background(), &url.URL{Scheme: "http", Host: "10.0.0.1"})
				case 1:
					_ = ask(t, client, "http://10.0.0.1/data") // the request may lose its session at any time
				default:
					if got := ask(t, client, "http://10.0.0.2:8080/data"); got != "b" {
						t.Error(got)
					}
				}
			}
		})
	}
	wg.Wait()
	if a.logins == 0 || b.logins != 1 {
		t.Errorf("%d and %d logins", a.logins, b.logins)
	}
}

// TestPathsOfALogin checks that either all URLs of a login are paths, or none is.
func TestPathsOfALogin(t *testing.T) {
	for text, want := range map[string]string{
		`{login: {url: /login, token: .t, logout: {url: "http://a/x"}}}`:                   "login.logout.url: want only a path, as the url of the login",
		`{login: {url: /login, token: .t, before: [{url: "http://a/x"}]}}`:                 "login.before.0.url: want only a path",
		`{login: {url: "http://a/login", token: .t, after: [{url: /x}]}}`:                  "login.after.0.url: want a whole URL, or only a path as the url of the login too",
		`{login: {url: /login, token: .t, after: [{url: "/x?y=1"}], logout: {url: /bye}}}`: "",
	} {
		var set Settings
		if err := yaml.Load([]byte(text), &set, yaml.WithKnownFields()); err != nil {
			t.Fatal(err)
		}
		err := set.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestReachedAsTheJobDoes checks how a login is sent if each server has its own login. It goes over the same unix socket as the client's
// requests, and it uses the client's tls_config. Each socket counts as a server.
func TestReachedAsTheJobDoes(t *testing.T) {
	w, a, b := fleet(t)
	dir, err := os.MkdirTemp("", "cton") // the path of a socket has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, d := range []*device{a, b} {
		listener, err := net.Listen("unix", filepath.Join(dir, d.name))
		if err != nil {
			t.Fatal(err)
		}
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: d}}
		server.Start()
		defer server.Close()
	}
	for range 2 {
		for _, d := range []*device{a, b} {
			client, err := w.host.OverSocket(filepath.Join(dir, d.name)).Client(&httpclient.Settings{Auth: "cloud"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdleConnections()
			if got := ask(t, client, "http://localhost/data"); got != d.name || d.logins != 1 {
				t.Errorf("%s: %s after %d logins", d.name, got, d.logins)
			}
		}
	}

	c := &device{name: "c"}
	server := httptest.NewTLSServer(c)
	defer server.Close()
	w.host.Dial = nil
	client, err := w.host.Client(&httpclient.Settings{Auth: "cloud", TLS: &httpclient.TLS{InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	if got := ask(t, client, server.URL+"/data"); got != "c" {
		t.Errorf("over TLS: %s", got)
	}
	if err := w.host.Providers["cloud"].(httpclient.LogoutProvider).Logout(t.Context()); err != nil || len(a.byes)+len(b.byes)+len(c.byes) != 3 {
		t.Errorf("logouts: %v, %v, %v, %v", err, a.byes, b.byes, c.byes)
	}
}
