package pushgateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// TestJobNames holds that a job and its labels arrive as they are, whatever they are.
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

// TestRedirected holds that a push that has become a GET on its way is no success, whatever the GET finds.
func TestRedirected(t *testing.T) {
	r := newRig(t, nil)
	r.answer(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/new" {
			http.Redirect(w, q, "/new", http.StatusMovedPermanently)
		}
	})
	err := r.Write(t.Context(), metric.Batch{Job: "j", Families: []metric.Family{gauge("up")}})
	if err == nil || !sinks.IsPermanent(err) || !strings.HasSuffix(err.Error(), "/new: set url to where the gateway is") {
		t.Errorf("got %v", err)
	}
	if n := r.env.Stats.Sent.Load(); n != 0 {
		t.Errorf("%d samples are counted as sent", n)
	}
}

// TestDeletedAtOnce holds that a receiver that deletes at once, and says 200, has deleted.
func TestDeletedAtOnce(t *testing.T) {
	r := newRig(t, nil)
	r.write(t, "j", gauge("up"))
	r.answer(func(http.ResponseWriter, *http.Request) {})
	r.write(t, "j")
}

// TestDeletionIsBounded holds that a gateway that never answers does not keep the agent from ending.
func TestDeletionIsBounded(t *testing.T) {
	r := newRig(t, func(c *Config, env *sinks.Env) { c.DeleteOnExit, env.Drain = true, 20*time.Millisecond })
	r.write(t, "j", gauge("up"))
	r.answer(func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() })
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
		"http://gw:9091/metrics":       "url: leave out",
		"http://gw:9091/metrics/job/x": "url: leave out",
		"http://gw:9091/?a=b":          "url: want an address without",
		"http://gw:9091/#a":            "url: want an address without",
	} {
		err := (&Config{URL: address(t, text)}).Validate()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func (r *rig) answer(f http.HandlerFunc) { r.refuse.Store(&f) }
