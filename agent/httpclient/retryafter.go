package httpclient

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter is the longest pause that a server can ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter returns the pause that a Retry-After header asks for (RFC 9110 section 10.2.3), in seconds or as a date, at most
// maxRetryAfter. It returns false if the header is missing or malformed.
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true // err means that the number of seconds does not fit into an int64
		}
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), 0), maxRetryAfter), true
}

// Quota is the number of requests that a server still accepts, and the time until it accepts more.
type Quota struct {
	Left  int64
	Reset time.Duration // 0 = not known
}

// quotaOf returns the quota in a response's headers. It reads RateLimit (draft-ietf-httpapi-ratelimit-headers-10, or -06 with
// remaining and reset). Without RateLimit it reads RateLimit-Remaining, X-RateLimit-Remaining or X-Rate-Limit-Remaining, together
// with the header that ends in Reset, in seconds or as a Unix time. If RateLimit has several quotas, it returns the one with the
// fewest requests left.
func quotaOf(header http.Header, now time.Time) (Quota, bool) {
	if q, ok := quotaOfField(header.Get("RateLimit")); ok {
		return q, true
	}
	for _, prefix := range []string{"RateLimit-", "X-RateLimit-", "X-Rate-Limit-"} {
		left, ok := count(header.Get(prefix + "Remaining"))
		if !ok {
			continue
		}
		return Quota{left, resetIn(header.Get(prefix+"Reset"), now)}, true
	}
	return Quota{}, false
}

// quotaOfField parses "default";r=50;t=30 or limit=100, remaining=50, reset=30.
func quotaOfField(field string) (least Quota, ok bool) {
	var q Quota
	hasLeft, hasReset := false, false
	for part := range strings.FieldsFuncSeq(field, func(r rune) bool { return r == ';' || r == ',' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, number := count(value)
		switch {
		case !number:
			continue
		case name == "r" || name == "remaining":
			q.Left, hasLeft = n, true
		case name == "t" || name == "reset":
			q.Reset, hasReset = seconds(float64(n)), true
		}
		if hasLeft && hasReset {
			if !ok || q.Left < least.Left || q.Left == least.Left && q.Reset > least.Reset {
				least, ok = q, true
			}
			hasLeft, hasReset = false, false
		}
	}
	if !ok && hasLeft {
		return q, true
	}
	return least, ok
}

func count(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil && n >= 0
}

// Reset headers contain a number of seconds or a Unix time. A number of at least unixSeconds is a Unix time in seconds, one of at
// least unixMillis a Unix time in milliseconds: no server asks for a pause of three years.
const (
	unixSeconds = 1e8
	unixMillis  = 1e11
)

func resetIn(text string, now time.Time) time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	switch {
	case err != nil || math.IsNaN(n) || n <= 0:
		return 0
	case n >= unixMillis:
		n = n/1000 - float64(now.UnixMilli())/1000
	case n >= unixSeconds:
		n -= float64(now.UnixMilli()) / 1000
	}
	return max(0, seconds(n))
}

// seconds returns n seconds as a duration, at most maxRetryAfter.
func seconds(n float64) time.Duration {
	return time.Duration(min(n, maxRetryAfter.Seconds()) * float64(time.Second))
}
