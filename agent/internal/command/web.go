package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/statuspage"
	"github.com/collectington/collectington/agent/webserver"
	"github.com/collectington/collectington/sinks"
)

// Limits of connections to the listener of web.
const (
	webTimeout    = 10 * time.Second // to read a request, and to write an answer that is no stream
	webProfile    = 2 * time.Minute  // to write an answer, if profiles are served
	webIdle       = 2 * time.Minute
	webMaxHeader  = 16 << 10
	webMaxClients = 200
	webMode       = 0o660 // of a unix socket
)

// newPage returns the status page of an agent.
func (s *service) newPage(plan *config.Plan, agent *run.Agent, b *assembly) *statuspage.Page {
	return statuspage.New(statuspage.Options{
		Agent: agent, History: b.history, Version: s.Version, Started: time.Now(), Scrub: s.vault.Scrub, Logins: b.loginStates, Reload: s.askReload,
		Actions: plan.Web.Actions, Profile: plan.Web.Profiling,
		Log: func(action string, args ...any) {
			s.log.Info("action by HTTP", append([]any{"action", action}, args...)...)
		},
	})
}

// loginStates returns the states of the logins that have one.
func (b *assembly) loginStates() map[string]httpclient.LoginState {
	states := map[string]httpclient.LoginState{}
	for name, p := range *b.current.Load() {
		if stated, ok := p.(interface{ State() httpclient.LoginState }); ok {
			states[name] = stated.State()
		}
	}
	return states
}

// serveWeb serves the status page on the listener of its own, if there is one. Stop closes it.
func (s *service) serveWeb(ctx context.Context, w config.Web, page *statuspage.Page) (stop func(), err error) {
	if w.Listen == "" {
		return func() {}, nil
	}
	w.WebConfigFile = webserver.File(s.vault.Dir, w.WebConfigFile)
	if err := web.Validate(w.WebConfigFile); err != nil {
		return nil, fmt.Errorf("web: read web_config_file %s: %w", w.WebConfigFile, err)
	}
	l, err := listenWeb(ctx, w.Listen)
	if err != nil {
		return nil, fmt.Errorf("web: listen on %s: %w", w.Listen, err)
	}
	reach := func() sinks.Reach { return sinks.ReachOf(l.Addr(), w.WebConfigFile) }
	if reach() == sinks.Anyone {
		s.log.Warn("the status page is open to the network and shows only names, states and times; set basic_auth_users in web.web_config_file to see all",
			"listen", w.Listen)
	}
	server := &http.Server{
		Handler: page.Handler(reach), ReadHeaderTimeout: webTimeout, ReadTimeout: webTimeout, WriteTimeout: webTimeout, IdleTimeout: webIdle,
		MaxHeaderBytes: webMaxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // port scans would fill the log
	}
	if w.Profiling {
		server.WriteTimeout = webProfile
	}
	go func() {
		err := web.Serve(newLimited(l, webMaxClients), server, &web.FlagConfig{WebConfigFile: &w.WebConfigFile}, slog.New(slog.DiscardHandler))
		if err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the status page is not served any more", "error", err)
		}
	}()
	s.log.Info("serving the status page", "listen", w.Listen)
	return func() { _ = server.Close() }, nil
}

// listenWeb listens on host:port or unix:///path. A socket that an agent has left behind is replaced.
func listenWeb(ctx context.Context, address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, "unix://")
	if !ok {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && isLeftSocket(path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = new(net.ListenConfig).Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, webMode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// isLeftSocket reports whether a path is a socket on which nobody listens.
func isLeftSocket(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// limited is a listener with a bound on its open connections. Connections beyond it are closed at once.
type limited struct {
	net.Listener
	open chan struct{} // holds a token for each
}

func newLimited(l net.Listener, most int) *limited { return &limited{l, make(chan struct{}, most)} }

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.open <- struct{}{}:
			return &counted{Conn: c, open: l.open}, nil
		default:
			c.Close()
		}
	}
}

// counted is a connection that gives its token back once.
type counted struct {
	net.Conn
	open chan struct{}
	once sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.open })
	return err
}
