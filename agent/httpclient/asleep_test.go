package httpclient

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// machine is a machine that can be suspended. The tests do not use synctest, because its times have no monotonic reading.
type machine struct{ asleep time.Duration }

func (m *machine) meter() sleepMeter { return func() time.Duration { return m.asleep } }

// tokens is a TokenSource whose tokens expire after a lifetime. It states the expiry as a lifetime, or, if ofDay is set, as a time of day.
type tokens struct {
	lifetime time.Duration
	ofDay    bool
	fails    bool
	n        int
}

func (*tokens) Key() (string, error) { return "k", nil }

func (s *tokens) Token(context.Context) (Token, error) {
	if s.n++; s.fails {
		return Token{}, Refused(errors.New("403"))
	}
	expires := time.Now().Add(s.lifetime)
	if s.ofDay {
		expires = expires.Round(0)
	}
	return Token{Value: string(rune('a' + s.n)), Expires: expires}, nil
}

// TestTokenExpiresAsleep checks that the time during which the machine is suspended is part of a token's lifetime.
func TestTokenExpiresAsleep(t *testing.T) {
	m, s, c := &machine{asleep: time.Hour}, &tokens{lifetime: time.Hour}, NewTokenCache()
	c.asleep = m.meter()
	want := func(n int) {
		t.Helper()
		if _, _, err := c.Get(t.Context(), s); err != nil || s.n != n {
			t.Errorf("%v, %d logins, want %d", err, s.n, n)
		}
	}
	want(1)
	m.asleep += 59 * time.Minute
	want(1)
	m.asleep += time.Minute
	want(2)

	// A time of day is compared with the wall clock, which includes the time of suspensions.
	s.ofDay = true
	m.asleep += time.Hour
	want(3)
	m.asleep += 2 * time.Hour
	want(3)
}

// TestLoginPauseEndsAsleep checks that the pause after a refused login goes on while the machine is suspended.
func TestLoginPauseEndsAsleep(t *testing.T) {
	m, s, c := &machine{}, &tokens{fails: true}, NewTokenCache()
	c.asleep = m.meter()
	for i, want := range []int{1, 1, 2} {
		if _, _, err := c.Get(t.Context(), s); err == nil || s.n != want {
			t.Errorf("%d: %v, %d logins, want %d", i, err, s.n, want)
		}
		m.asleep += 40 * time.Second
	}
}

// TestPauseEndsAsleep checks that a pause that a server asks for, and a rate limit, go on while the machine is suspended.
func TestPauseEndsAsleep(t *testing.T) {
	m := &machine{asleep: time.Minute}
	throttle := &throttle{asleep: m.meter()}
	throttle.pause(digest{}, time.Hour, "Retry-After")
	if _, is := errors.AsType[*WaitError](throttle.wait(t.Context(), digest{}, "a")); !is {
		t.Error("the pause does not hold")
	}
	throttle.pause(digest{}, time.Minute, "a shorter one")
	m.asleep += 59 * time.Minute
	if _, is := errors.AsType[*WaitError](throttle.wait(t.Context(), digest{}, "a")); !is {
		t.Error("the pause ended early")
	}
	m.asleep += time.Minute
	if err := throttle.wait(t.Context(), digest{}, "a"); err != nil {
		t.Error(err)
	}
	throttle.pause(digest{}, time.Minute, "a later one")
	if _, is := errors.AsType[*WaitError](throttle.wait(t.Context(), digest{}, "a")); !is {
		t.Error("the next pause does not hold")
	}

	throttle.setLimit("j", "b", &RateLimit{Requests: 1, Per: setting.Duration(time.Hour)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	other := digest{1}
	if err := throttle.wait(ctx, other, "b"); err != nil {
		t.Error(err)
	}
	err := throttle.wait(ctx, other, "b")
	if w, is := errors.AsType[*WaitError](err); !is || time.Until(w.Until).Round(time.Minute) != time.Hour {
		t.Errorf("the limit does not hold: %v", err)
	}
	m.asleep += time.Hour
	began := time.Now()
	if err := throttle.wait(ctx, other, "b"); err != nil || time.Since(began) > 30*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// TestCacheAgesAsleep checks that a response does not stay fresh while the machine is suspended.
func TestCacheAgesAsleep(t *testing.T) {
	m := &machine{}
	c := &responseCache{asleep: m.meter()}
	c.put(digest{}, &cachedResponse{at: c.asleep.now(), header: http.Header{}})
	for _, want := range []bool{true, false} {
		fresh, release, err := c.claim(t.Context(), digest{}, time.Hour)
		if err != nil || (fresh != nil) != want {
			t.Errorf("fresh: %t, want %t; %v", fresh != nil, want, err)
		}
		if release != nil {
			release()
		}
		m.asleep += time.Hour
	}
}
