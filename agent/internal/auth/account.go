package auth

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources/targets"
)

// account is a Login at one server: its tokens, and what a logout needs.
type account struct {
	cache *httpclient.TokenCache
	at    *url.URL // URL of a request to the server; nil = the login has its own server

	mu     sync.Mutex
	host   *httpclient.Host  // host of the first authenticator
	values map[string]string // values of the steps of the last login; not nil
}

// loggedIn stores the values of the steps of a login.
func (a *account) loggedIn(values map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.values = values
}

// maxServers is the maximum number of servers that one login logs in to. It is also the maximum number of targets of a job.
const maxServers = 10_000

// loginProvider is the provider of a Login. Its authenticators share the tokens. If the URL of the login is only a path, each server has
// its own account; else there is one account, whose server is "".
type loginProvider struct {
	set    *Login
	memory httpclient.TokenMemory

	mu       sync.Mutex
	accounts map[string]*account // by server
}

func newLoginProvider(l *Login) *loginProvider {
	return &loginProvider{set: l, accounts: map[string]*account{}}
}

// Keep implements httpclient.Keeper.
func (p *loginProvider) Keep(memory httpclient.TokenMemory) { p.memory = memory }

// Authenticator implements httpclient.Provider.
func (p *loginProvider) Authenticator(h *httpclient.Host) (httpclient.Authenticator, error) {
	client, err := p.client(h)
	if err != nil {
		return nil, err
	}
	if !p.set.readsBody() || p.set.hasSteps() {
		client.ReturnRedirects() // the response to a login form is often a redirect that sets a cookie
	}
	return &loginAuthenticator{p, h, client}, nil
}

// client returns a client for the requests of the login and the logout.
func (p *loginProvider) client(h *httpclient.Host) (*httpclient.Client, error) {
	set := &httpclient.Settings{TLS: p.set.TLS, Proxy: p.set.Proxy}
	open := h.Under("login").Client
	if p.set.URL.IsPath {
		open = h.Under("login").SameServers
	}
	client, err := open(set)
	return client, setting.Under("login", err)
}

// server returns the server of the account for requests to a URL.
func (p *loginProvider) server(h *httpclient.Host, u *url.URL) string {
	if !p.set.URL.IsPath {
		return ""
	}
	return h.Server(u)
}

// account returns the account at a server. It creates the account if there is none.
func (p *loginProvider) account(h *httpclient.Host, server string, at *url.URL) (*account, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.accounts[server]; known != nil {
		return known, nil
	}
	if len(p.accounts) >= maxServers {
		return nil, fmt.Errorf("a login can have sessions at %d servers: use another login for some of the jobs, or restart if they have other targets now", maxServers)
	}
	a := &account{cache: httpclient.NewTokenCache(), host: h, values: map[string]string{}}
	memory := p.memory
	if p.set.URL.IsPath {
		a.at = &url.URL{Scheme: at.Scheme, Host: at.Host}
		if memory != nil {
			memory = memory.At(server)
		}
	}
	if memory != nil {
		a.cache.Keep(memory)
	}
	p.accounts[server] = a
	return a, nil
}

// all returns all accounts, ordered by server.
func (p *loginProvider) all() (servers []string, accounts []*account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	servers = slices.Sorted(maps.Keys(p.accounts))
	for _, server := range servers {
		accounts = append(accounts, p.accounts[server])
	}
	return servers, accounts
}

// State returns the state of the tokens. If there are several servers, the state has the newest token and the next expiry of all, or the
// first error.
func (p *loginProvider) State() httpclient.LoginState {
	servers, accounts := p.all()
	var whole httpclient.LoginState
	failed, first := 0, ""
	for i, a := range accounts {
		s := a.cache.State()
		if s.Got.After(whole.Got) {
			whole.Got = s.Got
		}
		if !s.Expires.IsZero() && (whole.Expires.IsZero() || s.Expires.Before(whole.Expires)) {
			whole.Expires = s.Expires
		}
		if s.Error == "" {
			continue
		}
		if failed++; failed == 1 {
			whole.Error, first = s.Error, servers[i]
		}
	}
	if len(servers) > 1 && failed > 0 {
		whole.Error = fmt.Sprintf("%d of %d servers, %s first: %s", failed, len(servers), first, whole.Error)
	}
	return whole
}

// Logout implements httpclient.LogoutProvider.
func (p *loginProvider) Logout(ctx context.Context) error {
	if p.set.Logout == nil {
		return nil
	}
	_, accounts := p.all()
	failed := make([]error, len(accounts))
	targets.Each(min(maxLogouts, len(accounts)), len(accounts), func(_, i int) {
		if token, ok := accounts[i].cache.Take(ctx); ok {
			failed[i] = p.logout(ctx, accounts[i], token)
		}
	})
	return targets.Summarize(slices.DeleteFunc(failed, func(err error) bool { return err == nil }))
}

// maxLogouts is the maximum number of logouts at the same time.
const maxLogouts = 32

// leave ends the session at a server and forgets the account.
func (p *loginProvider) leave(ctx context.Context, server string) error {
	p.mu.Lock()
	a := p.accounts[server]
	delete(p.accounts, server)
	p.mu.Unlock()
	if a == nil {
		return nil
	}
	token, ok := a.cache.Leave(ctx)
	if !ok || p.set.Logout == nil {
		return nil
	}
	return p.logout(ctx, a, token)
}

// loginAuthenticator signs the requests of one client with the tokens of a Login.
type loginAuthenticator struct {
	provider *loginProvider
	host     *httpclient.Host
	client   *httpclient.Client // for the requests of the login
}

// signer returns an authenticator that signs requests with the tokens of an account.
func (l *loginAuthenticator) signer(a *account) *httpclient.TokenAuthenticator {
	set := l.provider.set
	source := &loginSource{set: set, host: l.host, client: l.client, server: a.at, loggedIn: a.loggedIn}
	return &httpclient.TokenAuthenticator{
		Host: l.host, Cache: a.cache, Source: source, SetToken: source.setTokens, Client: l.client, RefusedBy: set.RefusedBy,
	}
}

// Refuses reports whether a status means that a token is not valid any more.
func (l *loginAuthenticator) Refuses(status int) bool {
	return (&httpclient.TokenAuthenticator{RefusedBy: l.provider.set.RefusedBy}).Refuses(status)
}

// Sign implements httpclient.Authenticator. The first line of the token that it returns is the server of the token.
func (l *loginAuthenticator) Sign(req *http.Request) (string, bool, error) {
	server := l.provider.server(l.host, req.URL)
	a, err := l.provider.account(l.host, server, req.URL)
	if err != nil {
		return "", false, err
	}
	token, used, err := l.signer(a).Sign(req)
	return server + "\n" + token, used, err
}

// Forget implements httpclient.Authenticator.
func (l *loginAuthenticator) Forget(ctx context.Context, token string) error {
	server, token, _ := strings.Cut(token, "\n")
	l.provider.mu.Lock()
	a := l.provider.accounts[server]
	l.provider.mu.Unlock()
	if a == nil { // another job has left the server while this request was under way: the session has ended, and a new one is needed
		return nil
	}
	return a.cache.Forget(ctx, token)
}

// Leave ends the session at the server of a URL, if the login has an account at each server.
func (l *loginAuthenticator) Leave(ctx context.Context, u *url.URL) error {
	if !l.provider.set.URL.IsPath {
		return nil
	}
	return l.provider.leave(ctx, l.provider.server(l.host, u))
}

// CloseIdleConnections implements httpclient.Authenticator.
func (l *loginAuthenticator) CloseIdleConnections() { l.client.CloseIdleConnections() }
