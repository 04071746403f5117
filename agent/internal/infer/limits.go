package infer

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits is how often an API may be requested, according to the headers of an answer.
type Limits struct {
	Every time.Duration // interval of the requests
	Why   string
}

// LimitsOf computes limits from the rate limit and the cache lifetime in the headers of an answer. requests is the number of
// pages that one run requests.
func LimitsOf(header http.Header, requests int, now time.Time) Limits {
	l := Limits{Every: time.Minute, Why: "the answer names no rate limit"}
	limit := number(header, "X-RateLimit-Limit", "RateLimit-Limit", "X-Rate-Limit-Limit", "X-RateLimit-Limit-Minute")
	if limit > 0 {
		window := time.Hour
		reset := number(header, "X-RateLimit-Reset", "RateLimit-Reset", "X-Rate-Limit-Reset")
		switch {
		case header.Get("X-RateLimit-Limit-Minute") != "":
			window = time.Minute
		case reset > 1e9:
			window = max(time.Unix(int64(reset), 0).Sub(now), time.Minute)
		case reset > 0:
			window = max(time.Duration(reset)*time.Second, time.Minute)
		}
		if window > time.Minute && window < time.Hour {
			window = time.Hour // the header gives only the remaining time of the window
		}
		l.Why = fmt.Sprintf("the answer's rate limit is %d requests", int(limit))
		for float64(window/l.Every)*float64(max(requests, 1)) > limit/2 && l.Every < 24*time.Hour {
			l.Every *= 2
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
