// Package command is the command line: one file per sub-command. It talks to the streams that it is given.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/setting"
)

// The exit codes. They are for scripts: a cron job tells by them what went wrong.
const (
	exitOK       = 0
	exitConfig   = 1 // the configuration or the command line is wrong
	exitFetch    = 2 // no job could be measured
	exitDelivery = 3 // something measured could not be delivered
	exitPartial  = 4 // some job or metric could not be measured; the rest was delivered
)

// App is one call of the program.
type App struct {
	Version   string
	Catalogue config.Catalogue
	In        io.Reader
	Out, Err  io.Writer
	Reload    <-chan os.Signal // each asks for the configuration to be read again

	// Dial replaces the system's way to connect; nil = the system's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	vault   *setting.Vault
	traffic *httpclient.SharedState // of all jobs, also of those that a reload brings
	logins  logins                  // likewise
	log     *slog.Logger
	level   slog.LevelVar // of log
}

// globals are the flags of every sub-command.
type globals struct {
	Config string `short:"c" default:"cton.yaml" help:"Configuration file (${default}); - is standard input." placeholder:"FILE"`
	Named  bool   `kong:"-"` // Config was given

	LogLevel  string `enum:",debug,info,warn,error" default:"" help:"What is logged: debug, info, warn or error; default info." placeholder:"LEVEL"`
	LogFormat string `default:"logfmt" enum:"logfmt,json" help:"How it is logged: logfmt or json."`
}

type cli struct {
	globals
	Run      runCmd      `cmd:"" default:"withargs" help:"Run the jobs until stopped. This is also what cton does without a command."`
	Once     onceCmd     `cmd:"" help:"Run each job once, deliver, and exit: 0 ok, 1 configuration, 2 fetch, 3 delivery, 4 partial."`
	Try      tryCmd      `cmd:"" help:"Run one job once and show request, document, readings, ledger and metrics. Sends nothing."`
	Test     testCmd     `cmd:"" help:"Test jobs on answers that are written down, without a network: 0 ok, 1 not."`
	State    stateCmd    `cmd:"" help:"Look into the state file."`
	Check    checkCmd    `cmd:"" help:"Check the configuration, without a network."`
	Convert  convertCmd  `cmd:"" help:"Convert a configuration of json_exporter, Telegraf, Prometheus, sql_exporter, script_exporter or the Python Collectington: 0 all, 4 some, 1 none."`
	Explain  explainCmd  `cmd:"" help:"Show every setting: of jobs, of metrics, of a kind of source or sink."`
	Demo     demoCmd     `cmd:"" help:"Run the agent against a sample API, all on this machine."`
	Spool    spoolCmd    `cmd:"" help:"Show, replay and drop what a remote-write sink holds on disk."`
	Backfill backfillCmd `cmd:"" help:"Run a job over the past, window by window, and deliver to remote_write: exit codes as once."`
	Version  versionCmd  `cmd:"" help:"Show the version."`
}

// Main runs the command line and returns the exit code.
func (a *App) Main(ctx context.Context, args []string) int {
	var c cli
	code := -1
	parser, err := kong.New(&c,
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
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	parsed, err := parser.Parse(args)
	if code >= 0 {
		return code // --help has been shown
	}
	if err == nil {
		c.Named = slices.ContainsFunc(parsed.Path, func(p *kong.Path) bool { return p.Flag != nil && p.Flag.Name == "config" })
		a.vault = &setting.Vault{Dir: filepath.Dir(c.Config)}
		a.traffic = &httpclient.SharedState{}
		a.logins = logins{}
		a.log = a.logger(&c.globals)
		err = parsed.Run()
	}
	return a.exit(err)
}

// exit shows an error and is the code for it.
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

func (a *App) complain(err error) {
	text := err.Error()
	if _, ours := errors.AsType[config.Problems](err); !ours {
		text = "cton: " + text
	}
	if a.vault != nil {
		text = a.vault.Scrub(text)
	}
	fmt.Fprintln(a.Err, text)
}

// exitError is an error with its own exit code.
type exitError struct {
	code int
	err  error // nil = nothing to say
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }

func (e *exitError) Unwrap() error { return e.err }

func (a *App) logger(g *globals) *slog.Logger {
	a.setLevel(g.LogLevel)
	out, options := scrubber{a.Err, a.vault}, &slog.HandlerOptions{Level: &a.level}
	if g.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// setLevel sets what is logged; nothing is info.
func (a *App) setLevel(name string) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(strings.ToUpper(name))) // the flag's enum, or the file's check, has checked it
	a.level.Set(level)
}

// scrubber keeps secrets out of a stream. A secret within one write is found.
type scrubber struct {
	w     io.Writer
	vault *setting.Vault
}

func (s scrubber) Write(p []byte) (int, error) {
	if _, err := io.WriteString(s.w, s.vault.Scrub(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
