package httpclient

import (
	"bytes"
	"container/list"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits of the cache, in bytes as received: for a compressed response, the compressed size.
const (
	maxCachedResponse = 8 << 20
	maxCacheSize      = 32 << 20
)

// cacheTransport answers GET requests from the cache where a job allows that, and revalidates cached responses by conditional
// requests (RFC 9110 section 13.1).
type cacheTransport struct {
	next   http.RoundTripper
	cache  *responseCache
	maxAge time.Duration // a younger response is used without a request; 0 = always send a request
	keys   requestKeys
}

func (c *cacheTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || hasBody(req) || req.Header.Get("Range") != "" || signedOnce(req) {
		return c.next.RoundTrip(req)
	}
	key := c.keys.request(req)
	release := func() {}
	if c.maxAge > 0 {
		fresh, done, err := c.cache.claim(req.Context(), key, c.maxAge)
		if err != nil {
			return nil, err
		}
		if fresh != nil {
			return fresh.response(req, 0), nil
		}
		release = done
	}
	var old *cachedResponse
	if !isConditional(req) { // otherwise a 304 confirms the copy that the job has, not the cached response
		old = c.cache.get(key)
	}
	begin := c.cache.asleep.now()
	resp, err := c.next.RoundTrip(old.conditional(req))
	if err != nil {
		release()
		return nil, err
	}
	if old != nil && resp.StatusCode == http.StatusNotModified {
		resp.Body.Close()
		updated := old.updated(resp.Header, begin, newIdentity())
		c.cache.put(key, updated)
		release()
		return updated.response(req, http.StatusNotModified), nil
	}
	c.record(resp, key, begin, release)
	return resp, nil
}

func (c *cacheTransport) CloseIdleConnections() { closeIdle(c.next) }

// record stores a response in the cache if the response can be used later. It does so when the body of the response has been read to the
// end.
func (c *cacheTransport) record(resp *http.Response, key digest, begin moment, release func()) {
	_, validator := validatorOf(resp.Header)
	noStore := strings.Contains(strings.ToLower(resp.Header.Get("Cache-Control")), "no-store")
	useful := c.maxAge > 0 || validator != "" && !noStore && resp.Header.Get("Vary") != "*"
	if resp.StatusCode != http.StatusOK || !useful || resp.ContentLength > maxCachedResponse {
		release()
		return
	}
	header := resp.Header.Clone() // as received: exchangeTransport changes the header when it decompresses gzip
	id := newIdentity()
	resp.Body = &recordedBody{ReadCloser: resp.Body, id: id, release: release, keep: func(body []byte) {
		c.cache.put(key, &cachedResponse{begin, header, body, id})
	}}
}

// recordedBody collects a copy of a body while the caller reads it.
type recordedBody struct {
	io.ReadCloser
	id      uint64 // see cachedResponse
	keep    func(body []byte)
	release func()
	body    []byte
	ended   bool
}

func (r *recordedBody) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if r.ended {
		return n, err
	}
	if len(r.body)+n > maxCachedResponse {
		r.end()
		return n, err
	}
	r.body = append(r.body, b[:n]...)
	switch {
	case err == io.EOF:
		r.keep(bytes.Clone(r.body)) // Clone drops the spare capacity
		r.end()
	case err != nil:
		r.end()
	}
	return n, err
}

func (r *recordedBody) end() {
	r.ended, r.body = true, nil
	r.release()
}

func (r *recordedBody) Close() error {
	if !r.ended {
		r.end()
	}
	return r.ReadCloser.Close()
}

// isConditional reports whether the caller has set a condition on the request.
func isConditional(req *http.Request) bool {
	return req.Header.Get("If-None-Match") != "" || req.Header.Get("If-Modified-Since") != ""
}

// validatorOf returns the request header by which to revalidate a response, "" if there is none. Last-Modified is used only if the
// response came at least a second after the time in Last-Modified (RFC 9110 section 8.8.2.2).
func validatorOf(header http.Header) (name, value string) {
	if tag := header.Get("ETag"); tag != "" {
		return "If-None-Match", tag
	}
	modified, err := http.ParseTime(header.Get("Last-Modified"))
	date, err2 := http.ParseTime(header.Get("Date"))
	if err != nil || err2 != nil || date.Sub(modified) < time.Second {
		return "", ""
	}
	return "If-Modified-Since", header.Get("Last-Modified")
}

// cachedResponse is a response of status 200. It is immutable.
type cachedResponse struct {
	at     moment // when the request was sent
	header http.Header
	body   []byte // as received
	id     uint64 // identifies the response; after a 304 the response is another one
}

// newIdentity returns the identity of a response that has come from a server. It is random, so that responses of different servers and
// processes have different identities, and never 0.
func newIdentity() uint64 { return rand.Uint64() | 1 }

// cacheOverhead is about the number of bytes that a cached response takes in addition to its body.
const cacheOverhead = 1 << 10

func (c *cachedResponse) size() int { return len(c.body) + cacheOverhead }

// conditional returns a copy of req that the server answers by 304 if the cached response is still current. It returns req
// itself if c is nil or has no validator.
func (c *cachedResponse) conditional(req *http.Request) *http.Request {
	if c == nil {
		return req
	}
	name, value := validatorOf(c.header)
	if value == "" {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Set(name, value)
	return req
}

// updated returns the response with the headers of a 304 (RFC 9111 section 3.2). id is the identity of the 304.
func (c *cachedResponse) updated(header http.Header, at moment, id uint64) *cachedResponse {
	updated := &cachedResponse{at: at, header: c.header.Clone(), body: c.body, id: id}
	for name, values := range header {
		if !strings.HasPrefix(name, "Content-") {
			updated.header[name] = values
		}
	}
	return updated
}

// response returns the cached response as the response to req. The argument code is the status with which the server confirmed the cached
// response (304); 0 = no request was sent.
func (c *cachedResponse) response(req *http.Request, code int) *http.Response {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.header.Clone(), Body: &cachedBody{bytes.NewReader(c.body), code, c}, ContentLength: int64(len(c.body)), Request: req,
	}
}

// cachedBody is the body of a cached response.
type cachedBody struct {
	*bytes.Reader
	code int // see cachedResponse.response
	of   *cachedResponse
}

func (*cachedBody) Close() error { return nil }

// responseCache keeps the most recently used responses, and knows which requests are being sent. The zero value is an empty
// cache.
type responseCache struct {
	asleep   sleepMeter
	mu       sync.Mutex
	byKey    map[digest]*list.Element
	order    list.List                // of *cacheEntry, the most recently used first
	size     int                      // sum of the sizes of all responses
	underWay map[digest]chan struct{} // by key; the channel is closed when the request ends
}

type cacheEntry struct {
	key      digest
	response *cachedResponse
}

// get returns a cached response, nil if there is none.
func (c *responseCache) get(key digest) *cachedResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.find(key)
}

func (c *responseCache) find(key digest) *cachedResponse {
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cacheEntry).response
}

// put caches a response and removes the least recently used responses until the cache is at most maxCacheSize large.
func (c *responseCache) put(key digest, r *cachedResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(c.byKey[key])
	if r.size() > maxCachedResponse {
		return
	}
	if c.byKey == nil {
		c.byKey = map[digest]*list.Element{}
	}
	c.byKey[key] = c.order.PushFront(&cacheEntry{key, r})
	for c.size += r.size(); c.size > maxCacheSize; {
		c.remove(c.order.Back())
	}
}

func (c *responseCache) remove(e *list.Element) {
	if e == nil {
		return
	}
	old := c.order.Remove(e).(*cacheEntry)
	delete(c.byKey, old.key)
	c.size -= old.response.size()
}

// claim returns a cached response that is younger than maxAge. If there is none, the caller has to send the request and then call release.
// Other callers with the same key wait until release is called.
func (c *responseCache) claim(ctx context.Context, key digest, maxAge time.Duration) (fresh *cachedResponse, release func(), err error) {
	for waited := false; ; waited = true {
		c.mu.Lock()
		r, other := c.find(key), c.underWay[key]
		switch {
		case r != nil && c.asleep.now().since(r.at) < maxAge:
			c.mu.Unlock()
			return r, nil, nil
		case other == nil:
			release := c.begin(key)
			c.mu.Unlock()
			return nil, release, nil
		case waited: // the response could not be cached, so each caller sends its own request
			c.mu.Unlock()
			return nil, func() {}, nil
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

func (c *responseCache) begin(key digest) (release func()) {
	if c.underWay == nil {
		c.underWay = map[digest]chan struct{}{}
	}
	over := make(chan struct{})
	c.underWay[key] = over
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.underWay, key)
		close(over)
	})
}
