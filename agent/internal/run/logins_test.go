package run

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/agent/internal/auth"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/setting"
)

// tokenServer issues access tokens that are valid for a minute, and accepts each refresh token only once. If a refresh token is sent
// again, all tokens become invalid, as on real servers (RFC 9700 section 4.14.2). A response takes a second. Its API at /data accepts
// only the last access token, or any token if the field "any" is set.
type tokenServer struct {
	*memnet.Network
	dir string

	mu      sync.Mutex
	spent   map[string]bool
	issued  int
	refused []string
	any     bool
}

func newTokenServer(t *testing.T) *tokenServer {
	s := &tokenServer{Network: memnet.NewNetwork(), dir: t.TempDir(), spent: map[string]bool{}, any: true}
	mux := http.NewServeMux()
	mux.HandleFunc("/token", s.token)
	mux.HandleFunc("/data", s.data)
	s.Serve(t, "api.example:80", mux)
	return s
}

func (s *tokenServer) token(w http.ResponseWriter, r *http.Request) {
	token := r.PostFormValue("refresh_token")
	s.mu.Lock()
	if s.spent[token] || len(s.refused) > 0 {
		s.refused = append(s.refused, token)
	}
	s.spent[token] = true
	s.issued++
	n, bad := s.issued, len(s.refused) > 0
	s.mu.Unlock()
	time.Sleep(time.Second)
	w.Header().Set("Content-Type", "application/json")
	if bad {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error": "invalid_grant"}`)
		return
	}
	fmt.Fprintf(w, `{"access_token": "access-%d", "token_type": "bearer", "refresh_token": "refresh-%d", "expires_in": 60}`, n, n)
}

func (s *tokenServer) data(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := r.Header.Get("Authorization"); !s.any && got != fmt.Sprintf("Bearer access-%d", s.issued) {
		http.Error(w, "no such token", http.StatusUnauthorized)
	}
}

func (s *tokenServer) logins() (n int, refused []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issued, slices.Clone(s.refused)
}

// process returns a client of a new process. If stateFile is true, all processes share a state file. Otherwise they share a token file.
func (s *tokenServer) process(t *testing.T, stateFile bool) *httpclient.Client {
	t.Helper()
	file, more := (*state.File)(nil), ", token_file: kept"
	if stateFile {
		more = ""
		var problems []error
		var err error
		file, problems, err = state.Open(t.Context(), filepath.Join(s.dir, "state"), state.Options{Shared: true, Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
		if err != nil || len(problems) > 0 {
			t.Fatal(err, problems)
		}
		t.Cleanup(file.Close)
	}
	var set auth.Settings
	if err := yaml.Load([]byte(`oauth2: {client_id: cton, refresh_token: "env:SEED", token_url: "http://api.example/token"`+more+`}`), &set, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	host := &httpclient.Host{
		Secrets: &setting.SecretStore{Dir: s.dir, LookupEnv: func(string) (string, bool) { return "refresh-0", true }},
		Dial:    s.Dial,
	}
	host.Providers = map[string]httpclient.Provider{"cloud": set.Provider(func(what string) httpclient.TokenMemory {
		return &LoginMemory{Login: "cloud/" + what, File: func() *state.File { return file }}
	})}
	client, err := host.Client(&httpclient.Settings{Auth: "cloud"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

func (s *tokenServer) get(ctx context.Context, client *httpclient.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.example/data", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err == nil {
		resp.Close()
	}
	return err
}

// TestProcessesDoNotSpendOneToken checks that processes that share a state file, or a token file, never send one refresh token twice, not
// even after other processes have renewed the token. With a state file the processes share the access token too.
func TestProcessesDoNotSpendOneToken(t *testing.T) {
	for _, stateFile := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newTokenServer(t)
			clients := []*httpclient.Client{s.process(t, stateFile), s.process(t, stateFile), s.process(t, stateFile)}
			const rounds = 4
			for round := range rounds {
				var all sync.WaitGroup
				for _, client := range clients[:3-round%2] { // one is behind
					all.Go(func() {
						if err := s.get(t.Context(), client); err != nil {
							t.Errorf("state file %v, round %d: %v", stateFile, round, err)
						}
					})
				}
				all.Wait()
				time.Sleep(time.Minute) // the access token expires
			}
			want := rounds
			if !stateFile {
				want = 3 + 2 + 3 + 2
			}
			if n, refused := s.logins(); n != want || len(refused) > 0 {
				t.Errorf("state file %v: %d logins, want %d; sent again: %v", stateFile, n, want, refused)
			}
		})
	}
}

// TestLockedLogin checks a run whose time ends while another process renews the token. The error names that process, and the next run
// succeeds.
func TestLockedLogin(t *testing.T) {
	for stateFile, want := range map[bool]string{true: "waited for another process that is logging in: in use by process ", false: "kept, which is in use by process "} {
		synctest.Test(t, func(t *testing.T) {
			s := newTokenServer(t)
			a, b := s.process(t, stateFile), s.process(t, stateFile)
			var all sync.WaitGroup
			all.Go(func() {
				if err := s.get(t.Context(), a); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(100 * time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if err := s.get(ctx, b); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want … %s …", err, want)
			}
			all.Wait()
			if err := s.get(t.Context(), b); err != nil {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

// TestRefusedTokenIsNotAnothers checks a process whose token is refused, after another process has stored a newer token. The first
// process uses the newer token, and does not remove it.
func TestRefusedTokenIsNotAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTokenServer(t)
		a, b := s.process(t, true), s.process(t, true)
		want := func(client *httpclient.Client, logins int) {
			t.Helper()
			err := s.get(t.Context(), client)
			if n, refused := s.logins(); err != nil || n != logins || len(refused) > 0 {
				t.Errorf("got %v after %d logins, want %d; sent again: %v", err, n, logins, refused)
			}
		}
		want(a, 1)
		want(b, 1)
		s.any, s.issued = false, 2 // the API ends the first token
		want(a, 3)
		want(b, 3)
		want(s.process(t, true), 3)
	})
}

// TestTokensOfUnusedServers checks the tokens in the state file. The tokens of servers that no process has used for 90 days are removed.
// Those in use stay, however old they are. The token of a login with one server stays too.
func TestTokensOfUnusedServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state")
		process := func(servers ...string) (had []string) {
			file, problems, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
			if err != nil || len(problems) > 0 {
				t.Fatal(problems, err)
			}
			defer file.Close()
			ForgetServers(file, state.Condition{})
			all := &LoginMemory{Login: "plug/token", Settings: "x", File: func() *state.File { return file }}
			for _, server := range servers {
				at := all.At(server)
				if len(at.Load()) > 0 {
					had = append(had, server)
				} else if kept, err := at.Store([]byte("token")); !kept || err != nil {
					t.Error(kept, err)
				}
			}
			return had
		}
		a, b := "http://a:80", "unix:///run/b.sock"
		process(a, b)
		file, _, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		one := &LoginMemory{Login: "cloud/token", Settings: "x", File: func() *state.File { return file }}
		if kept, err := one.Store([]byte("refresh")); !kept || err != nil {
			t.Error(kept, err)
		}
		file.Close()
		for range 4 {
			time.Sleep(31 * 24 * time.Hour)
			if had := process(a); !slices.Equal(had, []string{a}) {
				t.Errorf("a process has the tokens of %q, want that of %s", had, a)
			}
		}
		sections, _, err := state.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for name, section := range sections {
			if folded, err := FoldSaved(name, section.Records); folded != nil && err == nil {
				left = append(left, strings.TrimPrefix(name, loginPrefix))
			}
		}
		slices.Sort(left)
		if want := []string{"cloud/token", "plug/token/" + a}; !slices.Equal(left, want) {
			t.Errorf("the state file keeps %q, want %q", left, want)
		}
		if had := process(a, b); !slices.Equal(had, []string{a}) {
			t.Errorf("a process has the tokens of %q, want that of %s", had, a)
		}
	})
}

// loginOnce is a login whose token never expires. It counts its logins.
type loginOnce struct{ logins int }

func (l *loginOnce) Key() (string, error) { return "secret", nil }

func (l *loginOnce) Token(context.Context) (httpclient.Token, error) {
	l.logins++
	return httpclient.Token{Value: "token"}, nil
}

// TestTokenOfLongProcess checks a process that uses the token of a server for longer than tokens are kept without use. The next process still has
// the token.
func TestTokenOfLongProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, source := filepath.Join(t.TempDir(), "state"), &loginOnce{}
		for range 2 { // the first process logs in, the second has the token from the file
			file, cache := openWithToken(t, path, state.Condition{})
			for range 100 {
				if _, _, err := cache.Get(t.Context(), source); err != nil {
					t.Fatal(err)
				}
				time.Sleep(24 * time.Hour)
			}
			file.Close()
		}
		file, cache := openWithToken(t, path, state.Condition{})
		defer file.Close()
		if _, _, err := cache.Get(t.Context(), source); err != nil || source.logins != 1 {
			t.Errorf("%d logins, %v; want 1", source.logins, err)
		}
	})
}

// TestForgetServersOnlyInTerm checks that a process whose term has ended removes no tokens.
func TestForgetServersOnlyInTerm(t *testing.T) {
	for _, may := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			path, source := filepath.Join(t.TempDir(), "state"), &loginOnce{}
			want := 2
			for range 2 {
				file, cache := openWithToken(t, path, state.Condition{May: func() bool { return may }})
				if _, _, err := cache.Get(t.Context(), source); err != nil {
					t.Fatal(err)
				}
				file.Close()
				time.Sleep(serverKept + time.Hour)
			}
			if !may {
				want = 1
			}
			if source.logins != want {
				t.Errorf("may write: %t: %d logins, want %d", may, source.logins, want)
			}
		})
	}
}

// openWithToken opens a state file, removes tokens that are not used any more if the condition holds, and returns a cache for the token of a server.
func openWithToken(t *testing.T, path string, when state.Condition) (*state.File, *httpclient.TokenCache) {
	t.Helper()
	file, problems, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	ForgetServers(file, when)
	cache := httpclient.NewTokenCache()
	cache.Keep((&LoginMemory{Login: "plug/token", Settings: "x", File: func() *state.File { return file }}).At("http://a:80"))
	return file, cache
}

// TestTokensOfServers checks that each server of a login has a record of its own in the state file, and that a new process reads these
// records. When the file is folded, the record of a server that was forgotten is gone.
func TestTokensOfServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	open := func() (*state.File, *LoginMemory) {
		file, problems, err := state.Open(t.Context(), path, state.Options{Fold: FoldSaved, Log: slog.New(slog.DiscardHandler)})
		if err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		return file, &LoginMemory{Login: "plug/token", Settings: "x", File: func() *state.File { return file }}
	}
	file, all := open()
	for _, server := range []string{"http://a:80", "http://b:80"} {
		if at := all.At(server); at.Load() != nil {
			t.Errorf("%s has %s", server, at.Load())
		} else if kept, err := at.Store([]byte("token of " + server)); !kept || err != nil {
			t.Error(kept, err)
		}
	}
	file.Close()
	file, all = open()
	a, b := all.At("http://a:80"), all.At("http://b:80")
	if got := fmt.Sprintf("%s, %s", a.Load(), b.Load()); got != "token of http://a:80, token of http://b:80" {
		t.Errorf("a new process has %s", got)
	}
	if _, err := a.Store(nil); err != nil {
		t.Error(err)
	}
	if at := all.At("http://a:80"); a.Load() != nil || at.Load() != nil {
		t.Errorf("after it was forgotten: %q, and %q when it comes back", a.Load(), at.Load())
	}
	if other := (&LoginMemory{Login: "plug/token", Settings: "y", File: all.File}).At("http://b:80"); other.Load() != nil {
		t.Errorf("with other settings: %s", other.Load())
	}
	file.Close()
	sections, _, err := state.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	record := sections[loginPrefix+"plug/token/http://a:80"].Records
	if folded, err := FoldSaved(loginPrefix+"plug/token/http://a:80", record); folded != nil || err != nil {
		t.Errorf("folded to %q, %v", folded, err)
	}
	if folded, err := FoldSaved(loginPrefix+"plug/token/http://b:80", sections[loginPrefix+"plug/token/http://b:80"].Records); !strings.HasSuffix(string(folded), "token of http://b:80") || err != nil {
		t.Errorf("folded to %q, %v", folded, err)
	}
}
