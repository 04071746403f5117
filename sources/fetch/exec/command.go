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

	"github.com/collectington/collectington/agent/process"
	"github.com/collectington/collectington/agent/setting"
)

// command holds the parameters of one run of a command, and its output.
type command struct {
	args   []string
	dir    string
	env    []string
	stdin  string
	grace  time.Duration
	stdout capture
	stderr edges
}

// ending describes how a command has ended.
type ending struct {
	process.Result // Code is process.TimedOut if the command was stopped because it took too long
	took           time.Duration
	timeout        error // why the command was stopped; nil = it was not stopped
	cut            error // why the output is not complete; nil = it is complete
}

// run runs the command until it ends. The context "limit" is derived from ctx. The command is stopped when one of the two ends. If ctx has
// ended, the agent is stopping, and the result is an error. If only "limit" has ended, there is no error.
func (c *command) run(ctx, limit context.Context) (ending, error) {
	if info, err := os.Stat(c.dir); err != nil {
		return ending{}, fmt.Errorf("dir: %w", err)
	} else if !info.IsDir() {
		return ending{}, fmt.Errorf("dir: %s is not a directory", c.dir)
	}
	if err := context.Cause(ctx); err != nil {
		return ending{}, err
	}
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, c.env, &c.stdout, &c.stderr
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	began := time.Now()
	p, err := process.Start(cmd)
	if err != nil {
		return ending{}, startError(c.args[0], err)
	}
	e := ending{}
	e.Result, err = p.Wait(limit, c.grace)
	e.took = time.Since(began)
	switch {
	case e.Stopped && ctx.Err() != nil:
		return e, context.Cause(ctx)
	case e.Stopped:
		e.timeout, e.Code = context.Cause(limit), process.TimedOut
	case errors.Is(err, process.ErrOutputOpen):
		e.cut = err
	case err != nil:
		return e, err
	}
	if c.stdout.over {
		e.cut = fmt.Errorf("the output exceeds max_output (%s): print less, or raise it", setting.Bytes(c.stdout.max))
	}
	return e, nil
}

// startError returns the reason why a command cannot be started, with advice for the user.
func startError(program string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("program not found in PATH (%s)", os.Getenv("PATH"))
	case errors.Is(err, exec.ErrDot):
		return fmt.Errorf("the program is in the current directory: write ./%s", program)
	case errors.Is(err, fs.ErrNotExist) && program == systemShell:
		return errors.New("there is no shell: in a container, use the image whose tag ends with -shell, or set command in place of shell")
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

// capture keeps the beginning of a stream, at most max bytes.
type capture struct {
	text []byte
	max  int
	over bool // the stream was longer than max
}

func (c *capture) Write(p []byte) (int, error) {
	fits := min(len(p), c.max-len(c.text))
	c.text = append(c.text, p[:fits]...)
	c.over = c.over || fits < len(p)
	return len(p), nil
}

// edges keeps the beginning and the end of a stream. Both are needed: a shell writes its error message at the beginning, but programs in
// most languages write it at the end.
type edges struct {
	head  capture // the beginning
	tail  []byte
	total int64 // number of bytes written
}

func (e *edges) Write(p []byte) (int, error) {
	n := len(e.head.text)
	_, _ = e.head.Write(p)
	rest := p[len(e.head.text)-n:]
	e.total += int64(len(p))
	e.tail = append(e.tail, rest[max(0, len(rest)-e.head.max):]...)
	if over := len(e.tail) - 2*e.head.max; over > 0 {
		e.tail = append(e.tail[:0], e.tail[len(e.tail)-e.head.max:]...)
	}
	return len(p), nil
}

// parts returns the beginning and the end of the stream. If there is a gap between them, both consist of whole lines, so that a secret is
// not cut. If there is no gap, "first" is the whole stream and "last" is "".
func (e *edges) parts() (first, last string) {
	tail := e.tail[max(0, len(e.tail)-e.head.max):]
	if int64(len(e.head.text)+len(tail)) == e.total {
		return string(e.head.text) + string(tail), ""
	}
	first = string(e.head.text)
	first = first[:strings.LastIndex(first, "\n")+1]
	_, last, _ = strings.Cut(string(tail), "\n")
	return first, last
}
