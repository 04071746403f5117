package command

import (
	"slices"

	"github.com/alecthomas/kong"
)

// globals are the flags of every sub-command.
type globals struct {
	Config []string `short:"c" default:"cton.yaml" sep:"none" help:"Configuration file (${default}), or a directory with files *.yaml; - is standard input. Several are merged." placeholder:"FILE" env:"CTON_CONFIG"`
	Named  bool     `kong:"-"` // Config was set on the command line, it is not the default

	LogLevel  string `enum:",debug,info,warn,error" default:"" help:"The least level that is logged: debug, info, warn or error; default info." placeholder:"LEVEL" env:"CTON_LOG_LEVEL"`
	LogFormat string `default:"logfmt" enum:"logfmt,json" help:"The format of the log: logfmt or json." placeholder:"FORMAT" env:"CTON_LOG_FORMAT"`
}

// cli is the command line.
type cli struct {
	globals
	ShowVersion versionFlag `name:"version" short:"v" help:"Show the version."`

	commands `kong:"-"`
}

// commands has the arguments of each sub-command.
type commands struct {
	Run        runCmd
	Once       onceCmd
	Try        tryCmd
	Status     statusCmd
	Test       testCmd
	State      stateCmd
	Check      checkCmd
	Init       initCmd
	Convert    convertCmd
	Explain    explainCmd
	Demo       demoCmd
	Exec       execCmd
	Spool      spoolCmd
	Backfill   backfillCmd
	Version    versionCmd
	Completion completionCmd
	Complete   completeCmd
	Man        manCmd
}

// subcommand is a sub-command for kong.
type subcommand struct {
	name, help string
	arguments  any
	tag        string // default:"withargs": it runs if no command is named; hidden: no help lists it
}

func (c *commands) all() []subcommand {
	return []subcommand{
		{"run", "Run the jobs on their schedules until stopped. The default command.", &c.Run, `default:"withargs"`},
		{"once", "Run each job once, deliver, and exit. Exit codes: 0 ok, 1 configuration error, 2 no job measured, 3 not everything delivered, 4 some job or metric not measured.", &c.Once, ""},
		{"try", "Run one job once and show request, document, readings, ledger and metrics. Delivers nothing.", &c.Try, ""},
		{"status", "Show the status of a running agent. Exit codes: 0 all is well, 4 something is wrong.", &c.Status, ""},
		{"test", "Test jobs with recorded responses, without a network. Exit codes: 0 ok, 1 a test failed.", &c.Test, ""},
		{"state", "Show the state file, and move the state of jobs.", &c.State, ""},
		{"check", "Check the configuration, without a network.", &c.Check, ""},
		{"init", "Look at the answer of an API and print a first configuration for it.", &c.Init, ""},
		{"convert", "Convert a configuration of json_exporter, Telegraf, Prometheus, sql_exporter, script_exporter or the Python Collectington. Exit codes: 0 all, 4 some, 1 nothing converted.", &c.Convert, ""},
		{"explain", "Show the settings of jobs, and of each kind of fetcher, source and sink.", &c.Explain, ""},
		{"demo", "Run the agent with a sample API on this machine.", &c.Demo, ""},
		{"exec", "Run a command of cron, CI or a CronJob, and deliver how it went: cton exec NAME -- COMMAND. Its input, output, signals and exit code pass through.", &c.Exec, ""},
		{"spool", "Show, replay and drop the requests in the spool of a remote_write sink.", &c.Spool, ""},
		{"backfill", "Run a job over the past, window by window, and deliver to remote_write. Exit codes as of once.", &c.Backfill, ""},
		{"version", "Show the version.", &c.Version, ""},
		{"completion", "Print what has a shell complete the arguments of cton: cton completion bash|zsh|fish.", &c.Completion, ""},
		{"complete", "Print the candidates for the last word, for completion.", &c.Complete, "hidden"},
		{"man", "Print the manual page.", &c.Man, "hidden"},
	}
}

// parser returns the parser of a command line. If the first argument is the name of a sub-command, the parser knows only that one.
// Preparing all the others would take as long as reading the configuration.
func (c *cli) parser(args []string, options ...kong.Option) (*kong.Kong, error) {
	all := c.all()
	if at := slices.IndexFunc(all, func(s subcommand) bool { return len(args) > 0 && s.name == args[0] }); at >= 0 && !needsAll(args[0]) {
		all = all[at : at+1]
	}
	for _, s := range all {
		options = append(options, kong.DynamicCommand(s.name, s.help, "", s.arguments, s.tag))
	}
	return kong.New(c, options...)
}

// needsAll reports whether a sub-command shows the others.
func needsAll(name string) bool { return name == "complete" || name == "man" }
