package http

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// FuzzTarget holds that a target of a list is refused, or gives a request to its own host that contains no template, and labels that
// are valid.
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
		e, err := c.endpoint(a, map[string]string{name: value}, "job")
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("an error of more than one line: %q", err)
			}
			return
		}
		if e.address.Host == "" || e.address.Host != a.Host || e.address.relative || strings.Contains(e.address.Path, "{{") {
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

// TestEndpoints holds what a target gets from the url of the settings.
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
		e, err := settings.endpoint(a, nil, "j")
		got := e.address.Scheme + "://" + e.address.Host + (&Config{URL: e.address}).writtenPath()
		if e.address.RawQuery != "" {
			got += "?" + e.address.RawQuery
		}
		if err != nil || got != c.want {
			t.Errorf("%s of %s is %s (%v), want %s", c.url, c.target, got, err, c.want)
		}
	}
}

// TestTargetsStay holds that a target is the same as long as it is listed with the same labels, and that the rate limit of the settings
// is that of each target's server.
func TestTargetsStay(t *testing.T) {
	c := config(t, "{targets: [{url: 'http://a.test/x'}, {url: 'http://b.test/x'}], rate_limit: {requests: 1, per: 1h}}")
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	all, err := c.NewTargets(sources.Env{Job: "j", Web: &httpclient.Host{Secrets: &setting.SecretStore{}, Shared: &httpclient.SharedState{}}})
	if err != nil {
		t.Fatal(err)
	}
	first, problems := all.Discover()
	if len(first) != 2 || len(problems) != 0 {
		t.Fatalf("%v, %v", first, problems)
	}
	set := all.(*targets)
	set.config.Targets = set.config.Targets[1:]
	set.reads = 0 // as if a file had changed
	second, _ := all.Discover()
	if len(second) != 1 || second[0] != first[1] {
		t.Errorf("the target that stays is another one")
	}
	if at := second[0].Of.(*target).builder.set.URL; at.Host != "b.test" {
		t.Errorf("its requests go to %s", (&url.URL{Host: at.Host}).String())
	}
}

// TestLimitOfEachTarget holds that each target's server has the rate limit of the settings.
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
	list, problems := all.Discover()
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
