package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/compute/starlark"
)

// TestEditedScriptKeepsTotals checks that a metric keeps its total when its script is edited, if the metric is still computed by a function
// of the same name and has the same declaration. Otherwise the total starts again from zero.
func TestEditedScriptKeepsTotals(t *testing.T) {
	const declared = "{type: counter, from: increment}"
	for name, c := range map[string]struct{ metric, script, want string }{
		"the same text":      {declared, "def get_x(): return 1", "x_total 2"},
		"another body":       {declared, "def helper(): return 10\n\ndef get_x(): return helper()", "x_total 11"},
		"another help":       {"{type: counter, from: increment, help: Such as it is.}", "def get_x(): return 1", "x_total 2"},
		"another function":   {declared, "def get_y(): return 1\nregister_metric('x', get_y)", "x_total 1"},
		"another label":      {"{type: counter, from: increment, const_labels: {a: b}}", "def get_x(): return 1", `x_total{a="b"} 1`},
		"a total":            {declared, "def get_x(): return 5\nenable_delta_metric(get_x)", "x_total 5"},
		"events, each once":  {"{type: counter}", "def get_x(): return event(1)\nenable_once_metric(get_x)", "x_total 1"},
		"events by once_by":  {"{type: counter, once_by: id}", "def get_x(): return event(1)", "x_total 1"},
		"of another type":    {"{type: counter, from: total}", "def get_x(): return 7", "x_total 7"},
		"the same and again": {declared, "def get_x(): return 1\n\n# edited", "x_total 2"},
	} {
		before, after := ledger.New(ledger.For(time.Hour), 10), ledger.New(ledger.For(time.Hour), 10)
		at := time.Now()
		apply(t, before, at, declared, "def get_x(): return 1")
		after.Inherit(before)
		if got := apply(t, after, at.Add(time.Minute), c.metric, c.script); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// apply applies one tick of a script to a ledger, and returns the resulting series.
func apply(t *testing.T, book *ledger.Ledger, at time.Time, metrics, text string) string {
	t.Helper()
	c, dir := starlark.Kind.Defaults(), t.TempDir()
	if err := yaml.Load([]byte("file: x.star\nmetrics: {x_total: "+metrics+"}"), c, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "x.star"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := c.New(sources.Env{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	readings, err := s.Collect(t.Context(), sources.Tick{Time: at})
	if err != nil || readings[0].Err != nil {
		t.Fatal(err, readings[0].Err)
	}
	result, err := book.Apply(at, readings)
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	if err := metric.WriteText(&shown, result.Families); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(shown.String()), "\n")
	return lines[len(lines)-1]
}
