package httpclient

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Quota is how many requests a server says it still takes, and how long until it takes more.
type Quota struct {
	Left  int64
	Reset time.Duration // 0 = not known
}

// quotaOf reads what a response says of a quota: RateLimit (draft-ietf-httpapi-ratelimit-headers-10, and -06 with its
// remaining and reset), or the headers RateLimit-Remaining and X-RateLimit-Remaining with those that end in Reset, in
// seconds or as a Unix time. Of several quotas the one with the least left counts.
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

// quotaOfField reads "default";r=50;t=30 or limit=100, remaining=50, reset=30.
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

// Numbers from these on are Unix times, in seconds and in milliseconds: nobody is asked to wait for three years.
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

// seconds is a span of time, at most what a server can ask for.
func seconds(n float64) time.Duration {
	return time.Duration(min(n, maxRetryAfter.Seconds()) * float64(time.Second))
}
