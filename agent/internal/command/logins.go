package command

import (
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
)

// logins are all that there were, by name and configuration: a reload that changes nothing of a login keeps its token, and one
// that is taken back finds it again.
type logins map[string]httpclient.Provider

// of is a plan's logins by name.
func (l logins) of(plan *config.Plan) map[string]httpclient.Provider {
	providers := make(map[string]httpclient.Provider, len(plan.Auth))
	for _, a := range plan.Auth {
		key := a.Name + " " + a.Key
		if l[key] == nil {
			l[key] = a.Settings.Provider()
		}
		providers[a.Name] = l[key]
	}
	return providers
}
