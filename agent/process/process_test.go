//go:build unix

package process_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/collectington/collectington/agent/process"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(helper(os.Getenv(helperEnv)))
	}
	goleak.VerifyTestMain(m)
}

// start starts a shell script. File descriptor 9 of the script is the write end of a pipe, and start returns the read end. Reading comes to
// an end when all processes that have inherited the write end have ended.
func start(t *testing.T, script string, setup func(*exec.Cmd)) (*process.Process, *os.File) {
	t.Helper()
	held, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { held.Close() })
	cmd := exec.Command("/bin/sh", "-c", "exec 9>&3 3>&-; "+script)
	cmd.ExtraFiles = []*os.File{theirs}
	if setup != nil {
		setup(cmd)
	}
	p, err := process.Start(cmd)
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	return p, held
}

// waitForEnd checks that all processes that held the pipe have ended.
func waitForEnd(t *testing.T, held *os.File) {
	t.Helper()
	if err := held.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, held); err != nil {
		t.Errorf("a process of the command is alive: %v", err)
	}
}

func TestResult(t *testing.T) {
	for script, want := range map[string]process.Result{
		"exit 0":      {},
		"exit 3":      {Code: 3},
		"kill -9 $$":  {Code: 137, Signal: "killed"},
		"kill -15 $$": {Code: 143, Signal: "terminated"},
	} {
		p, held := start(t, script, nil)
		if got, err := p.Wait(t.Context(), time.Second); got != want || err != nil {
			t.Errorf("%s: got %+v, %v, want %+v", script, got, err, want)
		}
		waitForEnd(t, held)
	}
	if _, err := process.Start(exec.Command("/no/such/program")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
}

// TestStop stops commands that have started other processes, and checks how they end. Some of these processes ignore SIGTERM, some clean
// up.
func TestStop(t *testing.T) {
	for name, c := range map[string]struct {
		script string // READY marks when the test may stop the script: a process that is started later would not get SIGTERM
		grace  time.Duration
		code   int
		output string
	}{
		"all end at SIGTERM":              {"sleep 600 & READY; sleep 600", time.Hour, 143, ""},
		"the command ignores SIGTERM":     {"trap '' TERM; READY; sleep 600", 50 * time.Millisecond, 137, ""},
		"all ignore SIGTERM":              {"trap '' TERM; sleep 600 & READY; sleep 600", 50 * time.Millisecond, 137, ""},
		"a child ignores SIGTERM":         {"(trap '' TERM; READY; exec sleep 600 >/dev/null 2>&1) & sleep 600", 50 * time.Millisecond, 143, ""},
		"the command cleans up":           {"trap 'echo cleaned; exit 7' TERM; sh -c 'READY; exec sleep 600' & wait", time.Hour, 7, "cleaned\n"},
		"a child cleans up":               {"(trap 'sleep 0.2; echo cleaned; exit 7' TERM; sh -c 'READY; exec sleep 600' & wait) & sleep 600", time.Hour, 143, "cleaned\n"},
		"the command does not read stdin": {"READY; sleep 600", time.Hour, 143, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p, held := start(t, strings.ReplaceAll(c.script, "READY", "echo $$ >&9"), func(cmd *exec.Cmd) {
				cmd.Stdin, cmd.Stdout = strings.NewReader(strings.Repeat("x", 1<<20)), &out
			})
			var pid int
			if _, err := fmt.Fscanln(held, &pid); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			got, err := p.Wait(ctx, c.grace)
			if err != nil || got.Code != c.code || !got.Stopped || out.String() != c.output {
				t.Errorf("got %+v, %v, output %q", got, err, out.String())
			}
			if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				t.Errorf("process %d has not ended, or was not waited for", pid)
			}
			waitForEnd(t, held)
		})
	}
}

// TestLeftBehind runs commands that end and leave a process behind.
func TestLeftBehind(t *testing.T) {
	for script, want := range map[string]error{
		"sleep 600 & echo 1":                              process.ErrOutputOpen,
		"sleep 600 </dev/null >/dev/null 2>/dev/null & :": nil,
		"(sleep 0.01; echo 1) & :":                        nil, // as a pipeline may
		"setsid sleep 5 9>&- & echo 1":                    process.ErrOutputOpen,
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p, held := start(t, script, func(cmd *exec.Cmd) { cmd.Stdout = &out })
			began := time.Now()
			if got, err := p.Wait(t.Context(), time.Hour); !errors.Is(err, want) || got != (process.Result{}) {
				t.Errorf("got %+v, %v, want %v", got, err, want)
			}
			if took := time.Since(began); took > 4500*time.Millisecond {
				t.Errorf("waited %s", took)
			}
			if strings.Contains(script, "echo") && out.String() != "1\n" {
				t.Errorf("output %q", out.String())
			}
			waitForEnd(t, held)
		})
	}
}

// full is a writer that takes nothing.
type full struct{}

var errNoSpace = errors.New("no space")

func (full) Write([]byte) (int, error) { return 0, errNoSpace }

// TestOutputUnwanted checks that a command runs to its end although its output cannot be written.
func TestOutputUnwanted(t *testing.T) {
	done := filepath.Join(t.TempDir(), "done")
	p, _ := start(t, "head -c 1000000 /dev/zero && touch "+done, func(cmd *exec.Cmd) { cmd.Stdout = full{} })
	if got, err := p.Wait(t.Context(), time.Second); !errors.Is(err, errNoSpace) || got.Code != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := os.Stat(done); err != nil {
		t.Errorf("the command did not get to its end: %v", err)
	}
}

// TestSignal checks that a signal gets to the whole group.
func TestSignal(t *testing.T) {
	var out bytes.Buffer
	p, held := start(t, "trap 'echo got it; exit 5' USR1; (trap 'exit 0' USR1; sh -c 'echo ready >&9; exec sleep 600' & wait) & wait", func(cmd *exec.Cmd) { cmd.Stdout = &out })
	if _, err := fmt.Fscanln(held, new(string)); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGUSR1); err != nil {
		t.Error(err)
	}
	if got, err := p.Wait(t.Context(), time.Second); err != nil || got.Code != 5 || out.String() != "got it\n" {
		t.Errorf("got %+v, %v, %q", got, err, out.String())
	}
	waitForEnd(t, held)
}
