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

// grace is how long a command may take to end after SIGTERM, and how long its output may stay open after its end.
const grace = 2 * time.Second

var errLeftOpen = errors.New("the command ended, but a process that it started keeps its output open: redirect the output of that process")

// process is one run of a command.
type process struct {
	args   []string
	dir    string
	env    []string
	stdin  string
	stdout capture // all of it; more than its max ends the command
	stderr capture // the beginning
	grace  time.Duration
}

// run runs the command until it ends, and returns its exit code. When ctx ends, the process group gets SIGTERM, and
// SIGKILL after a grace period. Processes of the group that outlive the command are killed, so that they do not pile up.
func (p *process) run(ctx context.Context) (code int, err error) {
	if info, err := os.Stat(p.dir); err != nil {
		return 0, fmt.Errorf("dir: %w", err)
	} else if !info.IsDir() {
		return 0, fmt.Errorf("dir: %s is not a directory", p.dir)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.stdout.full = func() { cancel(fmt.Errorf("the output exceeds max_output (%s)", setting.Bytes(p.stdout.max))) }
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

// startError returns why a command cannot be started, and what to do.
func startError(program string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("program not found in PATH (%s)", os.Getenv("PATH"))
	case errors.Is(err, exec.ErrDot):
		return fmt.Errorf("the program is in the current directory: write ./%s", program)
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("program not found, or the interpreter in the first line (#!) of the script not found")
	case errors.Is(err, fs.ErrPermission):
		return errors.New("no permission to run it: make it executable with chmod +x, or run the agent as another user")
	case errors.Is(err, syscall.ENOEXEC):
		return errors.New("not a program for this machine: a script needs a first line such as #!/bin/sh")
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("start: %w", err)
}

// capture keeps the beginning of a stream.
type capture struct {
	text []byte
	max  int
	full func() // called when there is more; nil = discard the rest
}

var errFull = errors.New("output exceeds the limit")

func (c *capture) Write(p []byte) (int, error) {
	fits := min(len(p), c.max-len(c.text))
	c.text = append(c.text, p[:fits]...)
	if fits < len(p) && c.full != nil {
		c.full()
		return fits, errFull
	}
	return len(p), nil
}
