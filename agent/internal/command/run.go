package command

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/lease"
	"github.com/collectington/collectington/agent/internal/notify"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/statuspage"
)

type runCmd struct {
	shardFlag
	leaseFlag
	Service string `short:"s" help:"Run only this job." placeholder:"JOB"`
}

// Run runs the jobs until the context ends, and reloads the configuration on request.
func (c *runCmd) Run(ctx context.Context, a *App, g *globals) error {
	load := func() (*config.Plan, error) {
		plan, err := a.load(g, c.Service)
		if err != nil {
			return nil, err
		}
		if err := c.keep(plan); err != nil {
			return nil, err
		}
		return plan, needSchedules(plan)
	}
	plan, err := load()
	if err != nil {
		return err
	}
	s := &service{App: a, paths: g.Config, load: load, asked: make(chan struct{}, 1)}
	if s.lease, err = c.lease(a); err != nil {
		return err
	}
	return s.run(ctx, plan)
}

// needSchedules returns an error if a job has no schedule.
func needSchedules(plan *config.Plan) error {
	for _, j := range plan.Jobs {
		if j.Unscheduled {
			return fmt.Errorf(`jobs.%s has no schedule, so that cton run cannot run it: write schedule: "@every 60s", or cron text such as "*/5 * * * *"; cton once runs it without one`, j.Name)
		}
	}
	return nil
}

// service runs an agent until the context ends.
type service struct {
	*App
	paths []string                     // paths of the configuration
	load  func() (*config.Plan, error) // reads the configuration again
	asked chan struct{}                // has an element if a reload was requested by other means than a signal

	manager *notify.Manager // the service manager that started the process; nil if there is none
	lease   *lease.Lease    // the jobs run only while this process holds it; nil = they always run
	tenure  tenure          // after the start, only the goroutine that runs the method reload uses it
}

// askReload requests a reload. It does not block.
func (s *service) askReload() {
	select {
	case s.asked <- struct{}{}:
	default: // a reload is already requested
	}
}

func (s *service) run(ctx context.Context, plan *config.Plan) error {
	s.manager = notify.Connect(s.log)
	defer s.manager.Close()
	b := &assembly{App: s.App, drain: run.Drain, waits: true, unready: s.logUnready, lease: s.lease, history: statuspage.NewHistory()}
	agent, built, closeState, err := b.start(ctx, plan)
	if err != nil {
		return err
	}
	defer closeState()
	b.history.Watch(plan.Web.Watch)
	s.logShard(plan, b.state)
	b.page = s.newPage(plan, agent, b)
	stopWeb, err := s.serveWeb(ctx, plan.Web, b.page)
	if err != nil {
		return err
	}
	defer stopWeb()
	plans := make(chan run.Plan)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	s.tenure = tenure{plan: plan, disk: make(chan struct{}, 1)}
	first := s.arrange(built)
	release := s.compete(agent)
	reloads, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { b.history.Run(reloads, agent.State) })
	if plan.WatchConfig {
		background.Go(func() { s.watchFiles(reloads, plan.Origins()) })
	}
	background.Go(func() {
		if err := s.reload(reloads, agent, plans, b, plan); err != nil {
			end(err)
		}
	})
	s.log.Info("started", "version", s.Version, "jobs", len(first.Jobs), "sinks", len(first.Sinks))
	s.manager.Ready(running(first))
	background.Go(func() { s.manager.Beat(reloads, func() { agent.State() }) }) // State blocks if the agent hangs, and so stops the beat
	defer context.AfterFunc(ctx, s.manager.Stopping)()
	err = agent.Run(ctx, first, plans)
	stop()
	background.Wait() // a reload may still be running and log in
	s.logout(ctx)
	release()
	s.log.Info("stopped")
	if failed, is := context.Cause(ctx).(*handOverError); err == nil && is {
		return failed
	}
	return err
}

// reload builds a new plan and sends it to the channel "plans". It does so for each signal, for each call of askReload, and when this
// process gets or loses the lease. If the configuration is wrong, it logs the problems, and the current plan stays in use. It returns an
// error if the jobs cannot run although this process holds the lease.
func (s *service) reload(ctx context.Context, agent *run.Agent, plans chan<- run.Plan, b *assembly, first *config.Plan) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-s.terms():
			s.endTerm(ctx, plans)
			if err := s.begin(ctx, b, t); err != nil {
				return err
			}
			s.again(ctx, plans)
			continue
		case <-s.tenure.lost():
			s.endTerm(ctx, plans)
			continue
		case <-s.tenure.again:
			s.lookAgain(ctx, b.state)
			continue
		case <-s.Reload:
		case <-s.asked:
		}
		s.manager.Reloading()
		plan, err := s.rebuild(b, first)
		if err != nil {
			agent.ReloadFailed(err)
			s.logProblems("reload failed: the configuration is wrong; the previous one stays in use", err)
			s.manager.Ready("the last reload failed: the configuration is wrong; the previous one stays in use")
			continue
		}
		if plan = s.arrange(plan); send(ctx, plans, plan) {
			s.log.Info("reloaded", "jobs", len(plan.Jobs), "sinks", len(plan.Sinks))
			s.manager.Ready(running(plan))
		}
	}
}

// endTerm stops the jobs of the current term, if there is one.
func (s *service) endTerm(ctx context.Context, plans chan<- run.Plan) {
	if s.tenure.term != nil {
		s.tenure.term = nil
		s.again(ctx, plans)
	}
}

// again repeats the current plan: it sends the plan to the channel "plans" once more. If this process holds the lease now, the plan has
// its jobs; otherwise it has none.
func (s *service) again(ctx context.Context, plans chan<- run.Plan) {
	plan := s.arrange(s.tenure.built)
	plan.Again = true
	send(ctx, plans, plan)
}

// send sends a plan to the channel "plans". It returns false if ctx ends first.
func send(ctx context.Context, plans chan<- run.Plan, plan run.Plan) bool {
	select {
	case <-ctx.Done():
		return false
	case plans <- plan:
		return true
	}
}

// running returns a text for the service manager that says how many jobs and sinks a plan has.
func running(plan run.Plan) string {
	return fmt.Sprintf("running: jobs: %d, sinks: %d", len(plan.Jobs), len(plan.Sinks))
}

// rebuild reads the configuration again and builds it. first is the plan with which the process was started.
func (s *service) rebuild(b *assembly, first *config.Plan) (built run.Plan, err error) {
	plan, err := s.load()
	if err != nil {
		return run.Plan{}, err
	}
	if plan.StateFile != first.StateFile {
		s.log.Warn("a change of state_file takes effect only after a restart", "state_file", first.StateFile)
	}
	listens := func(w config.Web) config.Web { w.Watch = nil; return w }
	if !reflect.DeepEqual(listens(plan.Web), listens(first.Web)) || plan.WatchConfig != first.WatchConfig || plan.Runtime != first.Runtime {
		s.log.Warn("changes of web (except web.watch), watch_config and runtime_metrics take effect only after a restart")
	}
	err = s.traffic.Reload(func() (err error) {
		built, err = b.build(plan)
		return err
	})
	if err == nil {
		s.tenure.plan, s.tenure.used = plan, false
		b.history.Watch(plan.Web.Watch)
	}
	return built, err
}

// logProblems logs the problems of a configuration, one line each.
func (s *service) logProblems(message string, err error) {
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		s.log.Error(message, "error", err)
	}
	for _, p := range problems {
		s.log.Error(message, "problem", p.Brief())
	}
}
