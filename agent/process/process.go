// Package process runs commands so that nothing of them is left behind: each in a process group of its own, which is stopped with a
// grace period, and whose rest is killed. As process 1 of a container, it also reaps orphans.
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

// TimedOut is the exit code that stands for a command that was stopped because it took too long, as with timeout(1).
const TimedOut = 124

// DefaultGrace is how long a command may take to end after SIGTERM, as with docker stop. Kubernetes gives a whole pod 30 seconds.
const DefaultGrace = 10 * time.Second

// linger is how long the output of a command may stay open after its end.
const linger = 2 * time.Second

// ErrOutputOpen is the error of Wait if a process that the command has started keeps the output open after the command's end.
// What that process writes later is lost.
var ErrOutputOpen = errors.New("the command ended, but a process that it started keeps its output open: redirect the output of that process")

// Process is a started command.
type Process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the command has ended; its process group may have members left
	err   error         // of waiting, once ended is closed

	outputs []*os.File // the read ends of the pipes of its output
	input   *os.File   // the write end of the pipe of its input; nil = none
	copies  sync.WaitGroup

	mu      sync.Mutex // guards copyErr
	copyErr error      // the first of copying the output
}

// Result says how a command has ended.
type Result struct {
	// Code is the exit code, or 128 plus the number of the signal that has ended the command, as a shell reports it.
	Code int
	// Signal is the name of the signal that has ended the command, or "".
	Signal string
	// Stopped reports that the context of Wait ended before the command did.
	Stopped bool
}

// Start starts a command, which exec.Command has made, in a process group of its own. If the agent is killed on Linux, the kernel
// kills the command, but not the processes that it has started. Stdout and Stderr may be written to at the same time. The caller
// calls Wait.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	given, err := p.pipe()
	if err == nil {
		ownGroup(cmd)
		err = p.start()
	}
	for _, f := range given {
		f.Close() // the command has its own
	}
	if err != nil {
		p.closePipes()
		p.copies.Wait()
		return nil, err
	}
	return p, nil
}

// start starts the command. The kernel kills the command when the thread that has started it ends, so that thread is kept until
// the command has ended (golang.org/issue/27505).
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

// pipe replaces the command's streams that are not files by pipes, so that waiting for the command is not waiting for all processes
// that have inherited its output. It returns the ends that the command gets.
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
		_, _ = io.Copy(w, from) // a command need not read its input
	}()
	return append(given, r), nil
}

// copy copies the output of the command until its end. After an error of the writer it still reads: a command does not end
// because nobody wants its output.
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

// Signal sends a signal to the process group, before Wait has returned.
func (p *Process) Signal(s os.Signal) error { return signalGroup(p.cmd.Process, s) }

// Wait waits until the command has ended, and kills what is left of its process group then. If ctx ends first, the group gets
// SIGTERM, and what is left of it after the grace period SIGKILL.
//
// The result holds if the error is nil or about the output: ErrOutputOpen, or an error of a writer that the command's output went
// to.
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
		p.awaitOutput() // the rest of a pipeline may end a moment later
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

// stop sends SIGTERM to the group and waits until it has no members, at most for the grace period: the command may end at once, and
// the processes that it has started need their time too.
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

// awaitOutput waits until all of the output is copied, at most for linger.
func (p *Process) awaitOutput() {
	for _, r := range p.outputs {
		_ = r.SetReadDeadline(time.Now().Add(linger)) // fails for a pipe that is closed
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
