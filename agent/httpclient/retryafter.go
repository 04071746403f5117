package httpclient

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds how long a server can ask for a pause.
const maxRetryAfter = 24 * time.Hour

// RetryAfter is the pause that the response asks for (RFC 9110 section 10.2.3), in seconds or by a date, from 0 to 24 h.
// It is false where the header is missing or cannot be read.
func RetryAfter(resp *http.Response, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true // too many digits are too many seconds
		}
		return time.Duration(seconds) * time.Second, true
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return min(max(date.Sub(now), 0), maxRetryAfter), true
}
