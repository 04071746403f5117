package infer

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/pattern"
)

// Limits is how often an API may be requested, according to the headers of an answer.
type Limits struct {
	Every time.Duration // interval of the requests
	Why   string
}

// quota is a rate limit: a number of requests in a time window.
type quota struct {
	requests float64
	window   time.Duration
}

// maxEvery is the longest interval that is proposed because of a rate limit.
const maxEvery = 24 * time.Hour

// LimitsOf computes limits from the rate limits and the cache lifetime in the headers of an answer. The argument "requests" is the number
// of requests that one run makes. The runs use at most half of each rate limit, because the job may not be its only user.
func LimitsOf(header http.Header, requests int, now time.Time) Limits {
	l := Limits{Every: time.Minute, Why: "the answer names no rate limit"}
	for _, q := range quotas(header, now) {
		every := time.Minute
		for q.used(every, requests) > q.requests/2 && every < maxEvery {
			every *= 2
		}
		every = min(every, maxEvery)
		if every > l.Every || !strings.Contains(l.Why, "rate limit is") {
			l.Every, l.Why = every, fmt.Sprintf("the answer's rate limit is %d requests", int(q.requests))
		}
		if float64(requests) > q.requests {
			l.Why += fmt.Sprintf(", and one run makes %d", requests)
		}
	}
	for part := range strings.SplitSeq(header.Get("Cache-Control"), ",") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(part), "max-age="); ok {
			if n, err := strconv.Atoi(text); err == nil && n > 60 && n <= 86400 && time.Duration(n)*time.Second > l.Every {
				l.Every, l.Why = time.Duration(n)*time.Second, "the answer may be cached so long"
			}
		}
	}
	return l
}

// used returns the largest number of requests that fall into one window of the quota. One run starts in each interval "every", and makes
// the given number of requests.
func (q quota) used(every time.Duration, requests int) float64 {
	return math.Ceil(float64(q.window)/float64(every)) * float64(max(requests, 1))
}

// windowOf matches the window in a header such as RateLimit-Policy: 100;w=60.
var windowOf = pattern.OnUse(`(?:^|[;, ])(?:q=|"[^"]*";q=)?([0-9]+);\s*w=([0-9]+)`)

// quotas returns the rate limits that the headers name.
func quotas(header http.Header, now time.Time) (all []quota) {
	for name, window := range map[string]time.Duration{
		"X-RateLimit-Limit-Second": time.Second, "X-RateLimit-Limit-Minute": time.Minute, "X-RateLimit-Limit-Hour": time.Hour, "X-RateLimit-Limit-Day": 24 * time.Hour, "X-RateLimit-Limit-Month": 30 * 24 * time.Hour,
	} {
		if limit := number(header, name); limit > 0 {
			all = append(all, quota{limit, window})
		}
	}
	for _, name := range []string{"RateLimit-Policy", "RateLimit-Limit", "X-RateLimit-Limit"} {
		for _, found := range windowOf().FindAllStringSubmatch(header.Get(name), -1) {
			limit, err1 := strconv.ParseFloat(found[1], 64)
			seconds, err2 := strconv.ParseFloat(found[2], 64)
			if err1 == nil && err2 == nil && limit > 0 && seconds > 0 && seconds < 1e7 {
				all = append(all, quota{limit, time.Duration(seconds) * time.Second})
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	limit := number(header, "X-RateLimit-Limit", "RateLimit-Limit", "X-Rate-Limit-Limit", "X-RateLimit-Requests-Limit")
	if limit == 0 {
		return nil
	}
	window := time.Hour
	reset := number(header, "X-RateLimit-Reset", "RateLimit-Reset", "X-Rate-Limit-Reset")
	switch {
	case reset > 1e12:
		window = max(time.UnixMilli(int64(reset)).Sub(now), time.Minute)
	case reset > 1e9:
		window = max(time.Unix(int64(reset), 0).Sub(now), time.Minute)
	case reset > 0:
		window = max(time.Duration(reset)*time.Second, time.Minute)
	}
	if window > time.Minute && window < time.Hour {
		window = time.Hour // the header gives only the remaining time of the window
	}
	return []quota{{limit, min(window, 31*24*time.Hour)}}
}

func number(header http.Header, names ...string) float64 {
	for _, name := range names {
		text, _, _ := strings.Cut(header.Get(name), ",")
		text, _, _ = strings.Cut(text, ";")
		if n, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && n > 0 {
			return n
		}
	}
	return 0
}
