package agent_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	promconfig "github.com/prometheus/prometheus/config"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/internal/command"
	"github.com/collectington/collectington/agent/internal/demo"
)

// TestGuides checks all configurations, commands, examples and links of the guides.
func TestGuides(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "deploy", "guides", "*.md"))
	if err != nil || len(files) < 10 {
		t.Fatalf("guides: %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			p := openPage(t, file)
			t.Chdir(t.TempDir())
			p.check(t)
		})
	}
}

// TestGuidesLogged checks that the messages in errors.md are the same as in testdata/logged.txt.
func TestGuidesLogged(t *testing.T) {
	logged := strings.Split(readText(t, filepath.Join("testdata", "logged.txt")), "\n")
	_, table, _ := strings.Cut(readText(t, filepath.Join("..", "deploy", "guides", "errors.md")), "\n## Messages of the log\n")
	messages := regexp.MustCompile("(?m)^\\| `(.*?)` \\|").FindAllStringSubmatch(table, -1)
	if len(messages) < 10 {
		t.Fatalf("%d messages", len(messages))
	}
	for _, m := range messages {
		if !slices.Contains(logged, m[1]) {
			t.Errorf("%q is not in logged.txt", m[1])
		}
	}
}

// TestGuidesAreListed checks that the list of guides has all of them.
func TestGuidesAreListed(t *testing.T) {
	list := readText(t, filepath.Join("..", "deploy", "guides", "README.md"))
	files, _ := filepath.Glob(filepath.Join("..", "deploy", "guides", "*.md"))
	for _, file := range files {
		if name := filepath.Base(file); name != "README.md" && !strings.Contains(list, "]("+name+")") {
			t.Errorf("README.md of the guides does not have %s", name)
		}
	}
}

// page is a text in Markdown. The first word after the fence of a block is its language, the second says how it is checked:
//
//	yaml             a whole configuration, which cton check accepts
//	yaml part        sections of a configuration
//	yaml metrics     metrics of a job; between a block json and a block text, the metrics of that JSON must be that text
//	yaml problem     metrics of a job for which cton try reports the problems in the block text
//	yaml wrong       a configuration that cton check refuses with the block text
//	yaml prometheus  a part of Prometheus' configuration
//	yaml values      values of the Helm chart, which deploy/helm/check renders
//	console          commands, run one after the other in the folder of the last whole configuration, and what they print
//	sh               commands whose names and flags are checked
//	sh environment   variables that the configurations of the page need, NAME=VALUE
//
// A table whose first column is headed "jq" has expressions and their results for the last block json before it.
type page struct {
	file, text string // file is absolute
	blocks     []block
	dial       dialer // connects to the demo's API in place of shownAPI
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// block is a fenced block, or a table of jq expressions.
type block struct{ kind, text string }

// shownAPI is the address of the demo's API as the guides show it.
const shownAPI = "127.0.0.1:8001"

var (
	fences   = regexp.MustCompile("(?ms)^ *```([a-z]+(?: [a-z]+)?)\n(.*?)^ *```$|^(\\| jq .*?)\n\n")
	links    = regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	shown    = regexp.MustCompile("`cton( [^`]+)`")
	flags    = regexp.MustCompile(`(?:^|[\s\[])(--[a-z][a-z-]*)`)
	explains = regexp.MustCompile(`^ explain (\w+)$`)
	// A part of a configuration may have logins alone.
	unusedLogin = regexp.MustCompile(`(?m)^warning: .*: no job and no sink uses this login;.*\n`)

	replaced = regexp.MustCompile(` \| sed s/(\w+)/(\w+)/g$`)
)

func openPage(t *testing.T, file string) *page {
	t.Helper()
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{file: file, text: readText(t, file)}
	for _, found := range fences.FindAllStringSubmatch(p.text+"\n", -1) {
		if found[3] != "" {
			p.blocks = append(p.blocks, block{"table", found[3]})
		} else {
			p.blocks = append(p.blocks, block{found[1], found[2]})
		}
	}
	if shown := strings.Count(p.text, "```"); shown != 2*(len(p.blocks)-len(p.only("table"))) {
		t.Errorf("%s has blocks that are not checked: a language and how to check it stand after ```", file)
	}
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	api := httptest.NewServer(demo.Handler(start, func() time.Time { return start.Add(3 * time.Minute) }))
	t.Cleanup(api.Close)
	p.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == shownAPI {
			address = api.Listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return p
}

// only returns the texts of the blocks of a kind.
func (p *page) only(kind string) []string {
	var texts []string
	for _, b := range p.blocks {
		if b.kind == kind {
			texts = append(texts, b.text)
		}
	}
	return texts
}

// check checks everything that the page shows. It writes files to the working directory.
func (p *page) check(t *testing.T) {
	t.Helper()
	p.checkLinks(t)
	for _, found := range shown.FindAllStringSubmatch(p.text, -1) {
		checkCommand(t, strings.Join(strings.Fields(" "+found[1]), " "))
	}
	for _, text := range p.only("sh environment") {
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			t.Setenv(name, value)
		}
	}
	for i, b := range p.blocks {
		switch b.kind {
		case "yaml":
			checkConfig(t, b.text)
		case "yaml part":
			checkConfig(t, framed(b.text))
		case "yaml metrics":
			p.example(i).check(t)
		case "yaml problem":
			p.example(i).checkProblems(t)
		case "yaml wrong":
			checkRefused(t, b.text, p.example(i).series)
		case "yaml prometheus":
			if _, err := promconfig.Load(b.text, nil); err != nil {
				t.Errorf("%s\n%v", b.text, err)
			}
		case "table":
			p.checkTable(t, i)
		case "console":
			p.runSessions(t, sessions([]string{b.text}))
		case "sh":
			for line := range strings.Lines(b.text) {
				if rest, found := strings.CutPrefix(line, "cton "); found {
					checkCommand(t, strings.TrimSpace(rest))
				}
			}
		case "json", "text", "yaml values", "sh environment":
		default:
			t.Errorf("this test does not know how to check ```%s", b.kind)
		}
	}
}

func (p *page) checkLinks(t *testing.T) {
	t.Helper()
	for _, link := range links.FindAllStringSubmatch(p.text, -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(p.file), link[1])); err != nil {
			t.Errorf("link: %v", err)
		}
	}
}

// example returns the example whose metrics are block i.
func (p *page) example(i int) example {
	e := example{metrics: p.blocks[i].text}
	for _, b := range p.blocks[:i] {
		if b.kind == "json" {
			e.answer = b.text
		}
	}
	if i+1 < len(p.blocks) && p.blocks[i+1].kind == "text" {
		e.series = p.blocks[i+1].text
	}
	return e
}

// example has an API's answer, the metrics of a job, and the series that these metrics make of the answer.
type example struct{ answer, metrics, series string }

// exampleFrame is a configuration that lacks the metrics of its job.
const exampleFrame = `
sinks: {out: {print: {}}}
jobs:
  example:
    schedule: "@hourly"
    file: {path: answer.json}
    metrics:
`

func (e example) check(t *testing.T) {
	t.Helper()
	config := exampleFrame + indented(e.metrics, "      ")
	if e.series == "" {
		checkConfig(t, config)
		return
	}
	write(t, "cton.yaml", config)
	write(t, "answer.json", e.answer)
	_, printed, _ := strings.Cut(run(t, nil, "try", "example"), "== metrics\n")
	printed, _, _ = strings.Cut(printed, "\n== ")
	var got []string
	for line := range strings.Lines(printed) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			got = append(got, line)
		}
	}
	if want := strings.TrimSpace(e.series); want != strings.Join(got, "\n") {
		t.Errorf("the metrics\n%s\ngive\n%s\nnot\n%s", e.metrics, strings.Join(got, "\n"), want)
	}
}

// checkProblems checks that cton try reports the expected problems. An example that shows problems has these problems in its field
// "series". Other examples have series in this field.
func (e example) checkProblems(t *testing.T) {
	t.Helper()
	write(t, "cton.yaml", exampleFrame+indented(e.metrics, "      "))
	write(t, "answer.json", e.answer)
	printed, complaints, _ := runAny(t, nil, "try", "example")
	_, problems, _ := strings.Cut(printed+complaints, "== problems\n")
	if i := strings.Index(problems, "== "); i >= 0 {
		problems = problems[:i]
	}
	if problems != e.series {
		t.Errorf("the metrics\n%s\nhave the problems\n%s\nnot\n%s", e.metrics, problems, e.series)
	}
}

// checkRefused checks that cton check refuses a configuration with an error.
func checkRefused(t *testing.T, config, want string) {
	t.Helper()
	write(t, "cton.yaml", config)
	if _, got, code := runAny(t, nil, "check"); code != 1 || got != want {
		t.Errorf("cton check: exit code %d\n%s\nnot\n%s", code, got, want)
	}
}

// checkTable evaluates the expressions of a table on the last JSON before it.
func (p *page) checkTable(t *testing.T, i int) {
	t.Helper()
	write(t, "cton.yaml", exampleFrame+"      m: {type: gauge, help: x, value: \"1\"}\n")
	write(t, "answer.json", p.example(i).answer)
	row := regexp.MustCompile("(?m)^\\| `(.*?)` \\| (.*?) \\|")
	found := row.FindAllStringSubmatch(p.blocks[i].text, -1)
	if len(found) != strings.Count(p.blocks[i].text, "\n")-1 {
		t.Errorf("%d expressions in\n%s", len(found), p.blocks[i].text)
	}
	for _, f := range found {
		expression := strings.ReplaceAll(f[1], `\|`, "|")
		want := strings.ReplaceAll(strings.ReplaceAll(f[2], "`", ""), ", ", "\n")
		if got := strings.TrimSpace(run(t, nil, "try", "example", "-e", expression)); got != want {
			t.Errorf("%s gives %s, not %s", expression, got, want)
		}
	}
}

// runSessions runs commands, and compares what they print with what the page has.
func (p *page) runSessions(t *testing.T, all []session) {
	t.Helper()
	root, err := filepath.Abs(repository(p.file))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		verb, rest, _ := strings.Cut(s.command, " ")
		switch {
		case s.command == "cton run":
			p.runAgent(t)
		case verb == "cton":
			if got := p.runCommand(t, rest); !matches(s.output, got) {
				t.Errorf("$ %s\n%s has\n%s\nit prints\n%s", s.command, p.file, s.output, got)
			}
		case verb == "make":
			if !strings.Contains(readText(t, filepath.Join(root, "Makefile")), "\n"+rest+":") {
				t.Errorf("$ %s: no such target", s.command)
			}
		case verb == "go":
			folder, found := strings.CutPrefix(rest, "install github.com/collectington/collectington/")
			if _, err := os.Stat(filepath.Join(root, strings.TrimSuffix(folder, "@latest"), "main.go")); !found || err != nil {
				t.Errorf("$ %s: %v", s.command, err)
			}
		default:
			t.Errorf("$ %s: this test does not know how to check it", s.command)
		}
	}
}

// runCommand runs a command line, which may end in "| sed s/A/B/g" and "> FILE", and returns what it prints.
func (p *page) runCommand(t *testing.T, line string) string {
	t.Helper()
	line, file, toFile := strings.Cut(line, " > ")
	edit := replaced.FindStringSubmatch(line)
	if edit != nil {
		line = strings.TrimSuffix(line, edit[0])
	}
	args := strings.Fields(line)
	if args[0] == "init" {
		args = append(args, "--wait=0s") // its two answers are the same here
	}
	got := run(t, p.dial, args...)
	if edit != nil {
		got = strings.ReplaceAll(got, edit[1], edit[2])
	}
	if !toFile {
		return got
	}
	write(t, file, got)
	return ""
}

// runAgent runs the agent of cton.yaml until its page on port 8002 has metrics of a job.
func (p *page) runAgent(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	config := readText(t, "cton.yaml")
	if !strings.Contains(config, `"localhost:8002"`) {
		t.Fatalf("no page on port 8002:\n%s", config)
	}
	write(t, "cton.yaml", strings.ReplaceAll(config, "localhost:8002", free))
	defer write(t, "cton.yaml", config)

	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var complaints bytes.Buffer
	app := command.App{Version: "devel", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: io.Discard, Err: &complaints, Dial: p.dial}
	ended := make(chan int, 1)
	go func() { ended <- app.Main(ctx, []string{"run"}) }()
	for ctx.Err() == nil && !strings.Contains(readBody(ctx, "http://"+free+"/metrics"), "\nincidents_all 45\n") {
		time.Sleep(10 * time.Millisecond) // a real agent on a real port has no other clock
	}
	if ctx.Err() != nil {
		t.Error("the page of cton run has no metrics after a minute")
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("cton run: exit code %d: %s", code, &complaints)
	}
}

// readBody returns the body of a response, or nothing.
func readBody(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body) // an incomplete body has no metrics to find
	return string(body)
}

// checkCommand checks three things about a command line. cton must have the command, and the command must have the flags. If the line
// explains a kind, cton explain must know this kind.
func checkCommand(t *testing.T, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " -- ")
	words := strings.Fields(line)
	names := commands(t)
	var name []string
	switch {
	case strings.HasPrefix(words[0], "-"):
		name = []string{"run"}
	case words[0] == "help":
		return
	case len(words) > 1 && slices.Contains(names, words[0]+" "+words[1]):
		name = words[:2]
	case slices.Contains(names, words[0]):
		name = words[:1]
	default:
		t.Errorf("cton %s: no such command", line)
		return
	}
	help := run(t, nil, append(slices.Clone(name), "--help")...)
	for _, flag := range flags.FindAllStringSubmatch(line, -1) {
		if !regexp.MustCompile(regexp.QuoteMeta(flag[1]) + `[\s=]`).MatchString(help) {
			t.Errorf("cton %s: no flag %s", line, flag[1])
		}
	}
	if kind := explains.FindStringSubmatch(" " + line); kind != nil && kind[1] != "KIND" {
		if text := run(t, nil, "explain", kind[1]); !strings.Contains(text, "# ") {
			t.Errorf("cton %s prints %q", line, text)
		}
	}
}

// commands returns the names of all commands of cton, such as "run" and "spool ls".
func commands(t *testing.T) []string {
	t.Helper()
	_, listed, found := strings.Cut(run(t, nil, "--help"), "Commands:\n")
	if !found {
		t.Fatal("--help lists no commands")
	}
	var names []string
	for _, name := range regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)?)(?:  |$)`).FindAllStringSubmatch(listed, -1) {
		names = append(names, name[1])
	}
	return names
}

// framed returns a configuration of the sections. It adds a sink and a job if the sections have none.
func framed(sections string) string {
	for _, frame := range []string{"sinks: {frame: {print: {}}}", "jobs: {frame: {schedule: \"@hourly\", http: {url: \"http://localhost\"}, metrics: {m: {type: gauge, help: x, value: .x}}}}"} {
		if name, _, _ := strings.Cut(frame, ":"); !strings.HasPrefix(sections, name+":") && !strings.Contains(sections, "\n"+name+":") {
			sections += frame + "\n"
		}
	}
	return sections
}

func checkConfig(t *testing.T, config string) {
	t.Helper()
	write(t, "cton.yaml", config)
	got := run(t, nil, "check")
	if !strings.HasPrefix(unusedLogin.ReplaceAllString(got, ""), "cton.yaml: ") {
		t.Errorf("%s\n%s", config, got)
	}
}

// run runs a command line, which must succeed, and returns what it prints.
func run(t *testing.T, dial dialer, args ...string) string {
	t.Helper()
	printed, complaints, code := runAny(t, dial, args...)
	if code != 0 {
		t.Errorf("cton %s: exit code %d: %s", strings.Join(args, " "), code, complaints)
	}
	return printed
}

// runAny runs a command line and returns its standard output, standard error and exit code.
func runAny(t *testing.T, dial dialer, args ...string) (printed, complaints string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	app := command.App{Version: "devel", Catalogue: agent.Catalogue(), In: strings.NewReader(""), Out: &out, Err: &err, Dial: dial}
	code = app.Main(t.Context(), args)
	return out.String(), err.String(), code
}

// repository returns the folder of the repository that a file is in.
func repository(file string) string {
	dir := filepath.Dir(file)
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	return dir
}

func indented(text, by string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		all.WriteString(by + line)
	}
	return all.String()
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
