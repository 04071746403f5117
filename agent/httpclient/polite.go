package httpclient

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// polite is the layer next to the network: it waits where a server or a limit asks it to, and uses answers again.
type polite struct {
	next    http.RoundTripper
	traffic *Traffic
	maxAge  time.Duration // of an answer that is used again without asking
	trust   string        // what else who asks is told apart by: client certificate and proxy
}

// polite puts the layer around a transport, where there is traffic to be polite in.
func (h *Host) polite(next http.RoundTripper, t *TLS, p *Proxy) http.RoundTripper {
	if h.Traffic == nil {
		return next
	}
	layer := &polite{next: next, traffic: h.Traffic, trust: fmt.Sprintf("%+v %+v", t, p)}
	if h.manners != nil {
		layer.maxAge = time.Duration(h.manners.CacheFor)
	}
	return layer
}

func (p *polite) CloseIdleConnections() { closeIdle(p.next) }

func (p *polite) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || req.Header.Get("Range") != "" || isDated(req) {
		return p.send(req)
	}
	key := p.key(req, func(string) bool { return true })
	release := func() {}
	if p.maxAge > 0 {
		fresh, done, err := p.traffic.kept.claim(req.Context(), key, p.maxAge)
		if err != nil {
			return nil, err
		}
		if fresh != nil {
			return fresh.replay(req, 0), nil
		}
		release = done
	}
	var old *answer
	if !isConditional(req) { // else a 304 speaks of what the job itself has
		old = p.traffic.kept.get(key)
	}
	begin := time.Now()
	resp, err := p.send(old.condition(req))
	if err != nil {
		release()
		return nil, err
	}
	if old != nil && resp.StatusCode == http.StatusNotModified {
		resp.Body.Close()
		again := old.confirmed(resp.Header, begin)
		p.traffic.kept.put(key, again)
		release()
		return again.replay(req, http.StatusNotModified), nil
	}
	p.record(resp, key, begin, release)
	return resp, nil
}

// send sends a request when it may be sent, and heeds what the server says of further ones.
func (p *polite) send(req *http.Request) (*http.Response, error) {
	who := p.key(req, NamesSecret)
	if err := p.traffic.wait(req.Context(), who, originOf(req.URL)); err != nil {
		return nil, err
	}
	resp, err := p.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if d, ok := RetryAfter(resp, now); ok && resp.StatusCode >= 400 {
		p.traffic.pause(who, d, "Retry-After of an answer "+statusText(resp.StatusCode))
	}
	if q, ok := quotaOf(resp.Header, now); ok && q.Left == 0 && q.Reset > 0 {
		p.traffic.pause(who, q.Reset, "a quota that is used up")
	}
	return resp, nil
}

// key tells requests apart by where they go and by those of their headers and parameters whose name is chosen. With
// all names it is the same for the same request alone; with those of secrets it tells apart who asks.
func (p *polite) key(req *http.Request, chosen func(string) bool) (sum digest) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%q %q", originOf(req.URL), p.trust)
	if chosen("") {
		fmt.Fprintf(hash, " %q", req.URL.RequestURI())
	}
	query := req.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if chosen(name) {
			fmt.Fprintf(hash, " %q=%q", name, query[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		if chosen(name) {
			fmt.Fprintf(hash, " %q:%q", name, stable(req.Header[name]))
		}
	}
	hash.Sum(sum[:0])
	return sum
}

const sigV4 = "AWS4-HMAC-SHA256"

// stable is a header without the signature of AWS (Signature Version 4), which is another for each request.
func stable(values []string) []string {
	if len(values) == 1 && strings.HasPrefix(values[0], sigV4) {
		key, _, _ := strings.Cut(values[0], ",")
		return []string{key}
	}
	return values
}

// isDated tells whether a request is signed with its time, so that no other one is the same.
func isDated(req *http.Request) bool {
	return strings.HasPrefix(req.Header.Get("Authorization"), sigV4)
}
