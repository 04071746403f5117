// Package sinktest is the test suite for sinks. It tests the contract in package sinks, which the agent relies on.
//
// A sink's test calls [Run] with a function that returns the sink and a receiver. [Env] makes the sink's environment:
//
//	func TestSuite(t *testing.T) {
//		sinktest.Run(t, func(t *testing.T) sinktest.Peer {
//			env, logged := sinktest.Env(t)
//			receiver := startReceiver(t)
//			config := &Config{URL: receiver.URL}
//			sink, err := config.New(env)
//			if err != nil {
//				t.Fatal(err)
//			}
//			return sinktest.Peer{Sink: sink, Logged: logged, Holds: receiver.holds}
//		})
//	}
package sinktest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/collectington/collectington/sinks"
)

// Peer is a new sink and its receiver. If the sink is a sinks.Runner, the suite calls Run.
type Peer struct {
	Sink sinks.Sink

	// Holds waits until everything that was written has arrived. It returns what the receiver has stored at the time of the newest batch,
	// without the labels that the sink adds: see [FromText].
	Holds func(t *testing.T, at time.Time) Holding

	// Refuse makes the receiver refuse all later deliveries. Its error responses contain the address, headers and credentials of
	// the request. nil = the sink has no receiver.
	Refuse func()
	// Secret is a credential of the sink. It must not appear in an error or in the log. "" = the sink has no secret.
	Secret string
	// Logged returns what the sink has logged: see [Env].
	Logged func() string
}

// Run runs the suite. It calls the function "open" for each test. Whatever this function starts must be stopped by t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Peer) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"delivers every type", (*suite).delivers},
		{"replaces the previous batch", (*suite).replaces},
		{"ends the series of a job", (*suite).ends},
		{"keeps jobs apart", (*suite).separates},
		{"tells families with shared labels apart", (*suite).sharesLabels},
		{"does not change the batch", (*suite).leaves},
		{"returns when its context is canceled", (*suite).cancels},
		{"leaves no goroutines", (*suite).stops},
		{"does not reveal secrets", (*suite).keepsSecrets},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			// This is registered first, so that it runs after the cleanups that the function "open" registers.
			t.Cleanup(func() {
				if err := goleak.Find(before); err != nil && !t.Failed() {
					t.Errorf("goroutines are running after the end of Run: %v", err)
				}
			})
			s := &suite{T: t, Peer: open(t)}
			s.start()
			c.test(s)
			s.stop()
		})
	}
}

// suite is one test of the suite.
type suite struct {
	*testing.T
	Peer
	ticks int
	stop  func()
}

// timeout is the longest time that the suite waits for an event.
const timeout = 10 * time.Second

func (s *suite) start() {
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
		case <-time.After(timeout):
			s.Errorf("Run has not returned %s after the end of its context", timeout)
		}
	}
	s.Cleanup(func() { s.stop() })
}
