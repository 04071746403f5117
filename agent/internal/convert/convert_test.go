package convert_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	_ "modernc.org/sqlite" // makes the databases of cases

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/convert"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/targets"
)

// answers is a network that has the text of a response for each method and URL. If the first line of a text has the form "status 503", the
// response has this status.
type answers map[string]string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	code := http.StatusOK
	text, ok := a[r.Method+" "+r.URL.String()]
	if !ok {
		code, text = http.StatusNotFound, "no answer for "+r.Method+" "+r.URL.String()
	}
	if rest, ok := strings.CutPrefix(text, "status "); ok {
		status, body, _ := strings.Cut(rest, "\n")
		code, _ = strconv.Atoi(status)
		text = body
	}
	kind := "application/json"
	if strings.HasPrefix(text, "#") {
		kind = "text/plain; version=0.0.4"
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

// example is a case: the files of a tool, the answers of its APIs, and the series that the tool gives.
type example struct {
	dir     string
	configs []convert.File
	options convert.Options
	web     answers
	skip    []string          // jobs that need a server
	want    map[string]string // text of the sections "want", "lost" and "comments"
}

// load reads a case. The comment of the case names the files to convert, and the answers for --answer as JOB=FILE or
// JOB=METHOD|URL. A job that must not be run is named as -JOB.
func load(t testing.TB, name string) example {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	a := txtar.Parse(text)
	e := example{dir: t.TempDir(), web: answers{}, want: map[string]string{}}
	files := map[string][]byte{}
	for _, f := range a.Files {
		files[f.Name] = f.Data
		if method, url, ok := strings.Cut(f.Name, " "); ok {
			e.web[method+" "+url] = string(f.Data)
			continue
		}
		path := filepath.Join(e.dir, f.Name)
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		if base, ok := strings.CutSuffix(f.Name, ".sql"); ok {
			db, err := sql.Open("sqlite", filepath.Join(e.dir, base+".db"))
			if err == nil {
				_, err = db.Exec(string(f.Data))
			}
			if err != nil {
				t.Fatal(err)
			}
			db.Close()
		}
	}
	e.options = convert.Options{Answers: map[string][]byte{}, Catalogue: agent.Catalogue(), Files: convert.Files{Dir: e.dir}}
	for word := range strings.FieldsSeq(string(a.Comment)) {
		if job, ok := strings.CutPrefix(word, "-"); ok {
			e.skip = append(e.skip, job)
			continue
		}
		if job, file, ok := strings.Cut(word, "="); ok {
			e.options.Answers[job] = files[file]
			if strings.Contains(file, "|") { // it is the answer to a request
				e.options.Answers[job] = []byte(e.web[strings.Replace(file, "|", " ", 1)])
			}
			continue
		}
		e.configs = append(e.configs, convert.File{Name: filepath.Join(e.dir, word), Text: files[word]})
	}
	for _, name := range []string{"want", "lost", "comments"} {
		e.want[name] = strings.TrimSpace(string(files[name]))
	}
	return e
}

// series runs each job of a configuration once and returns its series, sorted.
func (e example) series(t *testing.T, text []byte) []string {
	t.Helper()
	for _, m := range regexp.MustCompile(`env:([A-Z0-9_]+)`).FindAllSubmatch(text, -1) {
		t.Setenv(string(m[1]), "hunter2")
	}
	plan, err := config.Load("cton.yaml", text, e.options.Catalogue)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	var all []string
	for _, j := range plan.Jobs {
		if slices.Contains(e.skip, j.Name) {
			continue
		}
		all = append(all, e.run(t, j)...)
	}
	slices.Sort(all)
	return all
}

func (e example) run(t *testing.T, j config.Job) []string {
	t.Helper()
	secrets := &setting.SecretStore{Dir: e.dir}
	env := sources.Env{
		Job: j.Name, Log: slog.New(slog.DiscardHandler), Dir: e.dir,
		Web: &httpclient.Host{Secrets: secrets, Transport: e.web, Shared: &httpclient.SharedState{}},
	}
	var source sources.Source
	var err error
	if c, ok := j.FetcherConfig.(sources.Targeter); ok && c.HasTargets() {
		list, err := c.NewTargets(env)
		if err != nil {
			t.Fatal(err)
		}
		source, err = targets.New(list, 4, env.Log, func(f sources.Fetcher) (sources.Source, error) {
			env := env
			env.Fetch = f
			return j.SourceConfig.New(env)
		})
		if err != nil {
			t.Fatal(err)
		}
	} else if j.FetcherConfig != nil {
		f, err := j.FetcherConfig.New(env)
		if err != nil {
			t.Fatal(err)
		}
		env.Fetch = f
	}
	if source == nil {
		if source, err = j.SourceConfig.New(env); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	readings, err := source.Collect(ctx, sources.Tick{Time: time.Now()})
	if err != nil {
		t.Fatalf("job %s: %v", j.Name, err)
	}
	last := map[string]string{}
	var order []string
	for _, m := range readings {
		if m.Err != nil && !strings.Contains(m.Err.Error(), "two readings") {
			t.Logf("job %s: %s: %v", j.Name, m.Desc.Name, m.Err)
		}
		if m.Desc.Name == "script_duration_seconds" {
			continue // differs from run to run
		}
		for _, row := range m.Rows {
			labels := map[string]string{}
			for l := range m.Desc.LabelSet(row.Labels).All() {
				labels[l.Name] = l.Value
			}
			key := m.Desc.Name + shown(labels)
			if _, again := last[key]; !again {
				order = append(order, key)
			}
			last[key] = strconv.FormatFloat(row.Value, 'g', -1, 64)
			if row.Time != 0 {
				last[key] += fmt.Sprintf(" at %d", row.Time)
			}
		}
		for _, one := range m.Series {
			if name := m.Desc.Name; name != "up" && !strings.HasPrefix(name, "scrape_") {
				labels := map[string]string{}
				for l := range one.Labels.All() {
					labels[l.Name] = l.Value
				}
				order = append(order, name+shown(labels))
				last[name+shown(labels)] = strconv.FormatFloat(one.Value, 'g', -1, 64)
			}
		}
	}
	var all []string
	for _, key := range order {
		all = append(all, key+" "+last[key])
	}
	return all
}

func shown(labels map[string]string) string {
	var parts []string
	for k, v := range labels {
		if v != "" {
			parts = append(parts, k+"="+strconv.Quote(v))
		}
	}
	slices.Sort(parts)
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// TestSameSeries checks that a converted configuration gives the series of the tool, for the cases in testdata. A case says how
// many settings have no counterpart, and what the comments must say.
func TestSameSeries(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d cases, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			e := load(t, name)
			result, err := convert.Convert(e.configs, e.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(e.want["want"], "\n"), e.series(t, result.YAML)); diff != "" {
				t.Errorf("- wanted, + got:\n%s\nof\n%s", diff, result.YAML)
			}
			if want := e.want["lost"]; want == "" && result.Lost != 0 || want != "" && strconv.Itoa(result.Lost) != want {
				t.Errorf("%d settings without a counterpart, want %q:\n%s", result.Lost, want, result.YAML)
			}
			for line := range strings.SplitSeq(e.want["comments"], "\n") {
				if !bytes.Contains(result.YAML, []byte(line)) {
					t.Errorf("no comment %q in\n%s", line, result.YAML)
				}
			}
		})
	}
}

// TestFailedAsk checks an answer that comes together with an error. The answer must not be used, and a comment must say so.
func TestFailedAsk(t *testing.T) {
	const text = "[[inputs.http]]\nurls=['http://a.example']\ndata_format='json'\nfieldpass=['up*']\n" +
		"[[inputs.sql]]\ndriver='sqlite'\ndsn='a.db'\n[[inputs.sql.query]]\nquery='select 1 as up'\n"
	ask := func(_ []byte, rows bool) ([]byte, error) {
		return []byte(map[bool]string{true: `[{"up": 1}]`, false: `{"up": 1}`}[rows]), errors.New("the link broke")
	}
	files := []convert.File{{Name: "telegraf.conf", Text: []byte(text)}}
	result, err := convert.Convert(files, convert.Options{Ask: ask, Catalogue: agent.Catalogue()})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(result.YAML, []byte("_up:")) || bytes.Count(result.YAML, []byte("there is no answer: the link broke")) != 2 {
		t.Errorf("the answer is used, or a comment is missing:\n%s", result.YAML)
	}
}

// valid checks that a configuration passes the check.
func valid(t *testing.T, text []byte) {
	t.Helper()
	if _, err := config.Load("cton.yaml", text, agent.Catalogue()); err != nil {
		t.Errorf("%v\nin\n%s", err, text)
	}
}
