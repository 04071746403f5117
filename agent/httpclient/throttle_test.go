package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

const server = "http://a.example/x"

// job returns the client of a job with a policy of its own. All jobs of a world have the same SharedState.
func (w *world) job(t *testing.T, name string, m RequestPolicy, settings ...string) *Client {
	t.Helper()
	if w.host.Shared == nil {
		w.host.Shared = &SharedState{}
	}
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	shared := w.host
	w.host = shared.WithPolicy(name, at, &m)
	defer func() { w.host = shared }()
	return w.client(t, strings.Join(settings, "\n"))
}

func every(n int, per time.Duration) RequestPolicy {
	return RequestPolicy{RateLimit: &RateLimit{n, setting.Duration(per)}}
}

// TestRateLimit checks that no interval of a limit's length has more requests than the limit allows, whichever jobs send them.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var at []time.Time
		w.Serve(t, "a.example:80", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { at = append(at, time.Now()) }))
		loose, strict, none := w.job(t, "loose", every(3, time.Second)), w.job(t, "strict", every(5, 10*time.Second)), w.job(t, "none", RequestPolicy{})
		for i := range 12 {
			w.mustGet(t, []*Client{loose, strict, none}[i%3], server)
		}
		for i := range at {
			if i >= 3 && at[i].Sub(at[i-3]) < time.Second {
				t.Errorf("requests %d to %d within %s", i-3, i, at[i].Sub(at[i-3]))
			}
			if i >= 5 && at[i].Sub(at[i-5]) < 10*time.Second {
				t.Errorf("requests %d to %d within %s", i-5, i, at[i].Sub(at[i-5]))
			}
		}
		if took := at[len(at)-1].Sub(at[0]); took != 20*time.Second {
			t.Errorf("12 requests took %s", took)
		}
		var waited time.Duration
		for _, x := range w.exchanges() {
			if waited += x.Waited; x.Waited != x.Took {
				t.Errorf("observed %s of waiting in %s", x.Waited, x.Took)
			}
		}
		if waited != 20*time.Second {
			t.Errorf("observed %s of waiting", waited)
		}
	})
}

// TestRateLimitBeyondTheTimeout checks a request that the limit does not allow before the request's time-out. The request must fail at
// once, and must not count.
func TestRateLimitBeyondTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var asked atomic.Int64
		w.Serve(t, "a.example:80", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		client := w.job(t, "a", every(1, time.Hour))
		w.mustGet(t, client, server)
		begin := time.Now()
		for range 3 {
			_, _, err := w.get(within(t, time.Minute, "over"), client, server)
			wantError(t, err, "GET http://a.example/x: not sent: no requests are allowed before "+begin.Add(time.Hour).UTC().Format(time.RFC3339)+" (rate_limit)")
		}
		if time.Since(begin) > 0 || asked.Load() != 1 {
			t.Errorf("took %s, %d requests", time.Since(begin), asked.Load())
		}
		time.Sleep(time.Hour)
		w.mustGet(t, client, server)
		w.job(t, "a", RequestPolicy{}) // a reload that takes the limit away
		w.mustGet(t, client, server)
	})
}

// TestServerPauses checks that a sender waits as long as the server asks for, and that senders with other credentials do not wait.
func TestServerPauses(t *testing.T) {
	for name, header := range map[string]func() http.Header{
		"seconds": func() http.Header { return http.Header{"Retry-After": {"90"}} },
		"date": func() http.Header {
			return http.Header{"Retry-After": {time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)}}
		},
		"github": func() http.Header {
			return http.Header{"X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {strconv.FormatInt(time.Now().Unix()+90, 10)}}
		},
		"ietf 6":  func() http.Header { return http.Header{"Ratelimit": {"limit=10, remaining=0, reset=90"}} },
		"ietf 10": func() http.Header { return http.Header{"Ratelimit": {`"hour";r=7;t=3000, "minute";r=0;t=90`}} },
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			asked := 0
			w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				asked++
				for key, values := range header() {
					rw.Header()[key] = values
				}
				http.Error(rw, "slow down", http.StatusTooManyRequests)
			}))
			client, other := w.job(t, "a", RequestPolicy{}), w.job(t, "b", RequestPolicy{}, "authorization: {credentials: 'env:PASSWORD'}")
			w.get(t.Context(), client, server)
			until := time.Now().Add(90 * time.Second)
			_, _, err := w.get(t.Context(), client, server+"y") // the pause holds for all URLs of the server
			wantError(t, err, "not sent: no requests are allowed before "+until.UTC().Format(time.RFC3339)+" (")
			if _, ok := errors.AsType[*WaitError](err); !ok || asked != 1 {
				t.Errorf("%s: %v, asked %d times", name, err, asked)
			}
			if w.get(t.Context(), other, server); asked != 2 {
				t.Errorf("%s: the sender with other credentials has to wait too", name)
			}
			if last := w.exchanges()[1]; !last.Unsent || last.Code != 0 {
				t.Errorf("%s: observed %+v", name, last)
			}
			time.Sleep(85 * time.Second) // the rest is shorter than maxPauseWait
			begin := time.Now()
			if w.get(t.Context(), client, server); asked != 3 || time.Since(begin) != 5*time.Second {
				t.Errorf("%s: %d requests, after %s", name, asked, time.Since(begin))
			}
			if x := w.exchanges()[3]; x.Waited != 5*time.Second || x.Took != 5*time.Second {
				t.Errorf("%s: observed %s of waiting in %s", name, x.Waited, x.Took)
			}
		})
	}
}

// TestReload checks that a successful reload removes the limits of removed jobs. A reload that fails must change no limits.
func TestReload(t *testing.T) {
	w := newWorld(t)
	w.job(t, "gone", every(1, time.Hour))
	w.job(t, "stays", every(2, time.Hour))
	shared := w.host.Shared
	if err := shared.Reload(func() error {
		w.job(t, "stays", RequestPolicy{})
		w.job(t, "new", every(1, time.Hour))
		return fmt.Errorf("wrong")
	}); err == nil {
		t.Error("no error")
	}
	if by := shared.throttle.limits["http://a.example:80"].byJob; len(by) != 2 || by["stays"].Requests != 2 {
		t.Errorf("after a reload that failed: %v", by)
	}
	shared.Reload(func() error { w.job(t, "stays", every(2, time.Hour)); return nil })
	if by := shared.throttle.limits["http://a.example:80"].byJob; len(by) != 1 || by["stays"].Requests != 2 {
		t.Errorf("after a reload: %v", by)
	}
}

// TestUnusedLimitsAreForgotten checks that an origin is forgotten when no job has a limit for it any more. It must not be forgotten as long
// as a job that gets its limit back could then send a request too early.
func TestUnusedLimitsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s SharedState
		limit := func(job, origin string) {
			s.throttle.setLimit(job, origin, &RateLimit{Requests: 1, Per: setting.Duration(time.Hour)})
		}
		none := func() error { return nil }
		limit("idle", "a")
		limit("used", "b")
		if err := s.throttle.wait(t.Context(), digest{}, "b"); err != nil {
			t.Fatal(err)
		}
		if err := s.Reload(none); err != nil || len(s.throttle.limits) != 1 || s.throttle.limits["b"] == nil {
			t.Errorf("after a reload without jobs there are %v, %v", s.throttle.limits, err)
		}
		limit("used", "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.throttle.wait(ctx, digest{}, "b"); err == nil {
			t.Error("the limit was forgotten too early")
		}
		time.Sleep(time.Hour + time.Second)
		for i := range 100 {
			limit("moving", fmt.Sprint("c", i))
		}
		limit("used", "d")
		if n := len(s.throttle.limits); n > 3 {
			t.Errorf("there are limits for %d origins, want those of two jobs", n)
		}
	})
}
