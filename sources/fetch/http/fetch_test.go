package http

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// place holds an in-memory network, a host with secrets, and the observed exchanges.
type place struct {
	*memnet.Network
	web  *httpclient.Host
	mu   sync.Mutex
	seen []httpclient.Exchange
}

func newPlace(t *testing.T) *place {
	p := &place{Network: memnet.NewNetwork()}
	p.web = &httpclient.Host{
		UserAgent: "cton/test",
		Dial:      p.Dial,
		Observe: func(e httpclient.Exchange) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.seen = append(p.seen, e)
		},
		Secrets: &setting.SecretStore{Dir: t.TempDir(), LookupEnv: func(name string) (string, bool) {
			return map[string]string{"KEY": "hunter/22&key", "LINES": "hunter22\nX-Evil: yes"}[name], true
		}},
	}
	return p
}

// fetcher returns a fetcher with settings as a user writes them.
func (p *place) fetcher(t *testing.T, text string) *fetcher {
	t.Helper()
	c := config(t, text)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	f, err := c.New(sources.Env{Job: "test", Web: p.web})
	if err != nil {
		t.Fatal(err)
	}
	made := f.(*fetcher)
	t.Cleanup(made.client.CloseIdleConnections)
	return made
}

func (p *place) fetch(t *testing.T, text string) (*sources.Document, error) {
	t.Helper()
	return p.fetcher(t, text).Fetch(t.Context(), tickAt(), sources.Request{})
}

func tickAt() sources.Tick {
	end := time.Date(2026, 7, 1, 10, 0, 0, 987654321, time.UTC)
	return sources.Tick{Time: end.Add(time.Second), Start: end.Add(-time.Minute), End: end}
}

const address = "url: http://a.example/v1/x\n"

func TestFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		var got *http.Request
		var body []byte
		p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r
			body, _ = io.ReadAll(r.Body)
			io.WriteString(w, `{"total": 12345678901234567890}`)
		}))
		doc, err := p.fetch(t, `
url: http://a.example/v1/x?page=1&sort=a%20b
query: {since: "{{ rfc3339 .Window.Start }}", key: "env:KEY", sort: c}
headers: {X-Api-Key: "env:KEY", accept: text/json, User-Agent: me}
`)
		if err != nil {
			t.Fatal(err)
		}
		if doc.From != "GET http://a.example/v1/x" || doc.Root.Get("total").Raw() != "12345678901234567890" {
			t.Errorf("got %s: %s", doc.From, doc.Root)
		}
		if want := "/v1/x?page=1&sort=a%20b&key=hunter%2F22%26key&since=2026-07-01T09%3A59%3A00Z&sort=c"; got.RequestURI != want {
			t.Errorf("requested %s\nwant      %s", got.RequestURI, want)
		}
		for name, want := range map[string]string{
			"X-Api-Key": "hunter/22&key", "Accept": "text/json", "User-Agent": "me", "Accept-Encoding": "gzip", "Content-Type": "",
		} {
			if got := strings.Join(got.Header[name], "|"); got != want {
				t.Errorf("%s: sent %q, want %q", name, got, want)
			}
		}
		if got.Method != "GET" || len(body) > 0 || got.ContentLength != 0 {
			t.Errorf("%s with the body %q", got.Method, body)
		}

		for sent, kind := range map[string]string{
			`{"since": "{{ rfc3339 .Window.Start }}"}`: "application/json", "since={{ unix .Now }}": "text/plain; charset=utf-8", "": "",
		} {
			if _, err := p.fetch(t, address+"method: POST\nbody: '"+sent+"'"); err != nil {
				t.Fatal(err)
			}
			want := strings.NewReplacer("{{ rfc3339 .Window.Start }}", "2026-07-01T09:59:00Z", "{{ unix .Now }}", "1782900001").Replace(sent)
			if got.Method != "POST" || string(body) != want || got.Header.Get("Content-Type") != kind {
				t.Errorf("%s with %q as %q, want %q", got.Method, body, got.Header.Get("Content-Type"), want)
			}
		}
	})
}

func TestFetchRepeatedly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		var n atomic.Int64
		p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%3 == 0 {
				w.WriteHeader(http.StatusBadGateway)
			}
			fmt.Fprintf(w, `{"n": %d, "key": %q, "pad": %q}`, n.Load(), r.Header.Get("X-Key"), strings.Repeat("x", int(n.Load()%4)*1000))
		}))
		file := filepath.Join(p.web.Secrets.Dir, "key")
		f := p.fetcher(t, address+"headers: {X-Key: 'file:key'}")
		for i := 1; i <= 9; i++ {
			key := fmt.Sprintf("key-number-%d", i)
			if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
				t.Fatal(err)
			}
			doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{})
			if (err != nil) != (i%3 == 0) {
				t.Fatalf("tick %d: %v", i, err)
			}
			if err == nil && (doc.Root.Get("n").Raw() != fmt.Sprint(i) || doc.Root.Get("key").Text() != key) {
				t.Errorf("tick %d: got %.80s", i, doc.Root.Raw())
			}
		}
	})
}

// failure is a failure of a fetch and its error.
type failure struct {
	settings string // beside the address
	handler  http.HandlerFunc
	want     string
}

func answer(code int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if name, value, found := strings.Cut(header, ": "); found {
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
		// Echoes what it was sent, as careless servers do.
		query := r.URL.Query()
		body = strings.ReplaceAll(body, "ECHO", strings.Join([]string{
			r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"), r.Header.Get("X-Token"),
			query.Get("api_key"), query.Get("access_token"), query.Get("key"),
		}, " "))
		io.WriteString(w, body)
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func drip(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, `{"a": "`)
	for r.Context().Err() == nil {
		io.WriteString(w, "x")
		http.NewResponseController(w).Flush()
		time.Sleep(time.Second)
	}
}

func failures() map[string]failure {
	return map[string]failure{
		"500":               {"", answer(500, "", "oh no ECHO"), "500 Internal Server Error: oh no <secret> Basic <secret> "},
		"401":               {"", answer(401, "", `{"error": "bad key ECHO"}`), `401 Unauthorized: {"error": "bad key <secret>`},
		"404 page":          {"", answer(404, "", "<html><title>ECHO</title>"), "404 Not Found: <secret>"},
		"204":               {"", answer(204, "", ""), "204 No Content: the server sent no document"},
		"304":               {"", answer(304, "", ""), "304 Not Modified"},
		"429 seconds":       {"", answer(429, "Retry-After: 30", "slow down"), "429 Too Many Requests: slow down (the server asks to retry after 30s)"},
		"503 date":          {"", answer(503, "Retry-After: Sat, 01 Jan 2000 00:05:00 GMT", ""), "503 Service Unavailable (the server asks to retry after 5m0s)"},
		"200 page":          {"", answer(200, "Content-Type: text/html", "<html>ECHO login"), "want JSON, got markup that begins with \"<html><secret>"},
		"text":              {"", answer(200, "", "ECHO"), "want JSON, got markup that begins with \"<secret>"},
		"cut JSON":          {"", answer(200, "", `{"a": [1, 2, {"b": "ECHO`), "the JSON is cut short: it ends with"},
		"cut body":          {"", answer(200, "Content-Length: 1000", `{"a": 1}`), "the body was cut short"},
		"empty":             {"", answer(200, "", ""), "want JSON, got an empty body"},
		"deep":              {"", answer(200, "", strings.Repeat("[", 100000)), "the JSON is nested more than 300 deep"},
		"brotli":            {"", answer(200, "Content-Encoding: br", "x"), `the body is compressed with "br", want gzip or none`},
		"key as charset":    {"", answer(200, "Content-Type: text/x; charset=\"hunter/22&key\"", "\xe9"), `unsupported charset "<secret>": want utf-8, utf-16, utf-16le, iso-8859-1, iso-8859-2, iso-8859-5, iso-8859-15, windows-1250, windows-1251, windows-1252, koi8-r, cp437, cp850, shift_jis, euc-jp, iso-2022-jp, gbk, gb18030, big5 or euc-kr; charset sets another one than the server states`},
		"long charset":      {"", answer(200, "Content-Type: text/x; charset=a-charset-of-another-world", "\xe9"), `unsupported charset: want utf-8, utf-16, utf-16le, iso-8859-1, iso-8859-2, iso-8859-5, iso-8859-15, windows-1250, windows-1251, windows-1252, koi8-r, cp437, cp850, shift_jis, euc-jp, iso-2022-jp, gbk, gb18030, big5 or euc-kr; charset sets another one than the server states`},
		"key as coding":     {"", answer(200, "Content-Encoding: hunter/22&key", "x"), `the body is compressed with "<secret>", want gzip or none`},
		"long coding":       {"", answer(200, "Content-Encoding: a-compression-of-another-world", "x"), `the body is compressed with "an unknown coding", want gzip or none`},
		"no gzip":           {"", answer(200, "Content-Encoding: gzip", "plain ECHO"), "the header Content-Encoding says gzip, but the body is not compressed: correct the server or the proxy in front of it, or fetch the URL with an exec source that runs curl"},
		"long":              {"max_body: 1MiB", answer(200, "", strings.Repeat(" ", 1<<20)+"{}"), "the body exceeds max_body (1MiB)"},
		"other host":        {"", answer(302, "Location: http://b.example/?key=hunter/22", ""), "redirected to another host (http://b.example): not followed, since credentials would be sent there; set url to the new address"},
		"hang":              {"", hang, "timeout of 1m0s is over"},
		"drip":              {"", drip, "timeout of 1m0s is over"},
		"refused":           {"", nil, "connection refused by a.example:80"},
		"bad Location":      {"", answer(302, "Location: http://%zz/hunter/22&key", ""), "Location"},
		"lines in a secret": {"headers: {X-Note: 'env:LINES'}", hang, "headers.X-Note: the value of env:LINES has a line break or control character, which a header cannot have: remove it there"},
		"secret gone":       {"headers: {X-Note: 'file:gone'}", hang, "headers.X-Note: secret file:gone: open "},
		"parameter gone":    {"query: {a: 'file:gone'}", hang, "query.a: secret file:gone: open "},
	}
}

// TestFailures checks that every failure ends in time and says what is wrong and where, and that neither the error nor the
// observed exchange shows a secret.
func TestFailures(t *testing.T) {
	const secrets = "basic_auth: {username: ops, password: 'env:KEY'}\n"
	for name, c := range failures() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPlace(t)
				if c.handler != nil {
					p.Serve(t, "a.example:80", c.handler)
				}
				p.Serve(t, "b.example:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					t.Errorf("the other host got a request for %s", r.URL)
				}))
				settings := "url: http://a.example/v1/x?key=literal-query-key\n" + secrets + c.settings
				if !strings.Contains(settings, "headers:") {
					settings += "\nheaders: {X-Api-Key: 'env:KEY', X-Token: literal-token}"
				}
				if !strings.Contains(settings, "query:") {
					settings += "\nquery: {api_key: 'env:KEY', access_token: literal-access, q: 'value-of-query {{ .Now }}'}"
				}
				f := p.fetcher(t, settings)
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("timeout of 1m0s is over"))
				defer cancel()
				begin := time.Now()
				_, err := f.Fetch(ctx, tickAt(), sources.Request{})
				if err == nil {
					t.Fatal("no error")
				}
				text := err.Error()
				if !strings.HasPrefix(text, "GET http://a.example/v1/x: "+c.want) && !(c.want == "Location" && strings.Contains(text, c.want)) {
					t.Errorf("got  %s\nwant GET http://a.example/v1/x: %s", text, c.want)
				}
				if strings.ContainsAny(text, "\n\r") || strings.Count(text, "GET ") != 1 {
					t.Errorf("not one clean line: %q", text)
				}
				if took := time.Since(begin); took > time.Minute {
					t.Errorf("took %s", took)
				}
				text += fmt.Sprintf("%+v", p.seen)
				for _, leak := range []string{"hunter", "literal-", "b3BzOm"} {
					if strings.Contains(text, leak) {
						t.Errorf("%s leaks: %s", leak, text)
					}
				}
				if strings.Contains(err.Error(), "value-of-query") {
					t.Errorf("the error shows the query: %v", err)
				}
			})
		})
	}
}

// endless writes zeros until the connection is closed, and counts them.
func endless(length string, written *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		chunk := make([]byte, 32<<10)
		for range 200 << 20 / len(chunk) {
			n, err := w.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
}

func TestHugeBodyIsRefusedEarly(t *testing.T) {
	for _, length := range []string{"", fmt.Sprint(200 << 20)} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			var written atomic.Int64
			p.Serve(t, "a.example:80", endless(length, &written))
			f := p.fetcher(t, address+"max_body: 1MiB")
			if _, err := f.Fetch(t.Context(), tickAt(), sources.Request{}); err == nil || !strings.HasSuffix(err.Error(), "the body exceeds max_body (1MiB)") {
				t.Errorf("got %v", err)
			}
			synctest.Wait()
			most := int64(2 << 20)
			if length != "" {
				most = 256 << 10
			}
			if n := written.Load(); n > most || cap(f.buffer) > 2<<20 {
				t.Errorf("length %q: the server wrote %d bytes, %d are held", length, n, cap(f.buffer))
			}
		})
	}
}

func TestCharsets(t *testing.T) {
	for contentType, body := range map[string]string{
		"application/json":                        `{"a": "é"}`,
		"application/json; charset=UTF-8":         `{"a": "é"}`,
		"application/json; charset=utf8":          "\xef\xbb\xbf{\"a\": 1}",
		"application/json; charset=iso-8859-1":    `{"a": "e"}`,
		"text/plain":                              `{"a": 1}`,
		"application/json; charset=koi8-r":        `{"a": "\u00e9"}`,
		"nonsense; ; charset=iso-8859-1; charset": `{"a": "é"}`,
		"application/json; charset=ISO-8859-1":    "{\"a\": \"\xe9\"}",
		"application/json; charset=utf-16":        "\xff\xfe{\x00\"\x00a\x00\"\x00:\x00\"\x00\xe9\x00\"\x00}\x00",
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			p.Serve(t, "a.example:80", answer(200, "Content-Type: "+contentType, body))
			doc, err := p.fetch(t, address)
			if err != nil {
				t.Fatalf("%s: %v", contentType, err)
			}
			if got := doc.Root.Get("a").Text(); got != "é" && got != "e" && got != "1" {
				t.Errorf("%s: got %q", contentType, got)
			}
		})
	}
}

func TestRedirectOnTheSameHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v1/x" {
				http.Redirect(w, r, "/v2/x?"+r.URL.RawQuery, http.StatusPermanentRedirect)
				return
			}
			fmt.Fprintf(w, `{"key": %q}`, r.Header.Get("X-Api-Key"))
		}))
		doc, err := p.fetch(t, address+"headers: {X-Api-Key: 'env:KEY'}")
		if err != nil || doc.Root.Get("key").Text() != "hunter/22&key" || len(p.seen) != 2 {
			t.Errorf("got %v, %v, %d exchanges", doc, err, len(p.seen))
		}
	})
}

// TestTimesAreNotSecrets checks that the time of a template is not taken for a secret because of the parameter's name. Otherwise the time
// would be removed from every log line.
func TestTimesAreNotSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t)
		p.Serve(t, "a.example:80", answer(200, "", "{}"))
		if _, err := p.fetch(t, address+"query: {session_start: '{{ rfc3339 .Now }}'}"); err != nil {
			t.Fatal(err)
		}
		if got := p.web.Secrets.Scrub("2026-07-01T10:00:01Z"); got != "2026-07-01T10:00:01Z" {
			t.Errorf("got %s", got)
		}
	})
}

func TestNewFails(t *testing.T) {
	p := newPlace(t)
	for text, want := range map[string]string{
		address + "body: '{{'":             "body: unclosed action",
		address + "query: {a: '{{ .X }}'}": "query.a: no value .X",
	} {
		_, err := config(t, text).New(sources.Env{Web: p.web})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestCompression(t *testing.T) {
	for header, want := range map[string]string{"": "gzip", "headers: {Accept-Encoding: identity}": "identity"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t)
			p.Serve(t, "a.example:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				text := fmt.Sprintf(`{"asked": %q}`, r.Header.Get("Accept-Encoding"))
				if r.Header.Get("Accept-Encoding") != "gzip" {
					io.WriteString(w, text)
					return
				}
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				defer z.Close()
				io.WriteString(z, text)
			}))
			doc, err := p.fetch(t, address+header)
			if err != nil || doc.Root.Get("asked").Text() != want {
				t.Errorf("%s: got %v, %v", header, doc, err)
			}
		})
	}
}

// BenchmarkFetch fetches a document of 3 MB over a socket.
func BenchmarkFetch(b *testing.B) {
	text := "[" + strings.TrimSuffix(strings.Repeat(`{"team": "ops", "state": "resolved", "minutes": 12.5},`, 60000), ",") + "]"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		io.WriteString(w, text)
	}))
	defer server.Close()
	c := Kind.Defaults().(*Config)
	if err := c.URL.UnmarshalText([]byte(server.URL)); err != nil {
		b.Fatal(err)
	}
	f, err := c.New(sources.Env{Web: &httpclient.Host{Secrets: new(setting.SecretStore)}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Fetch(b.Context(), sources.Tick{}, sources.Request{}); err != nil {
			b.Fatal(err)
		}
	}
}
