package receive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// collected returns the readings of a tick as text, without times.
func (r *running) collected(t *testing.T) string {
	t.Helper()
	readings, err := r.Collect(t.Context(), sources.Tick{Time: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, m := range readings {
		if m.Err != nil {
			fmt.Fprintf(&text, "%s: %v\n", m.Desc.Name, m.Err)
		}
		if !strings.HasPrefix(m.Desc.Name, "push_") {
			if err := metric.WriteText(&text, []metric.Family{{Desc: m.Desc, Series: m.Series}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return text.String()
}

// TestManyGroups pushes to 10,000 groups from several clients, and collects them. A tick without a push in between shows the same series.
func TestManyGroups(t *testing.T) {
	r := start(t, defaults())
	const groups, clients = 10_000, 32
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	var wg sync.WaitGroup
	for at := range clients {
		wg.Go(func() {
			for i := at; i < groups; i += clients {
				req, _ := http.NewRequestWithContext(t.Context(), "PUT", fmt.Sprintf("%s/metrics/job/batch/instance/host-%d", r.url, i),
					strings.NewReader(fmt.Sprintf("# TYPE runs_total counter\nruns_total %d\n", i)))
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("push %d: %s", i, resp.Status)
				}
			}
		})
	}
	wg.Wait()
	if code, text := r.ask(t, "PUT", "/metrics/job/one-more", "x 1\n"); code != http.StatusInsufficientStorage || !strings.Contains(text, "max_groups") {
		t.Errorf("one group more: %d %s", code, text)
	}
	first, err := r.Collect(t.Context(), sources.Tick{})
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 3 || len(first[0].Series) != groups || len(first[1].Series) != groups || len(first[2].Series) != groups {
		t.Fatalf("%d metrics", len(first))
	}
	sum := 0.0
	for _, s := range first[2].Series {
		sum += s.Value
	}
	if want := float64(groups*(groups-1)) / 2; sum != want {
		t.Errorf("the values add up to %v, want %v", sum, want)
	}
	second, _ := r.Collect(t.Context(), sources.Tick{})
	if &first[2].Series[0] != &second[2].Series[0] {
		t.Error("the same series were made again")
	}
}

// TestRestart starts the server again. With a directory, the groups are still there after a restart of the process, and a single run
// returns them without a server. Without a directory, the groups stay as long as the process runs.
func TestRestart(t *testing.T) {
	for _, dir := range []string{"groups", ""} {
		c := defaults()
		c.Listen, c.Dir = "127.0.0.1:0", dir
		env := sources.Env{Job: "pushes", Log: slog.New(slog.DiscardHandler), Dir: t.TempDir(), MaxSeries: 100}
		made, err := c.New(env)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(dir, func(t *testing.T) {
			r := run(t, made.(*source))
			if code, text := r.ask(t, "PUT", "/metrics/job/a", "x 1\n"); code != 200 {
				t.Fatal(code, text)
			}
		})
		want := "# TYPE x untyped\nx{job=\"a\"} 1\n"
		after := &running{source: made.(*source)}
		if got := after.collected(t); got != want {
			t.Errorf("after the end of Run:\n%s", got)
		}
		t.Run(dir, func(t *testing.T) {
			if got := run(t, made.(*source)).collected(t); got != want {
				t.Errorf("after another Run:\n%s", got)
			}
		})
		made, err = c.New(env)
		if err != nil {
			t.Fatal(err)
		}
		if dir == "" {
			want = ""
		}
		single := &running{source: made.(*source)}
		for range 2 {
			if got := single.collected(t); got != want {
				t.Errorf("a single run:\n%s", got)
			}
		}
		t.Run(dir, func(t *testing.T) {
			if got := run(t, made.(*source)).collected(t); got != want {
				t.Errorf("another process:\n%s", got)
			}
		})
	}
}

// TestNativeHistograms checks how native histograms are passed on: as native histograms if the settings say so, and otherwise as classic
// ones.
func TestNativeHistograms(t *testing.T) {
	for _, isNative := range []bool{false, true} {
		c := defaults()
		c.Native = isNative
		r := start(t, c)
		body := protobuf(t, histograms())
		for range 2 {
			if code, text := r.ask(t, "PUT", "/metrics/job/a", body, "Content-Type", "application/vnd.google.protobuf; encoding=delimited; proto=io.prometheus.client.MetricFamily"); code != 200 {
				t.Fatal(code, text)
			}
		}
		before, err := r.Collect(t.Context(), sources.Tick{})
		if err != nil {
			t.Fatal(err)
		}
		r.ask(t, "PUT", "/metrics/job/b", "x 1\n")
		after, _ := r.Collect(t.Context(), sources.Tick{})
		natives := 0
		for i, m := range before {
			if m.Desc != after[i].Desc {
				t.Errorf("native %t: %s has another description in the next tick", isNative, m.Desc.Name)
			}
			for _, s := range m.Series {
				if h := s.Histogram(); h != nil && (h.Native != nil) != m.Desc.Native {
					t.Errorf("native %t: %+v is %+v", isNative, m.Desc, h)
				} else if h != nil && h.Native != nil {
					natives++
				}
			}
		}
		if want := map[bool]int{true: 2}[isNative]; natives != want {
			t.Errorf("native %t: %d native histograms, want %d", isNative, natives, want)
		}
		if text := r.collected(t); !isNative && (!strings.Contains(text, `mfh_bucket{job="a",testing="int native",le="+Inf"} 4`) || !strings.Contains(text, `mfh_count{job="a",testing="float native"} 15`)) {
			t.Errorf("collected:\n%s", text)
		}
	}
}

// TestCannotReceive checks sources that cannot start because their directory or their address is in use. If only the address is in use, a
// tick reports that as the reason why nothing can be pushed.
func TestCannotReceive(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := defaults()
	c.Listen, c.Dir = l.Addr().String(), t.TempDir()
	before := start(t, &Config{Dir: c.Dir, MaxGroups: 10, MaxBytes: 1e6, MaxBody: 1e6})
	if code, text := before.ask(t, "PUT", "/metrics/job/a", "x 1\n"); code != 200 {
		t.Fatal(code, text)
	}
	made, _ := c.New(sources.Env{Log: slog.New(slog.DiscardHandler), MaxSeries: 100})
	r := &running{source: made.(*source)}
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("lock dir %s: in use by process %d", c.Dir, os.Getpid())) {
		t.Errorf("the directory is in use: %v", err)
	}
	if _, err := r.Collect(t.Context(), sources.Tick{}); err == nil {
		t.Error("a single run does not say that the directory is in use")
	}
	c.Dir = t.TempDir()
	if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "the address is in use by another program") {
		t.Errorf("the address is in use: %v", err)
	}
	if got := r.collected(t); !strings.HasPrefix(got, "push_time_seconds: listen on "+c.Listen+": the address is in use") {
		t.Errorf("collected:\n%s", got)
	}
}

// TestRequests checks the answers that the comparison with a Pushgateway does not have.
func TestRequests(t *testing.T) {
	c := defaults()
	c.MaxBody = 1000
	r := start(t, c)
	long := strings.Repeat("x", 1001)
	for _, s := range []struct {
		step
		code int
		text string
	}{
		{step{"PUT", "/metrics/job/a", long, nil}, 413, "the body is larger than 1kB (max_body)\n"},
		{step{"PUT", "/metrics/job/a", zipped(strings.Repeat("x", 1<<20)), []string{"Content-Encoding", "gzip"}}, 413, "the body is larger than 1kB (max_body)\n"},
		{step{"PUT", "/metrics/job/a", "no snappy", []string{"Content-Encoding", "snappy"}}, 400, "read the body: snappy: corrupt input\n"},
		{step{"PATCH", "/metrics/job/a", "", nil}, 405, "method not allowed: use PUT, POST, DELETE\n"},
		{step{"GET", "/metrics/job/a", "", nil}, 405, "method not allowed: use PUT, POST, DELETE\n"},
		{step{"POST", "/metrics", "", nil}, 405, "method not allowed: use GET, HEAD\n"},
		{step{"PUT", "/api/v1/admin/wipe", "", nil}, 404, "404 page not found\n"},
		{step{"GET", "/-/healthy", "", nil}, 200, "OK"},
		{step{"GET", "/-/ready", "", nil}, 200, "OK"},
		{step{"GET", "/none", "", nil}, 404, "404 page not found\n"},
		{step{"GET", "/api/v1/metrics", "", nil}, 200, `{"status":"success","data":[]}`},
		{step{"POST", "/metrics/job/a", "x 1\n", []string{"Sec-Fetch-Site", "cross-site"}}, 403, ""},
		{step{"POST", "/metrics/job/<b>", "x{a=\"<script>\"} 1\n", nil}, 200, ""},
	} {
		code, text := r.ask(t, s.method, s.path, s.body, s.header...)
		if code != s.code || s.text != "" && text != s.text {
			t.Errorf("%s %s: %d %s, want %d %s", s.method, s.path, code, text, s.code, s.text)
		}
	}
	if _, text := r.ask(t, "GET", "/", ""); strings.Contains(text, "<script>") || strings.Contains(text, "<b>") || !strings.Contains(text, "x{a=&#34;&lt;script&gt;&#34;,job=&#34;&lt;b&gt;&#34;} 1") {
		t.Errorf("the page is\n%s", text)
	}
	if _, text := r.ask(t, "GET", "/api/v1/status", ""); !strings.Contains(text, `"start_time":"20`) {
		t.Errorf("the status is %s", text)
	}
}

// TestPasswords checks that all requests need the password of the web config file.
func TestPasswords(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("hunter2-hunter2"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(file, []byte("basic_auth_users: {ops: "+string(hash)+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := defaults()
	c.WebConfigFile = file
	r := start(t, c)
	if code, _ := r.ask(t, "PUT", "/metrics/job/a", "x 1\n"); code != 401 {
		t.Errorf("without a password: %d", code)
	}
	if code, text := r.ask(t, "PUT", "/metrics/job/a", "x 1\n", "Authorization", "Basic b3BzOmh1bnRlcjItaHVudGVyMg=="); code != 200 {
		t.Errorf("with the password: %d %s", code, text)
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"listen: want host:port":               func(c *Config) { c.Listen = "9091" },
		"drop_labels.0: every group needs":     func(c *Config) { c.DropLabels = []string{"job"} },
		"drop_labels.1: \"a\" is listed twice": func(c *Config) { c.DropLabels = []string{"a", "a"} },
		"drop_labels.0: \"\" is not a valid":   func(c *Config) { c.DropLabels = []string{""} },
		"ttl: want at least 1s":                func(c *Config) { c.TTL = setting.Duration(time.Millisecond) },
		"max_body: want 1B to 1GiB":            func(c *Config) { c.MaxBody = 0 },
		"max_groups: want at least 1":          func(c *Config) { c.MaxGroups = 0 },
		"max_bytes: want more than 0":          func(c *Config) { c.MaxBytes = 0 },
	} {
		c := defaults()
		change(c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c := defaults()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Dir = "groups/"
	if got := c.Claims(); !slices.Equal(got, []string{"the address :9091", "the directory groups"}) {
		t.Errorf("claims %q", got)
	}
}

// TestClientGone checks that a client that goes away does not end the server.
func TestClientGone(t *testing.T) {
	r := start(t, defaults())
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	req, _ := http.NewRequestWithContext(ctx, "PUT", r.url+"/metrics/job/a", reader)
	go func() {
		_, _ = writer.Write([]byte("x 1\n"))
		cancel()
		writer.CloseWithError(context.Canceled) // otherwise the client waits for the rest of its body
	}()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
	if code, _ := r.ask(t, "PUT", "/metrics/job/b", "x 1\n"); code != 200 {
		t.Errorf("the next push: %d", code)
	}
	if got := r.collected(t); got != "# TYPE x untyped\nx{job=\"b\"} 1\n" {
		t.Errorf("collected:\n%s", got)
	}
}
