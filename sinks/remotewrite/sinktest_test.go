package remotewrite

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks/sinktest"
)

func TestSinkSuite(t *testing.T) {
	for _, p := range []Protocol{Protocol1, Auto} {
		t.Run(p.String(), func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Peer { return openPeer(t, p) })
		})
	}
}

func openPeer(t *testing.T, p Protocol) sinktest.Peer {
	s := newServer(t)
	var refuse atomic.Bool
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() {
			http.Error(w, fmt.Sprint(r.URL, r.Header), http.StatusBadRequest)
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	env, logged := sinktest.Env(t)
	env.Web.Secrets.LookupEnv = func(string) (string, bool) { return "hunter2-hunter2", true }
	c := defaults()
	c.Protocol = p
	c.Headers = map[string]setting.Text{"X-Api-Key": "env:KEY"}
	if err := c.URL.UnmarshalText([]byte(web.URL)); err != nil {
		t.Fatal(err)
	}
	made, err := c.New(env)
	if err != nil {
		t.Fatal(err)
	}
	return sinktest.Peer{
		Sink:   made,
		Logged: logged,
		Secret: "hunter2-hunter2",
		Refuse: func() { refuse.Store(true) },
		Holds: func(t *testing.T, at time.Time) (h sinktest.Holding) {
			for end := time.Now().Add(10 * time.Second); env.Stats.Pending().Samples > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("still pending: %+v\n%s", env.Stats.Pending(), logged())
				}
			}
			for _, sample := range s.Vector(t, at, `{__name__!=""}`) {
				labels := sample.Metric.Map()
				name := labels["__name__"]
				h.Set(name, labels, sample.F, "__name__", "job", "instance")
			}
			return h
		},
	}
}
