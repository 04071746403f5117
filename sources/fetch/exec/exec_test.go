//go:build unix

package exec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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
	f, err := c.New(sources.Env{Job: "test", Log: slog.New(slog.DiscardHandler), Web: &httpclient.Host{Secrets: secrets}, Dir: dir})
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
		`shell: "kill -9 $$"`:                                                 `run /bin/sh: ended by signal: killed (exit code 137)`,
		`{shell: "echo 1; kill -9 $$", ok_exit_codes: [137]}`:                 `1`,
		`shell: "echo about to say >&2; echo no"`:                             `run /bin/sh: want JSON, got text that begins with "no"; if it is something else, set format, such as text, keyvalue or csv; document: result gives the output as a text, with the exit code: stderr: "about to say"`,
		`command: ["true"]`:                                                   `run true: want JSON, got an empty body`,
		`{shell: 'echo "no $B" >&2; exit 1', env: {B: "env:KEY"}}`:            `run /bin/sh: exit code 1: stderr: "no <secret>"`,
		`{shell: 'echo "x$B"', env: {B: "env:KEY"}}`:                          `run /bin/sh: want JSON, got text that begins with "x<secret>"`,
		`{shell: 'echo "$API_KEY" >&2; exit 1', env: {API_KEY: written-out}}`: `run /bin/sh: exit code 1: stderr: "<secret>"`,
		`{shell: 'printf "%030d$B" 0', env: {B: "env:KEY"}}`:                  `run /bin/sh: want JSON, got text that begins with "000000000000000000000000000000<secret>"`,
		`{shell: "yes | head -c 10241", max_output: 10KiB}`:                   `run /bin/sh: the output exceeds max_output (10KiB): print less, or raise it`,
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
		`{shell: "echo 1; kill -9 $$", document: result}`:                   "137 1",
		`{shell: "kill -15 $$", document: result}`:                          "143 ",
		`{shell: "kill -9 $$", document: result, ok_exit_codes: [0]}`:       "run /bin/sh: ended by signal: killed (exit code 137)",
		`{command: [no-such-program], document: result, env: {PATH: /bin}}`: "run no-such-program: program not found in PATH (" + os.Getenv("PATH") + ")",
	} {
		got := resultIn(t, fetch(t, t.TempDir(), text))
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// TestDecodedResult checks that the output in a result is decoded if a format is set.
func TestDecodedResult(t *testing.T) {
	seconds := regexp.MustCompile(`"seconds":[0-9.e-]+,`)
	for text, want := range map[string]string{
		`{shell: "echo '{\"a\": [1]}'; exit 2", document: result, format: json}`:           `{"exit_code":2,"output":{"a":[1]}}`,
		`{shell: "echo a=1; exit 2", document: result, format: json}`:                      `{"exit_code":2,"output":null,"error":"want JSON, got text that begins with \"a=1\""}`,
		`{shell: "printf '\\344=1'", document: result, format: keyvalue, charset: latin1}`: `{"exit_code":0,"output":{"ä":"1"}}`,
		`{shell: "printf '\\344'", document: result, charset: latin1}`:                     `{"exit_code":0,"output":"ä"}`,
		`{shell: "echo 'OK - fine | a=1s;2;3 b=U'; exit 1", document: nagios}`:             `{"exit_code":1,"status":"warning","text":"OK - fine","long_text":"","perfdata":[{"label":"a","value":1,"unit":"s","warning":"2","critical":"3","min":null,"max":null},{"label":"b","value":null,"unit":"","warning":null,"critical":null,"min":null,"max":null}]}`,
		`{shell: "exit 77", document: nagios}`:                                             `{"exit_code":77,"status":"unknown","text":"","long_text":"","perfdata":[]}`,
		`{shell: "yes | head -c 10000", document: nagios, max_output: 1KiB}`:               `{"exit_code":0,"status":"ok","text":null,"long_text":"","perfdata":[]}`,
		`{shell: "yes | head -c 10000", document: result, format: json, max_output: 1KiB}`: `{"exit_code":0,"output":null}`,
	} {
		if got := seconds.ReplaceAllString(fetch(t, t.TempDir(), text), ""); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func value(n *json.Number) string {
	if n == nil {
		return "U"
	}
	return n.String()
}

func TestPerfdata(t *testing.T) {
	for output, want := range map[string]string{
		"PING OK|rta=0.80ms;100,0;500;0 'pl x''y'=0%;;;;100": `PING OK: rta=0.80ms w100,0 c500 min0, pl x'y=0% max100`,
		"a\nlong\nlines | b=1\nc=2MB\nd=.5e3c":               `a (long lines): b=1, c=2MB, d=0.5e3c`,
		"x | a=-007 b=+1,5s c=5EB d=1E5":                     `x: a=-7, b=1.5s, c=5EB, d=1E5`,
		"x | a b=1 c= =5 'd e=1":                             "x: b=1; 4 skipped: a",
		"x | 'd'x=1 a=1x,5":                                  "x: ; 2 skipped: 'd'x=1",
		"x | a=0x10 b=2":                                     "x: b=2; 1 skipped: a=0x10",
		"x | a=1ms,b=2ms c=3":                                "x: c=3; 1 skipped: a=1ms,b=2ms",
		"x | a=1,b=2":                                        "x: ; 1 skipped: a=1,b=2",
		"x | a=1.234,5 b=10:30 c=1/2":                        "x: ; 3 skipped: a=1.234,5",
		"x | a=1'B' b=20°C c=3KB/s":                          "x: b=20°C, c=3KB/s; 1 skipped: a=1'B'",
		"x | a=1;;;q;2":                                      "x: a=1 max2",
		"no data":                                            "no data: ",
		"|a=1":                                               ": a=1",
		"x |":                                                "x: ",
	} {
		text, skipped, err := checkResult(&ending{}, []byte(output))
		var c check
		if err != nil || json.Unmarshal(text, &c) != nil {
			t.Fatal(err)
		}
		got := *c.Text
		if c.LongText != "" {
			got += " (" + strings.ReplaceAll(c.LongText, "\n", " ") + ")"
		}
		var items []string
		for _, p := range c.Perfdata {
			item := fmt.Sprintf("%s=%s%s", p.Label, value(p.Value), p.Unit)
			if p.Warning != nil {
				item += " w" + *p.Warning
			}
			if p.Critical != nil {
				item += " c" + *p.Critical
			}
			if p.Min != nil {
				item += " min" + p.Min.String()
			}
			if p.Max != nil {
				item += " max" + p.Max.String()
			}
			items = append(items, item)
		}
		got += ": " + strings.Join(items, ", ")
		if skipped.Items > 0 {
			_, first, _ := strings.Cut(skipped.First.Error(), `"`)
			got += fmt.Sprintf("; %d skipped: %s", skipped.Items, first[:strings.IndexByte(first, '"')])
		}
		if got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", output, got, want)
		}
	}
}

// FuzzNagios checks that any output becomes JSON. The number of items is limited. No label and no number is empty.
func FuzzNagios(f *testing.F) {
	for _, s := range []string{"OK | a=1", "x|'a''b'=5%;1:2;@3;0;10 b=U\nlong | c=.5\nd=1,5GB", "|=1 '", "|a=1;;;;;;"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, output []byte) {
		text, skipped, err := checkResult(&ending{}, output)
		var c check
		if err != nil || json.Unmarshal(text, &c) != nil || len(c.Perfdata) > maxPerfdata || skipped.Items > len(output) {
			t.Fatalf("%q: %s, %v, %v", output, text, skipped, err)
		}
		for _, p := range c.Perfdata {
			if p.Label == "" || p.Value != nil && len(*p.Value) == 0 {
				t.Errorf("%q: %v", output, p)
			}
		}
	})
}

// TestFetchAgain checks that a fetcher keeps no data from one tick to the next.
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

// TestStopped runs commands past the deadline of the tick, and past the end of its context.
func TestStopped(t *testing.T) {
	timeout := "run /bin/sh: timed out after 1s (timeout)"
	hangs := "echo begun; trap 'echo cleaned; echo why >&2; exit 0' TERM; sleep 600 & wait"
	stubborn := "echo begun; trap '' TERM; sleep 600"
	for _, c := range []struct {
		name, settings, script string
		cancelled              bool
		want                   string
	}{
		{"output", "document: output", hangs, false, timeout + `: stderr: "why"`},
		{"output, killed", "grace: 10ms", stubborn, false, timeout},
		{"an output that 124 is fine for", "ok_exit_codes: [0, 124]", hangs, false, timeout + `: stderr: "why"`},
		{"result", "document: result", hangs, false, "124 begun\ncleaned"},
		{"result, killed", "{document: result, grace: 10ms}", stubborn, false, "124 begun"},
		{"result that is not fine", "{document: result, ok_exit_codes: [0]}", hangs, false, timeout + `: stderr: "why"`},
		{"the agent stops", "document: result", hangs, true, `run /bin/sh: the agent stops: stderr: "why"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			script(t, dir, "job", c.script, 0o600)
			f := fresh(t, dir, "{shell: '. ./job'}")
			own := config(t, c.settings)
			settings := f.(*fetcher).config
			settings.Document, settings.OKExitCodes, settings.Grace = own.Document, own.OKExitCodes, own.Grace
			tick := tickAt()
			tick.Timeout, tick.Deadline = time.Second, time.Now().Add(2*time.Second)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if c.cancelled {
				tick.Deadline = time.Now().Add(time.Hour)
				time.AfterFunc(time.Second, func() { cancel(errors.New("the agent stops")) })
			}
			doc, err := f.Fetch(ctx, tick, sources.Request{})
			got := fmt.Sprint(err)
			if err == nil {
				got = resultIn(t, doc.Root.Raw())
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// resultIn returns the exit code and the output of a document of the kind Result. It returns any other document unchanged.
func resultIn(t *testing.T, raw string) string {
	t.Helper()
	var r struct {
		ExitCode *int    `json:"exit_code"`
		Seconds  float64 `json:"seconds"`
		Output   *string `json:"output"`
	}
	if json.Unmarshal([]byte(raw), &r) != nil || r.ExitCode == nil {
		return raw
	}
	if r.Seconds <= 0 || r.Seconds > 60 {
		t.Errorf("took %v seconds", r.Seconds)
	}
	if r.Output == nil {
		return strconv.Itoa(*r.ExitCode) + " null"
	}
	return strconv.Itoa(*r.ExitCode) + " " + *r.Output
}

// TestRunsToItsEnd checks that no command ends because of what it prints.
func TestRunsToItsEnd(t *testing.T) {
	for settings, want := range map[string]string{
		"document: output": "run /bin/sh: the output exceeds max_output (10KiB): print less, or raise it",
		"document: result": "5 null",
	} {
		dir := t.TempDir()
		got := fetch(t, dir, `{shell: "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; touch ended; exit 5", ok_exit_codes: [5], max_output: 10KiB, `+settings+`}`)
		if got = resultIn(t, got); got != want {
			t.Errorf("%s: got %q, want %q", settings, got, want)
		}
		if _, err := os.Stat(filepath.Join(dir, "ended")); err != nil {
			t.Errorf("%s: the command did not get to its end: %v", settings, err)
		}
	}
}

// TestNotes checks problems that a command reports without making the run fail. Each problem is logged, and only once.
func TestNotes(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	f := fresh(t, dir, `{shell: ". ./job", document: result, max_output: 10, env: {KEY: "env:KEY"}}`)
	f.(*fetcher).log = slog.New(slog.NewTextHandler(&log, nil))
	for _, step := range []struct{ script, want string }{
		{"echo fine >&2", ""},
		{"echo as bad as $KEY >&2; exit 1", `level=WARN msg="the command has reported a problem" command=/bin/sh exit_code=1 stderr="\"as bad as <secret>\""`},
		{"echo as bad as $KEY >&2; exit 1", ""},
		{"exit 2", ""},
		{"echo 0123456789", `level=WARN msg="the command's output is incomplete, and is left out of the result (null)" command=/bin/sh exit_code=0 reason="the output exceeds max_output (10): print less, or raise it"`},
		{"sleep 600 & exit 3", `level=WARN msg="the command's output is incomplete, and is left out of the result (null)" command=/bin/sh exit_code=3 reason="the command ended, but a process that it started keeps its output open: redirect the output of that process"`},
	} {
		log.Reset()
		script(t, dir, "job", step.script, 0o600)
		if _, err := f.Fetch(t.Context(), tickAt(), sources.Request{}); err != nil {
			t.Errorf("%s: %v", step.script, err)
		}
		_, got, _ := strings.Cut(strings.TrimSpace(log.String()), " ")
		if got != step.want {
			t.Errorf("%s:\ngot  %s\nwant %s", step.script, got, step.want)
		}
	}
}

func TestCapture(t *testing.T) {
	c := capture{max: 3}
	for _, s := range []string{"", "a", "bc", "", "d"} {
		if n, err := c.Write([]byte(s)); n != len(s) || err != nil || c.over != (s == "d") {
			t.Errorf("%q: %d, %v, over %v", s, n, err, c.over)
		}
	}
	if string(c.text) != "abc" {
		t.Errorf("got %q", c.text)
	}
}

func TestEdges(t *testing.T) {
	for _, c := range []struct {
		writes      []string
		first, last string
	}{
		{[]string{""}, "", ""},
		{[]string{"a\nb"}, "a\nb", ""},
		{[]string{"a\nb\n", "c\nd\n", "e\nf\n"}, "a\nb\nc\nd\ne\nf\n", ""}, // 12 bytes, 6 and 6
		{[]string{"a\nb\n", "c\nd\n", "e\nf\ng\n"}, "a\nb\nc\n", "f\ng\n"},
		{[]string{"a\nb\nc\nd\ne\nf\ng\n", "hi\nj\n"}, "a\nb\nc\n", "hi\nj\n"},
		{[]string{"a\nsecret", strings.Repeat("-", 100), "secret\nz"}, "a\n", "z"}, // cut through lines
		{[]string{strings.Repeat("-", 100)}, "", ""},
	} {
		e := edges{head: capture{max: 6}}
		for _, s := range c.writes {
			if n, err := e.Write([]byte(s)); n != len(s) || err != nil {
				t.Errorf("%q: %d, %v", s, n, err)
			}
		}
		if first, last := e.parts(); first != c.first || last != c.last {
			t.Errorf("%q: got %q, %q", c.writes, first, last)
		}
		if len(e.tail) > 12 {
			t.Errorf("keeps %d bytes", len(e.tail))
		}
	}
}

func TestSaid(t *testing.T) {
	var lines []string
	for i := range 30 {
		lines = append(lines, strconv.Itoa(i))
	}
	e := edges{head: capture{max: 1 << 10}}
	fmt.Fprint(&e, "\n"+strings.Join(lines, "\r\n")+"\n\n")
	s := newSaid(strings.ToUpper, &e)
	if got, want := s.text(), "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n…\n20\n21\n22\n23\n24\n25\n26\n27\n28\n29"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := s.line(); got != `"0" … "29"` {
		t.Errorf("got %s", got)
	}
	if got := (said{"\x1b[1mred\t" + strings.Repeat("é", 200)}).text(); got != "\uFFFD[1mred\t"+strings.Repeat("é", 96)+"…" {
		t.Errorf("got %q", got)
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
		`{command: [a], format: csv, document: nagios}`: "format: cannot be set with document: nagios, which has a format of its own",
		`{command: [a], format: text}`:                  `text.pattern: is required: a regular expression such as (?m)^(?P<name>\w+) = (?P<value>\S+)$`,
		`{command: [a], max_output: 0}`:                 "max_output: want more than 0, such as 10MiB",
	} {
		if err := config(t, text).Validate(); err == nil || err.Error() != want {
			t.Errorf("%s:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestNoShell checks the advice where there is no shell, as in the container image without one.
func TestNoShell(t *testing.T) {
	err := startError(systemShell, &fs.PathError{Op: "fork/exec", Path: systemShell, Err: fs.ErrNotExist})
	if want := "there is no shell: in a container, use the image whose tag ends with -shell, or set command in place of shell"; err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
