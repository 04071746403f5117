package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/jobtest"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

type testCmd struct {
	Files  []string `arg:"" name:"file" help:"Test archives: responses of an API, the expected metrics and errors, and the configuration unless it is that of -c. See cton explain test."`
	Update bool     `short:"u" help:"Rewrite the sections whose expectation differs from what was measured."`
}

// Run runs each test, and exits with 1 if one fails.
func (c *testCmd) Run(ctx context.Context, a *App, g *globals) error {
	failed := false
	for _, file := range c.Files {
		if file == "-" {
			return errors.New("test: a test is read from a file, not from standard input")
		}
		runs, failures := c.test(ctx, a, g, file)
		if len(failures) > 0 {
			failed = true
			fmt.Fprintf(a.Out, "FAIL %s\n%s\n", file, strings.Join(failures, "\n"))
			continue
		}
		fmt.Fprintf(a.Out, "ok   %s (%s)\n", file, text.Count(runs, "run"))
	}
	if failed {
		return &exitError{code: exitConfig}
	}
	return nil
}

// test runs the test in a file. It returns the number of runs of the job, and the failures.
func (c *testCmd) test(ctx context.Context, a *App, g *globals, file string) (runs int, failures []string) {
	wrong := func(err error) (int, []string) { return 0, []string{err.Error()} }
	text, err := config.ReadFile(file, nil)
	if err != nil {
		return wrong(fmt.Errorf("read the test: %w", err))
	}
	t, err := jobtest.Parse(file, text)
	if err != nil {
		return wrong(err)
	}
	dir, err := os.MkdirTemp("", "cton-test-")
	if err != nil {
		return wrong(fmt.Errorf("write the test's files: %w", err))
	}
	defer os.RemoveAll(dir)
	if err := t.Extract(dir); err != nil {
		return wrong(err)
	}
	vault := &setting.SecretStore{Dir: dir, LookupEnv: t.LookupEnv}
	path, err := testConfig(t, g, dir, vault)
	if err != nil {
		return wrong(err)
	}
	r := &jobtest.Runner{Test: t, Dir: dir, Scrub: vault.Scrub, Update: c.Update}
	if r.Job, err = testJob(t, a, g, path, vault); err != nil {
		return wrong(errors.New(strings.TrimSuffix(r.Clean(inArchive(t, path, err).Error()), "\n")))
	}
	failures, updated := r.Run(ctx)
	if updated != nil {
		if err := os.WriteFile(file, updated, 0o600); err != nil { // an existing file keeps its mode
			failures = append(failures, fmt.Sprintf("rewrite the test: %v", err))
		}
	}
	return t.Ticks, failures
}

// testConfig returns the path of the test's configuration: that in the archive, else that of -c, whose files are then read
// from its own folder. In both cases the secrets are the test's.
func testConfig(t *jobtest.Test, g *globals, dir string, vault *setting.SecretStore) ([]string, error) {
	own := t.Config.Line > 0
	switch {
	case own && g.Named:
		return nil, fmt.Errorf("%s: the archive has its own configuration: leave out -c %s, or that section", t.Config.Place(), g.name())
	case own:
		return []string{filepath.Join(dir, t.Config.Name)}, nil
	case slices.Contains(g.Config, "-"):
		return nil, errors.New("test: the configuration is read from a file, not from standard input")
	}
	if _, err := os.Stat(g.Config[0]); err != nil && !g.Named {
		return nil, fmt.Errorf("%s: there is no configuration: add -- cton.yaml --, or name one with -c FILE", t.Config.File)
	}
	vault.Dir, vault.StandIns = config.Dir(g.Config), append([]string{}, slices.Sorted(maps.Keys(t.Env))...)
	return g.Config, nil
}

// testJob builds the job that is tested. Its secrets and the responses to its requests are the test's.
func testJob(t *jobtest.Test, a *App, g *globals, path []string, vault *setting.SecretStore) (*run.Worker, error) {
	own, flags := &App{Version: a.Version, Catalogue: a.Catalogue, Out: a.Out, Err: a.Err, vault: vault, logins: logins{}}, *g
	own.log = own.logger(g)
	flags.Config = path
	plan, err := own.load(&flags, t.Job)
	if err != nil {
		return nil, err
	}
	if len(plan.Jobs) != 1 {
		return nil, fmt.Errorf("the configuration has %s: name the one to test in the archive's first lines, as in job: %s",
			text.Count(len(plan.Jobs), "job"), plan.Jobs[0].Name)
	}
	job, err := (&assembly{App: own, answer: t.Responses}).buildJob(plan)
	if err != nil {
		return nil, err
	}
	job.Delay = 0 // it differs from host to host
	return job, nil
}

// inArchive returns an error with positions in the archive instead of positions in the configuration that it contains.
func inArchive(t *jobtest.Test, path []string, err error) error {
	problems, ok := errors.AsType[config.Problems](err)
	switch {
	case t.Config.Line == 0:
		return err // it names the real file
	case !ok:
		return fmt.Errorf("%s: %w", t.Config.Place(), err)
	}
	problems = slices.Clone(problems)
	for i := range problems {
		if p := &problems[i]; p.File != path[0] {
			continue // of a file that the configuration includes
		} else if p.Line > 0 {
			p.File, p.Line = t.Config.File, t.Config.Line+p.Line
		} else {
			p.File = t.Config.Place()
		}
	}
	return problems
}
