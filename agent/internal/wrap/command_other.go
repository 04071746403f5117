//go:build !unix

package wrap

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Signals returns the signals that are passed on to a command. Here these are only interrupts, which the console sends to
// both processes.
func Signals() (signals <-chan os.Signal, stop func()) {
	all := make(chan os.Signal, 1)
	signal.Notify(all, os.Interrupt)
	return all, func() { signal.Stop(all) }
}

func isScript(error) bool { return false }

func hasTerminal() bool { return true }

func (p *process) prepare() {}

func interrupts(os.Signal) bool { return true }

func (p *process) pass(os.Signal) {}

// terminate kills the command, because this system has no signal that asks it to end.
func (p *process) terminate() { p.kill() }

func (p *process) kill() { _ = p.cmd.Process.Kill() }

func (p *process) endGroup(<-chan time.Time) {}

func (p *process) mirrorStops() {}

func (p *process) result(r *Result) {
	if state := p.cmd.ProcessState; state != nil {
		r.Code, r.User, r.System = state.ExitCode(), state.UserTime(), state.SystemTime()
	}
}

// Die does nothing, because a process cannot end by a signal on this system.
func Die(syscall.Signal) {}
