package scrape

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/discovery"
)

// inventory is a server that lists targets.
type inventory struct {
	kind, body string
	code       int
	hang       bool
	requests   []*http.Request
}

func (i *inventory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.requests = append(i.requests, r)
	if i.hang {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", i.kind)
	w.WriteHeader(i.code)
	_, _ = io.WriteString(w, i.body)
}

// TestHTTPSD checks that the list is requested once per refresh_interval, and that the request has only the credentials of the list. While
// the list cannot be used, the previous targets stay. If the server of the list hangs, there is still time for the scrapes.
func TestHTTPSD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.NewNetwork()
		list := &inventory{kind: "application/json; charset=utf-8", body: `[{"targets": ["a.test"], "labels": {"rack": "7"}}]`, code: 200}
		var mu sync.Mutex
		var scrapes []*http.Request
		n.Serve(t, "sd.test:80", list)
		for _, host := range []string{"a.test:80", "b.test:80"} {
			n.Serve(t, host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				scrapes = append(scrapes, r)
				mu.Unlock()
				_, _ = io.WriteString(w, "x 1\n")
			}))
		}
		t.Setenv("SD", "sd-password")
		t.Setenv("SCRAPE", "scrape-password")
		c := Kind.Defaults().(*Config)
		if err := c.HTTPSD.URL.UnmarshalText([]byte("http://sd.test/list?key=abcdefgh")); err != nil {
			t.Fatal(err)
		}
		c.HTTPSD.Settings.Authorization = &httpclient.Authorization{Credentials: "env:SD"}
		c.Settings.Authorization = &httpclient.Authorization{Credentials: "env:SCRAPE"}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		made, err := c.New(sources.Env{Job: "node", Log: slog.New(slog.DiscardHandler), Web: &httpclient.Host{Secrets: &setting.SecretStore{}, Dial: n.Dial}})
		if err != nil {
			t.Fatal(err)
		}
		s := made.(*source)
		defer s.client.CloseIdleConnections()
		defer s.lists.CloseIdleConnections()
		check := func(problem string, asked int, want ...string) {
			t.Helper()
			got := collect(t, s)
			var instances []string
			for _, x := range s.targets {
				instances = append(instances, x.labels.Get("instance")+x.labels.Get("rack"))
			}
			if fmt.Sprint(instances) != fmt.Sprint(want) {
				t.Errorf("the targets are %v, want %v", instances, want)
			}
			if len(want) > 0 {
				if v := got.everything()[`x{instance="a.test",job="node",rack="7"}`]; v != 1 && want[0] == "a.test7" {
					t.Errorf("a target that is listed has %v", v)
				}
			}
			if text := got.problem(); text != problem && !(problem != "" && strings.HasPrefix(text, problem)) {
				t.Errorf("the problem is %q, want %q", text, problem)
			}
			if len(list.requests) != asked {
				t.Errorf("the server was asked %d times, want %d", len(list.requests), asked)
			}
			<-time.After(15 * time.Second)
		}
		list.code = 500
		check("read targets from http_sd: GET http://sd.test/list: 500 Internal Server Error", 1)
		list.code = 200
		check("", 2, "a.test7")
		for range 3 {
			check("", 2, "a.test7") // within the minute
		}
		list.body = `[{"targets": ["b.test", "a.test"]}]`
		check("", 3, "b.test", "a.test")
		for range 3 {
			check("", 3, "b.test", "a.test")
		}
		for i, bad := range []struct{ kind, body, problem string }{
			{"text/html", "<html>", "GET http://sd.test/list: unsupported Content-Type \"text/html\""},
			{"application/json", `{}`, "GET http://sd.test/list: want a JSON list of {targets, labels}: json: cannot unmarshal"},
			{"application/json", `[{"targets": ["a"], "label": {}}]`, "GET http://sd.test/list: want a JSON list of {targets, labels}: json: unknown field"},
			{"application/json", `[{"targets": ["ftp://a"]}]`, "GET http://sd.test/list: target \"ftp://a\": want a URL"},
			{"application/json", `[{"labels": {"": "x"}}]`, "GET http://sd.test/list: \"\" is not a valid label name"},
			{"application/json", `[] []`, "GET http://sd.test/list: want a JSON list of {targets, labels} and nothing after it"},
			{"application/json", strings.Repeat("[", 1<<20), "GET http://sd.test/list: want a JSON list of {targets, labels}: "},
			{"application/json", strings.Repeat(" ", discovery.MaxBytes+1), "GET http://sd.test/list: the body exceeds 16MiB"},
			{"application/json", `[{"targets": ["a"` + strings.Repeat(`,"a"`, discovery.MaxTargets) + `]}]`, "GET http://sd.test/list: it lists more than 10000 targets"},
		} {
			list.kind, list.body = bad.kind, bad.body
			check("read targets from http_sd: "+bad.problem, 4+i, "b.test", "a.test")
		}
		list.hang = true
		begin := len(scrapes)
		check("read targets from http_sd: GET http://sd.test/list: no answer within 10s: the list of targets has a third of the job's timeout, and at most 10s", 13, "b.test", "a.test")
		if len(scrapes) != begin+2 {
			t.Error("the targets are not scraped while the list hangs")
		}
		list.hang, list.kind, list.body = false, "application/json", `[]`
		check("", 14)
		for _, r := range list.requests {
			if r.Header.Get("Authorization") != "Bearer sd-password" || r.Header.Get("X-Prometheus-Refresh-Interval-Seconds") != "60" {
				t.Fatalf("the list is asked for with %v", r.Header)
			}
		}
		for _, r := range scrapes {
			if r.Header.Get("Authorization") != "Bearer scrape-password" {
				t.Fatalf("a target is scraped with %v", r.Header)
			}
		}
	})
}
