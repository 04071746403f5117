// Package sinktest is the suite that every sink passes: what the agent relies on when it hands a sink a batch.
package sinktest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/collectington/collectington/sinks"
)

// Peer is a sink that nothing has been written to, and the receiver behind it. The suite starts the sink's Run.
type Peer struct {
	Sink sinks.Sink

	// Holds is what the receiver shows at the time of the last batch, when all that was written has arrived. Labels that
	// the sink adds are left out: see [FromText].
	Holds func(t *testing.T, at time.Time) Holding

	// Refuse makes the receiver answer every delivery from now on with an error that repeats all that was sent to it:
	// address, headers and credentials. nil = the sink delivers to nobody.
	Refuse func()
	// Secret is a credential that the sink has been given; it must not appear in an error or in the log. "" = none.
	Secret string
	// Logged is all that the sink has logged; see [Env].
	Logged func() string
}

// Run tests the sink that open makes, afresh for each test, with everything it needs closed by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Peer) {
	for _, c := range []struct {
		name string
		test func(*session)
	}{
		{"delivers every type", (*session).delivers},
		{"replaces the batch before", (*session).replaces},
		{"ends a job", (*session).ends},
		{"keeps jobs apart", (*session).separates},
		{"tells families with shared labels apart", (*session).sharesLabels},
		{"leaves the batch as it is", (*session).leaves},
		{"returns when it is cancelled", (*session).cancels},
		{"takes everything down", (*session).stops},
		{"keeps secrets", (*session).keepsSecrets},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			// Registered first and so run last, when the peer's own servers have closed.
			t.Cleanup(func() {
				if err := goleak.Find(before); err != nil && !t.Failed() {
					t.Errorf("goroutines are left after Run has ended: %v", err)
				}
			})
			s := &session{T: t, Peer: open(t)}
			s.start()
			c.test(s)
			s.stop()
		})
	}
}

type session struct {
	*testing.T
	Peer
	ticks int
	stop  func()
}

// patience bounds everything that the suite waits for.
const patience = 10 * time.Second

func (s *session) start() {
	s.stop = func() {}
	runner, runs := s.Sink.(sinks.Runner)
	if !runs {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				s.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			s.Errorf("Run goes on %s after its context has ended", patience)
		}
	}
	s.Cleanup(func() { s.stop() })
}
