package pushgateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/sinktest"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

func address(t *testing.T, text string) setting.URL {
	t.Helper()
	var u setting.URL
	if err := u.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return u
}

// rig is a sink and a Pushgateway whose responses a test can replace.
type rig struct {
	sinks.Sink
	env      sinks.Env
	gateway  *peers.Pushgateway
	logged   func() string
	response atomic.Pointer[http.HandlerFunc]
	server   *httptest.Server
}

func newRig(t *testing.T, change func(*Config, *sinks.Env)) *rig {
	t.Helper()
	r := &rig{gateway: peers.NewPushgateway(t)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if f := r.response.Load(); f != nil {
			(*f)(w, q)
			return
		}
		r.gateway.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	r.server = server
	r.env, r.logged = sinktest.Env(t)
	c := &Config{URL: address(t, server.URL)}
	if change != nil {
		change(c, &r.env)
	}
	var err error
	if r.Sink, err = c.New(r.env); err != nil {
		t.Fatal(err)
	}
	return r
}

// respond makes the Pushgateway respond with f.
func (r *rig) respond(f http.HandlerFunc) { r.response.Store(&f) }

// fail makes the Pushgateway respond with an error.
func (r *rig) fail(code int, header, text string) {
	r.respond(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		if header != "" {
			w.Header().Set("Retry-After", header)
		}
		http.Error(w, text, code)
	})
}

// shows checks the samples in the Pushgateway.
func (r *rig) shows(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(r.gateway.Text(t)) {
		if !strings.HasPrefix(line, "#") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	slices.Sort(got) // the gateway has no order
	slices.Sort(want)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the gateway shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func gauge(name string, labels ...metric.Label) metric.Family {
	return metric.Family{
		Desc:   &metric.Desc{Name: name, Type: metric.Gauge},
		Series: []metric.Series{{Labels: metric.NewLabelSet(labels), Value: 1}},
	}
}

func (r *rig) write(t *testing.T, job string, families ...metric.Family) {
	t.Helper()
	if err := r.Write(t.Context(), metric.Batch{Job: job, Time: time.Now(), Families: families}); err != nil {
		t.Fatal(err)
	}
}

func TestSuite(t *testing.T) { runSuite(t, false) }

func TestSuiteWithSpool(t *testing.T) { runSuite(t, true) }

func runSuite(t *testing.T, spooled bool) {
	const secret = "hunter2hunter2"
	sinktest.Run(t, func(t *testing.T) sinktest.Peer {
		r := newRig(t, func(c *Config, env *sinks.Env) {
			if spooled {
				c.Spool.Dir = "spool"
			}
			env.Web.Secrets.LookupEnv = func(string) (string, bool) { return secret, true }
			c.Web.BasicAuth = &httpclient.BasicAuth{Username: "ops", Password: "env:PASSWORD"}
		})
		return sinktest.Peer{
			Sink: r.Sink, Logged: r.logged, Secret: secret,
			Holds: func(t *testing.T, _ time.Time) sinktest.Holding {
				return sinktest.FromText(t, r.gateway.Text(t), "job", "instance")
			},
			Refuse: func() {
				r.respond(func(w http.ResponseWriter, q *http.Request) {
					_, password, _ := q.BasicAuth()
					http.Error(w, fmt.Sprint(q.URL, q.Header, password), http.StatusInternalServerError)
				})
			},
		}
	})
}

func TestGroup(t *testing.T) {
	r := newRig(t, func(c *Config, env *sinks.Env) {
		env.External = []metric.Label{{Name: "__replica__", Value: "left out: a Pushgateway refuses it"}, {Name: "site", Value: "oslo"}}
		c.Grouping = map[string]string{"team": "a/b", "empty": ""}
	})
	r.write(t, "on/call", gauge("up", metric.Label{Name: "instance", Value: "i-7"}, metric.Label{Name: "job", Value: "x"}, metric.Label{Name: "room", Value: "r"}))
	r.shows(t, `up{empty="",exported_instance="i-7",exported_job="x",instance="host-1",job="on/call",room="r",site="oslo",team="a/b"} 1`)
}

// TestGroupingOverridesInstance checks that the setting "grouping" can set the label "instance".
func TestGroupingOverridesInstance(t *testing.T) {
	r := newRig(t, func(c *Config, env *sinks.Env) { c.Grouping = map[string]string{"instance": "other"} })
	r.write(t, "j", gauge("up"))
	r.shows(t, `up{instance="other",job="j"} 1`)
}

// TestTimestampsAreLeftOut checks that timestamps are not pushed, with one warning.
func TestTimestampsAreLeftOut(t *testing.T) {
	r := newRig(t, nil)
	f := gauge("old")
	f.Series[0].Time = time.Now().Add(-time.Hour).UnixMilli()
	r.write(t, "j", f)
	r.write(t, "j", f)
	r.shows(t, `old{instance="host-1",job="j"} 1`)
	if n := strings.Count(r.logged(), "does not accept timestamps"); n != 1 {
		t.Errorf("warned %d times:\n%s", n, r.logged())
	}
}

// TestEmptyBatch checks which batches without series delete the group of an earlier process: only those of a run that has measured
// everything, and only the group of the batch. Such a batch deletes the group once, not in each run.
func TestEmptyBatch(t *testing.T) {
	for _, spooled := range []bool{false, true} {
		earlier := newRig(t, nil)
		for _, job := range []string{"j", "j2"} {
			earlier.write(t, job, gauge("up"))
		}
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			requests++
			earlier.gateway.ServeHTTP(w, q)
		}))
		t.Cleanup(server.Close)
		c := &Config{URL: address(t, server.URL)}
		if spooled {
			c.Spool.Dir = t.TempDir()
		}
		later := &rig{env: earlier.env, gateway: earlier.gateway}
		var err error
		if later.Sink, err = c.New(earlier.env); err != nil {
			t.Fatal(err)
		}
		empty := func(complete bool) {
			t.Helper()
			if err := later.Write(t.Context(), metric.Batch{Job: "j", Time: time.Now(), Complete: complete}); err != nil {
				t.Fatal(err)
			}
		}
		const j, j2 = `up{instance="host-1",job="j"} 1`, `up{instance="host-1",job="j2"} 1`
		empty(false) // such as a run that has measured nothing, or a job that was removed
		later.shows(t, j, j2)
		for range 3 {
			empty(true)
			later.shows(t, j2)
		}
		if requests != 1 {
			t.Errorf("%d requests, want 1", requests)
		}
		later.write(t, "j", gauge("up"))
		later.shows(t, j, j2)
		empty(false) // this process has pushed the group
		later.shows(t, j2)
		if requests != 3 {
			t.Errorf("%d requests, want 3", requests)
		}
	}
}

// TestDeletionIsRepeated checks that the group of an earlier process is deleted later if the Pushgateway is down.
func TestDeletionIsRepeated(t *testing.T) {
	r := newRig(t, nil)
	r.write(t, "j", gauge("up"))
	c := &Config{URL: address(t, r.server.URL)}
	later, err := c.New(r.env)
	if err != nil {
		t.Fatal(err)
	}
	r.fail(503, "", "starting")
	empty := metric.Batch{Job: "j", Time: time.Now(), Complete: true}
	if err := later.Write(t.Context(), empty); err == nil || sinks.IsPermanent(err) || !strings.Contains(err.Error(), "delete group at") {
		t.Errorf("got %v", err)
	}
	r.response.Store(nil)
	if err := later.Write(t.Context(), empty); err != nil {
		t.Error(err)
	}
	r.shows(t)
}

func TestDeleteOnExit(t *testing.T) {
	for _, deletes := range []bool{true, false} {
		r := newRig(t, func(c *Config, _ *sinks.Env) { c.DeleteOnExit = deletes })
		r.write(t, "a", gauge("up"))
		r.write(t, "b", gauge("up2"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Sink.(sinks.Runner).Run(ctx); err != nil {
			t.Fatal(err)
		}
		if left := r.gateway.Text(t); (left == "") != deletes {
			t.Errorf("delete_on_exit: %v leaves\n%s", deletes, left)
		}
	}
}

// TestStatusCodes checks the errors for status codes: whether they are permanent, their pause, and their text.
func TestStatusCodes(t *testing.T) {
	for _, c := range []struct {
		code      int
		header    string
		permanent bool
		pause     time.Duration
		text      string
	}{
		{400, "", true, 0, "400 Bad Request: it is wrong"},
		{413, "", true, 0, "413 Request Entity Too Large: it is wrong"},
		{422, "", true, 0, "422 Unprocessable Entity: it is wrong"},
		{401, "", false, 0, "401 Unauthorized: it is wrong: check basic_auth, authorization or oauth2"},
		{403, "", false, 0, "403 Forbidden: it is wrong: these credentials may not push there: check their permissions"},
		{404, "", false, 0, "404 Not Found: it is wrong: check the path of url: /metrics and the group are appended"},
		{405, "", false, 0, "405 Method Not Allowed: it is wrong: check the path of url: /metrics and the group are appended"},
		{407, "", false, 0, "407 Proxy Authentication Required: it is wrong: check basic_auth, authorization or oauth2"},
		{429, "7", false, 7 * time.Second, "429 Too Many Requests: it is wrong (the server asks to retry after 7s)"},
		{500, "", false, 0, "500 Internal Server Error: it is wrong"},
		{503, "", false, 0, "503 Service Unavailable: it is wrong"},
	} {
		r := newRig(t, nil)
		r.fail(c.code, c.header, "it is wrong\nin many ways")
		err := r.Write(t.Context(), metric.Batch{Job: "j", Families: []metric.Family{gauge("up")}})
		if err == nil || sinks.IsPermanent(err) != c.permanent || sinks.Pause(err) != c.pause {
			t.Errorf("%d: %v, permanent %v, pause %s", c.code, err, sinks.IsPermanent(err), sinks.Pause(err))
			continue
		}
		if !strings.HasPrefix(err.Error(), "push to http://127.0.0.1") || !strings.HasSuffix(err.Error(), ": job j: "+c.text) {
			t.Errorf("%d: %v", c.code, err)
		}
	}
}

// TestConflict checks that an error has the text of the Pushgateway.
func TestConflict(t *testing.T) {
	r := newRig(t, nil)
	r.write(t, "a", gauge("size"))
	f := gauge("size")
	f.Desc = &metric.Desc{Name: "size", Type: metric.Counter}
	err := r.Write(t.Context(), metric.Batch{Job: "b", Families: []metric.Family{f}})
	if err == nil || !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "400 Bad Request: pushed metrics are invalid") {
		t.Errorf("got %v", err)
	}
}

// TestConnectionRefused checks that a push can be retried if the Pushgateway cannot be reached.
func TestConnectionRefused(t *testing.T) {
	env, _ := sinktest.Env(t)
	sink, err := (&Config{URL: address(t, "http://127.0.0.1:1")}).New(env)
	if err != nil {
		t.Fatal(err)
	}
	err = sink.Write(t.Context(), metric.Batch{Job: "j", Families: []metric.Family{gauge("up")}})
	if err == nil || sinks.IsPermanent(err) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	if err := sink.(sinks.Checker).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Check: %v", err)
	}
}

func TestCheck(t *testing.T) {
	r := newRig(t, nil)
	if err := r.Sink.(sinks.Checker).Check(t.Context()); err != nil {
		t.Error(err)
	}
	r.fail(404, "", "")
	if err := r.Sink.(sinks.Checker).Check(t.Context()); err != nil {
		t.Errorf("an old version: %v", err)
	}
	r.fail(401, "", "who are you")
	if err := r.Sink.(sinks.Checker).Check(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "/-/ready: 401 Unauthorized: who are you") {
		t.Errorf("got %v", err)
	}
}

func TestValidate(t *testing.T) {
	c := &Config{Grouping: map[string]string{"job": "x", "__a": "b", "a-b": "c", "team": "ok"}}
	want := "url: is required: the address of the Pushgateway, such as http://pushgateway.example.com:9091\n" +
		"grouping.__a: \"__a\" is not a label name that a Pushgateway accepts: use letters, digits and _\n" +
		"grouping.a-b: \"a-b\" is not a label name that a Pushgateway accepts: use letters, digits and _\n" +
		"grouping.job: cannot be set: it is the job's name"
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	a := &Config{URL: address(t, "http://gw:9091")}
	b := &Config{URL: address(t, "http://gw:9091"), Grouping: map[string]string{"team": "x"}}
	if a.Claims()[0] == b.Claims()[0] {
		t.Error("different groups have equal claims")
	}
}

// TestJobNames checks that job names and labels arrive unchanged, whatever characters they have.
func TestJobNames(t *testing.T) {
	r := newRig(t, func(c *Config, _ *sinks.Env) {
		c.Grouping = map[string]string{"instance": "", "path": "/a b/+c", "note": "1+1 = 2 & %20"}
	})
	for _, job := range []string{"plain", "two words", "a/b", "/", "1+1", "50%", "ü?#&=", "a.b", "..c", `"q"`, "job"} {
		r.write(t, job, gauge("up"))
		shown := metric.Labels{
			{Name: "instance", Value: ""}, {Name: "job", Value: job}, {Name: "note", Value: "1+1 = 2 & %20"}, {Name: "path", Value: "/a b/+c"},
		}
		r.shows(t, "up"+shown.String()+" 1")
		r.write(t, job)
		r.shows(t)
	}
}

// TestRedirected checks a push that a redirect turns into a GET. The push fails even if the GET succeeds.
func TestRedirected(t *testing.T) {
	r := newRig(t, nil)
	r.respond(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/new" {
			http.Redirect(w, q, "/new", http.StatusMovedPermanently)
		}
	})
	err := r.Write(t.Context(), metric.Batch{Job: "j", Families: []metric.Family{gauge("up")}})
	if err == nil || sinks.IsPermanent(err) || !strings.HasSuffix(err.Error(), "/new: set url to the address of the Pushgateway") {
		t.Errorf("got %v", err)
	}
	if n := r.env.Stats.Sent.Load(); n != 0 {
		t.Errorf("%d samples are counted as sent", n)
	}
}

// TestPage checks that a web page is not taken for the response of a Pushgateway, and that the push is tried again.
func TestPage(t *testing.T) {
	for _, code := range []int{200, 202, 400, 422} {
		testPage(t, code)
	}
}

func testPage(t *testing.T, code int) {
	r := newRig(t, nil)
	r.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		io.WriteString(w, "<html><title>Log in</title>")
	})
	want := fmt.Sprintf(`%d %s: a web page with the title "Log in": this is not a Pushgateway: check url`, code, http.StatusText(code))
	err := r.Write(t.Context(), metric.Batch{Job: "j", Families: []metric.Family{gauge("up")}})
	if err == nil || sinks.IsPermanent(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
	if n := r.env.Stats.Sent.Load(); n != 0 {
		t.Errorf("%d samples are counted as sent", n)
	}
	if code/100 == 2 {
		if err := r.Sink.(sinks.Checker).Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check: %v", err)
		}
	}
}

// TestRedirectToAnotherGroup checks that a redirect to another path is no success, although the redirect keeps the method.
func TestRedirectToAnotherGroup(t *testing.T) {
	r := newRig(t, nil)
	r.respond(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/other" {
			http.Redirect(w, q, "/other", http.StatusTemporaryRedirect)
		}
	})
	err := r.Write(t.Context(), metric.Batch{Job: "j", Families: []metric.Family{gauge("up")}})
	if err == nil || !strings.HasSuffix(err.Error(), "/other: set url to the address of the Pushgateway") {
		t.Errorf("got %v", err)
	}
}

// TestDeleteReturns200 checks that a deletion counts as a success if the response has the status 200.
func TestDeleteReturns200(t *testing.T) {
	r := newRig(t, nil)
	r.write(t, "j", gauge("up"))
	r.respond(func(http.ResponseWriter, *http.Request) {})
	r.write(t, "j")
}

// TestSucceed checks that a sink deletes the groups that the sinks before it have pushed, also a group that the old sink pushes after it was
// replaced.
func TestSucceed(t *testing.T) {
	r := newRig(t, nil)
	r.write(t, "a", gauge("up"))
	next := func(old sinks.Sink) sinks.Sink {
		c := &Config{URL: address(t, r.server.URL)}
		s, err := c.New(r.env)
		if err != nil {
			t.Fatal(err)
		}
		s.(sinks.Successor).Succeed(old)
		return s
	}
	second := next(r.Sink)
	third := next(second)
	fourth := next(third)
	if err := third.Write(t.Context(), metric.Batch{Job: "b", Time: time.Now(), Families: []metric.Family{gauge("up")}}); err != nil {
		t.Fatal(err)
	}
	r.shows(t, `up{instance="host-1",job="a"} 1`, `up{instance="host-1",job="b"} 1`)
	for _, job := range []string{"a", "b"} {
		if err := fourth.Write(t.Context(), metric.Batch{Job: job, Time: time.Now()}); err != nil {
			t.Error(err)
		}
	}
	r.shows(t)
}

// TestReceiverWithoutDelete checks a receiver that answers 404, 405 or 501 to a deletion. The deletion of a group that an earlier process has
// perhaps pushed is then done, and not tried again. A group that this sink has pushed stays, which is an error.
func TestReceiverWithoutDelete(t *testing.T) {
	for _, code := range []int{404, 405, 501} {
		r := newRig(t, nil)
		requests := 0
		r.respond(func(w http.ResponseWriter, q *http.Request) {
			if requests++; q.Method == http.MethodDelete {
				w.WriteHeader(code)
			}
		})
		empty := metric.Batch{Job: "j", Time: time.Now(), Complete: true}
		for range 2 {
			if err := r.Sink.Write(t.Context(), empty); err != nil || requests != 1 {
				t.Errorf("%d: error %v after %d requests, want none after 1", code, err, requests)
			}
		}
		r.write(t, "j", gauge("up"))
		if err := r.Sink.Write(t.Context(), empty); err == nil {
			t.Errorf("%d: no error for a group that this sink has pushed", code)
		}
	}
}

// TestDeletionIsBounded checks a deletion to which the Pushgateway does not respond. The agent ends nevertheless.
func TestDeletionIsBounded(t *testing.T) {
	r := newRig(t, func(c *Config, env *sinks.Env) { c.DeleteOnExit, env.Drain = true, 20*time.Millisecond })
	r.write(t, "j", gauge("up"))
	r.respond(func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.Sink.(sinks.Runner).Run(ctx) }()
	select {
	case err := <-ended:
		if err != nil || !strings.Contains(r.logged(), "timed out") {
			t.Errorf("Run ends with %v and logs\n%s", err, r.logged())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Run does not end")
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"http://gw:9091":               "",
		"http://gw:9091/":              "",
		"http://gw:9091/behind/proxy":  "",
		"http://gw:9091/metrics":       "url: remove /metrics",
		"http://gw:9091/metrics/job/x": "url: remove /metrics",
		"http://gw:9091/?a=b":          "url: want an address without",
		"http://gw:9091/#a":            "url: want an address without",
	} {
		err := (&Config{URL: address(t, text)}).Validate()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestParts checks a process that pushes some parts of a job's series. It changes neither the other parts nor the metrics that it does not
// push.
func TestParts(t *testing.T) {
	part := func(label string, families ...metric.Family) metric.Batch {
		for i := range families {
			desc := &metric.Desc{Name: families[i].Desc.Name, Type: metric.Gauge, LabelNames: []string{"of"}}
			families[i].Desc = desc
			families[i].Series = []metric.Series{{Labels: desc.LabelSet([]string{label}), Value: 1}}
		}
		return metric.Batch{Job: "cton", Time: time.Unix(1, 0), Families: families, PartBy: "of"}
	}
	up, seen := metric.Family{Desc: &metric.Desc{Name: "up"}}, metric.Family{Desc: &metric.Desc{Name: "seen"}}
	r := newRig(t, nil)
	for _, b := range []metric.Batch{part("a", up, seen), part("b", up, seen), part("a", up)} {
		if err := r.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	r.shows(t, `seen{instance="host-1",job="cton",of="a"} 1`, `seen{instance="host-1",job="cton",of="b"} 1`,
		`up{instance="host-1",job="cton",of="a"} 1`, `up{instance="host-1",job="cton",of="b"} 1`)
	both := part("a", up)
	both.Families[0].Series = append(both.Families[0].Series, metric.Series{Labels: both.Families[0].Desc.LabelSet([]string{"c"}), Value: 2})
	if err := r.Write(t.Context(), both); err != nil {
		t.Fatal(err)
	}
	r.shows(t, `seen{instance="host-1",job="cton",of="a"} 1`, `seen{instance="host-1",job="cton",of="b"} 1`,
		`up{instance="host-1",job="cton",of="a"} 1`, `up{instance="host-1",job="cton",of="b"} 1`, `up{instance="host-1",job="cton",of="c"} 2`)
}

// TestPod checks which labels the group has if the program runs once in a pod.
func TestPod(t *testing.T) {
	for _, c := range []struct {
		pod      *sinks.Pod
		external []metric.Label
		grouping map[string]string
		want     string
	}{
		{nil, nil, nil, "[{instance host-1}]"},
		{&sinks.Pod{}, nil, nil, "[]"},
		{&sinks.Pod{Namespace: "prod"}, nil, nil, "[{namespace prod}]"},
		{&sinks.Pod{Namespace: "prod"}, []metric.Label{{Name: "namespace", Value: "own"}}, nil, "[{namespace own}]"},
		{&sinks.Pod{Namespace: "prod"}, []metric.Label{{Name: "instance", Value: "own"}}, nil, "[{instance own} {namespace prod}]"},
		{&sinks.Pod{Namespace: "prod"}, nil, map[string]string{"instance": "own", "namespace": "mine"}, "[{instance own} {namespace mine}]"},
	} {
		env, _ := sinktest.Env(t)
		env.Pod, env.External = c.pod, c.external
		if got := fmt.Sprint((&Config{Grouping: c.grouping}).group(&env)); got != c.want {
			t.Errorf("%+v: got %s, want %s", c, got, c.want)
		}
	}
}

// TestAny2xx checks that any 2xx is a success of a push and of a deletion, unless it is a web page.
func TestAny2xx(t *testing.T) {
	for _, code := range []int{200, 201, 202, 204} {
		r := newRig(t, nil)
		var methods []string
		r.respond(func(w http.ResponseWriter, q *http.Request) {
			methods = append(methods, q.Method)
			w.WriteHeader(code)
		})
		r.write(t, "j", gauge("up"))
		r.write(t, "j")
		if n := r.env.Stats.Sent.Load(); n != 1 || fmt.Sprint(methods) != "[PUT DELETE]" {
			t.Errorf("%d: sent %d samples by %v, want 1 by PUT and DELETE", code, n, methods)
		}
	}
}
