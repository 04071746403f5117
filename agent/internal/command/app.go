// Package command implements the command line of cton. Each sub-command has a file of its own.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/legacy"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/setting"
)

// The exit codes.
const (
	exitOK       = 0
	exitConfig   = 1 // the configuration or the command line is wrong
	exitFetch    = 2 // no job could be measured
	exitDelivery = 3 // something could not be delivered
	exitPartial  = 4 // some job or metric could not be measured; all others were delivered
)

// App is one call of the program. Reload, Dial and StateDir may be nil.
type App struct {
	Version   string
	Catalogue config.Catalogue
	In        io.Reader
	Out, Err  io.Writer
	Reload    <-chan os.Signal // a signal reloads the configuration
	Ignored   []os.Signal      // signals that were ignored when the process started, for instance by nohup

	// Dial, if not nil, replaces net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// ServiceAccount, Host and Abort are for --lease. Their zero values mean the directory of the service account in a pod, the name of
	// this host, and os.Exit.
	ServiceAccount string
	Host           string
	Abort          func()

	// StateDir, if not nil, replaces durable.NewDir for the directory of the state file.
	StateDir func(path string) durable.FS

	vault   *setting.SecretStore
	traffic *httpclient.SharedState // HTTP state that all jobs share, kept across reloads
	clock   *clock.Clock            // the clock of all jobs and sinks
	logins  logins                  // logins of all jobs and sinks, kept across reloads
	log     *slog.Logger
	level   slog.LevelVar // the lowest level that log writes
}

// Main runs the command line and returns the exit code.
func (a *App) Main(ctx context.Context, args []string) int {
	var c cli
	code := -1
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	parser, err := c.parser(args,
		kong.Name("cton"),
		kong.Description("cton turns any API into Prometheus metrics and delivers them."),
		kong.Writers(a.Out, a.Err),
		kong.Exit(func(n int) { code = n }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(a, &c.globals, &c),
	)
	if err != nil {
		fmt.Fprintln(a.Err, "cton: "+err.Error())
		return exitConfig
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code // the help or the version has been shown
	}
	if err != nil {
		err = misused(err)
	} else {
		c.Named = slices.ContainsFunc(parsed.Path, func(p *kong.Path) bool { return p.Flag != nil && p.Flag.Name == "config" })
		a.vault = &setting.SecretStore{Dir: config.Dir(c.Config)}
		a.traffic, a.clock = &httpclient.SharedState{}, clock.New()
		a.logins = logins{}
		a.log = a.logger(&c.globals)
		err = parsed.Run()
	}
	return a.exit(err)
}

// exit shows an error and returns its exit code.
func (a *App) exit(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		if e.err != nil {
			a.complain(e.err)
		}
		return e.code
	}
	a.complain(err)
	return exitConfig
}

// complain writes an error to Err, without secrets.
func (a *App) complain(err error) {
	style := styleOf(a.Err)
	text := style.bold("cton: " + err.Error())
	if problems, ours := errors.AsType[config.Problems](err); ours {
		text = style.problems(problems)
	}
	if a.vault != nil {
		text = a.vault.Scrub(text)
	}
	fmt.Fprintln(a.Err, text)
}

func (a *App) logger(g *globals) *slog.Logger {
	a.setLevel(g.LogLevel)
	out, options := scrubber{a.Err, a.vault}, &slog.HandlerOptions{Level: &a.level}
	if isJournal(a.Err) {
		options.ReplaceAttr = withoutTime
	}
	if g.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// withoutTime removes the time of a log line.
func withoutTime(groups []string, attr slog.Attr) slog.Attr {
	if len(groups) == 0 && attr.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return attr
}

// setLevel sets the lowest level that is logged; "" means info.
func (a *App) setLevel(name string) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(strings.ToUpper(name))) // fails only for "": the flag's enum and the check of the file allow no other name
	a.level.Set(level)
}

// load reads the configuration. If the argument "service" is not "", the plan has only the job of that name.
func (a *App) load(g *globals, service string) (*config.Plan, error) {
	return a.loadAs(g, legacy.Options{Service: service})
}

// loadAs is load with options for the translation of a configuration of the Python Collectington.
func (a *App) loadAs(g *globals, o legacy.Options) (*config.Plan, error) {
	doc, err := a.parse(g.Config)
	if err != nil {
		return nil, err
	}
	return a.plan(doc, g, o)
}

// loadFor is loadAs for a command that concerns only the job named o.Service. Errors in other jobs become warnings.
func (a *App) loadFor(g *globals, o legacy.Options) (*config.Plan, error) {
	doc, err := a.parse(g.Config)
	if err != nil {
		return nil, err
	}
	plan, err := a.plan(doc, g, o)
	problems, ours := errors.AsType[config.Problems](err)
	if !ours || o.Service == "" || legacy.Is(doc) {
		return plan, err
	}
	plan, failed := a.plan(doc.Only(o.Service), g, o)
	if failed != nil {
		return nil, err
	}
	for _, p := range problems[:min(len(problems), maxOtherProblems)] {
		w := p.Warning("correct it: cton run does not start with it, but it does not concern the job " + o.Service)
		w.Job = o.Service
		plan.Warnings = append(plan.Warnings, w)
	}
	return plan, nil
}

// maxOtherProblems is the maximum number of errors in other jobs that are shown.
const maxOtherProblems = 10

// plan checks a parsed configuration and returns its plan.
func (a *App) plan(doc *config.File, g *globals, o legacy.Options) (*config.Plan, error) {
	if legacy.Is(doc) {
		legacy.Literals(doc, (&httpclient.Host{Secrets: a.vault}).RememberNamed)
		o.Catalogue, o.Files = a.Catalogue, a.vault
		old := legacy.Translate(doc, o)
		if g.LogLevel == "" {
			a.setLevel(old.LogLevel)
		}
		return old.Plan()
	}
	plan, err := doc.Plan(doc.Root, a.Catalogue, nil)
	if err != nil || o.Service == "" {
		return plan, err
	}
	return plan, keepJobs(plan, []string{o.Service})
}

func (a *App) parse(files []string) (*config.File, error) {
	doc, err := config.Read(files, a.In)
	if err == nil {
		doc.Secrets = a.vault
		return doc, nil
	}
	if _, ours := errors.AsType[config.Problems](err); ours {
		return nil, err
	}
	if missing, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, fs.ErrNotExist) && slices.Contains(files, missing.Path) {
		if strings.ContainsAny(missing.Path, "*?[") {
			return nil, fmt.Errorf("read %s: there is no such file, and -c does not read patterns: name the files or their directory, or set include: [%[1]s] in a file", missing.Path)
		}
		return nil, fmt.Errorf("read %s: there is no such file; name the configuration with -c FILE, or try an example with: cton demo", missing.Path)
	}
	return nil, fmt.Errorf("read configuration: %w", err)
}

// name returns the paths of the configuration, for messages.
func (g *globals) name() string { return strings.Join(g.Config, ", ") }

// arguments returns the command-line arguments that name the configuration, or none if it is the default configuration.
func (g *globals) arguments() (args []string) {
	for _, path := range g.Config {
		if g.Named {
			args = append(args, "-c", path)
		}
	}
	return args
}

// stateFile returns the path of the state file, "" if there is none.
func (a *App) stateFile(plan *config.Plan) string {
	if plan.StateFile == "" || filepath.IsAbs(plan.StateFile) {
		return plan.StateFile
	}
	return filepath.Join(a.vault.Dir, plan.StateFile)
}

// stateRetry is the interval at which openState tries again to read a state file that cannot be read.
const stateRetry = 5 * time.Second

// openState opens and locks the plan's state file. It returns nil if the plan has none. It logs damage in the file. If the argument
// "wait" is set and the file cannot be read, openState tries again until the file can be read: otherwise jobs would lose their state and
// start from zero. If the argument "shared" is set, other processes may use the file at the same time.
func (a *App) openState(ctx context.Context, plan *config.Plan, wait, shared bool) (*state.File, error) {
	for logged := ""; ; {
		file, err := a.tryState(ctx, plan, shared)
		switch {
		case err == nil:
			return file, nil
		case !state.IsUnreadable(err) || ctx.Err() != nil:
			return nil, err
		case !wait:
			return nil, &exitError{exitDelivery, err}
		}
		if text := err.Error(); text != logged {
			a.log.Error("no job starts until the state file can be read", "error", err)
			logged = text
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(stateRetry):
		}
	}
}

func (a *App) tryState(ctx context.Context, plan *config.Plan, shared bool) (*state.File, error) {
	path := a.stateFile(plan)
	if path == "" {
		return nil, nil
	}
	options := state.Options{Fold: run.FoldSaved, Log: a.log, Shared: shared && a.StateDir == nil}
	open := func() (*state.File, []error, error) { return state.Open(ctx, path, options) }
	if a.StateDir != nil {
		open = func() (*state.File, []error, error) {
			return state.OpenOn(ctx, path, a.StateDir(filepath.Dir(path)), options)
		}
	}
	file, problems, err := open()
	for _, p := range problems {
		a.log.Error(p.Error())
	}
	if _, held := errors.AsType[*durable.HeldError](err); held {
		return nil, &exitError{exitDelivery, err}
	}
	return file, err
}

// savedState returns a job's saved state. It returns nil if there is none, or if the saved state cannot be used. It neither locks nor
// changes the file.
func (a *App) savedState(plan *config.Plan, job string) *run.Saved {
	path := a.stateFile(plan)
	if path == "" {
		return nil
	}
	sections, damage, err := state.Read(path)
	if err == nil {
		err = damage[job]
	}
	section, found := sections[job]
	if err == nil && !found {
		return nil
	}
	var saved *run.Saved
	if err == nil {
		saved, err = run.ReadSaved(section.Records)
	}
	if err == nil && saved.Exported {
		return nil
	}
	if err != nil {
		a.log.Warn("the job's saved state cannot be used", "error", err)
	}
	return saved
}

// exitError is an error with its own exit code.
type exitError struct {
	code int
	err  error // nil if there is nothing more to show to the user
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }

func (e *exitError) Unwrap() error { return e.err }

// scrubber removes secrets from a stream. It finds a secret only if a single Write contains the whole secret.
type scrubber struct {
	w     io.Writer
	vault *setting.SecretStore
}

func (s scrubber) Write(p []byte) (int, error) {
	if _, err := io.WriteString(s.w, s.vault.Scrub(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// keepJobs removes all jobs except the named ones from a plan. It also removes the sinks to which only removed jobs deliver. If
// names is empty, it removes nothing.
func keepJobs(plan *config.Plan, names []string) error {
	if len(names) == 0 {
		return nil
	}
	var kept []config.Job
	var known []string
	found := map[string]bool{}
	for _, j := range plan.Jobs {
		known = append(known, j.Name)
		for _, name := range names {
			if j.Name == name && !found[name] {
				found[name] = true
				kept = append(kept, j)
			}
		}
	}
	for _, name := range names {
		if !found[name] {
			return noSuch("job", name, known)
		}
	}
	goes := func(jobs []config.Job, s config.Sink) bool {
		return slices.ContainsFunc(jobs, func(j config.Job) bool { return j.GoesTo(s.Name) })
	}
	plan.Sinks = slices.DeleteFunc(plan.Sinks, func(s config.Sink) bool { return goes(plan.Jobs, s) && !goes(kept, s) })
	plan.Jobs = kept
	return nil
}
