package starlark

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// api is a fetcher that has a document for each request. In the map "texts", the key "" has the document of the request in the job's
// settings.
type api struct {
	texts  map[string]string
	asked  []string
	parser sources.Parser
}

func (a *api) Fetch(_ context.Context, _ sources.Tick, r sources.Request) (*sources.Document, error) {
	what := r.Method + r.URL
	for _, p := range r.Query {
		what += "?" + p.Name + "=" + p.Value
	}
	for _, h := range r.Headers {
		what += " " + h.Name + ":" + h.Value
	}
	if r.Body != nil {
		what += " " + *r.Body
	}
	a.asked = append(a.asked, what)
	text, ok := a.texts[what]
	if !ok {
		return nil, fmt.Errorf("GET %s: 404 Not Found", what)
	}
	return a.parser.JSON("GET "+what, []byte(text))
}

const records = `{"total": 7, "big": 12345678901234567890, "half": 0.5, "none": null, "on": true,
"incidents": [
	{"n": 1, "team": "a", "started": "2026-03-01T12:00:00Z", "resolved": "2026-03-01T12:10:00Z"},
	{"n": 2, "team": "b", "started": "2026-03-01T12:00:00Z", "resolved": null},
	{"n": 3, "team": "a", "started": "2026-03-01T12:00:00Z", "resolved": "2026-03-01T12:30:00Z"}]}`

func configOf(t testing.TB, text string) *Config {
	t.Helper()
	c := Kind.Defaults().(*Config)
	if err := yaml.Load([]byte("file: test.star\n"+text), c, yaml.WithKnownFields()); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

// made returns the source of a script with these metrics.
func made(t testing.TB, metrics, script string, a *api) (sources.Source, error) {
	t.Helper()
	c := configOf(t, metrics)
	if err := c.Validate(); err != nil {
		t.Fatalf("%s: %v", metrics, err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "test.star"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	if a == nil {
		a = &api{texts: map[string]string{"": records}}
	}
	return c.New(sources.Env{Job: "test", Fetch: a, Dir: dir})
}

func tickAt() sources.Tick {
	at := time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)
	return sources.Tick{Time: at, Start: at.Add(-time.Minute), End: at}
}

// collect runs a tick and returns its readings as text.
func collect(t testing.TB, metrics, script string, a *api) string {
	t.Helper()
	s, err := made(t, metrics, script, a)
	if err != nil {
		return "new: " + err.Error() + "\n"
	}
	readings, err := s.Collect(t.Context(), tickAt())
	if err != nil {
		return "tick: " + err.Error() + "\n"
	}
	return show(readings)
}

func show(readings metric.Readings) string {
	var b strings.Builder
	for _, m := range readings {
		if m.Err != nil {
			fmt.Fprintf(&b, "%s: %v\n", m.Desc.Name, m.Err)
			continue
		}
		for _, r := range m.Rows {
			fmt.Fprintf(&b, "%s%s %v", m.Desc.Name, m.Desc.LabelSet(r.Labels), r.Value)
			if r.Event != "" {
				fmt.Fprintf(&b, " event %s", r.Event)
			}
			if r.Time != 0 {
				fmt.Fprintf(&b, " at %s", time.UnixMilli(r.Time).UTC().Format(time.RFC3339Nano))
			}
			b.WriteByte('\n')
		}
		for _, d := range m.Drops {
			fmt.Fprintf(&b, "%s drops %d %s: %s\n", m.Desc.Name, d.Count, d.Reason, d.First)
		}
	}
	return b.String()
}

// value returns the result of an expression in a script, or its error without the position.
func value(t testing.TB, expression string) string {
	t.Helper()
	got := collect(t, "metrics: {x: {type: gauge}}", "def get_x():\n    fail(repr("+expression+"))\n", nil)
	_, got, _ = strings.Cut(strings.TrimSpace(got), "get_x: ")
	return strings.TrimPrefix(got, "fail: ")
}
