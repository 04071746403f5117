package command_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/agent/internal/statuspage"
)

// startAgent runs an agent with a configuration. In it, %API stands for the URL of an API whose total is 7.
func startAgent(t *testing.T, config string) (d *demonstration, file string) {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"total": 7}`) }))
	t.Cleanup(api.Close)
	file = write(t, "cton.yaml", strings.ReplaceAll(config, "%API", api.URL))
	d = &demonstration{reload: make(chan os.Signal, 1), code: make(chan int, 1)}
	var ctx context.Context
	ctx, d.end = context.WithCancel(t.Context())
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &d.out, Err: &d.complaints, Reload: d.reload}
	go func() { d.code <- app.Main(ctx, []string{"run", "-c", file}) }()
	t.Cleanup(func() { d.end() })
	return d, file
}

const oneJob = `
jobs:
  api: {schedule: "0 3 1 1 *", http: {url: "%API/"}, metrics: {total: {type: gauge, help: H., value: .total}}}
`

// leftSocket creates a socket file such as a killed agent leaves behind, and returns its path. The path is short enough
// for a socket.
func leftSocket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cton")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	return path
}

// call runs a command line and returns its exit code and what it wrote.
func call(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out strings.Builder
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &out, Err: &out}
	return app.Main(t.Context(), args), out.String()
}

// TestWeb checks the status page of an agent on a socket: the status, the actions, and a reload.
func TestWeb(t *testing.T) {
	path := leftSocket(t)
	d, file := startAgent(t, "web: {listen: \"unix://"+path+"\", actions: true, watch: ['total{job=\"api\"}', 'up']}\nruntime_metrics: true\nsinks: {out: {print: {}}}"+oneJob)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	post := func(path string) int {
		resp, err := client.Post("http://cton"+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	status := func() (s statuspage.Job) {
		code, text := call(t, "status", "api", "-c", file, "--json")
		if json.Unmarshal([]byte(text), &s) != nil {
			t.Logf("%d %s", code, text)
		}
		return s
	}
	d.until(t, "the page", func() bool { return status().State == statuspage.JobNew })
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v", info.Mode(), err)
	}
	if code := post("/api/v1/jobs/api/run"); code != http.StatusAccepted {
		t.Errorf("run: %d", code)
	}
	d.until(t, "a run", func() bool { return status().State == statuspage.JobOK })
	code, text := call(t, "status", "-c", file)
	for _, want := range []string{`All is well\.`, `ok     api `, `total    api  7      \d+s ago`, `up       –    –      no job has this series now`} {
		if code != 0 || !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("%d, without %q: %s", code, want, text)
		}
	}
	if code, text := call(t, "status", "api", "-c", file); code != 0 || !strings.Contains(text, "\ntotal   7\n") {
		t.Errorf("%d: %s", code, text)
	}
	post("/api/v1/jobs/api/pause")
	if s := status(); s.State != statuspage.JobPaused {
		t.Errorf("paused: %s", s.State)
	}
	d.until(t, "the metrics of the process", func() bool { return strings.Contains(d.out.String(), "\ngo_goroutines ") })

	config, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Replace(string(config), "'up'", "'down'", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	post("/-/reload")
	d.until(t, "what is watched", func() bool { _, text := call(t, "status", "-c", file); return strings.Contains(text, "\ndown ") })
	if strings.Contains(d.complaints.String(), "after a restart") {
		t.Errorf("a change of web.watch needs a restart:\n%s", &d.complaints)
	}
	if err := os.WriteFile(file, []byte("sinks: {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	post("/-/reload")
	address := "--url=unix://" + path
	d.until(t, "why the reload failed", func() bool {
		code, text := call(t, "status", address)
		return code == 4 && strings.Contains(text, "ERROR: configuration: the configuration could not be reloaded: "+file)
	})
	if !strings.Contains(d.complaints.String(), `msg="action by HTTP" action=reload from=`) {
		t.Errorf("the action is not logged:\n%s", &d.complaints)
	}
	d.end()
	if code := d.wait(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code, text := call(t, "status", address); code != 1 || !strings.Contains(text, "does the agent run?") {
		t.Errorf("of an agent that has ended: %d %s", code, text)
	}
}

// TestPageOfSink checks that a sink serves the status page: all of it on a loopback address, and a summary on an
// address that is open to the network.
func TestPageOfSink(t *testing.T) {
	local, open := freeAddress(t), freeAddress(t)
	_, port, err := net.SplitHostPort(open)
	if err != nil {
		t.Fatal(err)
	}
	d, file := startAgent(t, fmt.Sprintf("sinks: {local: {expose: {listen: %q}}, open: {expose: {listen: \":%s\"}}}", local, port)+oneJob)
	d.until(t, "both pages", func() bool {
		return strings.Contains(get("http://"+local+"/"), "/jobs/api") && strings.Contains(get("http://"+open+"/"), "open to the network")
	})
	for _, c := range []struct{ url, want string }{
		{"http://" + local + "/metrics", "cton_job_up"},
		{"http://" + local + "/-/ready", "ready"},
		{"http://" + open + "/metrics", "cton_job_up"},
		{"http://" + open + "/jobs/api", "open to the network"},
		{"http://" + open + "/api/v1/status", `"summary":true`},
	} {
		if got := get(c.url); !strings.Contains(got, c.want) {
			t.Errorf("%s lacks %q:\n%.500s", c.url, c.want, got)
		}
	}
	if code, text := call(t, "status", "-c", file); code != 0 || !strings.Contains(text, "All is well.") {
		t.Errorf("%d: %s", code, text)
	}
	if resp, err := http.Post("http://"+local+"/-/reload", "", nil); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("reload without actions: %v, %v", resp, err)
	}
}

// TestWatchConfig checks that a reload follows when a symbolic link leads to another file. Kubernetes changes a ConfigMap in this way.
func TestWatchConfig(t *testing.T) {
	dir := t.TempDir()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"total": 7}`) }))
	defer api.Close()
	one := "watch_config: true\nsinks: {out: {print: {}}}" + strings.ReplaceAll(oneJob, "%API", api.URL)
	two := one + `  more: {schedule: "@daily", http: {url: "` + api.URL + `"}, metrics: {more: {type: gauge, help: H., value: .total}}}`
	for name, text := range map[string]string{"one": one, "two": two} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "cton.yaml")
	point := func(to string) {
		next := filepath.Join(dir, "next")
		if err := os.Symlink(to, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
	point("one")
	d := &demonstration{code: make(chan int, 1)}
	var ctx context.Context
	ctx, d.end = context.WithCancel(t.Context())
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &d.out, Err: &d.complaints}
	go func() { d.code <- app.Main(ctx, []string{"run", "-c", file}) }()
	d.until(t, "the start", func() bool { return strings.Contains(d.complaints.String(), "msg=started") })
	point("two")
	d.until(t, "a reload", func() bool { return strings.Contains(d.complaints.String(), "msg=reload") })
	if !strings.Contains(d.complaints.String(), "msg=reloaded jobs=2 sinks=1") {
		t.Errorf("the log:\n%s", &d.complaints)
	}
	d.end()
	if code := d.wait(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestWebProblems checks the error for an address that cannot be used.
func TestWebProblems(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for web, want := range map[string]string{
		`{listen: "8002"}`:                       `web.listen: want host:port`,
		`{listen: "unix://run/x"}`:               `web.listen: want an absolute path`,
		`{listen: "` + l.Addr().String() + `"}`:  `cton: web: listen on ` + l.Addr().String(),
		`{listen: "unix:///nowhere/s"}`:          `cton: web: listen on unix:///nowhere/s`,
		`{listen: ":0", web_config_file: /none}`: `cton: web: read web_config_file /none`,
		`{port: 1}`:                              `web: unknown setting "port"`,
	} {
		file := write(t, "cton.yaml", "web: "+web+"\nsinks: {out: {print: {}}}"+strings.ReplaceAll(oneJob, "%API", "http://127.0.0.1:1"))
		if code, text := call(t, "run", "-c", file); code != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: %d, %s\nwant %s", web, code, text, want)
		}
	}
}

// TestWatchManyFiles checks that two changes are noticed: an included file changes, and a new file matches the pattern
// of the setting include.
func TestWatchManyFiles(t *testing.T) {
	dir := t.TempDir()
	job := func(name string) string {
		return "jobs:\n  " + name + `: {schedule: "@daily", exec: {command: [echo, "{}"]}, metrics: {` + name + `: {type: gauge, help: H., value: "1"}}}`
	}
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("conf/cton.yaml", "watch_config: true\ninclude: [../jobs/*.yaml]\nsinks: {out: {print: {}}}")
	put("jobs/a.yaml", job("one"))
	d := &demonstration{code: make(chan int, 1)}
	var ctx context.Context
	ctx, d.end = context.WithCancel(t.Context())
	app := command.App{Version: "test", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &d.out, Err: &d.complaints}
	go func() { d.code <- app.Main(ctx, []string{"run", "-c", filepath.Join(dir, "conf")}) }()
	d.until(t, "the start", func() bool { return strings.Contains(d.complaints.String(), "msg=started") })
	put("conf/notes.txt", "is no configuration")
	put("jobs/a.yaml", job("one")+strings.TrimPrefix(job("two"), "jobs:"))
	d.until(t, "a reload", func() bool { return strings.Contains(d.complaints.String(), "msg=reloaded jobs=2 sinks=1") })
	put("jobs/b.yaml", job("three")+"\nwrong: 1")
	d.until(t, "a failed reload", func() bool { return strings.Contains(d.complaints.String(), "b.yaml:3:1: unknown setting") })
	put("jobs/b.yaml", job("three"))
	d.until(t, "a second reload", func() bool { return strings.Contains(d.complaints.String(), "msg=reloaded jobs=3 sinks=1") })
	if n := strings.Count(d.complaints.String(), "have changed"); n != 3 {
		t.Errorf("%d changes:\n%s", n, &d.complaints)
	}
	d.end()
	if code := d.wait(t, 20*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
