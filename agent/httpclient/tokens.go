package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Token is what a login has given.
type Token struct {
	Value   string
	Expires time.Time // zero = not before it is refused
}

// Asker asks for tokens. Its methods are called one at a time.
type Asker interface {
	// Key is the same as long as the secrets are that a token is asked for with.
	Key() (string, error)
	// Ask asks for a token. An error that asking again soon will not mend is marked by [Refused].
	Ask(ctx context.Context) (Token, error)
}

// Refused marks the error of a login that was refused, or that was no use, so that it is not tried again soon: a server may
// lock out who tries too often.
func Refused(err error) error { return &refused{err} }

type refused struct{ error }

func (r *refused) Unwrap() error { return r.error }

// How long to wait after a login that came to nothing. Each one more in a row doubles it.
const (
	refusedPause, maxRefusedPause = time.Minute, 30 * time.Minute
	brokenPause, maxBrokenPause   = 5 * time.Second, time.Minute // no answer, or a server that is down
)

// proven is how long a token has to be taken until its login counts as a success.
const proven = time.Minute

// Tokens keeps one token for all who share it, until it runs out, is refused, or the secrets change that it was got with.
// One at a time asks for it, under the context of the request that needs it, so that a hanging server cannot outlast a tick;
// the others wait for the same one.
type Tokens struct {
	busy chan struct{}

	token  Token
	key    string // the secrets that were tried last
	got    time.Time
	failed int       // logins in a row that came to nothing
	again  time.Time // not before this
	why    error     // of the last failure
}

// NewTokens is a keeper without a token.
func NewTokens() *Tokens { return &Tokens{busy: make(chan struct{}, 1)} }

func (t *Tokens) lock(ctx context.Context) error {
	select {
	case t.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *Tokens) unlock() { <-t.busy }

// Get is the token. It is old where somebody has had it before.
func (t *Tokens) Get(ctx context.Context, a Asker) (token Token, old bool, err error) {
	if err := t.lock(ctx); err != nil {
		return Token{}, false, err
	}
	defer t.unlock()
	key, err := a.Key()
	if err != nil {
		return Token{}, false, err
	}
	now := time.Now()
	if key != t.key { // what is known is known of other secrets
		t.key, t.token, t.failed, t.again = key, Token{}, 0, time.Time{}
	}
	if t.token.Value != "" {
		if now.Sub(t.got) >= proven || !t.holds(now) {
			t.failed = 0
		}
		if t.holds(now) {
			return t.token, true, nil
		}
	}
	if now.Before(t.again) {
		return Token{}, false, t.why
	}
	t.token, err = a.Ask(ctx)
	t.got = time.Now()
	if err == nil && t.token.Value != "" && !t.token.Expires.IsZero() && !t.token.Expires.After(t.got) {
		err = Refused(fmt.Errorf("gave a token that ran out at %s: is a clock wrong?", t.token.Expires.UTC().Format(time.RFC3339)))
	}
	if err != nil {
		t.token = Token{}
		if errors.Is(err, context.Canceled) { // which is no word about the login
			return Token{}, false, err
		}
		return Token{}, false, t.fail(err, t.got)
	}
	return t.token, false, nil
}

// holds tells whether the token can be used. It is renewed ten seconds before it runs out, or for the last tenth of its life.
func (t *Tokens) holds(now time.Time) bool {
	e := t.token.Expires
	return e.IsZero() || now.Before(e.Add(-min(10*time.Second, e.Sub(t.got)/10)))
}

// fail puts the next login off, and is the error until then: always the same, so that it is logged once.
func (t *Tokens) fail(why error, now time.Time) error {
	pause, longest := brokenPause, maxBrokenPause
	if _, ok := errors.AsType[*refused](why); ok {
		pause, longest = refusedPause, maxRefusedPause
	}
	t.again = now.Add(min(pause<<min(t.failed, 10), longest))
	t.why = fmt.Errorf("%w (asked again at %s, or when a secret has changed)", why, t.again.UTC().Format(time.RFC3339))
	t.failed++
	return t.why
}

var errFruitless = errors.New("the server refuses every token that the login gives")

// Forget drops a token that the server has refused. A login whose tokens are refused as soon as they come is put off as one
// that fails, from the second in a row.
func (t *Tokens) Forget(ctx context.Context, value string) error {
	if err := t.lock(ctx); err != nil {
		return err
	}
	defer t.unlock()
	now := time.Now()
	switch {
	case t.token.Value != value:
		return nil
	case now.Sub(t.got) >= proven:
		t.failed = 0
	case t.failed == 0:
		t.failed = 1
	default:
		_ = t.fail(Refused(errFruitless), now) // which the next one is told
	}
	t.token = Token{}
	return nil
}

// TokenLogin is a login by a token.
type TokenLogin struct {
	Host   *Host // that asks
	Tokens *Tokens
	Asker
	Place  func(req *http.Request, token string) // puts the token on a request
	Client *http.Client                          // of the Asker
}

// Sign implements Login.
func (l *TokenLogin) Sign(req *http.Request) (string, bool, error) {
	token, old, err := l.Tokens.Get(req.Context(), l.Asker)
	if err != nil {
		return "", false, err
	}
	l.Host.Secrets.Remember(token.Value) // again, since what is not used is forgotten in the end
	l.Place(req, token.Value)
	return token.Value, old, nil
}

// Forget implements Login.
func (l *TokenLogin) Forget(ctx context.Context, mark string) error {
	return l.Tokens.Forget(ctx, mark)
}

// CloseIdleConnections implements Login.
func (l *TokenLogin) CloseIdleConnections() { l.Client.CloseIdleConnections() }
