package starlark

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestOneFails checks that an error in one function fails only its own metric.
func TestOneFails(t *testing.T) {
	got := collect(t, "metrics: {a: {type: gauge}, b: {type: gauge}, c: {type: gauge}}", `
def helper(d):
    return d["nope"]
def get_a(): return 1
def get_b():
    return helper(fetch())
def get_c(): return fetch()["total"]
`, nil)
	if want := "a 1\nb: test.star:3:13: helper: key \"nope\" not in dict\nc 7\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// TestLimits checks scripts with a function that exceeds a limit or fails in another way. The error names the position. The other metrics
// are still measured.
func TestLimits(t *testing.T) {
	for body, want := range map[string]string{
		"return len('x' * 10000000000)":                              "the string would exceed 64 MiB",
		"s = ['x' * 1000000] * 1000\n    return len(str(s))":         "str: the string would exceed 64 MiB",
		"s = ['x' * 1000000] * 1000\n    return len(json.encode(s))": "json.encode: the string would exceed 64 MiB",
		"s = 'x' * 1000000\n    return len(re.sub('x', s, s))":       "get_x: the string would exceed 64 MiB",
		"return max(range(1000000000000))":                           "range: has more than 10000000 numbers",
		"return get_x()":                                             "function get_x called recursively",
		"return 1 + 'a'":                                             "unknown binary op: int + string",
		"return {}.nope":                                             "dict has no .nope field or method",
		"return open('/etc/passwd')":                                 "undefined: open",
		"fail('a\\nb')":                                              "fail: a b",
	} {
		got := collect(t, "metrics: {x: {type: gauge}, y: {type: gauge}}", "def get_x():\n    "+body+"\ndef get_y(): return 1\n", nil)
		place := strings.HasPrefix(got, "x: test.star:") && strings.HasSuffix(got, "y 1\n") || strings.HasPrefix(got, "new: test.star:2:")
		if !place || !strings.Contains(got, want) || strings.Count(got, "\n") > 2 {
			t.Errorf("%s: got\n%swant\n%s", body, got, want)
		}
	}
}

// TestMemory checks that max_memory is the limit of a function.
func TestMemory(t *testing.T) {
	got := collect(t, "max_memory: 32MiB\nmetrics: {x: {type: gauge}}", "def get_x():\n    s = []\n    for i in range(10000000): s.append(str(i) + 'some text that is long')\n", nil)
	if !strings.Contains(got, "get_x: exceeded max_memory (32 MiB)") {
		t.Errorf("got %s", got)
	}
}

// TestTimeout checks that a tick ends with its context.
func TestTimeout(t *testing.T) {
	s, err := made(t, "metrics: {x: {type: gauge}}", "def get_x():\n    return fetch()['n']\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.(*source).env.Fetch = slow{}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("no end within the timeout of 1s"))
		defer cancel()
		_, err := s.Collect(ctx, tickAt())
		if err == nil || err.Error() != "test.star:2:17: get_x: no end within the timeout of 1s" {
			t.Errorf("got %v", err)
		}
	})
	// The timeout ends a loop as well, long before its steps are used up.
	loop, err := made(t, "metrics: {x: {type: gauge}}", "def get_x():\n    while True: pass\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("no end within the timeout of 20ms"))
	defer cancel()
	if _, err = loop.Collect(ctx, tickAt()); err == nil || !strings.HasPrefix(err.Error(), "test.star:") || !strings.HasSuffix(err.Error(), ": get_x: no end within the timeout of 20ms") {
		t.Errorf("got %v", err)
	}
}
