package agent_test

import (
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mccutchen/go-httpbin/v2/httpbin"
	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // makes the databases of stories

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/sinks/sinktest/peers"
	"github.com/collectington/collectington/sources/fetch/http/fakeapi"
)

// TestMain lets the test binary act as cton, so that stories run the real command line.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cton": func() { os.Exit(agent.Main()) }})
}

// TestStories plays the stories in testdata/*/*.txtar. A story has a configuration, commands, and everything that a user sees. With
// -update, the test writes what the commands show now into the stories.
func TestStories(t *testing.T) {
	gateway := peers.NewPushgateway(t)
	pushed := httptest.NewServer(gateway)
	t.Cleanup(pushed.Close)
	// The line "gateway FILE" in a story writes to a file what the Pushgateway shows.
	shown := func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(gateway.Text(t)), 0o600))
	}
	for _, folder := range []string{"testdata/config", "testdata/command"} {
		t.Run(strings.TrimPrefix(folder, "testdata/"), func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir:           folder,
				UpdateScripts: *update,
				Cmds:          map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "expand": expand, "asked": asked, "shows": showing, "holds": holding, "stored": stored, "sqlite": database, "gateway": shown},
				Setup: func(env *testscript.Env) error {
					api := newOddAPI(t, env)
					env.Setenv("API", api.URL)
					env.Setenv("HOST", strings.TrimPrefix(api.URL, "http://"))
					env.Setenv("OTHER", api.other.URL)
					fake := fakeapi.New(api.other.URL)
					env.Values["pages"] = fake
					pages := httptest.NewServer(fake)
					env.Defer(pages.Close)
					env.Setenv("PAGES", pages.URL)
					env.Setenv("GATEWAY", pushed.URL)
					env.Setenv("AUTH", newAuthAPI(env).URL)
					env.Setenv("DEVICES", newDevices(env).URL)
					newPlugs(env)
					env.Setenv("KEY", "s3cr3t-key")
					if err := serveHTTPBin(env); err != nil {
						return err
					}
					setKinds(env)
					states, err := filepath.Abs("internal/state/testdata") // state files of earlier versions
					env.Setenv("STATES", states)
					return err
				},
			})
		})
	}
}

// serveHTTPBin serves httpbin, which echoes requests and checks credentials, at $HTTPBIN and at the unix socket $SOCKET.
func serveHTTPBin(env *testscript.Env) error {
	bin := httpbin.New().Handler()
	server := httptest.NewServer(bin)
	env.Defer(server.Close)
	env.Setenv("HTTPBIN", server.URL)
	dir, err := os.MkdirTemp("", "cton") // the path of a socket has at most 107 bytes
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(dir) })
	env.Setenv("SOCKET", filepath.Join(dir, "bin.sock"))
	listener, err := net.Listen("unix", filepath.Join(dir, "bin.sock"))
	if err != nil {
		return err
	}
	local := &httptest.Server{Listener: listener, Config: &http.Server{Handler: bin}}
	local.Start()
	env.Defer(local.Close)
	return nil
}

// setKinds sets variables with the names of all kinds. Messages list these names. Stories use the variables, so that they need not list the
// names.
func setKinds(env *testscript.Env) {
	c := agent.Catalogue()
	var fetchers, sources, sinks []string
	for _, k := range c.Fetchers {
		fetchers = append(fetchers, k.Name)
	}
	for _, k := range c.Sources {
		sources = append(sources, k.Name)
	}
	for _, k := range c.Sinks {
		sinks = append(sinks, k.Name)
	}
	env.Setenv("FETCHERS", strings.Join(fetchers, " or "))
	env.Setenv("SOURCES", strings.Join(sources, " or "))
	env.Setenv("SINKS", strings.Join(sinks, ", "))
	env.Setenv("KINDS", strings.Join(append(append([]string{"job", "auth"}, c.Names()...), "test"), ", "))
}

var update = flag.Bool("update", false, "take what stories show for right")

// exits is the command of stories that runs another command and checks its exit code. The line "exits 2 cton once" wants the code 2.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG…]")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = failed.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// asked is the command of stories that waits until the server $PAGES has got a number of requests for a path. The line "asked 3 /kept"
// waits for three requests for /kept.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: asked TIMES PATH")
	}
	times, err := strconv.Atoi(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ts.Check(ts.Value("pages").(*fakeapi.API).Wait(ctx, args[1], times))
}

// showing is the command of stories that compares a file with everything that the command before it has shown. Times and ports may differ.
func showing(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile("stdout")
	for _, part := range [][2]string{
		{`127\.0\.0\.1:\d{4,}`, "API"},
		{`in \d+(\.\d+)?(ms|µs|s)\b`, "in TIME"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "NOW"},
		{`cton/\S+`, "cton/VERSION"},
	} {
		text = regexp.MustCompile(part[0]).ReplaceAllString(text, part[1])
	}
	if want := ts.ReadFile(args[0]); text != want {
		ts.Fatalf("shown is\n%swanted is\n%s", text, want)
	}
}

// holding is the command of stories that locks a spool's directory, as a running agent does. The lock is held until the story ends.
func holding(ts *testscript.TestScript, _ bool, args []string) {
	dir := durable.NewDir(ts.MkAbs(args[0]))
	ts.Check(dir.Mkdir("."))
	ts.Check(dir.Lock("lock"))
	ts.Defer(func() { ts.Check(dir.Unlock()) })
}

// database is the command of stories that runs the statements of a file in an SQLite database. It creates the database if there is none.
// The line "sqlite jobs.db jobs.sql" runs jobs.sql in jobs.db.
func database(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(ts.ReadFile(args[1]))
	ts.Check(err)
	ts.Check(db.Close())
}

// expand replaces variables such as $API in files.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), func(name string) string {
			if value := ts.Getenv(name); value != "" {
				return value
			}
			return "$" + name // jq has variables too
		})
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// oddAPI answers in all the ways in which an API should not.
type oddAPI struct {
	*httptest.Server
	other *httptest.Server // another host, to which no credentials may go
	grown atomic.Int64     // how often /grows was asked
}

func newOddAPI(t testing.TB, env *testscript.Env) *oddAPI {
	a := &oddAPI{}
	a.other = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(os.Stderr, "the other host was asked: %s\n", r.URL)
		http.Error(w, r.Header.Get("X-Api-Key"), http.StatusTeapot)
	}))
	mux := http.NewServeMux()
	for path, f := range map[string]http.HandlerFunc{
		"/ok":        text(200, "application/json", `{"total": 3, "items": [{"name": "a", "n": 1}, {"name": "b", "n": 2}]}`),
		"/login":     a.login,
		"/metrics":   text(200, "text/plain; version=0.0.4", exporterPage),
		"/500":       text(500, "text/plain", "the database is down\nsecond line"),
		"/429":       retryLater,
		"/html":      text(200, "text/html", "<!DOCTYPE html><html><title>Log in</title></html>"),
		"/page/":     text(200, "text/html", "<!DOCTYPE html><html><title>Log in</title></html>"), // at any path
		"/truncated": text(200, "application/json", `{"total": 3, "items": [{"name": "a`),
		"/empty":     text(200, "application/json", ""),
		"/deep":      text(200, "application/json", strings.Repeat("[", 100_000)),
		"/big":       big,
		"/bomb":      bomb,
		"/drip":      drip,
		"/echo": func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "key "+r.URL.Query().Get("key"), http.StatusForbidden)
		},
		"/sent/":  sent,
		"/needs/": needs,
		"/redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, a.other.URL+"/stolen", http.StatusFound)
		},
		"/grows": a.grows,
		"/moved": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusMovedPermanently) },
		"/file/": func(w http.ResponseWriter, r *http.Request) { // a file of the story, with the requested content type
			w.Header().Set("Content-Type", r.URL.Query().Get("type"))
			http.ServeFileFS(w, r, os.DirFS(env.WorkDir), strings.TrimPrefix(r.URL.Path, "/file/"))
		},
		"/wants/": func(w http.ResponseWriter, r *http.Request) { // asks for a scheme of authentication
			w.Header().Set("WWW-Authenticate", strings.TrimPrefix(r.URL.Path, "/wants/")+` realm="x"`)
			http.Error(w, "no", http.StatusUnauthorized)
		},
		"/not-gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, `{"total": 3}`)
		},
		"/write":  written,
		"/hours":  hours,
		"/refuse": text(400, "text/plain", "out of order sample"),
	} {
		mux.HandleFunc(path, f)
	}
	env.Values["receivers"] = receivers(t, mux)
	a.Server = httptest.NewServer(mux)
	env.Defer(a.Close)
	return a
}

// exporterPage is what an exporter shows.
const exporterPage = `# HELP jobs_total Jobs done.
# TYPE jobs_total counter
jobs_total{queue="a"} 12
jobs_total{queue="b"} 7
# HELP took_seconds How long they took.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.5"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 2.5
took_seconds_count 4
plain{job="own"} 1
`

func (a *oddAPI) Close() {
	a.Server.CloseClientConnections()
	a.Server.Close()
	a.other.Close()
}

func text(code int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// written is a receiver that accepts all requests of remote-write 1.0.
func written(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Prometheus-Remote-Write-Version") != "0.1.0" {
		http.Error(w, "only 1.0", http.StatusUnsupportedMediaType)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	w.WriteHeader(http.StatusNoContent)
}

// login answers only requests with the key.
func (a *oddAPI) login(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Api-Key") != "s3cr3t-key" {
		http.Error(w, "no such key: "+r.Header.Get("X-Api-Key"), http.StatusUnauthorized)
		return
	}
	_, _ = io.WriteString(w, `{"total": 3}`)
}

// grows is a handler that shows one more incident in each answer, and a total that is 10 higher.
func (a *oddAPI) grows(w http.ResponseWriter, _ *http.Request) {
	n := a.grown.Add(1)
	var incidents []string
	for i := range n {
		incidents = append(incidents, fmt.Sprintf(`{"id": %d}`, i+1))
	}
	fmt.Fprintf(w, `{"total": %d, "incidents": [%s]}`, 10*n, strings.Join(incidents, ", "))
}

// needs is a handler that answers only to requests with credentials. The path names the scheme of the credentials.
func needs(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	ok := map[string]bool{
		"/needs/header/items": r.Header.Get("X-Api-Key") == "s3cr3t-key",
		"/needs/basic/items":  user == "ops" && password == "b4sic-pass",
		"/needs/bearer/items": r.Header.Get("Authorization") == "Bearer t0k3n-of-mine",
	}
	if !ok[r.URL.Path] {
		http.Error(w, "no such credentials", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"items": [{"name": "a", "size": 1}, {"name": "b", "size": 2}]}`)
}

// sent is a handler that answers only to one request: the one that the stories about references should send. If all parts of the request
// are right, the total is 3.
func sent(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	for _, part := range []struct{ name, got, want string }{
		{"path", r.URL.EscapedPath(), "/sent/s3cr3t-key/a%2Fb"},
		{"header", r.Header.Get("Authorization"), "Bearer s3cr3t-key"},
		{"letters", r.Header.Get("X-Letters"), "env:KEY $(KEY)"},
		{"query", r.URL.Query().Get("q"), "(s3cr3t-key)"},
		{"whole", r.URL.Query().Get("whole"), "s3cr3t-key"},
		{"body", string(body), `{"user": "o\"ps", "password": "s3cr3t-key"}`},
	} {
		if err != nil || part.got != part.want {
			http.Error(w, fmt.Sprintf("%s is %q", part.name, part.got), http.StatusBadRequest)
			return
		}
	}
	_, _ = io.WriteString(w, `{"total": 3}`)
}

func retryLater(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", "30")
	http.Error(w, "slow down", http.StatusTooManyRequests)
}

// big answers with a body of 200 MB.
func big(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"total": "`)
	chunk := []byte(strings.Repeat("a", 1<<20))
	for range 200 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// bomb answers with a body of 200 MB that is compressed to few bytes.
func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	defer z.Close()
	chunk := make([]byte, 1<<20)
	for range 200 {
		if _, err := z.Write(chunk); err != nil {
			return
		}
	}
}

// drip sends one byte a second.
func drip(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for r.Context().Err() == nil {
		_, _ = io.WriteString(w, "[")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(time.Second):
		}
	}
}
