package statuspage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// stage is an agent whose state a test sets.
type stage struct {
	state  run.State
	plan   run.Plan
	latest map[string]metric.Batch
	ready  error
	acts   []string
}

func (s *stage) State() run.State { return s.state }
func (s *stage) Plan() run.Plan   { return s.plan }
func (s *stage) Ready() error     { return s.ready }
func (s *stage) Latest(job string) (metric.Batch, bool) {
	b, ok := s.latest[job]
	return b, ok
}

func (s *stage) RunNow(job string) bool {
	s.acts = append(s.acts, "run "+job)
	return s.has(job)
}

func (s *stage) Pause(job string, paused bool) bool {
	s.acts = append(s.acts, fmt.Sprintf("pause %s %t", job, paused))
	return s.has(job)
}

func (s *stage) has(job string) bool {
	for i := range s.plan.Jobs {
		if s.plan.Jobs[i].Name == job {
			return true
		}
	}
	return false
}

// addJob adds a healthy job.
func (s *stage) addJob(name string) *run.JobState {
	now := time.Now()
	s.plan.Jobs = append(s.plan.Jobs, run.Job{Job: config.Job{Name: name, JobSettings: config.JobSettings{ScheduleText: "*/5 * * * *"}}})
	s.state.Jobs = append(s.state.Jobs, run.JobState{
		Name: name, Up: true, LastStart: now.Add(-time.Minute), LastSuccess: now.Add(-time.Minute), NextRun: now.Add(time.Minute),
		Duration: time.Second, Readings: 3, Series: 2, Ticks: map[string]int64{run.Succeeded: 1},
	})
	return &s.state.Jobs[len(s.state.Jobs)-1]
}

// addSink adds a healthy sink.
func (s *stage) addSink(name string) *run.SinkState {
	s.plan.Sinks = append(s.plan.Sinks, run.Sink{Name: name, Kind: "remote_write", Stats: &sinks.Stats{}})
	s.state.Sinks = append(s.state.Sinks, run.SinkState{Name: name, Sent: 1})
	return &s.state.Sinks[len(s.state.Sinks)-1]
}

// open returns the status page of the stage, and a handler that serves it on a listener with the given reach.
func (s *stage) open(reach sinks.Reach, change ...func(*Options)) (*Page, http.Handler) {
	s.state.ReloadGood, s.state.Reloaded = true, time.Now()
	o := Options{
		Agent: s, History: NewHistory(), Version: "1.2.3", Started: time.Now(), Scrub: func(s string) string { return s },
		Reload: func() { s.acts = append(s.acts, "reload") }, Log: func(string, ...any) {},
	}
	for _, f := range change {
		f(&o)
	}
	p := New(o)
	return p, p.Handler(func() sinks.Reach { return reach })
}

// ask sends a request to localhost.
func ask(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "localhost:8000"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d, %v: %s", w.Code, err, w.Body)
	}
	return v
}

// TestWrongComesFirst checks the states, their order and the problems.
func TestWrongComesFirst(t *testing.T) {
	s := &stage{}
	now := time.Now()
	s.addJob("well")
	partial := s.addJob("partial")
	partial.Unmeasured, partial.Error = 1, "degrees: missing"
	failed := s.addJob("failed")
	failed.Up, failed.Error = false, "503"
	s.addJob("overdue").NextRun = now.Add(-2 * time.Minute)
	s.addJob("new").Ticks = nil
	s.addJob("paused").Paused = true
	sink := s.addSink("mimir")
	sink.Pending = sinks.Pending{Samples: 7, Oldest: now.Add(-3 * time.Minute)}
	s.addSink("other")
	s.addSink("disk").Spool = &sinks.SpoolFault{Since: now.Add(-time.Hour), Why: "open the spool /spool: permission denied"}
	p, h := s.open(sinks.Machine)
	p.History.Ran(run.Ended{Job: "failed", Start: now.Add(-2 * time.Minute), Result: run.Succeeded})
	p.History.Ran(run.Ended{Job: "failed", Start: now.Add(-time.Minute), Result: run.Failed, Error: "502"})
	p.History.Ran(run.Ended{Job: "failed", Start: now, Result: run.Failed, Error: "503"})
	p.History.Ran(run.Ended{Job: "well", Start: now, Result: run.Succeeded, Warnings: []string{"degrees: no item has the label room", "b: c"}})
	p.History.SinkRequested("other", httpclient.Exchange{Method: "POST", URL: "http://a/", Code: 500})
	got := decode[Status](t, ask(h, "GET", "/api/v1/status"))
	var states, wrong []string
	for _, j := range got.Jobs {
		states = append(states, j.Name+" "+j.State)
	}
	for _, p := range got.Problems {
		wrong = append(wrong, p.Level+" "+p.Kind+" "+p.Name+": "+p.Text)
	}
	if a, b := strings.Join(states, ", "), "failed failed, partial partial, overdue overdue, well ok, new waiting, paused paused"; a != b {
		t.Errorf("jobs: %s\nwant  %s", a, b)
	}
	want := []string{
		"error sink other: POST http://a/: status 500", "error job failed: 503", "warning sink mimir: 7 samples wait, the oldest for 3 min",
		"warning sink disk: the spool cannot be written, and samples wait in memory: open the spool /spool: permission denied",
		"warning job well: degrees: no item has the label room (and 1 further warning)", "warning job partial: degrees: missing", "warning job overdue: should have run and has not",
	}
	for i := range want {
		if len(wrong) != len(want) || !strings.HasPrefix(wrong[i], want[i]) {
			t.Fatalf("problems:\n%s\nwant\n%s", strings.Join(wrong, "\n"), strings.Join(want, "\n"))
		}
	}
	if since := got.Problems[1].Since; !since.Equal(now.Add(-time.Minute).Truncate(time.Millisecond)) {
		t.Errorf("failing since %s", since)
	}
	if p := got.Problems[3]; !p.Since.Equal(now.Add(-time.Hour)) || !strings.Contains(p.Do, "owner and mode") || got.Sinks[2].Spool == nil || got.Sinks[0].Spool != nil {
		t.Errorf("the spool's fault is %+v", p)
	}
	page := ask(h, "GET", "/").Body.String()
	if strings.Index(page, "What is wrong") > strings.Index(page, `id="jobs"`) || !strings.Contains(page, "7 problems") {
		t.Error("the page does not begin with what is wrong")
	}
}

// TestLastValues checks that the problem of a failed job says how long the job's last values are still shown.
func TestLastValues(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	j := Job{Name: "a", State: JobFailed, LastSuccess: now.Add(-time.Minute), Series: 3, ValidUntil: now.Add(time.Minute)}
	for _, want := range []string{"Its last values are shown until 2026-03-01 12:01:00 UTC (valid_for). See", "Its last values have ended (valid_for). See", "It has not measured anything yet. See"} {
		if p, _ := jobProblem(&j, now); !strings.HasPrefix(p.Do, want) {
			t.Errorf("got %q, want %q", p.Do, want)
		}
		if j.ValidUntil.IsZero() {
			j.LastSuccess = time.Time{}
		}
		j.ValidUntil, j.Series = time.Time{}, 0
	}
}

const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>'&{{.}}`

// furnish returns a stage with a text in every place where content can come from outside. The returned function also adds the text to the
// history of a page.
func furnish(text string) (*stage, func(*Page)) {
	s := &stage{latest: map[string]metric.Batch{}}
	j := s.addJob("job " + text)
	j.Up, j.Error, j.Costs = false, text, map[string]run.Cost{text: {Left: new(int64)}}
	s.plan.Jobs[0].Shown = "url: " + text
	d := &metric.Desc{Name: "m" + text, Type: metric.Gauge, LabelNames: []string{"l"}}
	s.latest[j.Name] = metric.Batch{Job: j.Name, Families: []metric.Family{{Desc: d, Series: []metric.Series{{Labels: d.LabelSet([]string{text})}}}}}
	k := s.addSink("sink " + text)
	k.Requests, k.Spool = map[run.Request]int64{{Host: text, Code: 200}: 1}, &sinks.SpoolFault{Why: text}
	s.plan.Sinks[0].Sink = described(text)
	s.plan.Sinks[0].Stats.Refuse("", sinks.Refusal{Samples: 1, Why: text, Do: text})
	s.state.File = &state.Status{Error: text}
	s.ready = errors.New(text)
	return s, func(p *Page) {
		s.state.ReloadGood, s.state.ReloadBad = false, text
		p.History.look(j.Name)
		x := httpclient.Exchange{Method: "GET", URL: "http://a/?" + text, Err: errors.New(text)}
		p.History.JobRequested(j.Name, x)
		p.History.SinkRequested(k.Name, x)
		p.History.Ran(run.Ended{Job: j.Name, Start: time.Now(), Result: run.Partial, Error: text, Problems: []string{text}, Warnings: []string{text}})
		quoted, _ := json.Marshal(map[string]string{"k" + text: text})
		f := p.History.Fetcher(j.Name, fixed(quoted))
		if _, err := f.Fetch(context.Background(), sources.Tick{}, sources.Request{}); err != nil {
			panic(err)
		}
	}
}

type described string

func (d described) Write(context.Context, metric.Batch) error { return nil }
func (d described) Describe() []sinks.Fact {
	return []sinks.Fact{{Name: string(d), Text: string(d)}, {Name: "link", Text: "http://a/" + string(d)}}
}

// fixed is a fetcher that always returns the same document.
type fixed []byte

func (f fixed) Fetch(context.Context, sources.Tick, sources.Request) (*sources.Document, error) {
	root, err := new(document.Parser).Parse(f)
	return &sources.Document{From: string(f), Root: root}, err
}

// pages returns the paths of everything that the page of a furnished stage serves.
func pages(s *stage) []string {
	job, sink := url.PathEscape(s.plan.Jobs[0].Name), url.PathEscape(s.plan.Sinks[0].Name)
	return []string{
		"/", "/?q=" + url.QueryEscape(hostile), "/jobs/" + job, "/jobs/" + job + "?q=l&sort=-change", "/sinks/" + sink,
		"/api/v1/status", "/api/v1/jobs/" + job, "/api/v1/sinks/" + sink, "/-/ready", "/-/healthy",
	}
}

// TestLinks checks that the links to a job and a sink work, although their names contain characters with a meaning in
// URLs.
func TestLinks(t *testing.T) {
	s := &stage{}
	const name = "a/b?c=1#d%2F e"
	s.addJob(name)
	s.addSink(name)
	_, h := s.open(sinks.Trusted)
	links := regexp.MustCompile(`href="(/(?:jobs|sinks)/[^"]*)"`).FindAllStringSubmatch(ask(h, "GET", "/").Body.String(), -1)
	if len(links) != 2 {
		t.Fatalf("links: %q", links)
	}
	for _, link := range links {
		w := ask(h, "GET", html.UnescapeString(link[1]))
		if w.Code != http.StatusOK || !strings.Contains(html.UnescapeString(w.Body.String()), name) {
			t.Errorf("%s: %d\n%s", link[1], w.Code, w.Body)
		}
	}
}

// TestScripts checks that a script in texts from outside is escaped everywhere.
func TestScripts(t *testing.T) {
	for _, reach := range []sinks.Reach{sinks.Anyone, sinks.Machine, sinks.Trusted} {
		s, act := furnish(hostile)
		p, h := s.open(reach)
		act(p)
		for _, path := range pages(s) {
			w := ask(h, "GET", path)
			if w.Code != http.StatusOK && reach != sinks.Anyone && path != "/-/ready" {
				t.Errorf("%s: %d", path, w.Code)
			}
			body := w.Body.String()
			if strings.Contains(body, "<script>") || strings.Contains(body, "<img") || strings.Contains(body, "cannot be rendered") {
				t.Errorf("%s of %d:\n%s", path, reach, body)
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("%s: policy %q", path, csp)
			}
		}
	}
}

// TestSecrets checks that a secret in texts from outside is shown nowhere, neither as it is nor in the form that it has
// in a query.
func TestSecrets(t *testing.T) {
	const secret = "marker-s3cr3t/+x"
	s, act := furnish(secret) // also in the names, which are part of the URLs of pages
	blank := strings.NewReplacer(secret, "<secret>", url.QueryEscape(secret), "<secret>")
	p, h := s.open(sinks.Trusted, func(o *Options) { o.Scrub = blank.Replace })
	act(p)
	for _, path := range pages(s) {
		w := ask(h, "GET", path)
		for _, form := range []string{secret, url.QueryEscape(secret), "marker-"} {
			body := strings.ReplaceAll(html.UnescapeString(w.Body.String()), path, "")
			if strings.Contains(body, form) {
				at := strings.Index(body, form)
				t.Errorf("%s shows the secret: %s", path, body[max(0, at-200):at+50])
				break
			}
		}
	}
}

// TestOpen checks what is shown to the network, and which requests may see everything.
func TestOpen(t *testing.T) {
	const secret = "marker"
	s, act := furnish(secret)
	s.plan.Jobs[0].Name, s.state.Jobs[0].Name, s.plan.Sinks[0].Name, s.state.Sinks[0].Name = "j", "j", "k", "k"
	p, h := s.open(sinks.Anyone)
	act(p)
	for path, code := range map[string]int{
		"/": 200, "/api/v1/status": 200, "/-/healthy": 200, "/static/page.css": 200, "/static/page.js": 200, "/-/ready": 503,
		"/jobs/j": 403, "/sinks/k": 403, "/api/v1/jobs/j": 403, "/api/v1/sinks/k": 403, "/debug/pprof/": 404, "/metrics": 404, "/static/": 404,
		"/static/../server.go": 307, "/static/%2e%2e/server.go": 400, "/jobs/": 404, "/jobs/j/x": 404, "/jobs/%2e%2e%2f": 403, "/%00": 404,
	} {
		w := ask(h, "GET", path)
		if w.Code != code && !(code == 307 && w.Code/100 == 3) {
			t.Errorf("%s: %d, want %d", path, w.Code, code)
		}
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s shows %s", path, w.Body)
		}
	}
	for host, code := range map[string]int{
		"localhost": 200, "localhost:8000": 200, "127.0.0.1:8000": 200, "[::1]:8000": 200, "evil.example": 403, "127.0.0.1.evil.example:8000": 403, "": 403,
	} {
		_, h := s.open(sinks.Machine)
		if w := ask(h, "GET", "/jobs/j", "Host", host); w.Code != code {
			t.Errorf("Host %q: %d, want %d", host, w.Code, code)
		}
	}
}

// TestActions checks which requests may run an action.
func TestActions(t *testing.T) {
	allow := func(o *Options) { o.Actions = true }
	for _, c := range []struct {
		name    string
		reach   sinks.Reach
		actions bool
		method  string
		path    string
		headers []string
		code    int
		act     string
	}{
		{"off", sinks.Trusted, false, "POST", "/-/reload", nil, 404, ""},
		{"off", sinks.Trusted, false, "POST", "/api/v1/jobs/j/run", nil, 404, ""},
		{"on", sinks.Trusted, true, "POST", "/-/reload", nil, 202, "reload"},
		{"on", sinks.Machine, true, "POST", "/api/v1/jobs/j/run", nil, 202, "run j"},
		{"page", sinks.Machine, true, "POST", "/api/v1/jobs/j/pause", []string{"Accept", "text/html", "Sec-Fetch-Site", "same-origin"}, 303, "pause j true"},
		{"resume", sinks.Machine, true, "POST", "/api/v1/jobs/j/resume", nil, 202, "pause j false"},
		{"no job", sinks.Machine, true, "POST", "/api/v1/jobs/x/run", nil, 404, "run x"},
		{"no action", sinks.Machine, true, "POST", "/api/v1/jobs/j/drop", nil, 404, ""},
		{"open", sinks.Anyone, true, "POST", "/-/reload", nil, 403, ""},
		{"get", sinks.Trusted, true, "GET", "/-/reload", nil, 405, ""},
		{"cross-site", sinks.Trusted, true, "POST", "/-/reload", []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		{"same-site", sinks.Trusted, true, "POST", "/-/reload", []string{"Sec-Fetch-Site", "same-site"}, 403, ""},
		{"origin", sinks.Trusted, true, "POST", "/api/v1/jobs/j/run", []string{"Origin", "http://evil.example"}, 403, ""},
		{"null origin", sinks.Trusted, true, "POST", "/api/v1/jobs/j/run", []string{"Origin", "null"}, 403, ""},
		{"rebinding", sinks.Machine, true, "POST", "/-/reload", []string{"Host", "evil.example", "Origin", "http://evil.example"}, 403, ""},
	} {
		s := &stage{}
		s.addJob("j")
		var options []func(*Options)
		if c.actions {
			options = append(options, allow)
		}
		_, h := s.open(c.reach, options...)
		w := ask(h, c.method, c.path, c.headers...)
		if got := strings.Join(s.acts, ","); w.Code != c.code || got != c.act {
			t.Errorf("%s %s %s: %d and %q, want %d and %q", c.name, c.method, c.path, w.Code, got, c.code, c.act)
		}
	}
}

// TestReady checks the health checks.
func TestReady(t *testing.T) {
	s := &stage{ready: errors.New("does not listen")}
	_, h := s.open(sinks.Anyone)
	if a, b := ask(h, "GET", "/-/ready"), ask(h, "HEAD", "/-/healthy"); a.Code != 503 || b.Code != 200 {
		t.Errorf("%d and %d, want 503 and 200", a.Code, b.Code)
	}
	s.ready = nil
	if w := ask(h, "GET", "/-/ready"); w.Code != 200 {
		t.Errorf("%d, want 200", w.Code)
	}
}

// TestBounds checks that a history keeps no more than its limits allow.
func TestBounds(t *testing.T) {
	s := &stage{}
	s.addJob("j")
	s.addSink("k")
	p, h := s.open(sinks.Machine)
	long := strings.Repeat("x", 10_000)
	lines := make([]string, 1000)
	for i := range lines {
		lines[i] = long
	}
	for range 1000 {
		p.History.Ran(run.Ended{Job: "j", Start: time.Now(), Result: run.Partial, Error: long, Problems: lines})
		p.History.JobRequested("j", httpclient.Exchange{URL: "http://a/" + long, Err: errors.New(long)})
		p.History.sample(s.state)
	}
	j := decode[Job](t, ask(h, "GET", "/api/v1/jobs/j"))
	k := decode[Sink](t, ask(h, "GET", "/api/v1/sinks/k"))
	if len(j.Runs) != maxRuns || len(j.Detail.Requests) != maxRequests || len(j.Detail.Problems) != maxProblems || len(k.Curve) != maxSamples {
		t.Errorf("%d runs, %d requests, %d problems, %d samples", len(j.Runs), len(j.Detail.Requests), len(j.Detail.Problems), len(k.Curve))
	}
	if n := len(j.Runs[0].Error); n > maxText+10 {
		t.Errorf("an error of %d bytes is kept", n)
	}
	s.state.Jobs, s.state.Sinks = nil, nil
	p.History.sample(s.state)
	if n := len(p.History.jobs) + len(p.History.sinks); n != 0 {
		t.Errorf("%d jobs and sinks that are gone are remembered", n)
	}
}

// TestWaiting checks that a job's page shows how long its runs and requests have waited, and nothing where they have not.
func TestWaiting(t *testing.T) {
	s := &stage{}
	s.addJob("j")
	p, h := s.open(sinks.Machine)
	p.History.JobRequested("j", httpclient.Exchange{Method: "GET", URL: "http://a/1", Code: 200, Took: 40 * time.Millisecond, Waited: 3 * time.Microsecond})
	p.History.JobRequested("j", httpclient.Exchange{Method: "GET", URL: "http://a/2", Code: 304, Revalidated: true, Took: 2250 * time.Millisecond, Waited: 2200 * time.Millisecond})
	p.History.Ran(run.Ended{Job: "j", Start: time.Now(), Result: run.Succeeded, Took: 3 * time.Second, Waited: 90 * time.Second})
	j := decode[Job](t, ask(h, "GET", "/api/v1/jobs/j"))
	if r := j.Detail.Requests; r[0].Waited != 2.2 || r[0].Duration != 2.25 || r[1].Waited != 0 || j.Runs[0].Waited != 90 {
		t.Errorf("%+v, %+v", r, j.Runs)
	}
	page := ask(h, "GET", "/jobs/j").Body.String()
	for want, times := range map[string]int{"2.2 s<small>2.2 s of it waiting for its turn</small>": 1, "of it waiting": 1, "3 s<small>after 1 min 30 s of waiting</small>": 1, "304 unchanged": 1} {
		if n := strings.Count(page, want); n != times {
			t.Errorf("%q is on the page %d times, want %d", want, n, times)
		}
	}
}

// TestTooMany checks that requests and streams beyond the bounds are refused at once.
func TestTooMany(t *testing.T) {
	s := &stage{}
	p, h := s.open(sinks.Machine)
	for range maxRenders {
		p.renders <- struct{}{}
	}
	for _, path := range []string{"/", "/api/v1/status"} {
		if w := ask(h, "GET", path); w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for range maxStreams {
		p.streams <- struct{}{}
	}
	if w := ask(h, "GET", "/events?page=/"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("events: %d", w.Code)
	}
}

// TestEvents checks that a stream sends the parts that have changed, and nothing else.
func TestEvents(t *testing.T) {
	s := &stage{}
	s.addJob("j")
	s.addJob("other")
	p, h := s.open(sinks.Machine)
	server := httptest.NewServer(h)
	defer server.Close()
	page, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(page.Body)
	_, rest, _ := strings.Cut(string(text), `data-version="`)
	version, _, _ := strings.Cut(rest, `"`)
	stream, err := http.Get(server.URL + "/events?page=/&version=" + version)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	read := func() string {
		buf := make([]byte, 1<<16)
		n, err := stream.Body.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	if first := read(); !strings.HasPrefix(first, ":") {
		t.Fatalf("first: %s", first)
	}
	p.History.Ran(run.Ended{Job: "j", Start: time.Now(), Result: run.Failed, Error: "503"})
	var c change
	if err := json.Unmarshal([]byte(strings.TrimPrefix(read(), "data: ")), &c); err != nil || c.Reload || len(c.Parts) != 1 || !strings.Contains(c.Parts["job j"], "1 failed") {
		t.Errorf("%v: %+v", err, c)
	}
	old, err := http.Get(server.URL + "/events?page=/&version=old")
	if err != nil {
		t.Fatal(err)
	}
	defer old.Body.Close()
	if text, err := io.ReadAll(old.Body); err != nil || string(text) != "data: {\"reload\":true}\n\n" {
		t.Errorf("an old page gets %q, %v", text, err)
	}
}

// overviewVersion returns the version of the page of all jobs.
func overviewVersion(p *Page) string {
	l := &listener{Page: p, reach: func() sinks.Reach { return sinks.Machine }}
	return l.viewOf(httptest.NewRequest("GET", "http://localhost/", nil), &url.URL{Path: "/"}, time.Now()).Version
}

// TestManyStreams checks that streams beyond the maximum are refused, and that closed streams make room for others.
func TestManyStreams(t *testing.T) {
	s := &stage{}
	s.addJob("j")
	p, h := s.open(sinks.Machine)
	server := httptest.NewServer(h)
	defer server.Close()
	version := overviewVersion(p)
	var open []io.Closer
	refused := 0
	for range 2 * maxStreams {
		resp, err := http.Get(server.URL + "/events?page=/&version=" + version)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusServiceUnavailable {
			refused++
		}
		open = append(open, resp.Body)
	}
	if refused != maxStreams {
		t.Errorf("%d streams are refused, want %d", refused, maxStreams)
	}
	for _, c := range open {
		c.Close()
	}
	for range maxStreams {
		p.streams <- struct{}{} // waits until the stream has ended
	}
}

// stuck is a response whose client does not receive anything.
type stuck struct{ http.ResponseWriter }

func (s stuck) SetWriteDeadline(at time.Time) error {
	if time.Until(at) > slowReader {
		return errors.New("longer than a slow reader has")
	}
	return nil
}
func (s stuck) SetReadDeadline(time.Time) error { return nil }
func (s stuck) FlushError() error               { return errors.New("i/o timeout") }

// TestSlowReader checks that a stream ends when its client does not read.
func TestSlowReader(t *testing.T) {
	s := &stage{}
	s.addJob("j")
	p, h := s.open(sinks.Machine)
	r := httptest.NewRequest("GET", "http://localhost/events?page=/&version="+overviewVersion(p), nil)
	h.ServeHTTP(stuck{httptest.NewRecorder()}, r) // returns
	if n := len(p.streams); n != 0 {
		t.Errorf("%d streams are counted", n)
	}
}
