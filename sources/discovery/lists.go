package discovery

import (
	"context"
	"time"

	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// Lists are the lists of the targets of a job: files, and a list of a server.
type Lists struct {
	files  Files
	server httpSD
}

// New returns the lists of the settings. The function "check" returns nil for a valid target, and otherwise the reason why the target is
// not valid.
func New(env sources.Env, f *FileSD, h *HTTPSD, check func(target string) error) (*Lists, error) {
	l := &Lists{files: Files{Dir: env.Dir, Patterns: f.Files, Check: check}, server: httpSD{config: h, check: check}}
	if !h.IsSet() {
		return l, nil
	}
	var err error
	l.server.client, err = env.Web.Under("http_sd").Client(&h.Settings)
	return l, setting.Under("http_sd", err)
}

// Refresh reads the lists that have changed or are due, and returns their groups. The argument "interval" is the time from one run to the
// next.
func (l *Lists) Refresh(ctx context.Context, interval time.Duration) (groups []Group, problems []error) {
	groups, problems = l.files.Refresh()
	if l.server.config.IsSet() {
		if err := l.server.refresh(ctx, interval); err != nil {
			problems = append(problems, err)
		}
		groups = append(groups, l.server.groups...)
	}
	return groups, problems
}

// Files returns the groups of the files alone. It sends no request.
func (l *Lists) Files() []Group {
	groups, _ := l.files.Refresh()
	return groups
}

// Reads returns a number that grows when the groups have perhaps changed. It is more than 0.
func (l *Lists) Reads() int { return 1 + l.files.Reads + l.server.reads }

// CloseIdleConnections closes the unused connections to the server that sends the list.
func (l *Lists) CloseIdleConnections() {
	if l.server.client != nil {
		l.server.client.CloseIdleConnections()
	}
}
