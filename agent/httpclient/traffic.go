package httpclient

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Traffic is what all jobs of a process know together of the servers that they ask: who was told to wait, how many requests
// were sent, and answers that can be used again. The zero value is ready.
type Traffic struct {
	mu     sync.Mutex
	pauses map[digest]pause
	limits map[string]*limit // by origin
	made   map[string]bool   // jobs made since Renew began
	kept   keeper
}

// digest stands for what holds secrets.
type digest [sha256.Size]byte

// pause is what a server has asked for.
type pause struct {
	until time.Time
	why   string
}

// maxHold is how long a request waits for a pause to end. Where it lasts longer the request fails at once, and the job's
// next tick tries again.
const maxHold = 10 * time.Second

// WaitError is why a request was not sent.
type WaitError struct {
	Until time.Time
	Why   string
}

func (e *WaitError) Error() string {
	return fmt.Sprintf("asked to wait until %s, by %s: not asked before", e.Until.UTC().Format(time.RFC3339), e.Why)
}

// wait returns when the request may be sent, or tells why it may not within the context's time.
func (t *Traffic) wait(ctx context.Context, who digest, origin string) error {
	for {
		t.mu.Lock()
		now := time.Now()
		if p := t.pauses[who]; p.until.After(now) {
			t.mu.Unlock()
			if p.until.Sub(now) > maxHold || !inTime(ctx, p.until) {
				return &WaitError{p.until, p.why}
			}
			if err := sleep(ctx, p.until.Sub(now)); err != nil {
				return err
			}
			continue
		}
		slot, reserved := t.limits[origin].slot(now, func(at time.Time) bool { return inTime(ctx, at) })
		t.mu.Unlock()
		if !reserved {
			return &WaitError{slot, "rate_limit"}
		}
		return sleep(ctx, slot.Sub(now))
	}
}

// inTime tells whether a time comes before the context ends.
func inTime(ctx context.Context, at time.Time) bool {
	end, bounded := ctx.Deadline()
	return !bounded || at.Before(end)
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

// pause keeps who asks from asking for a while.
func (t *Traffic) pause(who digest, d time.Duration, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.pauses == nil {
		t.pauses = map[digest]pause{}
	}
	for other, p := range t.pauses {
		if !p.until.After(now) {
			delete(t.pauses, other)
		}
	}
	if until := now.Add(d); until.After(t.pauses[who].until) {
		t.pauses[who] = pause{until, why}
	}
}

// limit sets a job's limit for an origin; nil takes it away.
func (t *Traffic) limit(job, origin string, r *RateLimit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made != nil {
		t.made[job] = true
	}
	for _, l := range t.limits {
		delete(l.by, job) // it may have asked another server before
	}
	if r == nil {
		return
	}
	if t.limits == nil {
		t.limits = map[string]*limit{}
	}
	if t.limits[origin] == nil {
		t.limits[origin] = &limit{by: map[string]RateLimit{}}
	}
	t.limits[origin].by[job] = *r
}

// Renew has build set the limits of all jobs anew: those of jobs that it does not make go, and where it fails all are as
// they were.
func (t *Traffic) Renew(build func() error) error {
	t.mu.Lock()
	before := map[string]map[string]RateLimit{}
	for origin, l := range t.limits {
		before[origin] = maps.Clone(l.by)
	}
	t.made = map[string]bool{}
	t.mu.Unlock()
	err := build()
	t.mu.Lock()
	defer t.mu.Unlock()
	for origin, l := range t.limits {
		if err != nil {
			l.by = before[origin]
			if l.by == nil {
				l.by = map[string]RateLimit{}
			}
		}
		maps.DeleteFunc(l.by, func(job string, _ RateLimit) bool { return err == nil && !t.made[job] })
	}
	return err
}

// limit is the limits of one origin, and when requests were sent.
type limit struct {
	by   map[string]RateLimit // by job
	sent []time.Time          // in their order, as many as the largest limit needs
}

// slot is when the next request may be sent, and reserves it if that is soon enough. A nil limit is none.
func (l *limit) slot(now time.Time, soon func(time.Time) bool) (time.Time, bool) {
	if l == nil || len(l.by) == 0 {
		return now, true
	}
	at, most := now, 0
	if n := len(l.sent); n > 0 && l.sent[n-1].After(at) {
		at = l.sent[n-1]
	}
	for _, r := range l.by {
		most = max(most, r.Requests)
		if n := len(l.sent) - r.Requests; n >= 0 {
			if free := l.sent[n].Add(time.Duration(r.Per)); free.After(at) {
				at = free
			}
		}
	}
	if !soon(at) {
		return at, false
	}
	l.sent = append(l.sent, at)
	if more := len(l.sent) - most; more > most {
		l.sent = append(l.sent[:0], l.sent[more:]...)
	}
	return at, true
}

// originOf is a URL's origin (RFC 6454 section 6.2).
func originOf(u *url.URL) string {
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port(u)
}
