package http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/discovery"
)

// FuzzTarget checks targets of a list. A target either is refused, or gives a request to its own host and valid labels. The request
// contains no template.
func FuzzTarget(f *testing.F) {
	for _, target := range []string{"10.0.0.1:80", "http://x.test/a?b=c", "unix:///run/x.sock:/v1", "https://x.test/{{ .Now }}", "x.test/{{", "http://[::1]:80", "/only", ""} {
		f.Add(target, "instance", "me")
	}
	f.Fuzz(func(t *testing.T, target, name, value string) {
		c := config(t, "{url: '/base?q=1', file_sd: {files: [x]}}")
		a, err := listed(target, "")
		if err != nil {
			return
		}
		maker, err := c.maker("job")
		if err != nil {
			t.Fatal(err)
		}
		e, keep, err := c.endpoint(maker, a, &discovery.Group{Labels: map[string]string{name: value}})
		if err != nil || !keep {
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of more than one line: %q", err)
			}
			return
		}
		if e.address.Host == "" || e.address.Host != a.Host || e.address.IsPath || strings.Contains(e.address.Path, "{{") {
			t.Errorf("%q becomes %q", target, e.address.String())
		}
		if e.labels.Get("job") == "" || e.labels.Get("instance") == "" {
			t.Errorf("the labels are %s", e.labels)
		}
		for _, l := range e.labels {
			if !model.UTF8Validation.IsValidLabelName(l.Name) || !model.LabelValue(l.Value).IsValid() || strings.HasPrefix(l.Name, "__") {
				t.Errorf("the label %q is %q", l.Name, l.Value)
			}
		}
	})
}

// TestEndpoints checks what a target gets from the url of the settings.
func TestEndpoints(t *testing.T) {
	for _, c := range []struct{ url, target, want string }{
		{"/rpc/Status?id=0", "http://a.test", "http://a.test/rpc/Status?id=0"},
		{"/rpc/Status?id=0", "http://a.test/", "http://a.test/rpc/Status?id=0"},
		{"/rpc/Status?id=0", "http://a.test?id=1", "http://a.test/rpc/Status?id=1"},
		{"/rpc/Status?id=0", "https://a.test:8/own", "https://a.test:8/own"},
		{"/a%2Fb/{{ .Item.id }}", "http://a.test", "http://a.test/a%2Fb/{{ .Item.id }}"},
		{"", "http://a.test", "http://a.test"},
	} {
		settings := &Config{}
		if c.url != "" {
			if err := settings.URL.UnmarshalText([]byte(c.url)); err != nil {
				t.Fatal(err)
			}
		}
		a, err := listed(c.target, "")
		if err != nil {
			t.Fatal(err)
		}
		maker, err := settings.maker("j")
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := settings.endpoint(maker, a, &discovery.Group{})
		got := e.address.Scheme + "://" + e.address.Host + (&Config{URL: e.address}).writtenPath()
		if e.address.RawQuery != "" {
			got += "?" + e.address.RawQuery
		}
		if err != nil || got != c.want {
			t.Errorf("%s of %s is %s (%v), want %s", c.url, c.target, got, err, c.want)
		}
	}
}

// TestTargetsStay checks that a target keeps its *sources.Target as long as it is listed with the same labels.
func TestTargetsStay(t *testing.T) {
	c := config(t, "{targets: [{url: 'http://a.test/x'}, {url: 'http://b.test/x'}], rate_limit: {requests: 1, per: 1h}}")
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	all, err := c.NewTargets(sources.Env{Job: "j", Web: &httpclient.Host{Secrets: &setting.SecretStore{}, Shared: &httpclient.SharedState{}}})
	if err != nil {
		t.Fatal(err)
	}
	first, problems := all.Discover(t.Context(), sources.Tick{})
	if len(first) != 2 || len(problems) != 0 {
		t.Fatalf("%v, %v", first, problems)
	}
	set := all.(*targets)
	set.config.Targets = set.config.Targets[1:]
	set.reads = 0 // as if a file had changed
	second, _ := all.Discover(t.Context(), sources.Tick{})
	if len(second) != 1 || second[0] != first[1] {
		t.Errorf("the target that stays is another one")
	}
	if at := second[0].Of.(*target).builder.set.URL; at.Host != "b.test" {
		t.Errorf("its requests go to %s", (&url.URL{Host: at.Host}).String())
	}
}

// TestLimitOfEachTarget checks that each target's server has the rate limit of the settings.
func TestLimitOfEachTarget(t *testing.T) {
	var asked [2]atomic.Int32
	var urls []string
	for i := range asked {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked[i].Add(1)
			_, _ = io.WriteString(w, "{}")
		}))
		defer server.Close()
		urls = append(urls, "{url: '"+server.URL+"'}")
	}
	c := config(t, "{targets: ["+strings.Join(urls, ", ")+"], rate_limit: {requests: 1, per: 1h}}")
	all, err := c.NewTargets(sources.Env{Job: "j", Web: &httpclient.Host{Secrets: &setting.SecretStore{}, Shared: &httpclient.SharedState{}}})
	if err != nil {
		t.Fatal(err)
	}
	list, problems := all.Discover(t.Context(), sources.Tick{})
	if len(list) != 2 || len(problems) > 0 {
		t.Fatal(list, problems)
	}
	f := all.NewFetcher()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2 {
		for _, x := range list {
			f.Use(x)
			_, _ = f.Fetch(ctx, sources.Tick{}, sources.Request{})
		}
	}
	if a, b := asked[0].Load(), asked[1].Load(); a != 1 || b != 1 {
		t.Errorf("asked %d and %d times, want once each", a, b)
	}
}

// TestLimitOfTargetThatLeaves checks the rate limit of a target whose server leaves the list. The limit ends, for other jobs too. If the
// target comes back at once, it gets no more requests than the limit allows.
func TestLimitOfTargetThatLeaves(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	c := config(t, "{targets: [{url: '"+server.URL+"/a'}, {url: '"+server.URL+"/b', labels: {instance: b}}, {url: 'http://other.test'}], rate_limit: {requests: 1, per: 1h}}")
	web := &httpclient.Host{Secrets: &setting.SecretStore{}, Shared: &httpclient.SharedState{}}
	all, err := c.NewTargets(sources.Env{Job: "j", Web: web})
	if err != nil {
		t.Fatal(err)
	}
	alone := config(t, "{url: '"+server.URL+"'}")
	other, err := alone.New(sources.Env{Job: "other", Web: web})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	f, listed := all.NewFetcher(), c.Targets
	// discover makes a list of the given targets, and fetches from the first one if fetch is set.
	discover := func(list []Target, fetch bool) {
		all.(*targets).config.Targets = list
		all.(*targets).reads = 0 // as if a file had changed
		found, problems := all.Discover(ctx, sources.Tick{})
		if len(found) != len(list) || len(problems) > 0 {
			t.Fatal(found, problems)
		}
		if fetch {
			f.Use(found[0])
			_, _ = f.Fetch(ctx, sources.Tick{}, sources.Request{})
		}
	}
	for _, step := range []struct {
		list  []Target
		fetch bool
		asked int // number of requests that the server has got after the step and a request of the other job
		why   string
	}{
		{listed, true, 1, "the limit allows one request, also of both jobs"},
		{listed[1:], false, 1, "another target has the same server"},
		{listed[2:], false, 2, "the server is gone, and the other job has no limit"},
		{listed, true, 2, "the server is back, and its request still counts"},
	} {
		discover(step.list, step.fetch)
		_, _ = other.Fetch(ctx, sources.Tick{}, sources.Request{})
		if asked != step.asked {
			t.Errorf("%s: asked %d times, want %d", step.why, asked, step.asked)
		}
	}
}

// TestListOfServerAndRules checks that a server can list targets, and that relabel_configs can change and drop targets. Neither the server
// nor the rules can bring in a template.
func TestListOfServerAndRules(t *testing.T) {
	list := `[
		{"targets": ["a.test:81", "dropped.test"], "labels": {"rack": "7", "__meta_site": "oslo"}},
		{"targets": ["b.test"], "labels": {"__metrics_path__": "/own", "__scheme__": "https", "__param_id": "9"}},
		{"targets": ["c.test"], "labels": {"__metrics_path__": "/{{ secret \"env:KEY\" }}"}},
		{"targets": ["unix:///run/x.sock:/v1"]}
	]`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer list" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, list)
	}))
	defer server.Close()
	c := config(t, `{url: '/base?q=1', targets: [{url: 'http://static.test'}], http_sd: {url: '`+server.URL+`', authorization: {credentials: "env:SD"}}, relabel_configs: [
		{source_labels: [__address__], regex: 'dropped.*', action: drop},
		{source_labels: [__meta_site], target_label: site},
		{source_labels: [__address__], regex: '([^:]+):.*', target_label: instance}]}`)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SD", "list")
	all, err := c.NewTargets(sources.Env{Job: "j", Web: &httpclient.Host{Secrets: &setting.SecretStore{}}})
	if err != nil {
		t.Fatal(err)
	}
	found, problems := all.Discover(t.Context(), sources.Tick{Interval: time.Minute})
	var got []string
	for _, x := range found {
		u := x.Of.(*target).builder.set.URL
		got = append(got, x.Labels.String()+" "+u.String())
	}
	want := []string{
		`{instance="static.test",job="j"} http://static.test/base?q=1`,
		`{instance="a.test",job="j",rack="7",site="oslo"} http://a.test:81/base?q=1`,
		`{instance="b.test",job="j"} https://b.test/own?id=9`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("- wanted, + got:\n%s", diff)
	}
	if text := errors.Join(problems...).Error(); len(problems) != 2 || !strings.Contains(text, "http://c.test is left out: a target cannot contain a template") || !strings.Contains(text, "a list from http_sd cannot name a unix socket") {
		t.Errorf("the problems are %v", problems)
	}
	list = "["
	if again, problems := all.Discover(t.Context(), sources.Tick{Interval: 3 * time.Minute}); len(again) != 3 || len(problems) != 3 {
		t.Errorf("while the list cannot be used there are %d targets, and %v", len(again), problems)
	}
}

func TestJoinQueries(t *testing.T) {
	for _, c := range [][3]string{
		{"module=http_2xx", "target=a", "module=http_2xx&target=a"},
		{"module=http_2xx&x={{ .Window.Start }}", "module=b", "x={{ .Window.Start }}&module=b"},
		{"a%20b=1&c=2", "a+b=3", "c=2&a+b=3"},
		{"", "a=1", "a=1"},
		{"a=1", "", "a=1"},
		{"", "", ""},
	} {
		if got := joinQueries(c[0], c[1]); got != c[2] {
			t.Errorf("%q and %q: got %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
