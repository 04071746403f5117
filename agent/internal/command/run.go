package command

import (
	"context"
	"errors"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/selfmetrics"
)

type runCmd struct {
	Service string `short:"s" help:"Run this job alone." placeholder:"JOB"`
}

// Run runs the plan until the context ends, and reads the configuration again whenever it is asked to.
func (c *runCmd) Run(ctx context.Context, a *App, g *globals) error {
	plan, err := a.load(g, c.Service)
	if err != nil {
		return err
	}
	return a.runPlan(ctx, plan, func() (*config.Plan, error) { return a.load(g, c.Service) })
}

func (a *App) runPlan(ctx context.Context, plan *config.Plan, again func() (*config.Plan, error)) error {
	b := &assembly{App: a, drain: run.Drain, unready: a.logUnready}
	built, err := b.build(plan)
	if err != nil {
		return err
	}
	file, err := a.openState(ctx, plan)
	if err != nil {
		return err
	}
	if file != nil {
		defer file.Close()
	}
	agent := run.New(run.Options{Log: a.log, Self: selfmetrics.New(a.Version).Readings, State: file})
	plans := make(chan run.Plan)
	done, stop := context.WithCancel(ctx)
	defer stop()
	go a.reloads(done, agent, plans, func() (run.Plan, error) {
		next, err := again()
		if err != nil {
			return run.Plan{}, err
		}
		if next.StateFile != plan.StateFile {
			a.log.Warn("another state_file is used after a restart alone", "state_file", plan.StateFile)
		}
		var built run.Plan
		err = a.traffic.Reload(func() (err error) {
			built, err = b.build(next)
			return err
		})
		return built, err
	})
	a.log.Info("started", "version", a.Version, "jobs", len(built.Jobs), "sinks", len(built.Sinks))
	err = agent.Run(ctx, built, plans)
	a.log.Info("stopped")
	return err
}

// reloads makes a new plan for each signal. One that is wrong is logged and changes nothing.
func (a *App) reloads(ctx context.Context, agent *run.Agent, plans chan<- run.Plan, make func() (run.Plan, error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.Reload:
		}
		plan, err := make()
		if err != nil {
			agent.ReloadFailed()
			a.logProblems("reload: the configuration is wrong, the one at work goes on", err)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case plans <- plan:
			a.log.Info("reloaded", "jobs", len(plan.Jobs), "sinks", len(plan.Sinks))
		}
	}
}

// logProblems logs what is wrong with a configuration, a line for each problem.
func (a *App) logProblems(what string, err error) {
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		a.log.Error(what, "error", err)
	}
	for _, p := range problems {
		a.log.Error(what, "problem", p.Brief())
	}
}
