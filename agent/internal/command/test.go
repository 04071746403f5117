package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/jobtest"
	"github.com/collectington/collectington/agent/internal/legacy"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/agent/text"
)

type testCmd struct {
	Files  []string `arg:"" name:"file" help:"Test archives, or directories with files *.txtar: responses of an API, the expected metrics and errors, and the configuration unless it is that of -c. See cton explain test."`
	Update bool     `short:"u" help:"Rewrite the sections whose expectation differs from what was measured."`
	JSON   bool     `name:"json" help:"Print the results as JSON."`
	JUnit  string   `name:"junit" help:"Write the results to this file too, as JUnit XML for a CI system." placeholder:"FILE"`

	parsed map[string]*config.File // configurations outside of archives, by their paths; several tests can use the same one
}

// testResult is the result of a test.
type testResult struct {
	File     string   `json:"file"`
	Job      string   `json:"job,omitempty"`
	OK       bool     `json:"ok"`
	Runs     int      `json:"runs"`
	Seconds  float64  `json:"seconds"`
	Failures []string `json:"failures,omitempty"`

	Warnings []config.Warning `json:"warnings,omitempty"` // shown as text only if the test passes

	config string // the paths of the configuration; "" if the configuration is in the archive
}

// testReport is what test --json prints.
type testReport struct {
	OK       bool         `json:"ok"`
	Tests    []testResult `json:"tests"`
	Untested []string     `json:"jobs_without_test"`
}

// Run runs each test, and exits with 1 if one fails.
func (c *testCmd) Run(ctx context.Context, a *App, g *globals) error {
	files, err := archives(c.Files)
	if err != nil {
		return err
	}
	c.parsed = map[string]*config.File{}
	bar := &progress{out: a.Err, bar: isTerminal(a.Err)}
	report := testReport{OK: true, Tests: []testResult{}, Untested: []string{}}
	for i, file := range files {
		flags := *g
		if file.config != "" && !g.Named {
			flags.Config = []string{file.config}
		}
		result := c.test(ctx, a, &flags, file.name)
		report.OK = report.OK && result.OK
		report.Tests = append(report.Tests, result)
		if !c.JSON {
			bar.clear()
			showTest(a, result)
		}
		if bar.bar && i+1 < len(files) {
			bar.show(i+1, len(files), files[i+1].name)
		}
	}
	bar.clear()
	if slices.ContainsFunc(files, func(f archive) bool { return f.found }) { // single files that the user names need not test all jobs
		report.Untested = append(report.Untested, c.untested(a, g, report.Tests)...)
	}
	if c.JSON {
		err = printJSON(a, report)
	} else if len(report.Untested) > 0 {
		fmt.Fprintf(a.Out, "without a test: %s\n", named(report.Untested))
	}
	if err == nil && c.JUnit != "" {
		err = report.junit().write(a, c.JUnit)
	}
	if err == nil && !report.OK {
		return &exitError{code: exitConfig}
	}
	return err
}

func showTest(a *App, r testResult) {
	if r.OK {
		fmt.Fprintf(a.Out, "%s   %s (%s)\n", styleOf(a.Out).good("ok"), r.File, text.Count(r.Runs, "run"))
		for _, w := range r.Warnings {
			fmt.Fprintf(a.Out, "warning: %s\n", w)
		}
		return
	}
	fmt.Fprintf(a.Out, "%s %s\n%s\n", styleOf(a.Out).bad("FAIL"), r.File, strings.Join(r.Failures, "\n"))
}

// maxArchives is the maximum number of tests that are found in all directories of the command line together.
const maxArchives = 10_000

// archive is a file with a test.
type archive struct {
	name   string
	found  bool   // the file was found in a directory that the user named
	config string // path of the nearest cton.yaml: in the file's directory or above it, up to the directory that the user named; "" = none
}

// archives returns the named files, and the files *.txtar in the named directories.
func archives(named []string) (files []archive, err error) {
	for _, name := range named {
		if name == "-" {
			return nil, errors.New("test: a test is read from a file, not from standard input")
		}
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			files = append(files, archive{name: name})
			continue
		}
		before := len(files)
		err := filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && path != name && strings.HasPrefix(d.Name(), "."):
				return fs.SkipDir
			case d.Type().IsRegular() && filepath.Ext(path) == ".txtar":
				files = append(files, archive{path, true, nearest(path, name)})
			}
			if len(files) > maxArchives {
				return fmt.Errorf("more than %d tests: name fewer files or folders", maxArchives)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("test: %w", err)
		}
		if len(files) == before {
			return nil, fmt.Errorf("test: the directory %s has no files *.txtar", name)
		}
	}
	return files, nil
}

// nearest returns the path of cton.yaml in the directory of a file or in the nearest directory above it, up to root. It returns "" if
// there is none.
func nearest(file, root string) string {
	for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "cton.yaml")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
		if dir == filepath.Clean(root) || dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// untested returns the jobs that no test has tested. It considers the configurations that at least one test has used. If there are
// several configurations, each name begins with the files of its configuration.
func (c *testCmd) untested(a *App, g *globals, results []testResult) (names []string) {
	tested := map[string]bool{}
	for _, r := range results {
		tested[r.config+"\x00"+r.Job] = true
	}
	for _, path := range slices.Sorted(maps.Keys(c.parsed)) {
		for _, job := range a.jobNames(c.parsed[path], g) {
			switch {
			case tested[path+"\x00"+job]:
			case len(c.parsed) > 1:
				names = append(names, strings.ReplaceAll(path, "\x00", ", ")+": "+job)
			default:
				names = append(names, job)
			}
		}
	}
	return names
}

// jobNames returns the names of a configuration's jobs. It does not read the secrets that the configuration refers to, because only
// the tests define them.
func (a *App) jobNames(doc *config.File, g *globals) (names []string) {
	if !legacy.Is(doc) {
		return doc.JobNames()
	}
	plan, err := a.plan(doc, g, legacy.Options{WithoutSecrets: true})
	if err != nil {
		return nil // each test of this configuration has failed with the same error
	}
	for _, j := range plan.Jobs {
		names = append(names, j.Name)
	}
	return names
}

// test runs the test in a file.
func (c *testCmd) test(ctx context.Context, a *App, g *globals, file string) (result testResult) {
	began := time.Now()
	result = testResult{File: file}
	result.Failures = c.run(ctx, a, g, &result)
	result.OK, result.Seconds = len(result.Failures) == 0, time.Since(began).Seconds()
	return result
}

// run runs the test in the file result.File and returns its failures. It sets the other fields of result.
func (c *testCmd) run(ctx context.Context, a *App, g *globals, result *testResult) (failures []string) {
	file := result.File
	wrong := func(err error) []string { return []string{err.Error()} }
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
	if result.Job = t.Job; t.Config.Line == 0 {
		result.config = strings.Join(path, "\x00")
	}
	if r.Job, err = c.job(t, a, g, path, vault); err != nil {
		return wrong(errors.New(strings.TrimSuffix(r.Clean(inArchive(t, path, err).Error()), "\n")))
	}
	result.Job = r.Job.Name
	failures, updated := r.Run(ctx)
	if updated != nil {
		if err := os.WriteFile(file, updated, 0o600); err != nil { // an existing file keeps its mode
			failures = append(failures, fmt.Sprintf("rewrite the test: %v", err))
		}
	}
	for _, d := range r.Empty() {
		result.Warnings = append(result.Warnings, config.Warning{Place: file + ": " + d.Name, Text: emptyText(d) + " in any run", Remedy: emptyRemedy})
	}
	result.Runs = t.Ticks
	return failures
}

// testConfig returns the paths of the test's configuration. This is the configuration in the archive, or else the one that -c names. In the
// latter case, the files that the configuration refers to are in the directory of that configuration. In both cases, secrets come from the
// test.
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

// job builds the job that is tested. Its secrets and the responses to its requests come from the test.
func (c *testCmd) job(t *jobtest.Test, a *App, g *globals, path []string, vault *setting.SecretStore) (*run.Worker, error) {
	own, flags := &App{Version: a.Version, Catalogue: a.Catalogue, Out: a.Out, Err: a.Err, vault: vault, logins: logins{}}, *g
	own.log = own.logger(g)
	flags.Config = path
	key := strings.Join(path, "\x00")
	doc := c.parsed[key]
	if doc == nil {
		var err error
		if doc, err = a.parse(path); err != nil {
			return nil, err
		}
	}
	if t.Config.Line == 0 && c.parsed != nil {
		c.parsed[key] = doc
	}
	only := *doc.Only(t.Job)
	only.Secrets = vault
	plan, err := own.plan(&only, &flags, legacy.Options{Service: t.Job})
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
	job.Delay = 0 // the delay depends on the name of the host
	return job, nil
}

// inArchive translates the positions in an error: from positions in the configuration, which is a part of the archive, to positions in the
// whole archive.
func inArchive(t *jobtest.Test, path []string, err error) error {
	problems, ok := errors.AsType[config.Problems](err)
	switch {
	case t.Config.Line == 0:
		return err // the error already names the real file
	case !ok:
		return fmt.Errorf("%s: %w", t.Config.Place(), err)
	}
	problems = slices.Clone(problems)
	for i := range problems {
		if p := &problems[i]; p.File != path[0] {
			continue // the problem is in a file that the configuration includes
		} else if p.Line > 0 {
			p.File, p.Line = t.Config.File, t.Config.Line+p.Line
		} else {
			p.File = t.Config.Place()
		}
	}
	return problems
}
