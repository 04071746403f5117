package targets

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
)

// Server is a server of a target, and the client of the requests to it.
type Server struct {
	Client *httpclient.Client
	URL    *url.URL
}

// leaveTimeout is the maximum time for ending the session at a server.
const leaveTimeout = 5 * time.Second

var errLeave = errors.New("no answer within " + leaveTimeout.String())

// Leave ends the sessions at the servers that are in "gone" but not in "stay". All clients have the same settings. It returns at once and
// works in the background, since a server that is no longer a target often does not answer. It logs errors.
func Leave(log *slog.Logger, gone, stay []Server) {
	if len(gone) == 0 {
		return
	}
	known := map[string]bool{}
	for _, s := range stay {
		known[s.Client.Server(s.URL)] = true
	}
	var left []Server
	for _, s := range gone {
		if server := s.Client.Server(s.URL); !known[server] {
			known[server] = true
			left = append(left, s)
		}
	}
	go Each(MaxWorkers, len(left), func(_, i int) {
		ctx, cancel := context.WithTimeoutCause(context.Background(), leaveTimeout, errLeave)
		defer cancel()
		if err := left[i].Client.Leave(ctx, left[i].URL); err != nil {
			log.Warn("logout failed: the session stays open until it expires", "error", err)
		}
	})
}
