package httpclient

import (
	"errors"
	"net/url"

	"github.com/collectington/collectington/agent/setting"
)

// Manners are the settings of a job that spare the server it asks.
type Manners struct {
	RateLimit *RateLimit       `yaml:"rate_limit"` // nil = none but what the server says
	CacheFor  setting.Duration `yaml:"cache_for"`  // how old an answer to the same request may be; 0 = asked for anew
}

// RateLimit is how many requests may begin within any span of this length. It holds for all jobs that ask the same
// server (RFC 6454's origin) together, and of several such limits all hold.
type RateLimit struct {
	Requests int              `yaml:"requests"`
	Per      setting.Duration `yaml:"per"`
}

// maxRequests bounds what is remembered for a limit.
const maxRequests = 100_000

// Validate names every problem by its setting.
func (m *Manners) Validate() error {
	var problems []error
	if r := m.RateLimit; r != nil && (r.Requests < 1 || r.Requests > maxRequests) {
		problems = append(problems, setting.Bad("rate_limit.requests", "want 1 to %d", maxRequests))
	}
	if r := m.RateLimit; r != nil && r.Per == 0 {
		problems = append(problems, setting.Bad("rate_limit.per", "want a span of time such as 1s or 1h"))
	}
	return errors.Join(problems...)
}

// Polite is the host for a job that asks this server with these manners. A host without [Traffic] has none.
func (h *Host) Polite(job string, server *url.URL, m *Manners) *Host {
	polite := *h
	polite.manners = m
	if h.Traffic != nil {
		h.Traffic.limit(job, originOf(server), m.RateLimit)
	}
	return &polite
}
