package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/legacy"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

type checkCmd struct {
	shardFlag
	Connect bool   `help:"Also check that each secret can be read, and that each sink can reach its receiver. Sends no metrics."`
	Strict  bool   `help:"Make warnings errors: exit with 1 if there is one."`
	JSON    bool   `name:"json" help:"Print what was found as JSON."`
	JUnit   string `name:"junit" help:"Write what was found to this file too, as JUnit XML for a CI system." placeholder:"FILE"`
	Diff    string `help:"Also show which series end and which are new, compared with this older configuration." placeholder:"FILE"`
	Print   bool   `help:"Print the configuration with all its files and defaults merged, and no secrets."`
	Service string `short:"s" help:"Check only this job." placeholder:"JOB"`
}

// checkTimeout is the maximum time for the check of one sink.
const checkTimeout = 10 * time.Second

// Run checks the configuration and shows the problems and warnings that it found.
func (c *checkCmd) Run(ctx context.Context, a *App, g *globals) error {
	report := &checkReport{OK: true, strict: c.Strict, Files: []string{}, Jobs: []string{}, Sinks: []string{}, Problems: []checkProblem{}}
	err := c.check(ctx, a, g, report)
	failed, reported := errors.AsType[*exitError](err)
	if err != nil && !reported {
		report.problem("", err)
		failed = &exitError{code: exitConfig}
	}
	if c.JUnit != "" {
		if err := report.junit().write(a, c.JUnit); err != nil {
			return err
		}
	}
	if !c.JSON {
		return err
	}
	if err := printJSON(a, report); err != nil {
		return err
	}
	if failed != nil {
		return &exitError{code: failed.code} // the report has the problems
	}
	return nil
}

// check checks the configuration and adds what it found to the report. Unless the output is JSON, it also shows what it found. If check
// returns an *exitError, the report already has its problems. The problems of any other error are not in the report.
func (c *checkCmd) check(ctx context.Context, a *App, g *globals, report *checkReport) error {
	say := func(format string, args ...any) {
		if !c.JSON {
			fmt.Fprintf(a.Out, format+"\n", args...)
		}
	}
	plan, err := a.loadFor(g, legacy.Options{Service: c.Service, WithoutSecrets: true})
	if err != nil {
		return err
	}
	if err := c.keep(plan); err != nil {
		return err
	}
	report.add(plan)
	if c.Print {
		return a.print(plan)
	}
	if err := checkFiles(a, plan, c.fault(a, report)); err != nil {
		return err
	}
	if err := a.notes(plan, report, say); err != nil {
		return err
	}
	if c.Connect {
		if err := connect(ctx, a, plan, c.fault(a, report), say); err != nil {
			return err
		}
	}
	if c.Diff != "" {
		if report.Changes, err = a.diff(plan, c.Diff, g); err != nil {
			return err
		}
		for _, change := range report.Changes {
			say("%s", change)
		}
	}
	found := ""
	if n := len(plan.Warnings); n > 0 {
		found = ", " + text.Count(n, "warning")
	}
	for _, w := range plan.Warnings {
		say("%s", a.vault.Scrub("warning: "+w.String()))
	}
	say("%s: %s, %s%s%s", g.name(), text.Count(len(plan.Jobs)+len(plan.Elsewhere), "job"), text.Count(len(plan.Sinks), "sink"), inFiles(plan), found)
	sayShard(plan, say)
	if c.Strict && found != "" {
		report.OK = false
		return &exitError{code: exitConfig}
	}
	return nil
}

// notes shows notes about the settings of jobs and sinks: facts that are no mistakes, but that the user should know.
func (a *App) notes(plan *config.Plan, report *checkReport, say func(string, ...any)) error {
	add := func(of string, notes []string) {
		for _, note := range notes {
			report.Notes = append(report.Notes, of+": "+note)
			say("%s: %s", of, note)
		}
	}
	for _, j := range plan.Jobs {
		if j.Unscheduled {
			add("jobs."+j.Name, []string{"has no schedule: cton once runs it, cton run does not start with it"})
		}
		add("jobs."+j.Name, ownTimes(plan, &j))
		if j.SourceKind.Notes == nil {
			continue
		}
		notes, err := j.SourceKind.Notes(j.SourceConfig, a.checkEnv(&j))
		if err != nil {
			return fmt.Errorf("jobs.%s: %w", j.Name, err)
		}
		add("jobs."+j.Name, notes)
	}
	for _, s := range plan.Sinks {
		if s.Kind.Notes != nil {
			add("sinks."+s.Name, s.Kind.Notes(s.Config))
		}
	}
	return nil
}

// ownTimes returns a note about metrics whose readings have their own time and are shown on a page. The age of these readings is known
// only when the metrics are measured.
func ownTimes(plan *config.Plan, j *config.Job) []string {
	page, names := plan.Page(j), []string(nil)
	declared, _ := j.Declares()
	for _, m := range declared {
		if m.OwnTimes && page != "" && j.Schedule.Interval(time.Now()) <= config.LookBack { // otherwise a warning says this
			names = append(names, m.Name)
		}
	}
	if names == nil {
		return nil
	}
	return []string{fmt.Sprintf("on the page of sinks.%s, Prometheus shows no reading whose own time (time) is older than 5 minutes; cton try %s says how old they are: %s",
		page, j.Name, named(names))}
}

// sayShard shows the jobs of the plan's shard. It shows nothing if the plan has no shard.
func sayShard(plan *config.Plan, say func(format string, args ...any)) {
	switch names := namesOfJobs(plan); {
	case plan.Shard.Count == 0:
	case len(names) == 0:
		say("shard %s: no job", plan.Shard)
	default:
		say("shard %s: %s: %s", plan.Shard, text.Count(len(names), "job"), named(names))
	}
}

// fault returns a function that shows an error of a job or sink and adds the error to the report.
func (c *checkCmd) fault(a *App, report *checkReport) func(setting string, err error) {
	return func(setting string, err error) {
		report.problem(setting, err)
		if !c.JSON {
			a.complain(fmt.Errorf("%s: %w", setting, err))
		}
	}
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

// inFiles returns a text such as " in 2 files", with the number of files from which a plan was read. It returns "" for a single file.
func inFiles(plan *config.Plan) string {
	if n := len(plan.Files()); n > 1 {
		return fmt.Sprintf(" in %d files", n)
	}
	return ""
}

// connect checks whether jobs and sinks can use the files that their settings name, and whether each sink can deliver.
func connect(ctx context.Context, a *App, plan *config.Plan, fault func(string, error), say func(string, ...any)) error {
	code := exitOK
	for _, p := range plan.Unresolved(a.canRead) {
		code = exitConfig
		fault(p.Path, fmt.Errorf("%s (%s:%d)", p.Text, p.File, p.Line))
	}
	unusable := map[string]error{}
	b := &assembly{App: a, unready: func(place string, err error) { unusable[place] = err }}
	built, err := b.build(plan)
	if err != nil {
		return err
	}
	defer a.logout(ctx)
	for _, j := range built.Jobs {
		if err := unusable["jobs."+j.Name]; err != nil {
			code = exitConfig
			fault("jobs."+j.Name, err)
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
			fault("sinks."+s.Name, err)
		case ok:
			say("sinks.%s: works", s.Name)
		}
	}
	if code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// canRead returns the error of reading a reference to a secret, or nil.
func (a *App) canRead(reference string) error {
	_, err := a.vault.Secret(setting.Secret(reference))
	return err
}

// checkEnv returns the environment with which the settings of a job are checked.
func (a *App) checkEnv(j *config.Job) sources.Env {
	return sources.Env{Job: j.Name, Log: a.log, Dir: a.vault.Dir}
}

// checkFiles checks the files that the settings of jobs name.
func checkFiles(a *App, plan *config.Plan, fault func(string, error)) error {
	failed := false
	for _, j := range plan.Jobs {
		if j.SourceKind.Check == nil {
			continue
		}
		if err := j.SourceKind.Check(j.SourceConfig, a.checkEnv(&j)); err != nil {
			failed = true
			fault("jobs."+j.Name, err)
		}
	}
	if failed {
		return &exitError{code: exitConfig}
	}
	return nil
}

// checkSink checks whether a sink can deliver.
func checkSink(ctx context.Context, c sinks.Checker) error {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, errors.New("timed out after "+checkTimeout.String()))
	defer cancel()
	return c.Check(ctx)
}
