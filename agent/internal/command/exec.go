package command

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/collectington/collectington/agent/durable"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/internal/wrap"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
)

type execCmd struct {
	Name    string   `arg:"" optional:"" help:"The name of the job: the label job of its metrics. Default the name of the program."`
	Command []string `arg:"" optional:"" help:"The command with its arguments, after --."`

	Pushgateway string            `env:"CTON_PUSHGATEWAY" help:"Push to this Pushgateway." placeholder:"URL"`
	RemoteWrite string            `env:"CTON_REMOTE_WRITE" help:"Send to this receiver of remote-write. For a login or other settings, use sinks of a configuration: -c FILE." placeholder:"URL"`
	Instance    *string           `env:"CTON_INSTANCE" help:"The label instance; default the name of the host. Empty: none, for hosts that come and go, such as pods." placeholder:"NAME"`
	Label       map[string]string `help:"A label of all metrics of the run; can be repeated." placeholder:"NAME=VALUE"`

	Every       string           `help:"When the next run is due: an interval such as 24h, or a schedule such as '0 3 * * *'." placeholder:"SCHEDULE"`
	Heartbeat   setting.Duration `help:"Deliver that the command runs at its start and in this interval." placeholder:"DURATION"`
	Metrics     string           `help:"Deliver the metrics that the command writes to a file, or to its standard output (-), in Prometheus' text format." placeholder:"FILE"`
	CountOutput bool             `help:"Count the bytes that the command writes. As with --metrics -, its output is a pipe then."`

	Timeout    setting.Duration `help:"Stop the command with SIGTERM after this time; the exit code is 124." placeholder:"DURATION"`
	Grace      setting.Duration `default:"10s" help:"After the timeout, kill the command after this time; the exit code is 137."`
	Retry      int              `help:"Run the command again if it fails, at most N times." placeholder:"N"`
	RetryDelay setting.Duration `default:"10s" help:"The pause before a retry."`
	Lock       string           `help:"Run only one command with this lock at a time on this host." placeholder:"NAME"`
	IfLocked   string           `enum:"skip,wait,fail" default:"skip" help:"What to do if the lock is taken: skip the run (exit code 0), wait, or fail (75)."`

	StateDir string           `env:"CTON_STATE_DIR" help:"Keeps totals, the last success and what could not be delivered; default /var/lib/cton, or ~/.local/state/cton of other users than root." placeholder:"DIR"`
	Deadline setting.Duration `default:"5s" help:"How long delivery may take after the command; what is not delivered waits in the state directory for the next run."`
}

// The exit codes of cton exec itself, as in timeout(1) and sysexits.h. All other exit codes come from the command.
const (
	exitUnusable = 125 // the command line is wrong: nothing was run
	exitLocked   = 75  // another process has the lock
	signalled    = 128 // added to the number of the signal that has ended the wait for the lock
)

// Run runs the command and delivers the metrics of the run.
func (c *execCmd) Run(a *App, g *globals, k *kong.Context) error {
	e := &execution{App: a, execCmd: c}
	err := e.split(k.Args)
	if err == nil {
		err = e.check(g)
	}
	if err != nil {
		return &exitError{exitUnusable, fmt.Errorf("exec: %w", err)}
	}
	if len(a.Ignored) > 0 { // signal.Ignore without arguments would ignore all signals
		signal.Ignore(a.Ignored...)
	}
	signals, stop := wrap.Signals()
	defer stop()
	e.signals = signals
	if g.LogLevel == "" {
		a.setLevel("warn")
	}
	e.dir = e.stateDir()
	e.history = wrap.NewHistory(e.dir, e.name)
	e.sinks = e.buildSinks(g)
	return e.run()
}

// execution is one run of a command.
type execution struct {
	*App
	*execCmd
	name    string
	args    []string
	every   *schedule.Schedule // nil = it is not known when the next run is due
	dir     string             // the state directory; "" = no state is kept
	history *wrap.History
	sinks   delivery
	signals <-chan os.Signal
	stdout  *wrap.Tee // copies the command's standard output; nil = the output is not read
	stderr  *wrap.Tee // copies the command's standard error; nil = it is not read
}

// split separates the name from the command. The command is everything after --.
func (e *execution) split(args []string) error {
	n := -1
	for i, arg := range args {
		if arg == "--" {
			n = len(args) - i - 1
			break
		}
	}
	switch {
	case n < 0:
		return errors.New("write -- before the command: cton exec NAME -- COMMAND")
	case n == 0:
		return errors.New("no command follows --: want cton exec NAME -- COMMAND")
	case len(e.Command) == n:
		e.name, e.args = e.Name, e.Command
	default: // no name was given, so the parser took the first word of the command as the name
		e.name, e.args = filepath.Base(e.Name), append([]string{e.Name}, e.Command...)
	}
	return nil
}

func (e *execution) check(g *globals) error {
	switch {
	case g.Named && slices.Contains(g.Config, "-"):
		return errors.New("-c - is not possible, as standard input belongs to the command: write the configuration to a file, and name it with -c")
	case e.name == run.Self:
		return fmt.Errorf("%q is the name of the agent's own metrics: choose another name", run.Self)
	case e.Retry < 0:
		return errors.New("--retry: want 0 or more")
	}
	if err := config.CheckName(e.name); err != nil {
		return fmt.Errorf("the name %.40q: %w", e.name, err)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Label)) {
		if err := config.CheckLabel(name, e.Label[name]); err != nil {
			return fmt.Errorf("--label %s: %w", name, err)
		}
	}
	if e.Every == "" {
		return nil
	}
	text := e.Every
	var interval setting.Duration
	if interval.UnmarshalText([]byte(text)) == nil {
		text = "@every " + time.Duration(interval).String()
	}
	var err error
	if e.every, err = schedule.Parse(text, nil); err != nil {
		return fmt.Errorf("--every: %w", err)
	}
	return nil
}

// stateDir returns the state directory. If --state-dir is not set, it returns the default directory, or "" if that is not usable.
func (e *execution) stateDir() string {
	if e.execCmd.StateDir != "" {
		return e.execCmd.StateDir
	}
	dir := "/var/lib/cton"
	if os.Geteuid() != 0 {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state", "cton")
		if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
			dir = filepath.Join(state, "cton")
		}
	}
	err := durable.NewDir(dir).Mkdir(".")
	if err == nil {
		err = durable.CheckReplace(filepath.Join(dir, "check"))
	}
	if err != nil {
		e.log.Warn("no state is kept, so counters begin again in each run: name a directory with --state-dir", "error", err)
		return ""
	}
	return dir
}

// next returns when the next run is due, or the zero time if that is not known.
func (e *execution) next(now time.Time) time.Time {
	if e.every == nil {
		return time.Time{}
	}
	return e.every.Next(now)
}

func (e *execution) run() error {
	unlock, code, err := e.lock()
	if err != nil {
		return &exitError{exitUnusable, fmt.Errorf("exec: %w", err)}
	}
	if unlock == nil {
		e.keep(func(h *wrap.History) error { return h.Skip(e.next(time.Now())) })
		e.deliver(nil)
		if code > signalled {
			wrap.Die(syscall.Signal(code - signalled))
		}
		return &exitError{code, nil}
	}
	defer unlock()
	now := time.Now()
	e.keep(func(h *wrap.History) error { return h.Begin(now, e.next(now)) })
	beats := e.beat()
	result, retries, text := e.attempts()
	if result.Err != nil {
		e.complain(result.Err)
	}
	beats()
	e.keep(func(h *wrap.History) error { return h.End(result, retries) })
	e.deliver(&outcome{result, text()})
	unlock()
	if result.Signal != 0 {
		wrap.Die(result.Signal)
	}
	return &exitError{result.Code, nil}
}

// attempts runs the command, and runs it again if it fails, as --retry says. The result "text" is a function that returns the metrics
// that the last run wrote.
func (e *execution) attempts() (result wrap.Result, retries int, text func() written) {
	command := &wrap.Command{
		Args: e.args, Stdin: e.In, Stdout: e.Out, Stderr: e.Err,
		Timeout: time.Duration(e.Timeout), Grace: time.Duration(e.Grace), Signals: e.signals,
	}
	began := time.Now()
	for ; ; retries++ {
		e.tee(command)
		text = e.watch()
		result = command.Run()
		stop := result.Code == 0 || result.Signaled || result.Err != nil || retries >= e.Retry
		if stop || !command.Pause(time.Duration(e.RetryDelay)) {
			break
		}
	}
	result.Start = began
	return result, retries, text
}

// tee puts pipes between the command and its output if cton has to read or count the output.
func (e *execution) tee(command *wrap.Command) {
	if e.Metrics == "-" || e.CountOutput {
		e.stdout = wrap.NewTee(e.Out, e.Metrics == "-")
		command.Stdout = e.stdout
	}
	if e.CountOutput {
		e.stderr = wrap.NewTee(e.Err, false)
		command.Stderr = e.stderr
	}
}

// written is the text of the command's metrics, or an error that says why there is none. If both are nil, the flag --metrics is
// not set.
type written struct {
	text []byte
	err  error
}

// watch prepares a run. It returns a function to be called after the run. That function returns the metrics that the command wrote.
func (e *execution) watch() func() written {
	switch e.Metrics {
	case "":
		return func() written { return written{} }
	case "-":
		return func() (w written) { w.text, w.err = e.stdout.Text(); return w }
	}
	file := wrap.WatchFile(e.Metrics)
	return func() (w written) { w.text, w.err = file.Read(); return w }
}

// diskWait is how long cton waits for a disk that does not respond.
const diskWait = 3 * time.Second

// keep changes the history. If the disk does not respond, it continues with a history in memory.
func (e *execution) keep(change func(*wrap.History) error) {
	done := make(chan error, 1)
	h := e.history
	go func() { done <- change(h) }()
	select {
	case err := <-done:
		if err != nil {
			e.log.Error("the totals of this command are not kept", "error", err)
		}
	case <-time.After(diskWait):
		e.log.Error("the state directory does not respond: the totals of this command are not kept", "dir", e.dir)
		e.history = wrap.NewHistory("", e.name)
		_ = change(e.history) // this history is only in memory
	}
}

// lockPause is the pause between two attempts to take a lock.
const lockPause = 100 * time.Millisecond

// lock takes the lock that --lock names, if any. If another process has the lock and --if-locked is not "wait", the result unlock is nil
// and the result code is the exit code.
func (e *execution) lock() (unlock func(), code int, err error) {
	if e.Lock == "" {
		return func() {}, 0, nil
	}
	if e.dir == "" {
		return nil, 0, errors.New("--lock: there is no directory for the lock: name one with --state-dir")
	}
	dir := durable.NewDir(filepath.Join(e.dir, "locks"))
	if err := dir.Mkdir("."); err != nil {
		return nil, 0, fmt.Errorf("--lock: %w", err)
	}
	for first := true; ; first = false {
		err := dir.Lock(durable.FileName(e.Lock))
		if err == nil {
			return func() { _ = dir.Unlock() }, 0, nil
		}
		if _, held := errors.AsType[*durable.HeldError](err); !held {
			return nil, 0, fmt.Errorf("--lock: %w", err)
		}
		switch e.IfLocked {
		case "skip":
			e.log.Info("skipped: the lock is taken", "lock", e.Lock, "error", err)
			return nil, exitOK, nil
		case "fail":
			e.log.Error("not run: the lock is taken", "lock", e.Lock, "error", err)
			return nil, exitLocked, nil
		}
		if first {
			e.log.Info("waiting for the lock", "lock", e.Lock, "error", err)
		}
		if s, interrupted := wrap.Wait(e.signals, lockPause); interrupted {
			e.log.Warn("not run: a signal has ended the wait for the lock", "lock", e.Lock, "signal", s.String())
			n, _ := s.(syscall.Signal)
			return nil, signalled + int(n), nil
		}
	}
}

// outcome is what is delivered at the end of a run.
type outcome struct {
	wrap.Result
	metrics written
}

// families returns cton's own metrics of the runs and, if o is not nil, the metrics that the command wrote.
func (e *execution) families(o *outcome) (own, commands []metric.Family) {
	var output *wrap.Output
	if o != nil && e.CountOutput {
		output = &wrap.Output{Stdout: e.stdout.Count(), Stderr: e.stderr.Count()}
	}
	own = e.history.Families(output)
	if o == nil || e.Metrics == "" {
		return own, nil
	}
	commands, err := wrap.ParseMetrics(o.metrics.text, o.metrics.err, time.Now(), e.log)
	if err != nil {
		e.log.Error("the command's metrics are not all delivered", "error", err)
	}
	return own, commands
}
