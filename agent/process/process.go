// Package process runs commands so that no process of a command is left behind. Each command is in a process group of its own. The
// group is stopped with a grace period, and remaining processes are killed. If the agent is process 1 of a container, the package
// also reaps orphans.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// TimedOut is the exit code for a command that was stopped because it took too long, as in timeout(1).
const TimedOut = 124

// DefaultGrace is how long a command may run after SIGTERM, as in docker stop. Kubernetes gives 30 seconds to a whole pod.
const DefaultGrace = 10 * time.Second

// linger is how long the output of a command may stay open after the command has ended.
const linger = 2 * time.Second

// ErrOutputOpen is the error of Wait if the command has ended, but a process that the command has started keeps the command's output open.
// Output that this process writes later is lost.
var ErrOutputOpen = errors.New("the command ended, but a process that it started keeps its output open: redirect the output of that process")

// Process is a started command.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the command has ended; other processes of its group may still run
	err   error         // result of waiting for the command; valid after ended is closed

	outputs []*os.File // the read ends of the pipes for output
	input   *os.File   // the write end of the pipe for input; nil = no pipe
	copies  sync.WaitGroup

	mu      sync.Mutex // guards copyErr
	copyErr error      // the first error when copying output
}

// Result describes how a command has ended.
type Result struct {
	// Code is the exit code. If a signal has ended the command, it is 128 plus the number of the signal, as in a shell.
	Code int
	// Signal is the name of the signal that has ended the command, or "".
	Signal string
	// Stopped reports that the context of Wait ended before the command.
	Stopped bool
}

// Start starts a command, which exec.Command has made, in a new process group. If the agent is killed on Linux, the kernel kills
// the command, but not the processes that the command has started. Stdout and Stderr must accept concurrent writes. The caller must
// call Wait.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	given, err := p.pipe()
	if err == nil {
		ownGroup(cmd)
		err = p.start()
	}
	for _, f := range given {
		f.Close() // the command has its own copy of the file
	}
	if err != nil {
		p.closePipes()
		p.copies.Wait()
		return nil, err
	}
	return p, nil
}

// start starts the command. On Linux, the kernel kills the command when the thread that has started it ends. So this thread is kept
// until the command has ended (golang.org/issue/27505).
func (p *Process) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.ended)
		}
	}()
	return <-started
}

// pipe replaces those streams of the command that are not files by pipes. Without this, exec.Cmd.Wait would wait for all processes that
// have inherited the output. pipe returns those ends of the pipes that the command gets.
func (p *Process) pipe() (given []*os.File, err error) {
	for _, stream := range []*io.Writer{&p.cmd.Stdout, &p.cmd.Stderr} {
		to := *stream
		if _, isFile := to.(*os.File); isFile || to == nil {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			return given, fmt.Errorf("make a pipe for the output: %w", err)
		}
		p.outputs, given = append(p.outputs, r), append(given, w)
		*stream = w
		p.copies.Go(func() { p.copy(to, r) })
	}
	from := p.cmd.Stdin
	if _, isFile := from.(*os.File); isFile || from == nil {
		return given, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return given, fmt.Errorf("make a pipe for the input: %w", err)
	}
	p.input, p.cmd.Stdin = w, r
	go func() {
		defer w.Close()
		_, _ = io.Copy(w, from) // an error is ignored, since a command does not have to read its input
	}()
	return append(given, r), nil
}

// copy copies the output of the command until the output ends. After an error of the writer, copy continues to read the output and discards
// it, so that the command does not fail or block when it writes.
func (p *Process) copy(to io.Writer, from *os.File) {
	_, err := io.Copy(to, from)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		if _, rest := io.Copy(io.Discard, from); errors.Is(rest, os.ErrDeadlineExceeded) {
			err = rest
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrOutputOpen
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.copyErr == nil {
		p.copyErr = err
	}
}

// Signal sends a signal to the process group. It must not be called after Wait has returned.
func (p *Process) Signal(s os.Signal) error { return signalGroup(p.cmd.Process, s) }

// Wait waits until the command has ended, and then kills the remaining processes of its group. If ctx ends first, it sends SIGTERM
// to the group, and SIGKILL after the grace period.
//
// The result is valid if the error is nil, ErrOutputOpen, or an error of a writer for the output. With any other error it is not valid.
func (p *Process) Wait(ctx context.Context, grace time.Duration) (Result, error) {
	stopped := false
	select {
	case <-p.ended:
	case <-ctx.Done():
		stopped = !p.hasEnded()
	}
	if stopped {
		p.stop(grace)
	} else {
		p.awaitOutput() // the other commands of a pipeline may end slightly later
	}
	killGroup(p.cmd.Process)
	<-p.ended
	p.awaitOutput()
	p.closePipes()
	if _, exited := errors.AsType[*exec.ExitError](p.err); p.err != nil && !exited {
		return Result{Stopped: stopped}, p.err
	}
	result := resultOf(p.cmd.ProcessState)
	result.Stopped = stopped
	return result, p.copyErr
}

func (p *Process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop sends SIGTERM to the group. It then waits until the group has no members, but at most for the grace period. It would not be enough
// to wait for the command: the command may end at once, while processes that it has started need time to end.
func (p *Process) stop(grace time.Duration) {
	terminateGroup(p.cmd.Process)
	end := time.NewTimer(grace)
	defer end.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	select {
	case <-p.ended:
	case <-end.C:
		return
	}
	for groupLives(p.cmd.Process) {
		select {
		case <-look.C:
		case <-end.C:
			return
		}
	}
}

// awaitOutput waits until all output is copied, but at most for the duration linger.
func (p *Process) awaitOutput() {
	for _, r := range p.outputs {
		_ = r.SetReadDeadline(time.Now().Add(linger)) // an error means that the pipe is closed
	}
	p.copies.Wait()
}

func (p *Process) closePipes() {
	for _, r := range p.outputs {
		r.Close()
	}
	if p.input != nil {
		p.input.Close()
	}
}
