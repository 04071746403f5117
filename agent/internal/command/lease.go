package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/collectington/collectington/agent/clock"
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

// tenure holds what a service needs to begin and end a term of its lease.
type tenure struct {
	plan  *config.Plan // the plan that was last loaded
	built run.Plan     // plan after it was built
	used  bool         // the jobs of the plan in the field built have run
	term  *lease.Term  // nil = this process does not hold the lease

	disk  chan struct{}    // has an element while a goroutine uses the state file: a disk can hang for longer than a term lasts
	again <-chan time.Time // when to look again whether the state file can be used; nil = this process competes for the lease
	fault clock.Continuing // why the lease was given back
	trial *state.Write     // the last record that was written to see whether the state file can be used; nil = none
}

// lost returns a channel that is closed when the current term ends. It returns nil if there is no current term.
func (t *tenure) lost() <-chan struct{} {
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

// compete starts to compete for the lease, if there is one. The result "release" is a function that gives the lease up. Do not call it
// before the jobs have stopped.
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
	s.tenure.built = built
	if s.lease == nil {
		return built
	}
	if s.tenure.term != nil {
		s.tenure.used = true
		built.Held = s.tenure.term
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

// Times of the state file at the beginning of a term.
const (
	termWait   = 15 * time.Second // after that, the lease is given back
	termPause  = time.Second      // between two attempts to read it
	termRetry  = time.Minute      // after that, this process looks whether the file can be used again
	termAnswer = time.Second      // when the time for an operation is over, the disk has this long to respond
)

// begin prepares a term: the jobs are built again, and the state file is read again. If the state file cannot be used, begin gives the
// lease back. It returns an error if the jobs cannot be built.
func (s *service) begin(ctx context.Context, b *assembly, t *lease.Term) error {
	if s.tenure.used {
		err := s.traffic.Reload(func() (err error) {
			s.tenure.built, err = b.build(s.tenure.plan)
			return err
		})
		if err != nil {
			return &handOverError{fmt.Errorf("this process holds the lease, but its jobs cannot run: %w", err)}
		}
		s.tenure.used = false
	}
	limit, end := context.WithTimeout(t.Context(), termWait)
	defer end()
	defer context.AfterFunc(ctx, end)()
	plan := s.tenure.plan
	err := s.onDisk(limit, func() error { return s.prepare(limit, b.state, plan, t) })
	switch {
	case err == nil:
		s.tenure.term = t
	case ctx.Err() == nil && t.Valid():
		s.giveBack(t, err)
	}
	return nil
}

// onDisk calls the function "do" in another goroutine, since the disk can hang. It returns an error if "do" does not return soon after
// ctx has ended.
func (s *service) onDisk(ctx context.Context, do func() error) error {
	select {
	case s.tenure.disk <- struct{}{}:
	case <-ctx.Done():
		return errDiskHangs
	}
	done := make(chan error, 1)
	go func() {
		err := do()
		<-s.tenure.disk
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(termAnswer):
		return errDiskHangs
	}
}

var (
	errDiskHangs = errors.New("the disk of the state file does not answer")
	errTermOver  = errors.New("the term has ended")
)

// prepare reads the state file for a term, and records the term in it. The jobs continue from the totals in the file if they have also
// used this file in the previous term. This is so if all processes share the file, or if this process held the lease in that term.
// Otherwise the totals are old. If the jobs continued from old totals, receivers would see the totals decrease, and count them twice. So
// the jobs then start from zero. The function returns an error if the file does not become usable before ctx ends. Nothing is written
// after the end of the term.
func (s *service) prepare(ctx context.Context, file *state.File, plan *config.Plan, t *lease.Term) error {
	var had, others []string
	when := state.Condition{May: t.Begin, TakeBack: t.TakeBack}
	for file != nil {
		err := run.AwaitTerm(file, s.lease.Server.Name) // only then it is known what t follows
		if err == nil {
			err = file.Reread()
		}
		var last string
		if err == nil {
			last, err = run.LoadTerm(file, s.lease.Server.Name)
		}
		others = run.OtherLeases(file, s.lease.Server.Name, plan.Shard)
		if err == nil && last != t.Follows() {
			had, err = run.Outdate(file, when, plan.Shard)
		}
		if err == nil {
			err = awaitRecord(ctx, file, run.StoreTerm(file, when, s.lease.Server.Name, t.Number, plan.Shard))
		}
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(termPause):
		}
	}
	if !t.Begin() {
		return errTermOver
	}
	if file != nil {
		run.ForgetServers(file, when)
	}
	if len(others) > 0 {
		s.log.Error("jobs of another lease use this state file too, so that totals can start from zero: give each lease its own state_file, unless the other one is not used any more",
			"lease", s.lease.Server.Name, "others", named(others))
	}
	if len(had) > 0 {
		s.log.Warn("another process has run the jobs since this state file was written: totals start from zero; they continue if all processes have one state file",
			"jobs", named(had))
	}
	return nil
}

// awaitRecord waits until a record is on disk. It returns an error if ctx ends first.
func awaitRecord(ctx context.Context, file *state.File, w *state.Write) error {
	select {
	case <-w.Done():
		return nil
	case <-ctx.Done():
		return errors.New(cmp.Or(file.Status().Error, errDiskHangs.Error()))
	}
}

// giveBack gives the lease back because the state file cannot be used, so that another process can run the jobs.
func (s *service) giveBack(t *lease.Term, why error) {
	s.lease.GiveBack(t, why.Error())
	s.unusable(why)
}

// unusable is called when the state file cannot be used. It logs this, and sets when to look again.
func (s *service) unusable(why error) {
	s.tenure.again = time.After(termRetry)
	if since, now := s.tenure.fault.Failed(why.Error()); now {
		s.log.Error("the jobs cannot run in this process, since it cannot read and write its state file: the lease is left to other processes until it can",
			append([]any{"lease", s.lease.Server.Name, "error", why}, since...)...)
	}
}

// lookAgain lets this process compete for the lease again, if it can read and write the state file.
func (s *service) lookAgain(ctx context.Context, file *state.File) {
	limit, end := context.WithTimeout(ctx, termWait)
	defer end()
	err := s.onDisk(limit, func() error {
		if err := file.Reread(); err != nil {
			return err
		}
		if s.tenure.trial == nil {
			s.tenure.trial = run.StoreTrial(file)
		}
		err := awaitRecord(limit, file, s.tenure.trial)
		if err == nil {
			s.tenure.trial = nil
		}
		return err
	})
	switch {
	case ctx.Err() != nil:
		return // the process stops
	case err != nil:
		s.unusable(err)
		return
	}
	s.tenure.again = nil
	s.tenure.fault.Ended()
	s.log.Info("the state file can be read and written again: this process competes for the lease again", "lease", s.lease.Server.Name)
	s.lease.Resume()
}
