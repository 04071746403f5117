package httpclient

import (
	"cmp"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0": 0, "30": 30 * time.Second, " 30 ": 30 * time.Second, "86400": 24 * time.Hour, "86401": 24 * time.Hour,
		"99999999999999999999999":        24 * time.Hour,
		"Sun, 01 Mar 2026 12:00:30 GMT":  30 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT":  0,
		"Mon, 01 Mar 2027 12:00:00 GMT":  24 * time.Hour,
		"Sunday, 01-Mar-26 12:01:00 GMT": time.Minute,
		"":                               -1, "-1": -1, "+5": -1, "1.5": -1, "soon": -1, "30s": -1, "2026-03-01T12:00:30Z": -1,
	} {
		got, ok := retryAfter(http.Header{"Retry-After": {text}}, now)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, ok, want)
		}
	}
	if _, ok := retryAfter(nil, now); ok {
		t.Error("a response without the header gives a pause")
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"30", "Sun, 01 Mar 2026 12:00:30 GMT", "-1", "1e9", "Sun, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"} {
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, text string, now int64) {
		got, ok := retryAfter(http.Header{"Retry-After": {text}}, time.Unix(now, 0))
		if got < 0 || got > 24*time.Hour || !ok && got != 0 {
			t.Errorf("%q: %s, %v", text, got, ok)
		}
	})
}

func TestQuota(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name, value, reset string
		left               int64
		in                 time.Duration
		ok                 bool
	}{
		{"X-RateLimit-Remaining", "42", "1800000030", 42, 30 * time.Second, true},
		{"X-RateLimit-Remaining", "42", "1800000030500", 42, 30500 * time.Millisecond, true},
		{"X-RateLimit-Remaining", "0", "1700000000", 0, 0, true},
		{"X-RateLimit-Remaining", "0", "12.5", 0, 12500 * time.Millisecond, true},
		{"X-Rate-Limit-Remaining", "0", "1e300", 0, 24 * time.Hour, true},
		{"RateLimit-Remaining", "7", "NaN", 7, 0, true},
		{"RateLimit-Remaining", "7", "-Inf", 7, 0, true},
		{"RateLimit-Remaining", "-1", "3", 0, 0, false},
		{"RateLimit-Remaining", "many", "3", 0, 0, false},
		{"RateLimit", `"default";r=50;t=30`, "", 50, 30 * time.Second, true},
		{"RateLimit", `"a";r=50;t=30, "b";r=5;t=3000`, "", 5, 3000 * time.Second, true},
		{"RateLimit", `limit=100, remaining=3, reset=9`, "", 3, 9 * time.Second, true},
		{"RateLimit", `"default";r=50`, "", 50, 0, true},
		{"RateLimit", `;;=,r=,t=9`, "", 0, 0, false},
	} {
		header := http.Header{}
		header.Set(c.name, c.value)
		header.Set(strings.Replace(c.name, "Remaining", "Reset", 1), cmp.Or(c.reset, c.value))
		got, ok := quotaOf(header, now)
		if ok != c.ok || ok && got != (Quota{c.left, c.in}) {
			t.Errorf("%s: %s, %s: got %+v, %t", c.name, c.value, c.reset, got, ok)
		}
	}
}
