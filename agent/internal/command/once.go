package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
)

type onceCmd struct {
	shardFlag
	Jobs     []string      `arg:"" optional:"" name:"job" help:"The jobs to run; default all."`
	Deadline time.Duration `default:"60s" help:"How long delivery may take, including retries and writing the state file."`
}

// errNoDeadline is the error of a deadline that leaves no time.
var errNoDeadline = errors.New("--deadline: want more than 0s")

// Run runs each job once and delivers.
func (c *onceCmd) Run(ctx context.Context, a *App, g *globals) error {
	if c.Deadline <= 0 {
		return errNoDeadline
	}
	plan, err := a.load(g, "")
	if err != nil {
		return err
	}
	if err := keepJobs(plan, c.Jobs); err != nil {
		return err
	}
	if err := c.keep(plan); err != nil {
		return err
	}
	if err := keepPushing(plan); err != nil {
		return err
	}
	found := func(string, error) {} // no need to show the error: the run or the delivery will fail with it
	agent, built, closeState, err := (&assembly{App: a, drain: c.Deadline, once: true, unready: found}).start(ctx, plan)
	if err != nil {
		return err
	}
	defer closeState()
	out, err := agent.Once(ctx, built, c.Deadline)
	a.logout(ctx)
	if err != nil {
		return &exitError{exitDelivery, err}
	}
	return verdict(out)
}

// keepPushing removes the sinks that wait to be scraped, since the process ends before a scrape. It returns an error if a job then
// has no sink.
func keepPushing(plan *config.Plan) error {
	var kept []config.Sink
	for _, s := range plan.Sinks {
		if !s.Kind.Pull {
			kept = append(kept, s)
		}
	}
	if len(kept) == 0 {
		return errors.New("no sink to deliver to: cton once needs a sink that pushes, such as pushgateway, remote_write or print; to see the metrics of a job, run: cton try JOB")
	}
	for _, j := range plan.Jobs {
		if !slices.ContainsFunc(kept, func(s config.Sink) bool { return j.GoesTo(s.Name) }) {
			return fmt.Errorf("jobs.%s: none of its sinks pushes, so cton once cannot deliver it; name the jobs to run: cton once JOB", j.Name)
		}
	}
	plan.Sinks = kept
	return nil
}

// verdict returns an error with the exit code for an outcome, nil for success.
func verdict(out run.Outcome) error {
	var failed, partial []string
	for _, j := range out.Jobs {
		switch {
		case !j.Up:
			failed = append(failed, j.Name)
		case j.Unmeasured > 0:
			partial = append(partial, j.Name)
		}
	}
	switch {
	case len(out.Busy) > 0:
		return &exitError{exitDelivery, fmt.Errorf("not run: %s", strings.Join(out.Busy, "; "))}
	case len(out.Unsaved) > 0:
		return &exitError{exitDelivery, fmt.Errorf("not on disk by the deadline: the state of %s: %s", strings.Join(out.Unsaved, ", "), cmp.Or(out.File.Error, "the disk is slow"))}
	case len(failed) > 0 && len(failed) == len(out.Jobs):
		return &exitError{exitFetch, fmt.Errorf("not measured: %s", strings.Join(failed, ", "))}
	case len(out.Undelivered) > 0:
		return &exitError{exitDelivery, fmt.Errorf("not everything was delivered to %s", strings.Join(out.Undelivered, ", "))}
	case len(failed)+len(partial) > 0:
		return &exitError{exitPartial, fmt.Errorf("not measured, or only in part: %s", strings.Join(append(failed, partial...), ", "))}
	}
	return nil
}
