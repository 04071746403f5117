package infer_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/infer"
)

// TestScheduleKeepsTheRateLimit checks a job on the proposed schedule. In no time window does it make more requests than the headers of
// an answer allow.
func TestScheduleKeepsTheRateLimit(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		header   http.Header
		limit    float64
		window   time.Duration
		slowest  time.Duration // a longer interval than this is not needed
		requests int
	}{
		{http.Header{"X-Ratelimit-Limit": {"60"}}, 60, time.Hour, 4 * time.Minute, 1},
		{http.Header{"X-Ratelimit-Limit": {"60"}}, 60, time.Hour, 16 * time.Minute, 3},
		{http.Header{"X-Ratelimit-Limit": {"5000"}, "X-Ratelimit-Reset": {"1772369100"}}, 5000, time.Hour, time.Minute, 20},
		{http.Header{"X-Ratelimit-Limit": {"100"}, "X-Ratelimit-Reset": {"1772452800"}}, 100, 24 * time.Hour, 32 * time.Minute, 1},
		{http.Header{"X-Ratelimit-Limit-Minute": {"10"}, "X-Ratelimit-Limit-Day": {"48"}}, 48, 24 * time.Hour, 64 * time.Minute, 1},
		{http.Header{"Ratelimit-Limit": {"10, 10;w=1, 50;w=3600"}}, 50, time.Hour, 4 * time.Minute, 1},
		{http.Header{"Ratelimit-Policy": {`"default";q=24;w=86400`}}, 24, 24 * time.Hour, 128 * time.Minute, 1},
		{http.Header{"Ratelimit-Limit": {"2000"}, "Ratelimit-Reset": {"17"}}, 2000, time.Minute, time.Minute, 2},
	} {
		l := infer.LimitsOf(test.header, test.requests, now)
		if made := math.Ceil(float64(test.window)/float64(l.Every)) * float64(test.requests); made > test.limit || l.Every > test.slowest {
			t.Errorf("%v, %d requests: every %v makes %v requests in %v", test.header, test.requests, l.Every, made, test.window)
		}
	}
	if l := infer.LimitsOf(http.Header{}, 1, now); l.Every != time.Minute {
		t.Errorf("without a limit: %v", l.Every)
	}
}
