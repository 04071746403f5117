//go:build unix

package wrap

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Signals returns the signals that are passed on to a command. These are signals that are sent to this process but are meant for the
// command. A signal that was ignored when this process started is not passed on; the command ignores it too, as with nohup. The caller must
// call the returned function "stop".
func Signals() (signals <-chan os.Signal, stop func()) {
	all := make(chan os.Signal, 64)
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGCONT} {
		if !signal.Ignored(s) {
			signal.Notify(all, s)
		}
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, unix.SIGPIPE) // a log line that cannot be written must not end this process
	return all, func() { signal.Stop(all); signal.Stop(broken) }
}

// isScript reports whether a file could not be started because the kernel does not recognize its format.
func isScript(err error) bool { return errors.Is(err, unix.ENOEXEC) }

// hasTerminal reports whether this process has a controlling terminal.
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

func (p *process) prepare() {
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: p.ownGroup}
	endWithWrapper(p.cmd.SysProcAttr)
}

func (p *process) send(s syscall.Signal) {
	pid := p.cmd.Process.Pid
	if p.ownGroup {
		pid = -pid
	}
	_ = syscall.Kill(pid, s) // fails if the command has ended
}

// interrupts reports whether a signal can end the command.
func interrupts(s os.Signal) bool { return s != unix.SIGCONT }

// pass passes a signal on to the command. If the command is in this process group, signals from the keyboard have already reached it, and
// are not passed on. A SIGCONT is then passed on only if the command is still stopped, because the shell usually continues the command
// itself. Some systems do not say whether the command is stopped. There, a SIGCONT is always passed on.
func (p *process) pass(s os.Signal) {
	number, ok := s.(syscall.Signal)
	switch {
	case !ok:
	case number == unix.SIGCONT && !p.ownGroup:
		p.resume()
	case (number == unix.SIGINT || number == unix.SIGQUIT) && !p.ownGroup && isForeground():
	default:
		p.send(number)
	}
}

// isForeground reports whether the keyboard sends signals to this process group. It also returns true if the terminal was closed, because
// until then the keyboard has sent signals to the group.
func isForeground() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return true
	}
	defer f.Close()
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// terminate asks the command to end, even if the command is stopped.
func (p *process) terminate() {
	p.send(unix.SIGTERM)
	p.send(unix.SIGCONT)
}

func (p *process) kill() { p.send(unix.SIGKILL) }

// endGroup waits until all processes of the command's own process group have ended. When a value arrives on the channel "kill", endGroup
// kills them.
func (p *process) endGroup(kill <-chan time.Time) {
	if !p.ownGroup {
		return
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for syscall.Kill(-p.cmd.Process.Pid, 0) == nil {
		select {
		case <-look.C:
		case <-kill:
			p.kill()
			return
		}
	}
}

// result sets the part of r that says how the command has ended.
func (p *process) result(r *Result) {
	state := p.cmd.ProcessState
	if state == nil {
		r.Code = -1
		return
	}
	r.Code = state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Signal = status.Signal()
		r.Code = firstSignal + int(r.Signal)
	}
	r.User, r.System = state.UserTime(), state.SystemTime()
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		r.MaxMemory = int64(usage.Maxrss) * maxrssUnit
	}
}

// Die ends this process by a signal, so that its parent sees the same exit status as if the parent had run the command itself.
// Die returns if this is not possible, such as in process 1 of a container.
func Die(s syscall.Signal) {
	if os.Getpid() == 1 {
		return
	}
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // a core file is written for the command only
	restoreDefault(s)
	_ = syscall.Kill(os.Getpid(), s)
	time.Sleep(time.Second) // another thread may receive the signal
}
