package httpclient

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestUserAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", echoHeader("User-Agent"))
		client := w.client(t, "")
		if got := w.mustGet(t, client, "http://a.example/"); got != "cton/test" {
			t.Errorf("got %q", got)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example/", nil)
		req.Header.Set("User-Agent", "mine")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Close()
		if got, err := resp.ReadBody(nil, maxBody(100)); string(got) != "mine" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if len(req.Header) != 1 {
			t.Errorf("the caller's request was changed: %v", req.Header)
		}
	})
}

func TestGzip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				return
			}
			rw.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			io.WriteString(z, strings.Repeat("x", 5000))
			z.Close()
		}))
		if got := w.mustGet(t, w.client(t, ""), "http://a.example/"); got != strings.Repeat("x", 5000) {
			t.Errorf("got %d bytes", len(got))
		}
		if e := w.exchanges()[0]; e.Bytes != 5000 {
			t.Errorf("observed %d bytes", e.Bytes)
		}
	})
}

func TestEveryExchangeIsObservedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/hop":
				http.Redirect(rw, r, "/end?page=2", http.StatusFound)
			case "/end":
				time.Sleep(3 * time.Second)
				io.WriteString(rw, "12345")
			case "/cut":
				rw.Header().Set("Content-Length", "100")
				io.WriteString(rw, "12345")
			}
		}))
		client := w.client(t, `basic_auth: {username: ops, password: "env:PASSWORD"}`)

		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://bob@a.example/hop?page=1&api_key=value-of-query&q=hunter22", nil)
		req.Header.Set("X-Api-Key", "value-of-header")
		req.Header.Set("X-Note", "say hunter22")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(w.exchanges()); n != 1 {
			t.Errorf("%d exchanges are over before the body is read, want the redirect alone", n)
		}
		resp.ReadBody(nil, maxBody(100))
		resp.Close()
		resp.Close()
		w.get(t.Context(), client, "http://a.example/cut")
		w.get(t.Context(), client, "http://gone.example/")

		var got []string
		for _, e := range w.exchanges() {
			got = append(got, fmt.Sprint(e.Method, " ", e.URL, " ", e.Host, " ", e.Code, " ", e.Bytes, " ", e.Took, " ", e.Err))
		}
		want := []string{
			"GET http://a.example/hop?page=1&api_key=<secret>&q=<secret> a.example 302 34 0s <nil>",
			"GET http://a.example/end?page=2 a.example 200 5 3s <nil>",
			"GET http://a.example/cut a.example 200 5 0s the body was cut short",
			"GET http://gone.example/ gone.example 0 0 0s connection refused by gone.example:80",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		header := w.exchanges()[0].Header
		for name, want := range map[string]string{
			"Authorization": "<secret>", "X-Api-Key": "<secret>", "X-Note": "say <secret>", "User-Agent": "cton/test", "Accept-Encoding": "gzip",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("header %s is shown as %q, want %q", name, got, want)
			}
		}
	})
}

func TestUnreadBodyIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", say("1234567890"))
		resp := w.open(t, w.client(t, ""), http.MethodGet, "http://a.example/", nil)
		resp.Excerpt(4)
		resp.Close()
		if e := w.exchanges(); len(e) != 1 || e[0].Bytes != 4 || e[0].Err != nil {
			t.Errorf("observed %+v", e)
		}
	})
}

func TestTimeoutGivesItsCause(t *testing.T) {
	for what, handler := range map[string]http.HandlerFunc{
		"no answer":   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slow answer": drip,
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.Serve(t, "a.example:80", handler)
				begin := time.Now()
				_, _, err := w.get(within(t, 10*time.Second, "timeout of 10s is over"), w.client(t, ""), "http://a.example/?key=value-of-query")
				wantError(t, err, "timeout of 10s is over")
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, causeError("timeout of 10s is over")) {
					t.Errorf("%v does not wrap its cause", err)
				}
				if took := time.Since(begin); took != 10*time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// drip writes one byte a second until the request ends.
func drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		io.WriteString(w, " ")
		http.NewResponseController(w).Flush()
		time.Sleep(time.Second)
	}
}

func TestServerDoesNotAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		l := w.Listen("a.example:80")
		defer l.Close()
		client := w.client(t, "")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, _, err := w.get(ctx, client, "http://a.example/x")
		wantError(t, err, "GET http://a.example/x: timed out")

		// A dial has a time-out of its own.
		begin := time.Now()
		_, _, err = w.get(t.Context(), client, "http://a.example/x")
		wantError(t, err, "GET http://a.example/x: no answer from a.example:80")
		if took := time.Since(begin); took > dialTimeout {
			t.Errorf("took %s", took)
		}
	})
}

func TestCancelledRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", say("x"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := w.get(ctx, w.client(t, ""), "http://a.example/x")
		wantError(t, err, "GET http://a.example/x: cancelled")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v is not context.Canceled", err)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", echoHeader("Authorization"))
		w.Serve(t, "login.example:80", tokenServer(nil, "3600"))
		for _, text := range []string{
			`basic_auth: {username: ops, password: "env:PASSWORD"}`,
			oauth2Settings,
		} {
			client := w.client(t, text)
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 5 {
						if body, _, err := w.get(t.Context(), client, "http://a.example/"); err != nil || body == "" {
							t.Errorf("got %q, %v", body, err)
						}
					}
				})
			}
			all.Wait()
		}
		if n := len(w.exchanges()); n != 81 {
			t.Errorf("observed %d exchanges, want 80 and one for the token", n)
		}
	})
}

// TestConnectionsAreReused checks that connections are used again, also after a refusal, and that CloseIdleConnections closes them: the
// synctest bubble does not end while a goroutine serves a connection.
func TestConnectionsAreReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		dials := map[string]int{}
		w.host.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials[address]++
			return w.Network.Dial(ctx, network, address)
		}
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refused" {
				rw.WriteHeader(http.StatusBadRequest)
			}
			io.WriteString(rw, strings.Repeat("x", 10000))
		}))
		w.Serve(t, "login.example:80", tokenServer(nil, "60"))
		client := w.client(t, oauth2Settings)
		for i := range 20 {
			path := []string{"/", "/refused"}[i%2]
			resp := w.open(t, client, http.MethodGet, "http://a.example"+path, nil)
			if resp.StatusCode == http.StatusOK {
				resp.ReadBody(nil, maxBody(1<<20))
			} else {
				_ = resp.StatusError()
			}
			resp.Close()
			time.Sleep(time.Minute)
		}
		if dials["a.example:80"] != 1 || dials["login.example:80"] != 1 {
			t.Errorf("dialled %v", dials)
		}
		time.Sleep(2 * idleTimeout)
		w.mustGet(t, client, "http://a.example/")
		if dials["a.example:80"] != 2 {
			t.Errorf("an idle connection was kept for too long: %v", dials)
		}
	})
}

func TestHeadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("X-Long", strings.Repeat("x", 2*maxHeaderBytes))
		}))
		_, _, err := w.get(t.Context(), w.client(t, ""), "http://a.example/x")
		wantError(t, err, "GET http://a.example/x: ")
	})
}

// closing is a connection that counts its Close.
type closing struct {
	net.Conn
	once   sync.Once
	closed *atomic.Int64
}

func (c *closing) Close() error {
	c.once.Do(func() { c.closed.Add(1) })
	return c.Conn.Close()
}

func TestCloseIdleConnectionsLeavesNone(t *testing.T) {
	for text, want := range map[string]int64{"": 1, `authorization: {credentials: "env:PASSWORD"}`: 1, oauth2Settings: 2} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var opened, closed atomic.Int64
			w.host.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := w.Network.Dial(ctx, network, address)
				opened.Add(1)
				return &closing{Conn: conn, closed: &closed}, err
			}
			w.Serve(t, "a.example:80", say("x"))
			w.Serve(t, "login.example:80", tokenServer(nil, "60"))
			client := w.client(t, text)
			w.mustGet(t, client, "http://a.example/")
			synctest.Wait()
			if opened.Load() != want || closed.Load() != 0 {
				t.Errorf("%q: %d connections, %d closed, want %d to use again", text, opened.Load(), closed.Load(), want)
			}
			client.CloseIdleConnections()
			synctest.Wait()
			if closed.Load() != want {
				t.Errorf("%q: %d of %d connections are closed", text, closed.Load(), want)
			}
		})
	}
}
