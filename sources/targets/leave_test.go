package targets

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
)

// sessions is a provider with a session at each server. It notes the servers whose sessions were ended.
type sessions struct {
	mu   sync.Mutex
	left []string
}

func (s *sessions) Authenticator(*httpclient.Host) (httpclient.Authenticator, error) { return s, nil }

func (s *sessions) State() httpclient.LoginState { return httpclient.LoginState{} }

func (s *sessions) Sign(*http.Request) (string, bool, error) { return "", false, nil }
func (s *sessions) Forget(context.Context, string) error     { return nil }
func (s *sessions) CloseIdleConnections()                    {}

func (s *sessions) Leave(_ context.Context, u *url.URL) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = append(s.left, u.String())
	return nil
}

// TestLeave checks the session at the server of a target that is gone. If another target has the same server, the session stays, even if
// the addresses are written differently. Otherwise, the session is ended once.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sessions{}
		host := &httpclient.Host{Secrets: new(setting.SecretStore), Providers: map[string]httpclient.Provider{"cloud": s}}
		open := func(h *httpclient.Host) *httpclient.Client {
			client, err := h.Client(&httpclient.Settings{Auth: "cloud"})
			if err != nil {
				t.Fatal(err)
			}
			return client
		}
		client := open(host)
		servers := func(urls ...string) (all []Server) {
			for _, text := range urls {
				u, err := url.Parse(text)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, Server{client, u})
			}
			return all
		}
		socket := func() Server {
			return Server{open(host.OverSocket("/run/a.sock")), &url.URL{Scheme: "http", Host: "a.sock"}}
		}
		stay := append(servers("http://a:80/x", "https://B.example", "http://[::1]:80", "http://c:8080", "https://d"), socket())
		gone := append(servers("http://a", "HTTP://A/y", "https://b.example:443", "http://[::1]/", "http://c", "http://c:80", "https://d:80"), socket())
		Leave(slog.New(slog.DiscardHandler), gone, stay)
		synctest.Wait()
		slices.Sort(s.left)
		if want := []string{"http://c", "https://d:80"}; !slices.Equal(s.left, want) {
			t.Errorf("left %q, want %q", s.left, want)
		}
	})
}
