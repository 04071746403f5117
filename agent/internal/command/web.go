package command

import (
	"context"
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/statuspage"
	"github.com/collectington/collectington/agent/webserver"
	"github.com/collectington/collectington/sinks"
)

// webMaxClients is the maximum number of concurrent connections to the listener of the setting web.
const webMaxClients = 200

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

// loginStates returns the states of the logins, by name, without the logins that have no state.
func (b *assembly) loginStates() map[string]httpclient.LoginState {
	states := map[string]httpclient.LoginState{}
	for name, p := range *b.current.Load() {
		if stated, ok := p.(interface{ State() httpclient.LoginState }); ok {
			states[name] = stated.State()
		}
	}
	return states
}

// serveWeb serves the status page on its own listener (web.listen), if the settings have one. The result "stop" is a function that closes
// the listener.
func (s *service) serveWeb(ctx context.Context, w config.Web, page *statuspage.Page) (stop func(), err error) {
	if w.Listen == "" {
		return func() {}, nil
	}
	w.WebConfigFile = webserver.File(s.vault.Dir, w.WebConfigFile)
	server := &webserver.Server{
		Listen: w.Listen, WebConfigFile: w.WebConfigFile, Path: "/", Started: "serving the status page", MaxClients: webMaxClients, Log: s.log,
	}
	reach := func() sinks.Reach { return sinks.ReachOf(server.Bound(), w.WebConfigFile) }
	server.Handler = page.Handler(reach)
	if err := server.Open(ctx); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if reach() == sinks.Anyone {
		s.log.Warn("the status page is open to the network and shows only names, states and times; set basic_auth_users in web.web_config_file to see all",
			"listen", w.Listen)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // the page is served until the last delivery has ended
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Run(life); err != nil {
			s.log.Error("the status page is not served any more", "error", err)
		}
	}()
	return func() { end(); <-ended }, nil
}
