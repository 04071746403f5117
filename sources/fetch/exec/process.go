package exec

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/collectington/collectington/agent/setting"
)

// grace is how long a command that is to end may take for it, and how long one that has ended may leave its output open.
const grace = 2 * time.Second

var errLeftOpen = errors.New("it has ended, but a process that it began keeps its output open: have that one write elsewhere")

// process is one run of a command.
type process struct {
	args   []string
	dir    string
	env    []string
	stdin  string
	stdout capture // all of it; more than its max ends the command
	stderr capture // its beginning
	grace  time.Duration
}

// run runs the command until it has ended by itself, and returns its exit code. When ctx ends, its process group is asked
// to terminate, and killed after a grace. Whatever of the group outlives the command is killed too, so that what ticks
// leave behind does not pile up.
func (p *process) run(ctx context.Context) (code int, err error) {
	if info, err := os.Stat(p.dir); err != nil {
		return 0, fmt.Errorf("dir: %w", err)
	} else if !info.IsDir() {
		return 0, fmt.Errorf("dir: %s is no directory", p.dir)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.stdout.full = func() { cancel(fmt.Errorf("its output exceeds max_output (%s)", setting.Bytes(p.stdout.max))) }
	cmd := exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = p.dir, p.env, &p.stdout, &p.stderr, p.grace
	if p.stdin != "" {
		cmd.Stdin = strings.NewReader(p.stdin)
	}
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return 0, cause
		}
		return 0, startError(p.args[0], err)
	}
	err = cmd.Wait()
	killGroup(cmd)
	if cause := context.Cause(ctx); cause != nil {
		return 0, cause
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return 0, errLeftOpen
	}
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return 0, err
	}
	if code = cmd.ProcessState.ExitCode(); code < 0 {
		return 0, fmt.Errorf("ended by %s", cmd.ProcessState) // signal: killed
	}
	return code, nil
}

// startError says why a command could not be begun, and what to do.
func startError(program string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("there is no such program in PATH (%s)", os.Getenv("PATH"))
	case errors.Is(err, exec.ErrDot):
		return fmt.Errorf("it is in the current directory: call it ./%s", program)
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such program, or none that the script names in its first line, after #!, to run it")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("may not be run: chmod +x it, or have the agent run as a user that may")
	case errors.Is(err, syscall.ENOEXEC):
		return errors.New("is no program for this machine: a script begins with a line such as #!/bin/sh")
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("cannot be begun: %w", err)
}

// capture keeps the beginning of a stream.
type capture struct {
	text []byte
	max  int
	full func() // told when there is more; nil = the rest is let go
}

var errFull = errors.New("more than is kept")

func (c *capture) Write(p []byte) (int, error) {
	fits := min(len(p), c.max-len(c.text))
	c.text = append(c.text, p[:fits]...)
	if fits < len(p) && c.full != nil {
		c.full()
		return fits, errFull
	}
	return len(p), nil
}
