package command

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/lease"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/state"
)

// leaseFlag is the flag --lease, with which one of several processes runs the jobs.
type leaseFlag struct {
	Lease string `env:"CTON_LEASE" help:"Run the jobs only while this process holds the Lease of Kubernetes with this name, in the namespace of the pod. Other processes with the same lease stand by." placeholder:"NAME"`
}

// lease returns the lease, nil without the flag.
func (f leaseFlag) lease(a *App) (*lease.Lease, error) {
	if f.Lease == "" {
		return nil, nil
	}
	host := &httpclient.Host{Secrets: a.vault, UserAgent: "cton/" + a.Version, Dial: a.Dial}
	server, err := lease.InCluster(f.Lease, cmp.Or(a.ServiceAccount, lease.ServiceAccount), host)
	if err != nil {
		return nil, fmt.Errorf("--lease: %w", err)
	}
	return lease.New(lease.Options{Server: server, Host: cmp.Or(a.Host, hostName()), Log: a.log, Clock: a.clock, Abort: a.abort}), nil
}

// abort ends the process at once.
func (a *App) abort() {
	if a.Abort != nil {
		a.Abort()
		return
	}
	os.Exit(exitConfig)
}

// turn is what a service keeps to begin and end a term of its lease.
type turn struct {
	plan  *config.Plan // the plan that was last loaded
	built run.Plan     // plan after it was built
	used  bool         // the jobs of built have run
	term  *lease.Term  // nil = this process does not hold the lease
}

// lost returns a channel that is closed when the current term ends, nil if there is none.
func (t *turn) lost() <-chan struct{} {
	if t.term == nil {
		return nil
	}
	return t.term.Context().Done()
}

// handOverError means that the jobs cannot run in this process, so that another process should get the lease.
type handOverError struct{ error }

// terms returns the terms of the lease, nil without a lease.
func (s *service) terms() <-chan *lease.Term {
	if s.lease == nil {
		return nil
	}
	return s.lease.Terms()
}

// compete starts to compete for the lease, if there is one. The function release gives the lease up. It must not be called before the jobs
// have stopped.
func (s *service) compete(agent *run.Agent) (release func()) {
	if s.lease == nil {
		return func() {}
	}
	s.lease.Working = agent.Working
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.lease.Run(ctx)
	}()
	return func() { cancel(); <-ended }
}

// arrange returns the part of a plan that the agent should run. While this process does not hold the lease, this is everything except the
// jobs. The sinks do run, since they may have samples in a queue, and since they deliver the agent's own metrics.
func (s *service) arrange(built run.Plan) run.Plan {
	s.turn.built = built
	if s.lease == nil {
		return built
	}
	if s.turn.term != nil {
		s.turn.used = true
		built.Held = s.turn.term
		return built
	}
	for _, sink := range built.Sinks {
		if slices.ContainsFunc(built.Jobs, func(j run.Job) bool { return !j.GoesTo(sink.Name) }) {
			built.Own.Partial = append(slices.Clip(built.Own.Partial), sink.Name)
		}
	}
	built.Jobs = nil
	return built
}

// begin prepares a term: the jobs are built again, and the state file is read again. It returns an error if the jobs cannot be built.
func (s *service) begin(ctx context.Context, b *assembly, t *lease.Term) error {
	if s.turn.used {
		err := s.traffic.Reload(func() (err error) {
			s.turn.built, err = b.build(s.turn.plan)
			return err
		})
		if err != nil {
			return &handOverError{fmt.Errorf("this process holds the lease, but its jobs cannot run: %w", err)}
		}
		s.turn.used = false
	}
	if b.state == nil || s.continues(ctx, b.state, t) {
		s.turn.term = t
	}
	return nil
}

// stateRereadPause is the pause between two attempts to read the state file at the beginning of a term.
const stateRereadPause = time.Second

// continues decides whether the jobs continue from the totals in the state file. They continue if the jobs have also used this file in the
// previous term. This is so if all processes share the file, or if this process held the lease in that term. Otherwise the totals are old:
// receivers would see the totals decrease, and count them twice. So the jobs start from zero. The result is false if the term ends first.
func (s *service) continues(ctx context.Context, file *state.File, t *lease.Term) bool {
	name := s.lease.Server.Name
	var had []string
	for logged := false; ; logged = true {
		err := file.Reread()
		var last string
		if err == nil {
			last, err = run.LoadTerm(file, name)
		}
		if err == nil && last != t.Follows {
			had, err = run.Outdate(file, namesOfJobs(s.turn.plan))
		}
		if err == nil {
			break
		}
		if !logged {
			s.log.Error("jobs wait until the state file can be read", "error", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-t.Context().Done():
			return false
		case <-time.After(stateRereadPause):
		}
	}
	written := run.StoreTerm(file, name, t.Number)
	if len(had) == 0 {
		return true
	}
	s.log.Warn("another process has run the jobs since this state file was written: totals start from zero; they continue if all processes have one state file",
		"jobs", named(had))
	select {
	case <-ctx.Done():
		return false
	case <-t.Context().Done():
		return false
	case <-written.Done():
		return true
	}
}
