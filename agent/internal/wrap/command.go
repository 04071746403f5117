// Package wrap runs a batch command without changing what it does, and keeps what is known of its runs.
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

// The exit codes of a command that has none of its own, as those of a shell and of timeout(1).
const (
	timedOut      = 124
	notExecutable = 126
	notFound      = 127
	firstSignal   = 128 // plus the number of the signal
)

// Command is a command to run. It inherits the streams that are files, the environment and the working directory.
type Command struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	Timeout time.Duration    // then it gets SIGTERM; 0 = never
	Grace   time.Duration    // from then on until SIGKILL
	Signals <-chan os.Signal // are passed on to it
}

// Result says how a command went.
type Result struct {
	Start, End time.Time
	Code       int            // as a shell reports it
	Signal     syscall.Signal // has ended the command; 0 = it has exited
	TimedOut   bool
	Signaled   bool  // a signal was passed on
	Err        error // why it could not be started

	MaxMemory    int64 // bytes, of the largest of its processes; 0 = unknown
	User, System time.Duration
}

// outputDelay is how long an output that is read may stay open after the end of the command.
const outputDelay = 2 * time.Second

// Run runs the command until it ends.
//
// With a terminal the command stays in the process group of this process: signals from the keyboard reach both, and both are
// stopped and continued as one job. Without one it has a group of its own, to which signals are passed on: a signal to the whole
// group of this process then reaches the command once.
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

// attend passes signals on and stops the command after its timeout, until it has ended. It reports whether it had to kill it.
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
	ended    chan struct{} // closed when it has ended
}

// start starts the command. A script without a first line such as #!/bin/sh is one for /bin/sh, as in every shell.
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
	if errors.Is(cmd.Err, exec.ErrDot) { // a shell runs it too
		cmd.Err = nil
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = c.Stdin, c.Stdout, c.Stderr, outputDelay
	p := &process{cmd: cmd, ownGroup: !hasTerminal(), ended: make(chan struct{})}
	p.prepare()
	started := make(chan error)
	go func() {
		// The kernel kills the command when the thread ends that has started it (golang.org/issue/27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the result is in ProcessState
			close(p.ended)
		}
	}()
	return p, <-started
}

// startError returns why a command cannot be started, and what to do.
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

// Pause waits before a retry, and reports whether it was not interrupted by a signal.
func (c *Command) Pause(d time.Duration) bool {
	_, interrupted := Wait(c.Signals, d)
	return !interrupted
}

// Wait waits, or until a signal that would end a command.
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
