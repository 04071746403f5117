package httpclient

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// SharedState is what the jobs of a process share about the servers that they send requests to: rate limits, pauses that
// servers ask for, and cached responses. The zero value is ready to use.
type SharedState struct {
	throttle throttle
	cache    responseCache
}

// Reload calls build, which makes all jobs of a new configuration. If build succeeds, Reload removes the rate limits of jobs that
// build has not made. If build fails, all rate limits are as they were before the call.
func (s *SharedState) Reload(build func() error) error { return s.throttle.reload(build) }

// withSharedState puts the layers for the cache and the rate limits above network, if the host has shared state.
func withSharedState(h *Host, network http.RoundTripper, t *TLS, p *Proxy) http.RoundTripper {
	if h.Shared == nil || h.socket != "" {
		return network
	}
	keys := requestKeys{identity: fmt.Sprintf("%+v %+v", t, p)}
	cache := &cacheTransport{
		next:  &throttledTransport{next: network, throttle: &h.Shared.throttle, keys: keys},
		cache: &h.Shared.cache, keys: keys,
	}
	if h.policy != nil {
		cache.maxAge = time.Duration(h.policy.CacheFor)
	}
	return cache
}

// digest is the SHA-256 of data that contains secrets. Maps use it as a key in place of the data.
type digest [sha256.Size]byte

// requestKeys computes keys that identify requests, and keys that identify senders. A sender is an origin together with credentials.
type requestKeys struct {
	identity string // the TLS and proxy settings, which may name a client certificate
}

// request returns a key that is equal only for equal requests of the same sender.
func (k requestKeys) request(req *http.Request) digest {
	return k.key(req, req.URL.RequestURI(), func(string) bool { return true })
}

// sender returns a key of the origin and the credentials of a request.
func (k requestKeys) sender(req *http.Request) digest { return k.key(req, "", NamesSecret) }

// key hashes the origin, the text uri, and some headers and query parameters: those for whose names the result of included is true.
func (k requestKeys) key(req *http.Request, uri string, included func(name string) bool) (sum digest) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%q %q %q %q", originOf(req.URL), req.Host, k.identity, uri)
	query := req.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if included(name) {
			fmt.Fprintf(hash, " %q=%q", name, query[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		if included(name) {
			fmt.Fprintf(hash, " %q:%q", name, withoutSignature(req.Header[name]))
		}
	}
	hash.Sum(sum[:0])
	return sum
}

const (
	sigV4Prefix  = "AWS4-HMAC-SHA256"
	digestPrefix = "Digest "
)

// withoutSignature returns a header's values without the signature of AWS (Signature Version 4) or the answer to a Digest challenge,
// which differ for each request.
func withoutSignature(values []string) []string {
	if len(values) == 1 && strings.HasPrefix(values[0], sigV4Prefix) {
		credential, _, _ := strings.Cut(values[0], ",")
		return []string{credential}
	}
	if len(values) == 1 && strings.HasPrefix(values[0], digestPrefix) {
		user, _, _ := strings.Cut(values[0], ", nonce=")
		return []string{user}
	}
	return values
}

// signedOnce reports whether a request has a signature of AWS, which includes the time, or an answer to a Digest challenge, which
// includes a counter. No two such requests are equal, so caching them is useless.
func signedOnce(req *http.Request) bool {
	credentials := req.Header.Get("Authorization")
	return strings.HasPrefix(credentials, sigV4Prefix) || strings.HasPrefix(credentials, digestPrefix)
}

// waitedKey is the context key of a pointer to a duration. throttledTransport sets that duration to the time that the request has waited.
type waitedKey struct{}

// throttledTransport delays requests until rate limits and the server's own limits allow them.
type throttledTransport struct {
	next     http.RoundTripper
	throttle *throttle
	keys     requestKeys
}

func (t *throttledTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	sender := t.keys.sender(req)
	begin := time.Now()
	err := t.throttle.wait(req.Context(), sender, originOf(req.URL))
	if waited, ok := req.Context().Value(waitedKey{}).(*time.Duration); ok {
		*waited = time.Since(begin)
	}
	if err != nil {
		return nil, err
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if d, ok := retryAfter(resp.Header, now); ok && resp.StatusCode >= 400 {
		t.throttle.pause(sender, d, "Retry-After of "+statusText(resp.StatusCode))
	}
	if q, ok := quotaOf(resp.Header, now); ok && q.Left == 0 && q.Reset > 0 {
		t.throttle.pause(sender, q.Reset, "the server's quota is used up")
	}
	return resp, nil
}

func (t *throttledTransport) CloseIdleConnections() { closeIdle(t.next) }

// throttle decides when requests may be sent. The zero value is ready to use.
type throttle struct {
	asleep sleepMeter
	mu     sync.Mutex
	pauses map[digest]pause        // by sender
	limits map[string]*originLimit // by origin
	made   map[string]bool         // names of the jobs whose policy was set since the last reload began; nil before the first reload
}

// pause is a time before which a server wants no requests.
type pause struct {
	begin moment
	until time.Time
	why   string
}

// left returns how long the pause lasts from now on; 0 or less if it is over.
func (p *pause) left(now moment) time.Duration { return p.until.Sub(now.Time) - now.slept(p.begin) }

// maxPauseWait is the longest time that a request waits for the end of a pause. If the pause is longer, the request fails at once, and
// the job's next tick tries again.
const maxPauseWait = 10 * time.Second

// WaitError reports that a request was not sent because a limit did not allow it in time.
type WaitError struct {
	Until time.Time
	Why   string
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("not sent: no requests are allowed before %s (%s)", e.Until.UTC().Format(time.RFC3339), e.Why)
}

// wait blocks until the request may be sent. If that time is too far away, or after the context's deadline, it returns a
// [WaitError] at once.
func (t *throttle) wait(ctx context.Context, sender digest, origin string) error {
	for {
		t.mu.Lock()
		now := t.asleep.now()
		p := t.pauses[sender]
		if left := p.left(now); left > 0 {
			t.mu.Unlock()
			if left > maxPauseWait || !beforeDeadline(ctx, now.Add(left)) {
				return &WaitError{p.until, p.why}
			}
			if err := sleep(ctx, left); err != nil {
				return err
			}
			continue
		}
		// The times of a limit include the time that the machine was suspended, so that a limit recovers during a suspension.
		at, reserved := t.limits[origin].reserve(now.Add(now.asleep), func(at time.Time) bool { return beforeDeadline(ctx, at.Add(-now.asleep)) })
		t.mu.Unlock()
		if at = at.Add(-now.asleep); !reserved {
			return &WaitError{at, "rate_limit"}
		}
		return sleep(ctx, at.Sub(now.Time))
	}
}

func beforeDeadline(ctx context.Context, at time.Time) bool {
	deadline, bounded := ctx.Deadline()
	return !bounded || at.Before(deadline)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pause makes the requests of a sender wait until d has passed.
func (t *throttle) pause(sender digest, d time.Duration, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.asleep.now()
	if t.pauses == nil {
		t.pauses = map[digest]pause{}
	}
	for other, p := range t.pauses {
		if p.left(now) <= 0 {
			delete(t.pauses, other)
		}
	}
	if p := t.pauses[sender]; d > p.left(now) {
		t.pauses[sender] = pause{now, now.Add(d), why}
	}
}

// setLimit removes all limits of a job. It then sets the job's limit for an origin, unless r is nil.
func (t *throttle) setLimit(job, origin string, r *RateLimit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made != nil {
		t.made[job] = true
	}
	for _, l := range t.limits {
		delete(l.byJob, job) // the job may have had another origin
	}
	t.put(job, origin, r)
}

// addLimit sets a job's limit for a further origin.
func (t *throttle) addLimit(job, origin string, r *RateLimit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(job, origin, r)
}

// removeLimit removes a job's limit for an origin.
func (t *throttle) removeLimit(job, origin string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.limits[origin]; l != nil {
		delete(l.byJob, job)
		t.forgetUnused()
	}
}

// put stores a job's limit for an origin, unless the limit is nil. The caller holds mu.
func (t *throttle) put(job, origin string, r *RateLimit) {
	if r == nil {
		return
	}
	if t.limits == nil {
		t.limits = map[string]*originLimit{}
	}
	if t.limits[origin] == nil {
		t.forgetUnused()
		t.limits[origin] = &originLimit{byJob: map[string]RateLimit{}}
	}
	t.limits[origin].put(job, r)
}

// forgetUnused removes the state of origins for which no job has a rate limit any more. It keeps an origin for as long as a job would have
// to wait if it got its limit back, as in a reload. The caller holds mu.
func (t *throttle) forgetUnused() {
	now := t.asleep.now()
	maps.DeleteFunc(t.limits, func(_ string, l *originLimit) bool { return l.isUnused(now.Add(now.asleep)) })
}

// reload implements SharedState.Reload.
func (t *throttle) reload(build func() error) error {
	t.mu.Lock()
	before := map[string]map[string]RateLimit{}
	for origin, l := range t.limits {
		before[origin] = maps.Clone(l.byJob)
	}
	t.made = map[string]bool{}
	t.mu.Unlock()
	err := build()
	t.mu.Lock()
	defer t.mu.Unlock()
	for origin, l := range t.limits {
		if err != nil {
			l.byJob = before[origin]
			if l.byJob == nil {
				l.byJob = map[string]RateLimit{}
			}
		}
		maps.DeleteFunc(l.byJob, func(job string, _ RateLimit) bool { return err == nil && !t.made[job] })
	}
	t.forgetUnused()
	return err
}
