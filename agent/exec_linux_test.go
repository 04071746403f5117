package agent_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// wrapper returns a folder with a program named w, which runs its arguments directly, or with cton exec if the argument "wrapped" is
// true.
func wrapper(t *testing.T, wrapped bool) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script := "#!/bin/sh\nexec \"$@\"\n"
	if wrapped {
		gateway := httptest.NewServer(peers.NewPushgateway(t))
		t.Cleanup(gateway.Close)
		cton, err := exec.LookPath("cton")
		if err != nil {
			t.Fatal(err)
		}
		script = fmt.Sprintf("#!/bin/sh\nexec %q exec --pushgateway %s --state-dir %q -- \"$@\"\n", cton, gateway.URL, filepath.Join(dir, "state"))
	}
	for name, text := range map[string]string{"w": script, "plain": "echo a script without a first line: \"$@\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ending is all that the parent process of a command sees.
type ending struct {
	stdout, stderr string
	status         string
}

func (e ending) String() string {
	return fmt.Sprintf("%s\nstdout: %q\nstderr: %q", e.status, e.stdout, e.stderr)
}

// play runs a shell command line in which w is the wrapper. When the line has written "ready", play sends the signals of the argument
// "send" to the process group of the shell.
func play(t *testing.T, dir, line, stdin string, send []syscall.Signal) ending {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // without a terminal
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }).Stop()
	var stdout bytes.Buffer
	if len(send) > 0 {
		buffer := make([]byte, 1024)
		for !strings.Contains(stdout.String(), "ready") {
			n, err := out.Read(buffer)
			stdout.Write(buffer[:n])
			if err != nil {
				break
			}
		}
		for _, s := range send {
			if err := syscall.Kill(-cmd.Process.Pid, s); err != nil {
				t.Error(err)
			}
		}
	}
	_, _ = io.Copy(&stdout, out)
	_ = cmd.Wait() // ProcessState has the result
	return ending{stdout.String(), stderr.String(), cmd.ProcessState.String()}
}

// TestExecChangesNothing checks that commands write the same bytes and end in the same way without cton exec and with it.
func TestExecChangesNothing(t *testing.T) {
	t.Parallel()
	bare, wrapped := wrapper(t, false), wrapper(t, true)
	binary := strings.Repeat("\x00\xff\r\nabc", 40_000)
	for _, c := range []struct {
		line, stdin string
		send        []syscall.Signal
	}{
		{line: `w true`},
		{line: `w false`},
		{line: `w sh -c "exit 42"`},
		{line: `w sh -c "exit 255"`},
		{line: `w sh -c "echo out; echo err >&2; printf unfinished"`},
		{line: `w cat`, stdin: binary},
		{line: `w head -c 5; cat | wc -c`, stdin: "12345"},
		{line: `exec w sh -c "kill -TERM \$\$"`},
		{line: `exec w sh -c "kill -KILL \$\$"`},
		{line: `exec w sh -c "kill -QUIT \$\$"`},
		{line: `exec w sh -c "kill -SEGV \$\$"`},
		{line: `exec w sh -c "kill -ABRT \$\$"`},
		{line: `exec w sh -c "kill -PIPE \$\$"`},
		{line: `exec w sh -c "kill -USR1 \$\$"`},
		{line: `exec w sh -c "kill -ALRM \$\$"`},
		{line: `w sh -c "kill -TERM \$\$"; echo $?`},
		{line: `w yes | head -n 3`},
		{line: `w sh -c "echo to three >&3" 3>&1`},
		{line: `w sh -c "cat <&4" 4</etc/hostname`},
		{line: `w env | grep -v -e "^_=" -e "^PATH=" | sort`},
		{line: `cd /tmp && w pwd`},
		{line: `umask 0027; w sh -c umask`},
		{line: `ulimit -n 333; w sh -c "ulimit -n"`},
		{line: `w sh -c "ulimit -a"`},
		{line: `nice -n 5 w nice`},
		{line: `w printf "[%s]" a "b c" "" "-d" "--" "e
f" "\$HOME"`},
		{line: `w plain one "two three"`},
		{line: `trap "" HUP; exec w sh -c "kill -HUP \$\$; echo alive"`},
		{line: `trap "" INT; exec w sh -c "kill -INT \$\$; echo alive"`},
		{line: `w sh -c "grep -E Sig.*: /proc/self/status | grep -v SigQ"`},
		{line: `w sh -c "(sleep 0.3; echo late) & echo now"`},
		{line: `exec w sh -c "trap \"echo got TERM; exit 7\" TERM; echo ready; while :; do :; done"`, send: []syscall.Signal{syscall.SIGTERM}},
		{line: `exec w sh -c "trap \"echo got INT; exit 5\" INT; echo ready; while :; do :; done"`, send: []syscall.Signal{syscall.SIGINT}},
		{line: `exec w sh -c "trap \"exit 3\" HUP; echo ready; while :; do :; done"`, send: []syscall.Signal{syscall.SIGHUP}},
		{line: `exec w sh -c "echo ready; exec sleep 20"`, send: []syscall.Signal{syscall.SIGTERM}},
		{line: `exec w sh -c "echo ready; exec sleep 20"`, send: []syscall.Signal{syscall.SIGKILL}},
		{line: `exec w sh -c "echo ready; exec sleep 20"`, send: []syscall.Signal{syscall.SIGUSR2}},
		{line: `w /nonexistent 2>/dev/null; echo $?`},
		{line: `w /etc/hostname 2>/dev/null; echo $?`},
	} {
		without, with := play(t, bare, c.line, c.stdin, c.send), play(t, wrapped, c.line, c.stdin, c.send)
		if with != without {
			t.Errorf("%s\nwithout: %s\nwith: %s", c.line, without, with)
		}
	}
}

// terminal is a shell on a pseudo-terminal.
type terminal struct {
	*os.File
	mu   sync.Mutex
	text []byte
}

// prompt is the shell's prompt.
const prompt = "@@ "

// openTerminal starts an interactive bash on a new pseudo-terminal. The bash is killed at the end of the test.
func openTerminal(t *testing.T, dir string) *terminal {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	main, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	if err := unix.IoctlSetPointerInt(int(main.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(main.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	side, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer side.Close()
	cmd := exec.Command(bash, "--norc", "--noprofile", "--noediting", "-i")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "PS1="+prompt, "TERM=dumb", "HISTFILE=", "BASH_SILENCE_DEPRECATION_WARNING=1")
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = side, side, side
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term := &terminal{File: main}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := main.Read(buffer)
			term.mu.Lock()
			term.text = append(term.text, buffer[:n]...)
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		main.Close()
		<-read
	})
	return term
}

func (x *terminal) shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return string(x.text)
}

// TestExecOnTerminal checks that a terminal shows the same without cton exec and with it, for keys that send signals and for job control.
func TestExecOnTerminal(t *testing.T) {
	t.Parallel()
	// A step types keys. It first waits until the terminal shows the text in the field await. This text must come after the text for which
	// the previous step has waited.
	type step struct{ await, keys string }
	line := func(text string) step { return step{prompt, text + "\n"} }
	steps := []step{
		line(`w sh -c 'test -t 0 && test -t 1 && test -t 2 && echo all of it is the terminal'`),
		line(`w stty size; w tty | tr -d 0-9`),
		line(`w sh -c 'trap "echo INT; exit 5" INT; echo ready 1; while :; do :; done'`),
		{"ready 1\r\n", "\x03"}, // Ctrl-C
		line(`echo $?; w sh -c 'echo ready 2; exec sleep 20'`),
		{"ready 2\r\n", "\x03"},
		line(`echo $?; w sh -c 'echo ready 3; exec sleep 20'`),
		{"ready 3\r\n", "\x1c"}, // Ctrl-\
		line(`echo $?; w sh -c 'echo ready 4; exec cat'`),
		{"ready 4\r\n", "\x1a"}, // Ctrl-Z
		line(`jobs`),
		line(`fg`),
		{"exec cat'\r\n", "one\n"},
		{"one\r\none\r\n", "\x1a"},
		line(`fg`),
		{"exec cat'\r\n", "two\n"},
		{"two\r\ntwo\r\n", "\x04"},
		line(`echo $?; w sh -c 'kill -STOP $$; echo goes on'`),
		line(`echo $?; fg`),
		line(`echo $?; w sh -c 'kill -TSTP $$; echo goes on too'`),
		line(`fg; echo $?`),
		line(`w sh -c 'trap "echo continued once" CONT; kill -STOP $$; read x; read x; read x'`),
		line(`fg`),
		{"continued once\r\n", "1\n"},
		{"1\r\n", "2\n"},
		{"2\r\n", "3\n"},
		line(`w sh -c 'read x; echo read $x'`),
		{"read x", "typed\n"},
		line(`w sh -c 'read x; echo $x' & until jobs %1 | grep -q Stopped; do sleep 0.05; done`),
		line(`fg; echo $?`),
		{"echo $x'\r\n", "read in the foreground\n"},
		line(`w cat`),
		{"w cat\r\n", "a line\n"},
		{"a line\r\na line\r\n", "\x04"}, // Ctrl-D
		line(`echo $?; w sh -c 'exit 9' || echo $?`),
		{prompt, ""},
	}
	play := func(wrapped bool) string {
		x := openTerminal(t, wrapper(t, wrapped))
		seen := 0
		for _, s := range steps {
			for deadline := time.Now().Add(15 * time.Second); !strings.Contains(x.shown()[seen:], s.await); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("with cton %t: no %q:\n%s", wrapped, s.await, x.shown())
				}
			}
			seen += strings.Index(x.shown()[seen:], s.await) + len(s.await)
			if _, err := io.WriteString(x, s.keys); err != nil {
				t.Fatal(err)
			}
		}
		return regexp.MustCompile(`(?m)^\[1\] \d+`).ReplaceAllString(x.shown(), "[1] PID")
	}
	without, with := play(false), play(true)
	if with != without {
		t.Errorf("without:\n%s\n\nwith:\n%s", without, with)
	}
}
