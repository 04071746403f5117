package httpclient

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// TestConditionalRequests checks that a 304 gives the cached response, and that any other response replaces the cached one.
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
		client, other := w.job(t, "a", RequestPolicy{}), w.job(t, "b", RequestPolicy{}, "authorization: {credentials: 'env:PASSWORD'}")
		for _, step := range []struct{ version, codes string }{{"1", "200"}, {"1", "304"}, {"2", "200"}, {"2", "304"}, {"2", "304"}} {
			version = step.version
			before := len(w.exchanges())
			if got := w.mustGet(t, client, server); got != "version "+version+" for " {
				t.Errorf("got %q", got)
			}
			x := w.exchanges()[before]
			if strconv.Itoa(x.Code) != step.codes || x.Unsent || x.Revalidated != (x.Code == 304) {
				t.Errorf("observed %+v, want %s", x, step.codes)
			}
		}
		if got := w.mustGet(t, other, server); got != "version 2 for Bearer hunter22" {
			t.Errorf("the response of another sender: %q", got)
		}
	})
}

// TestLastModified checks that Last-Modified is a validator only if the response came at least a second after the time in Last-Modified.
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
			client := w.job(t, "a", RequestPolicy{})
			w.mustGet(t, client, server)
			if got := w.mustGet(t, client, server); got != "body" || w.exchanges()[1].Code != c.want {
				t.Errorf("%s old: %q, %d", c.age, got, w.exchanges()[1].Code)
			}
		})
	}
}

// TestNotCached checks which responses are not cached.
func TestNotCached(t *testing.T) {
	for name, c := range map[string]struct {
		header http.Header
		code   int
		size   int
	}{
		"no-store":      {http.Header{"Etag": {`"1"`}, "Cache-Control": {"private, No-Store"}}, 200, 1},
		"vary *":        {http.Header{"Etag": {`"1"`}, "Vary": {"*"}}, 200, 1},
		"no validator":  {http.Header{}, 200, 1},
		"not a success": {http.Header{"Etag": {`"1"`}}, 203, 1},
		"too long":      {http.Header{"Etag": {`"1"`}}, 200, maxCachedResponse + 1},
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
			client := w.job(t, "a", RequestPolicy{})
			for range 2 {
				resp := w.open(t, client, http.MethodGet, server, nil)
				resp.ReadBody(nil, maxBody(maxCachedResponse+1))
				resp.Close()
			}
			if condition != "" {
				t.Errorf("%s: sent the condition %s", name, condition)
			}
		})
	}
}

// TestCacheFor checks that jobs share a response until it is older than cache_for. They also share a response whose request is still under
// way. They do not share it with senders that have other credentials or with jobs without cache_for. Errors are not shared.
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
		m := RequestPolicy{CacheFor: setting.Duration(30 * time.Second)}
		a, b, c := w.job(t, "a", m), w.job(t, "b", m), w.job(t, "c", RequestPolicy{})
		keyed := w.job(t, "d", m, "authorization: {credentials: 'env:PASSWORD'}")
		got := make(chan string, 3)
		for _, client := range []*Client{a, b, a} {
			go func() { got <- w.mustGet(t, client, server) }()
		}
		if all := <-got + <-got + <-got; all != "111" {
			t.Errorf("at once: %s", all)
		}
		for i, step := range []struct {
			client *Client
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
			t.Errorf("%d responses came from the cache", reused)
		}
		before := asked.Load()
		for range 3 {
			go w.get(t.Context(), a, "http://a.example/broken")
		}
		time.Sleep(time.Minute)
		if n := asked.Load() - before; n != 3 {
			t.Errorf("three jobs sent %d requests for an error", n)
		}
	})
}

// TestCacheIsBounded checks that the cache keeps the most recently used responses within its bound.
func TestCacheIsBounded(t *testing.T) {
	var k responseCache
	for i := range 100 {
		k.put(digest{byte(i)}, &cachedResponse{body: make([]byte, 1<<20)})
		if k.get(digest{0}) == nil {
			t.Fatalf("the most recently used response is gone after %d", i)
		}
	}
	if k.size > maxCacheSize || len(k.byKey) != k.order.Len() || len(k.byKey) < 30 {
		t.Errorf("%d bytes, %d responses", k.size, len(k.byKey))
	}
}

// TestIdentity checks that each response that a server sends has an identity of its own, also a 304, and that a response from the cache has the
// identity that it had when it came.
func TestIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.Serve(t, "a.example:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("ETag", `"1"`)
			if r.Header.Get("If-None-Match") != "" {
				rw.WriteHeader(http.StatusNotModified)
				return
			}
			io.WriteString(rw, "same")
		}))
		asks, reuses := w.job(t, "a", RequestPolicy{}), w.job(t, "b", RequestPolicy{CacheFor: setting.Duration(time.Minute)})
		names, got := map[uint64]string{0: "-"}, ""
		for _, client := range []*Client{asks, asks, reuses, asks, reuses, reuses} {
			resp := w.open(t, client, http.MethodGet, server, nil)
			resp.ReadBody(nil, maxBody(100))
			id := resp.Identity()
			resp.Close()
			if names[id] == "" {
				names[id] = string(rune('a' + len(names) - 1))
			}
			got += names[id]
		}
		if want := "abbccc"; got != want {
			t.Errorf("the responses have the identities %s, want %s", got, want)
		}
	})
}
