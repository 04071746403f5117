//go:build unix

package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config returns the defaults with the settings of text.
func config(t *testing.T, text string) *Config {
	t.Helper()
	c := Kind.Defaults().(*Config)
	if err := yaml.Load([]byte(text), c, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

// fresh returns a fetcher. Every secret has the value hunter22.
func fresh(t *testing.T, dir, text string) sources.Fetcher {
	t.Helper()
	c := config(t, text)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	secrets := &setting.SecretStore{LookupEnv: func(string) (string, bool) { return "hunter22", true }}
	f, err := c.New(sources.Env{Job: "test", Web: &httpclient.Host{Secrets: secrets}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func tickAt() sources.Tick {
	end := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	return sources.Tick{Time: end, Start: end.Add(-time.Minute), End: end}
}

func fetch(t *testing.T, dir, text string) string {
	t.Helper()
	doc, err := fresh(t, dir, text).Fetch(t.Context(), tickAt(), sources.Request{})
	if err != nil {
		if s := err.Error(); strings.ContainsAny(s, "\r\n\x1b") || len(s) > 800 || !utf8.ValidString(s) {
			t.Errorf("not one short line: %q", s)
		}
		return err.Error()
	}
	return doc.Root.Raw()
}

func script(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestFetch(t *testing.T) {
	t.Setenv("AGENTS_OWN", "hunter33")
	t.Setenv("LANG", "C")
	t.Setenv("TZ", "UTC")
	dir := t.TempDir()
	script(t, dir, "plain", "#!/bin/sh\necho '[\"'$1'\"]'\n", 0o700)
	script(t, dir, "unfit", "#!/bin/sh\n", 0o600)
	script(t, dir, "adrift", "#!/nowhere/sh\n", 0o700)
	script(t, dir, "bytes", "\x00\x01", 0o700)
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`command: [./plain, a b]`:                                        `["a b"]`,
		`{command: [../plain, x], dir: sub}`:                             `["x"]`,
		`command: [echo, '"$HOME; exit 1"']`:                             `$HOME; exit 1`,
		`shell: "echo 1 | cat"`:                                          `1`,
		`command: [echo, "{{ unix .Window.Start }}"]`:                    `1782899940`,
		`command: [echo, '[{{ unix .Window.Start }}, "{{ "{{" }}x}}"]']`: `[1782899940, "{{x}}"]`,
		`shell: "date -d @{{ unix .Now }} +%s"`:                          `1782900000`,
		`{command: [cat], stdin: '["{{ .Now }}"]'}`:                      `["2026-07-01T10:00:00Z"]`,
		`{command: [echo, 1], stdin: "is not read"}`:                     `1`,
		`shell: "cat; echo 1"`:                                           `1`, // an empty stdin ends at once
		`{shell: 'echo \"$A $B\"', env: {A: text, B: "env:KEY"}}`:        `text hunter22`,
		`shell: 'echo \"$AGENTS_OWN$LANG$TZ\"'`:                          `CUTC`,
		`{shell: 'echo \"$TZ\"', env: {TZ: CET}}`:                        `CET`,
		`{shell: "echo 1; exit 3", ok_exit_codes: [0, 3]}`:               `1`,
		`{shell: "echo 1", ok_exit_codes: [3]}`:                          `run /bin/sh: exit code 0`,

		`{shell: "printf 'a;b\\n1;2\\n'", format: csv, csv: {delimiter: ";"}}`: `[{"a":"1","b":"2"}]`,

		`{command: ["false"]}`:                                                `run false: exit code 1`,
		`shell: "echo 1; echo disk is gone >&2; exit 2"`:                      `run /bin/sh: exit code 2: stderr: "disk is gone"`,
		`shell: "printf 'a\\nb\\n\\033[1mc\\n' >&2; exit 2"`:                  `run /bin/sh: exit code 2: stderr: "a" … "\x1b[1mc"`,
		`shell: "kill -9 $$"`:                                                 `run /bin/sh: ended by signal: killed`,
		`shell: "echo about to say >&2; echo no"`:                             `run /bin/sh: want JSON, got text that begins with "no": stderr: "about to say"`,
		`command: ["true"]`:                                                   `run true: want JSON, got an empty body`,
		`{shell: 'echo "no $B" >&2; exit 1', env: {B: "env:KEY"}}`:            `run /bin/sh: exit code 1: stderr: "no <secret>"`,
		`{shell: 'echo "x$B"', env: {B: "env:KEY"}}`:                          `run /bin/sh: want JSON, got text that begins with "x<secret>"`,
		`{shell: 'echo "$API_KEY" >&2; exit 1', env: {API_KEY: written-out}}`: `run /bin/sh: exit code 1: stderr: "<secret>"`,
		`{shell: 'printf "%030d$B" 0', env: {B: "env:KEY"}}`:                  `run /bin/sh: want JSON, got text that begins with "000000000000000000000000000000<secret>"`,
		`{command: [yes], max_output: 10KiB}`:                                 `run yes: the output exceeds max_output (10KiB)`,
		`{command: [printf, "%010d", "0"], max_output: 10}`:                   `run printf: want JSON`,
		`command: [no-such-program]`:                                          `run no-such-program: program not found in PATH (`,
		`command: [./nothing]`:                                                `run ./nothing: program not found, or the interpreter in the first line (#!) of the script not found`,
		`command: [./adrift]`:                                                 `run ./adrift: program not found, or the interpreter in the first line (#!) of the script not found`,
		`command: [./unfit]`:                                                  `run ./unfit: no permission to run it: make it executable with chmod +x, or run the agent as another user`,
		`command: [./sub]`:                                                    `run ./sub: no permission to run it: make it executable with chmod +x, or run the agent as another user`,
		`command: [./bytes]`:                                                  `run ./bytes: not a program for this machine: a script needs a first line such as #!/bin/sh`,
		`{command: [echo], dir: nothing}`:                                     `run echo: dir: stat ` + filepath.Join(dir, "nothing") + `: no such file or directory`,
		`{command: [echo], dir: plain}`:                                       `run echo: dir: ` + filepath.Join(dir, "plain") + ` is not a directory`,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			if got := fetch(t, dir, text); !strings.HasPrefix(got, want) || got != want && strings.HasPrefix(want, "1") {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestResult(t *testing.T) {
	for text, want := range map[string]string{
		`{shell: "echo DISK WARNING; exit 1", document: result}`:            `1 DISK WARNING`,
		`{shell: "printf 'a\\nb\\n\\n'", document: result}`:                 "0 a\nb",
		`{shell: "printf '\\377\\001\"é'", document: result}`:               "0 \uFFFD\x01\"é",
		`{command: ["true"], document: result}`:                             "0 ",
		`{shell: "exit 4", document: result, ok_exit_codes: [0, 1, 2, 3]}`:  "run /bin/sh: exit code 4",
		`{shell: "kill -9 $$", document: result}`:                           "run /bin/sh: ended by signal: killed",
		`{command: [no-such-program], document: result, env: {PATH: /bin}}`: "run no-such-program: program not found in PATH (" + os.Getenv("PATH") + ")",
	} {
		got := fetch(t, t.TempDir(), text)
		var r struct {
			ExitCode int     `json:"exit_code"`
			Seconds  float64 `json:"seconds"`
			Output   string  `json:"output"`
		}
		if json.Unmarshal([]byte(got), &r) == nil {
			if r.Seconds <= 0 || r.Seconds > 60 {
				t.Errorf("%s: took %v seconds", text, r.Seconds)
			}
			got = strconv.Itoa(r.ExitCode) + " " + r.Output
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// A fetcher keeps no data from one tick in the next.
func TestFetchAgain(t *testing.T) {
	dir := t.TempDir()
	f := fresh(t, dir, `command: [cat, data]`)
	for _, want := range []string{`["a long text"]`, `1`, `[2]`} {
		script(t, dir, "data", want, 0o600)
		doc, err := f.Fetch(t.Context(), tickAt(), sources.Request{})
		if err != nil || doc.Root.Raw() != want || doc.From != "run cat" {
			t.Fatalf("got %v, %v, want %s", doc, err, want)
		}
	}
}

// makeFIFO makes a FIFO that processes hold open. Its reader gets to its end when all of them have ended.
func makeFIFO(t *testing.T, dir string) (opened func() *os.File) {
	t.Helper()
	path := filepath.Join(dir, "held")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() *os.File {
		held, err := os.Open(path) // blocks until a process has opened it
		if err != nil {
			t.Error(err)
		}
		return held
	}
}

// waitForEnd checks that all processes that held the FIFO have ended.
func waitForEnd(t *testing.T, held *os.File) {
	t.Helper()
	defer held.Close()
	if err := held.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, held); err != nil {
		t.Errorf("a process of the command is alive: %v", err)
	}
}

// TestTimeoutEndsTheGroup runs a command that hangs and has started others. Some ignore SIGTERM.
func TestTimeoutEndsTheGroup(t *testing.T) {
	for name, text := range map[string]string{
		"all end at SIGTERM":              "sleep 600 & READY; sleep 600",
		"the command ignores SIGTERM":     "trap '' TERM; READY; sleep 600",
		"all ignore SIGTERM":              "trap '' TERM; sleep 600 & READY; sleep 600",
		"a child ignores SIGTERM":         "(trap '' TERM; READY; sleep 600 >/dev/null 2>&1) & sleep 600",
		"the command does not read stdin": "READY; sleep 600",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			opened := makeFIFO(t, dir)
			errTimeout := errors.New("timed out after 1s")
			ctx, cancel := context.WithCancelCause(t.Context())
			ready, ends := make(chan int), make(chan *os.File)
			go func() {
				held := opened()
				var pid int
				if _, err := fmt.Fscanln(held, &pid); err != nil {
					t.Error(err)
				}
				cancel(errTimeout)
				ready <- pid
				ends <- held
			}()
			p := &process{
				args: []string{"/bin/sh", "-c", "exec 9>held; " + strings.ReplaceAll(text, "READY", "echo $$ >&9")}, dir: dir,
				stdin:  strings.Repeat("x", 1<<20),
				stdout: capture{max: 100}, stderr: capture{max: 100}, grace: 50 * time.Millisecond,
			}
			if code, err := p.run(ctx); !errors.Is(err, errTimeout) {
				t.Errorf("got %d, %v", code, err)
			}
			if pid := <-ready; !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				t.Errorf("process %d has not ended, or was not waited for", pid)
			}
			waitForEnd(t, <-ends)
		})
	}
}

// TestLeftBehind runs commands that succeed and leave a process behind.
func TestLeftBehind(t *testing.T) {
	for text, want := range map[string]error{
		"sleep 600 & echo 1":                              errLeftOpen,
		"sleep 600 >/dev/null & echo 1":                   errLeftOpen, // its standard error is open
		"sleep 600 </dev/null >/dev/null 2>/dev/null & :": nil,
		"(sleep 0.01; echo 1) & :":                        nil, // as a pipeline may
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			opened := makeFIFO(t, dir)
			ready := make(chan *os.File)
			go func() { ready <- opened() }()
			p := &process{
				args: []string{"/bin/sh", "-c", "exec 9>held; " + text}, dir: dir,
				stdout: capture{max: 100}, stderr: capture{max: 100}, grace: 200 * time.Millisecond,
			}
			if code, err := p.run(t.Context()); !errors.Is(err, want) || code != 0 {
				t.Errorf("got %d, %v, want %v", code, err, want)
			}
			waitForEnd(t, <-ready)
			if strings.Contains(text, "(") && string(p.stdout.text) != "1\n" {
				t.Errorf("late output is lost: %q", p.stdout.text)
			}
		})
	}
}

// A process outside the group that keeps the output open is not waited for.
func TestOutputHeldFromOutside(t *testing.T) {
	p := &process{
		args: []string{"/bin/sh", "-c", "setsid sleep 5 & echo 1"}, dir: t.TempDir(),
		stdout: capture{max: 100}, stderr: capture{max: 100}, grace: 50 * time.Millisecond,
	}
	start := time.Now()
	if code, err := p.run(t.Context()); !errors.Is(err, errLeftOpen) || code != 0 {
		t.Errorf("got %d, %v", code, err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("waited %s", took)
	}
}

func TestCapture(t *testing.T) {
	full := 0
	c := capture{max: 3, full: func() { full++ }}
	for _, s := range []string{"", "a", "bc", ""} {
		if n, err := c.Write([]byte(s)); n != len(s) || err != nil || full != 0 {
			t.Errorf("%q: %d, %v, full called %d times", s, n, err, full)
		}
	}
	if n, err := c.Write([]byte("d")); n != 0 || err == nil || full != 1 {
		t.Errorf("one too many: %d, %v, full called %d times", n, err, full)
	}
	c = capture{max: 3}
	if n, err := io.Copy(&c, bytes.NewReader([]byte("abcdef"))); n != 6 || err != nil || string(c.text) != "abc" {
		t.Errorf("got %d, %v, %q", n, err, c.text)
	}
}

func TestValidate(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                            "command: is required, or shell: set a program and its arguments, such as [df, --output=size]",
		`{command: [a], shell: b}`:                      "shell: set either command or shell, not both",
		`command: [""]`:                                 "command.0: is empty: want the name or path of a program",
		`command: ["{{ .Now }}"]`:                       "command.0: must not contain a template: only the arguments may",
		`command: [docker, "{{.Names}}"]`:               "command.1: no value .Names: there are .Window.Start, .Window.End and .Now",
		`shell: "{{.Names}}"`:                           "shell: no value .Names: there are .Window.Start, .Window.End and .Now",
		`{command: [a], stdin: "{{ x }}"}`:              "stdin: function \"x\" not defined: there are rfc3339, unix, unixms, date, before and truncate",
		`command: [a, "\0"]`:                            "command.1: contains a zero byte",
		`{command: [a], env: {"A=B": x}}`:               "env.A=B: is not a valid name of an environment variable",
		`{command: [a], env: {A: "\0"}}`:                "env.A: contains a zero byte",
		`{command: [a], ok_exit_codes: [256]}`:          "ok_exit_codes.0: want 0 to 255",
		`{command: [a], format: csv, document: result}`: "format: cannot be set with document: result, where the output is text",
		`{command: [a], format: text}`:                  `text.pattern: is needed: a regular expression such as (?m)^(?P<name>\w+) = (?P<value>\S+)$`,
		`{command: [a], max_output: 0}`:                 "max_output: want more than 0, such as 10MiB",
	} {
		if err := config(t, text).Validate(); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}
