package httpclient

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Token is an access token.
type Token struct {
	Value   string
	Expires time.Time // zero = the token is used until it is refused
}

// TokenSource gets tokens. Its methods are never called concurrently.
type TokenSource interface {
	// Key identifies the secrets that a token is requested with: the key changes when a secret changes.
	Key() (string, error)
	// Token requests a token. If a new attempt is unlikely to succeed soon, the error is marked by [Refused].
	Token(ctx context.Context) (Token, error)
}

// TokenMemory stores the data of a provider across restarts. The data is secret. The methods are never called concurrently.
type TokenMemory interface {
	Load() []byte // returns what was stored last, by any process; nil = nothing is stored
	// Store stores the data. The result kept reports whether the data is on disk. If data is not kept over restarts, kept is false and err
	// is nil.
	Store(data []byte) (kept bool, err error)
	Used()        // is called at each use of the token, so that the memory keeps tokens that are in use
	Ready() error // why Store would fail; nil = it would not
	// At returns the memory for one of several servers, each of which has data of its own. The Lock of that memory locks nothing.
	At(server string) TokenMemory
	// Lock locks the memory. While another process has the lock, it waits, but not longer than until ctx ends. The result shared reports
	// whether other processes can use the memory: they may then have stored something since the last Load.
	Lock(ctx context.Context) (unlock func(), shared bool, err error)
}

// tokenLocker is an optional interface of a TokenSource. Such a TokenSource has secrets that can be used only once, and several processes
// can use these secrets. While another process uses the secrets, Lock waits, but not longer than until ctx ends.
type tokenLocker interface {
	Lock(ctx context.Context) (unlock func(), err error)
}

// Keeper is an optional interface of a Provider whose tokens can be kept across restarts.
type Keeper interface {
	Keep(memory TokenMemory) // is called before the first request
}

// LogoutProvider is an optional interface of a Provider that can end its session at the server.
type LogoutProvider interface {
	// Logout ends the session. It does nothing if there is no session, or if the token is kept for the next start.
	Logout(ctx context.Context) error
}

// Refused marks the error of a login that was refused, or whose response cannot be used. Such a login is not repeated soon,
// since servers lock out clients after too many attempts. If the status says that the server is down or busy (5xx, 429, 408),
// Refused returns the error unchanged.
func Refused(err error) error {
	if status, ok := errors.AsType[*StatusError](err); ok {
		switch code := status.Code; {
		case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
			return err
		}
	}
	return &refusedError{err}
}

type refusedError struct{ error }

func (r *refusedError) Unwrap() error { return r.error }

// How long to wait after a failed login. Each further failure in a row doubles the pause, up to the maximum.
const (
	refusedPause, maxRefusedPause = time.Minute, 30 * time.Minute
	failedPause, maxFailedPause   = 5 * time.Second, time.Minute // no response, or the server is down or busy
)

// proven is how long the server must accept a token before its login counts as a success.
const proven = time.Minute

// TokenCache keeps one token until it expires, is refused, or the secrets behind it change. All clients of a provider share the
// cache. Only one request at a time logs in, and the other requests wait for the same token. The login uses the context of that
// request, so that a hanging server cannot block for longer than a tick.
type TokenCache struct {
	busy   chan struct{}
	asleep sleepMeter

	memory TokenMemory // nil = tokens are not kept across restarts

	token  Token
	kept   bool   // the memory has it
	key    string // TokenSource.Key of the secrets that were used last
	unfit  string // the token that was refused last
	got    moment
	failed int   // failed logins in a row
	wait   pause // pause before the next login
	why    error // error of the last failed login

	state atomic.Pointer[LoginState] // the state at the last unlock
}

// LoginState is what the status page shows of a login.
type LoginState struct {
	Got     time.Time // when the token was received; zero = there is no token
	Expires time.Time // zero = the token is used until it is refused
	Error   string    // why there is no token; empty if there is a token, or none was needed yet
}

// State returns the current state. It does not wait for a request.
func (t *TokenCache) State() LoginState {
	if s := t.state.Load(); s != nil {
		return *s
	}
	return LoginState{}
}

// NewTokenCache returns an empty cache.
func NewTokenCache() *TokenCache { return &TokenCache{busy: make(chan struct{}, 1)} }

// Keep makes the cache store its token in a memory. Call it before the first Get.
func (t *TokenCache) Keep(memory TokenMemory) { t.memory = memory }

// keptToken is a token as stored in a TokenMemory.
type keptToken struct {
	Key     string    `json:"key"` // SHA-256 of TokenSource.Key
	Value   string    `json:"value"`
	Expires time.Time `json:"expires,omitzero"`
	Got     time.Time `json:"got"`
}

func hashed(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// restore takes the token that is kept, if it was requested with the same secrets and is still valid.
func (t *TokenCache) restore(now moment) {
	if t.memory == nil {
		return
	}
	var kept keptToken
	if json.Unmarshal(t.memory.Load(), &kept) != nil || kept.Key != hashed(t.key) || kept.Value == "" || kept.Value == t.unfit || kept.Got.After(now.Time) {
		return
	}
	t.token, t.got, t.kept = Token{kept.Value, kept.Expires}, moment{Time: kept.Got}, true
	if !t.valid(now) {
		t.token = Token{}
	}
}

// keep stores the token. An error is ignored: its only effect is that the next start logs in again.
func (t *TokenCache) keep() {
	if t.memory == nil {
		return
	}
	var data []byte
	if t.token.Value != "" {
		data, _ = json.Marshal(keptToken{hashed(t.key), t.token.Value, t.token.Expires, t.got.Time}) // cannot fail for these types
	}
	t.kept, _ = t.memory.Store(data)
}

// Take removes the token and returns it, so that the caller can end its session at the server. It returns false if there is no
// valid token, or if the token is kept for the next start.
func (t *TokenCache) Take(ctx context.Context) (token Token, ok bool) {
	if t.lock(ctx) != nil {
		return Token{}, false
	}
	defer t.unlock()
	if t.token.Value == "" || !t.valid(t.asleep.now()) || t.kept {
		return Token{}, false
	}
	token, t.token = t.token, Token{}
	return token, true
}

// Leave removes the token also from the memory, and returns it so that the caller can end its session at the server. It returns false if
// there is no valid token.
func (t *TokenCache) Leave(ctx context.Context) (token Token, ok bool) {
	if t.lock(ctx) != nil {
		return Token{}, false
	}
	defer t.unlock()
	token, ok = t.token, t.token.Value != "" && t.valid(t.asleep.now())
	if t.token = (Token{}); t.kept {
		t.keep()
	}
	return token, ok
}

func (t *TokenCache) lock(ctx context.Context) error {
	select {
	case t.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *TokenCache) unlock() {
	s := LoginState{}
	switch {
	case t.token.Value != "":
		s.Got, s.Expires = t.got.Time, t.token.Expires
	case t.why != nil && t.failed > 0:
		s.Error = t.why.Error()
	}
	t.state.Store(&s)
	<-t.busy
}

// Get returns a valid token. The result "used" reports whether an earlier call returned the same token.
func (t *TokenCache) Get(ctx context.Context, source TokenSource) (token Token, used bool, err error) {
	if err := t.lock(ctx); err != nil {
		return Token{}, false, err
	}
	defer t.unlock()
	key, err := source.Key()
	if err != nil {
		return Token{}, false, err
	}
	now := t.asleep.now()
	if key != t.key {
		t.key, t.token, t.failed, t.wait = key, Token{}, 0, pause{}
		t.restore(now)
	}
	if t.token.Value != "" {
		if now.since(t.got) >= proven || !t.valid(now) {
			t.failed = 0
		}
		if t.valid(now) {
			if t.memory != nil {
				t.memory.Used()
			}
			return t.token, true, nil
		}
	}
	if t.wait.left(now) > 0 {
		return Token{}, false, t.why
	}
	unlock, err := t.alone(ctx, source)
	if err != nil {
		return Token{}, false, err
	}
	defer unlock()
	if t.token.Value != "" && t.valid(t.asleep.now()) { // another process has stored a new token meanwhile
		return t.token, true, nil
	}
	t.token, err = source.Token(ctx)
	t.got = t.asleep.now()
	if err == nil && t.token.Value != "" && !t.token.Expires.IsZero() && !t.token.Expires.After(t.got.Time) {
		err = Refused(fmt.Errorf("the token expired at %s, before it was received: check the clocks of both hosts", t.token.Expires.UTC().Format(time.RFC3339)))
	}
	if err != nil {
		t.token = Token{}
		if errors.Is(err, context.Canceled) { // the login itself has not failed
			return Token{}, false, err
		}
		return Token{}, false, t.fail(err, t.got)
	}
	t.keep()
	return t.token, false, nil
}

// alone waits while another process logs in with the same login. It then loads the token that the other process has stored.
func (t *TokenCache) alone(ctx context.Context, source TokenSource) (unlock func(), err error) {
	unlockSource, unlockMemory := func() {}, func() {}
	if l, ok := source.(tokenLocker); ok {
		if unlockSource, err = l.Lock(ctx); err != nil {
			return nil, err
		}
	}
	if t.memory != nil {
		var shared bool
		if unlockMemory, shared, err = t.memory.Lock(ctx); err != nil {
			unlockSource()
			return nil, fmt.Errorf("waited for another process that is logging in: %w", err)
		}
		if shared {
			t.restore(t.asleep.now())
		}
	}
	return func() { unlockMemory(); unlockSource() }, nil
}

// valid reports whether the token can be used. A token cannot be used any more in the last ten seconds before it expires, or in the last
// tenth of its lifetime if that is shorter: it is then renewed. The time during which the machine was suspended counts too.
func (t *TokenCache) valid(now moment) bool {
	e := t.token.Expires
	slept := now.slept(moment{Time: e, asleep: t.got.asleep})
	return e.IsZero() || now.Add(slept).Before(e.Add(-min(10*time.Second, e.Sub(t.got.Time)/10)))
}

// fail postpones the next login. It returns the error that all requests get until then. They all get the same error value, so that the
// error is logged once.
func (t *TokenCache) fail(why error, now moment) error {
	next, longest := failedPause, maxFailedPause
	if _, ok := errors.AsType[*refusedError](why); ok {
		next, longest = refusedPause, maxRefusedPause
	}
	t.wait = pause{begin: now, until: now.Add(min(next<<min(t.failed, 10), longest))}
	t.why = fmt.Errorf("%w (next attempt at %s, or when a secret changes)", why, t.wait.until.UTC().Format(time.RFC3339))
	t.failed++
	return t.why
}

var errTokensRefused = errors.New("the server refuses every new token: check the rights of the login, and where send puts the token")

// Forget drops a token that the server has refused. If the server refuses two new tokens in a row, the next login is postponed
// as after a failed login.
func (t *TokenCache) Forget(ctx context.Context, token string) error {
	if err := t.lock(ctx); err != nil {
		return err
	}
	defer t.unlock()
	now := t.asleep.now()
	switch {
	case t.token.Value != token:
		return nil
	case now.since(t.got) >= proven:
		t.failed = 0
	case t.failed == 0:
		t.failed = 1
	default:
		_ = t.fail(Refused(errTokensRefused), now) // the next Get returns the error
	}
	t.token, t.unfit = Token{}, token
	t.forgetKept(ctx, token)
	return nil
}

// forgetKept removes a token from the memory, unless another process has stored a newer one. If the memory cannot be locked, the token
// stays there, and each process that uses it gets a refusal from the server.
func (t *TokenCache) forgetKept(ctx context.Context, token string) {
	if t.memory == nil {
		return
	}
	unlock, _, err := t.memory.Lock(ctx)
	if err != nil {
		return
	}
	defer unlock()
	var kept keptToken
	if json.Unmarshal(t.memory.Load(), &kept) == nil && kept.Value != token {
		return
	}
	t.keep()
}

// TokenAuthenticator puts a token on requests.
type TokenAuthenticator struct {
	Host     *Host // the host whose requests are signed
	Cache    *TokenCache
	Source   TokenSource
	SetToken func(req *http.Request, token string)
	Client   *Client // the client with which Source requests tokens

	RefusedBy StatusCodes // statuses that mean that a token is not valid any more; nil = 401
}

// Refuses implements refuser.
func (a *TokenAuthenticator) Refuses(status int) bool {
	if len(a.RefusedBy) == 0 {
		return status == http.StatusUnauthorized
	}
	return a.RefusedBy.Has(status)
}

// Sign implements Authenticator.
func (a *TokenAuthenticator) Sign(req *http.Request) (string, bool, error) {
	token, used, err := a.Cache.Get(req.Context(), a.Source)
	if err != nil {
		return "", false, err
	}
	a.Host.Secrets.Remember(token.Value) // at each use, since the oldest secrets are forgotten
	if _, bare, typed := strings.Cut(token.Value, " "); typed {
		a.Host.Secrets.Remember(bare)
	}
	a.SetToken(req, token.Value)
	return token.Value, used, nil
}

// Forget implements Authenticator.
func (a *TokenAuthenticator) Forget(ctx context.Context, token string) error {
	return a.Cache.Forget(ctx, token)
}

// CloseIdleConnections implements Authenticator.
func (a *TokenAuthenticator) CloseIdleConnections() { a.Client.CloseIdleConnections() }
