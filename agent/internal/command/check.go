package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/legacy"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

type checkCmd struct {
	Connect bool   `help:"Also check that each sink can reach its receiver. Sends no metrics."`
	Print   bool   `help:"Print the configuration with all its files and defaults merged, and no secrets."`
	Service string `short:"s" help:"Check only this job." placeholder:"JOB"`
}

// checkTimeout bounds the check of one sink.
const checkTimeout = 10 * time.Second

// Run checks the configuration and shows what it found.
func (c *checkCmd) Run(ctx context.Context, a *App, g *globals) error {
	plan, err := a.loadAs(g, legacy.Options{Service: c.Service, WithoutSecrets: true})
	if err != nil {
		return err
	}
	if c.Print {
		return a.print(plan)
	}
	if err := checkFiles(a, plan); err != nil {
		return err
	}
	for _, s := range plan.Sinks {
		if s.Kind.Notes == nil {
			continue
		}
		for _, note := range s.Kind.Notes(s.Config) {
			fmt.Fprintf(a.Out, "sinks.%s: %s\n", s.Name, note)
		}
	}
	if c.Connect {
		if err := connect(ctx, a, plan); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.Out, "%s: %s, %s%s\n", g.name(), text.Count(len(plan.Jobs), "job"), text.Count(len(plan.Sinks), "sink"), inFiles(plan))
	return nil
}

// print shows the merged configuration.
func (a *App) print(plan *config.Plan) error {
	merged, err := plan.YAML()
	if err != nil {
		return err
	}
	_, err = scrubber{a.Out, a.vault}.Write(merged)
	return err
}

// inFiles returns how many files a plan was read from, if several.
func inFiles(plan *config.Plan) string {
	if n := len(plan.Files()); n > 1 {
		return fmt.Sprintf(" in %d files", n)
	}
	return ""
}

// connect looks for files that jobs and sinks cannot use, and asks each sink whether it would work.
func connect(ctx context.Context, a *App, plan *config.Plan) error {
	code := exitOK
	unusable := map[string]error{}
	b := &assembly{App: a, unready: func(place string, err error) { unusable[place] = err }}
	built, err := b.build(plan)
	if err != nil {
		return err
	}
	for _, j := range built.Jobs {
		if err := unusable["jobs."+j.Name]; err != nil {
			code = exitConfig
			a.complain(fmt.Errorf("jobs.%s: %w", j.Name, err))
		}
	}
	for _, s := range built.Sinks {
		err := unusable["sinks."+s.Name]
		checker, ok := s.Sink.(sinks.Checker)
		if err == nil && ok {
			err = checkSink(ctx, checker)
		}
		switch {
		case err != nil:
			code = exitDelivery
			a.complain(fmt.Errorf("sinks.%s: %w", s.Name, err))
		case ok:
			fmt.Fprintf(a.Out, "sinks.%s: works\n", s.Name)
		}
	}
	if code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// checkFiles checks the files that the settings of jobs name.
func checkFiles(a *App, plan *config.Plan) error {
	failed := false
	for _, j := range plan.Jobs {
		if j.SourceKind.Check == nil {
			continue
		}
		if err := j.SourceKind.Check(j.SourceConfig, sources.Env{Job: j.Name, Log: a.log, Dir: a.vault.Dir}); err != nil {
			failed = true
			a.complain(fmt.Errorf("jobs.%s: %w", j.Name, err))
		}
	}
	if failed {
		return &exitError{code: exitConfig}
	}
	return nil
}

// checkSink asks a sink whether it would work.
func checkSink(ctx context.Context, c sinks.Checker) error {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, errors.New("timed out after "+checkTimeout.String()))
	defer cancel()
	return c.Check(ctx)
}
