package httpclient

import (
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
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

// job is a client of a job with manners of its own, in a world where all jobs share traffic.
func (w *world) job(t *testing.T, name string, m Manners, settings ...string) *http.Client {
	t.Helper()
	if w.host.Traffic == nil {
		w.host.Traffic = &Traffic{}
	}
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	shared := w.host
	w.host = shared.Polite(name, at, &m)
	defer func() { w.host = shared }()
	return w.client(t, strings.Join(settings, "\n"))
}

func every(n int, per time.Duration) Manners {
	return Manners{RateLimit: &RateLimit{n, setting.Duration(per)}}
}

// In every span of a limit's length, no more requests begin than it says, whoever sends them.
func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var at []time.Time
		w.Serve(t, "a.example:80", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { at = append(at, time.Now()) }))
		loose, strict, none := w.job(t, "loose", every(3, time.Second)), w.job(t, "strict", every(5, 10*time.Second)), w.job(t, "none", Manners{})
		for i := range 12 {
			w.mustGet(t, []*http.Client{loose, strict, none}[i%3], server)
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
	})
}

// A limit that leaves no request in time fails at once, and costs none.
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
			wantError(t, err, "GET http://a.example/x: asked to wait until "+begin.Add(time.Hour).UTC().Format(time.RFC3339)+", by rate_limit: not asked before")
		}
		if time.Since(begin) > 0 || asked.Load() != 1 {
			t.Errorf("took %s, %d requests", time.Since(begin), asked.Load())
		}
		time.Sleep(time.Hour)
		w.mustGet(t, client, server)
		w.job(t, "a", Manners{}) // a reload that takes the limit away
		w.mustGet(t, client, server)
	})
}

// Who was told to wait does not ask before, in whatever words it was told; others with another key do.
func TestWaitsAsTold(t *testing.T) {
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
			client, other := w.job(t, "a", Manners{}), w.job(t, "b", Manners{}, "authorization: {credentials: 'env:PASSWORD'}")
			w.get(t.Context(), client, server)
			until := time.Now().Add(90 * time.Second)
			_, _, err := w.get(t.Context(), client, server+"y") // all the server's addresses are meant
			wantError(t, err, "asked to wait until "+until.UTC().Format(time.RFC3339)+", by ")
			if _, ok := errors.AsType[*WaitError](err); !ok || asked != 1 {
				t.Errorf("%s: %v, asked %d times", name, err, asked)
			}
			if w.get(t.Context(), other, server); asked != 2 {
				t.Errorf("%s: who has another key was not let through", name)
			}
			if last := w.exchanges()[1]; !last.Unsent || last.Code != 0 {
				t.Errorf("%s: observed %+v", name, last)
			}
			time.Sleep(85 * time.Second) // what is left is short enough to wait for
			begin := time.Now()
			if w.get(t.Context(), client, server); asked != 3 || time.Since(begin) != 5*time.Second {
				t.Errorf("%s: asked %d times, after %s", name, asked, time.Since(begin))
			}
		})
	}
}

// A 304 gives the answer that came before, with the headers that it came with; what changes comes anew.
func TestConditionalRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		version := "1"
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("ETag", `"`+version+`"`)
			if r.Header.Get("If-None-Match") == `"`+version+`"` {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			rw.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(rw)
			defer z.Close()
			fmt.Fprintf(z, "version %s for %s", version, r.Header.Get("Authorization"))
		}))
		client, other := w.job(t, "a", Manners{}), w.job(t, "b", Manners{}, "authorization: {credentials: 'env:PASSWORD'}")
		for _, step := range []struct{ version, codes string }{{"1", "200"}, {"1", "304"}, {"2", "200"}, {"2", "304"}, {"2", "304"}} {
			version = step.version
			before := len(w.exchanges())
			if got := w.mustGet(t, client, server); got != "version "+version+" for " {
				t.Errorf("got %q", got)
			}
			x := w.exchanges()[before]
			if strconv.Itoa(x.Code) != step.codes || x.Unsent || x.Kept != (x.Code == 304) {
				t.Errorf("observed %+v, want %s", x, step.codes)
			}
		}
		if got := w.mustGet(t, other, server); got != "version 2 for Bearer hunter22" {
			t.Errorf("another's answer: %q", got)
		}
	})
}

// Last-Modified counts only where the second that it names is over.
func TestLastModified(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration
		want int
	}{{0, 200}, {time.Second, 304}, {time.Hour, 304}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			modified := time.Now().Add(-c.age).UTC().Format(http.TimeFormat)
			w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Last-Modified", modified)
				if r.Header.Get("If-Modified-Since") == modified {
					rw.WriteHeader(http.StatusNotModified)
					return
				}
				io.WriteString(rw, "body")
			}))
			client := w.job(t, "a", Manners{})
			w.mustGet(t, client, server)
			if got := w.mustGet(t, client, server); got != "body" || w.exchanges()[1].Code != c.want {
				t.Errorf("%s old: %q, %d", c.age, got, w.exchanges()[1].Code)
			}
		})
	}
}

// What is not to be kept, or was not read to its end, is not used again.
func TestAnswersThatAreNotKept(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		code   int
		size   int
	}{
		"no-store":      {http.Header{"Etag": {`"1"`}, "Cache-Control": {"private, No-Store"}}, 200, 1},
		"vary *":        {http.Header{"Etag": {`"1"`}, "Vary": {"*"}}, 200, 1},
		"no validator":  {http.Header{}, 200, 1},
		"not a success": {http.Header{"Etag": {`"1"`}}, 203, 1},
		"too long":      {http.Header{"Etag": {`"1"`}}, 200, maxAnswer + 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var condition string
			w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				condition += r.Header.Get("If-None-Match")
				for key, values := range c.header {
					rw.Header()[key] = values
				}
				rw.WriteHeader(c.code)
				io.WriteString(rw, strings.Repeat("x", c.size))
			}))
			client := w.job(t, "a", Manners{})
			for range 2 {
				resp, err := client.Get(server)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if condition != "" {
				t.Errorf("%s: asked whether %s still holds", name, condition)
			}
		})
	}
}

// Jobs share an answer that is young enough, also one under way; another key, another job without cache_for and an answer
// that was an error are no one else's.
func TestCacheFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var asked atomic.Int64
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			if r.URL.Path == "/broken" {
				asked.Add(1)
				http.Error(rw, "broken", http.StatusInternalServerError)
				return
			}
			fmt.Fprint(rw, asked.Add(1))
		}))
		m := Manners{CacheFor: setting.Duration(30 * time.Second)}
		a, b, c := w.job(t, "a", m), w.job(t, "b", m), w.job(t, "c", Manners{})
		keyed := w.job(t, "d", m, "authorization: {credentials: 'env:PASSWORD'}")
		got := make(chan string, 3)
		for _, client := range []*http.Client{a, b, a} {
			go func() { got <- w.mustGet(t, client, server) }()
		}
		if all := <-got + <-got + <-got; all != "111" {
			t.Errorf("at once: %s", all)
		}
		for i, step := range []struct {
			client *http.Client
			after  time.Duration
			want   string
		}{{b, 27 * time.Second, "1"}, {c, 0, "2"}, {a, 0, "1"}, {keyed, 0, "3"}, {a, 2 * time.Second, "4"}, {b, 0, "4"}} {
			time.Sleep(step.after)
			if got := w.mustGet(t, step.client, server); got != step.want {
				t.Errorf("step %d: got %s, want %s", i, got, step.want)
			}
		}
		reused := 0
		for _, x := range w.exchanges() {
			if x.Unsent {
				reused++
			}
		}
		if reused != 5 {
			t.Errorf("%d answers were used again", reused)
		}
		before := asked.Load()
		for range 3 {
			go w.get(t.Context(), a, "http://a.example/broken")
		}
		time.Sleep(time.Minute)
		if n := asked.Load() - before; n != 3 {
			t.Errorf("an error was asked for %d times by three", n)
		}
	})
}

// What is kept is bounded, and what was used last stays.
func TestKeeperIsBounded(t *testing.T) {
	var k keeper
	for i := range 100 {
		k.put(digest{byte(i)}, &answer{body: make([]byte, 1<<20)})
		if k.get(digest{0}) == nil {
			t.Fatalf("what is used all the time was left out after %d", i)
		}
	}
	if k.size > maxAnswers || len(k.byKey) != k.order.Len() || len(k.byKey) < 30 {
		t.Errorf("%d bytes, %d answers", k.size, len(k.byKey))
	}
}

func TestQuota(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name, value, reset string
		left               int64
		in                 time.Duration
		ok                 bool
	}{
		{"X-RateLimit-Remaining", "42", "1800000030", 42, 30 * time.Second, true},
		{"X-RateLimit-Remaining", "42", "1800000030500", 42, 30500 * time.Millisecond, true},
		{"X-RateLimit-Remaining", "0", "1700000000", 0, 0, true},
		{"X-RateLimit-Remaining", "0", "12.5", 0, 12500 * time.Millisecond, true},
		{"X-Rate-Limit-Remaining", "0", "1e300", 0, 24 * time.Hour, true},
		{"RateLimit-Remaining", "7", "NaN", 7, 0, true},
		{"RateLimit-Remaining", "7", "-Inf", 7, 0, true},
		{"RateLimit-Remaining", "-1", "3", 0, 0, false},
		{"RateLimit-Remaining", "many", "3", 0, 0, false},
		{"RateLimit", `"default";r=50;t=30`, "", 50, 30 * time.Second, true},
		{"RateLimit", `"a";r=50;t=30, "b";r=5;t=3000`, "", 5, 3000 * time.Second, true},
		{"RateLimit", `limit=100, remaining=3, reset=9`, "", 3, 9 * time.Second, true},
		{"RateLimit", `"default";r=50`, "", 50, 0, true},
		{"RateLimit", `;;=,r=,t=9`, "", 0, 0, false},
	} {
		header := http.Header{}
		header.Set(c.name, c.value)
		header.Set(strings.Replace(c.name, "Remaining", "Reset", 1), cmp.Or(c.reset, c.value))
		got, ok := quotaOf(header, now)
		if ok != c.ok || ok && got != (Quota{c.left, c.in}) {
			t.Errorf("%s: %s, %s: got %+v, %t", c.name, c.value, c.reset, got, ok)
		}
	}
}
