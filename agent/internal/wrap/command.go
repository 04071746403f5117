// Package wrap runs a batch command without changing what it does, and keeps a record of its runs.
//
//	Command ─▶ Result ─▶ History, on disk ─▶ families of metrics
package wrap

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Exit codes for a command that has no exit code of its own. A shell and timeout(1) use the same codes.
const (
	timedOut      = 124
	notExecutable = 126
	notFound      = 127
	firstSignal   = 128 // the number of the signal is added
)

// Command is a command to run. It inherits the environment, the working directory, and those streams that are files.
type Command struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	Timeout time.Duration    // time until the command gets SIGTERM; 0 = never
	Grace   time.Duration    // time from SIGTERM until SIGKILL
	Signals <-chan os.Signal // signals to pass on to the command
}

// Result is the result of a run of a command.
type Result struct {
	Start, End time.Time
	Code       int            // exit code as a shell reports it
	Signal     syscall.Signal // signal that has ended the command; 0 = none, it has exited
	TimedOut   bool
	Signaled   bool  // a signal was passed on to the command
	Err        error // why the command could not be started; nil if it was

	MaxMemory    int64 // in bytes, of that process of the command which has used the most memory; 0 = unknown
	User, System time.Duration
}

// outputDelay is how long this process still reads output after the command has ended.
const outputDelay = 2 * time.Second

// Run runs the command until it ends.
//
// If there is a terminal, the command stays in the process group of this process. Signals from the keyboard then reach both,
// and a shell stops and continues both as one job. If there is no terminal, the command has its own process group, and
// signals are passed on to it. A signal sent to the group of this process then reaches the command only once.
func (c *Command) Run() Result {
	r := Result{Start: time.Now()}
	p, err := c.start()
	if err != nil {
		r.End, r.Code, r.Err = time.Now(), notExecutable, startError(c.Args[0], err)
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			r.Code = notFound
		}
		return r
	}
	p.mirrorStops()
	killed := c.attend(p, &r)
	r.End = time.Now()
	p.result(&r)
	if r.TimedOut {
		r.Code, r.Signal = timedOut, 0
		if killed {
			r.Code = firstSignal + int(syscall.SIGKILL)
		}
	}
	return r
}

// attend waits until the command has ended. It passes signals on, and stops the command after the timeout. It reports
// whether it had to kill the command.
func (c *Command) attend(p *process, r *Result) (killed bool) {
	var timeout, kill <-chan time.Time
	if c.Timeout > 0 {
		timeout = time.After(c.Timeout)
	}
	for {
		select {
		case <-p.ended:
			if r.TimedOut && !killed {
				p.endGroup(kill)
			}
			return killed
		case s := <-c.Signals:
			p.pass(s)
			r.Signaled = r.Signaled || interrupts(s)
		case <-timeout:
			r.TimedOut = true
			p.terminate()
			kill = time.After(c.Grace)
		case <-kill:
			killed = true
			p.kill()
		}
	}
}

// process is a started command.
type process struct {
	cmd      *exec.Cmd
	ownGroup bool
	ended    chan struct{} // closed when the command has ended
}

// start starts the command. A script without a first line such as #!/bin/sh is run by /bin/sh, as every shell does.
func (c *Command) start() (*process, error) {
	p, err := c.startAs(c.Args[0], c.Args[1:])
	if isScript(err) {
		if path, found := exec.LookPath(c.Args[0]); found == nil || errors.Is(found, exec.ErrDot) {
			p, err = c.startAs("/bin/sh", append([]string{path}, c.Args[1:]...))
		}
	}
	return p, err
}

func (c *Command) startAs(name string, args []string) (*process, error) {
	cmd := exec.Command(name, args...)
	if errors.Is(cmd.Err, exec.ErrDot) { // shells also run such a command
		cmd.Err = nil
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = c.Stdin, c.Stdout, c.Stderr, outputDelay
	p := &process{cmd: cmd, ownGroup: !hasTerminal(), ended: make(chan struct{})}
	p.prepare()
	started := make(chan error)
	go func() {
		// On Linux, the kernel kills the command when the thread that has started it ends (golang.org/issue/27505). So the
		// thread must not end before the command.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the result is in cmd.ProcessState
			close(p.ended)
		}
	}()
	return p, <-started
}

// startError returns an error that says why a command cannot be started and what the user can do.
func startError(program string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("run %s: program not found in PATH (%s)", program, os.Getenv("PATH"))
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("run %s: program not found, or the interpreter in the first line (#!) of the script not found", program)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("run %s: no permission to run it: make it executable with chmod +x, or run it as another user", program)
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Errorf("run %s: %w", program, err)
}

// Pause waits before a retry. It returns false if a signal has ended the wait.
func (c *Command) Pause(d time.Duration) bool {
	_, interrupted := Wait(c.Signals, d)
	return !interrupted
}

// Wait waits for a time, or until it receives a signal that would end a command. It returns this signal.
func Wait(signals <-chan os.Signal, d time.Duration) (by os.Signal, interrupted bool) {
	end := time.After(d)
	for {
		select {
		case <-end:
			return nil, false
		case s := <-signals:
			if interrupts(s) {
				return s, true
			}
		}
	}
}
