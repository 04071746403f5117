package httpclient

import (
	"errors"
	"net/url"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// RequestPolicy limits how many requests a job sends. Its settings are inlined into the settings of a source.
type RequestPolicy struct {
	RateLimit *RateLimit       `yaml:"rate_limit"` // nil = only the limits that the server sets
	CacheFor  setting.Duration `yaml:"cache_for"`  // the age up to which a cached response is used without a request; 0 = never
}

// RateLimit is the number of requests that may begin within any interval of length Per. It applies to the requests of all jobs
// to an origin (RFC 6454), counted together. If jobs set several limits for an origin, all of them apply.
type RateLimit struct {
	Requests int              `yaml:"requests"`
	Per      setting.Duration `yaml:"per"`
}

// maxRequests is the largest rate_limit.requests. It limits the memory that a rate limit needs.
const maxRequests = 100_000

// Validate returns all problems, each naming its setting.
func (p *RequestPolicy) Validate() error {
	var problems []error
	if r := p.RateLimit; r != nil && (r.Requests < 1 || r.Requests > maxRequests) {
		problems = append(problems, setting.Errorf("rate_limit.requests", "want 1 to %d", maxRequests))
	}
	if r := p.RateLimit; r != nil && r.Per == 0 {
		problems = append(problems, setting.Errorf("rate_limit.per", "want a duration such as 1s or 1h"))
	}
	return errors.Join(problems...)
}

// WithPolicy returns the host for a job that sends requests to this server. Without [Host.Shared] the policy has no effect.
func (h *Host) WithPolicy(job string, server *url.URL, p *RequestPolicy) *Host {
	host := *h
	host.policy = p
	if h.Shared != nil {
		h.Shared.throttle.setLimit(job, originOf(server), p.RateLimit)
	}
	return &host
}

// AlsoAt returns the host of [Host.WithPolicy] for a further server of the same job. Each server has a separate rate limit.
func (h *Host) AlsoAt(job string, server *url.URL) *Host {
	if h.Shared != nil && h.policy != nil {
		h.Shared.throttle.addLimit(job, originOf(server), h.policy.RateLimit)
	}
	return h
}

// NoLongerAt removes the rate limit that AlsoAt has set for a server. If the job gets the server back soon, its earlier requests still
// count.
func (h *Host) NoLongerAt(job string, server *url.URL) {
	if h.Shared != nil {
		h.Shared.throttle.removeLimit(job, originOf(server))
	}
}

// originLimit holds the rate limits of one origin, and the times at which requests were sent to this origin.
type originLimit struct {
	byJob map[string]RateLimit
	sent  []time.Time // when requests were sent, ascending; as many as the largest limit needs

	longest time.Duration // the longest Per of any limit in byJob, also of those that were removed
}

func (l *originLimit) put(job string, r *RateLimit) {
	l.byJob[job] = *r
	l.longest = max(l.longest, time.Duration(r.Per))
}

// isUnused reports whether the limits can be forgotten: no job has a limit, and no removed limit would delay a request if a job got this
// limit back.
func (l *originLimit) isUnused(now time.Time) bool {
	return len(l.byJob) == 0 && (len(l.sent) == 0 || now.Sub(l.sent[len(l.sent)-1]) > l.longest)
}

// reserve returns the time at which the next request may be sent. If allowed(at) is true for this time, reserve also reserves it. A nil
// originLimit means no limit.
func (l *originLimit) reserve(now time.Time, allowed func(time.Time) bool) (at time.Time, reserved bool) {
	if l == nil || len(l.byJob) == 0 {
		return now, true
	}
	at, most := now, 0
	if n := len(l.sent); n > 0 && l.sent[n-1].After(at) {
		at = l.sent[n-1]
	}
	for _, r := range l.byJob {
		most = max(most, r.Requests)
		if n := len(l.sent) - r.Requests; n >= 0 {
			if free := l.sent[n].Add(time.Duration(r.Per)); free.After(at) {
				at = free
			}
		}
	}
	if !allowed(at) {
		return at, false
	}
	l.sent = append(l.sent, at)
	if old := len(l.sent) - most; old > most {
		l.sent = append(l.sent[:0], l.sent[old:]...)
	}
	return at, true
}
