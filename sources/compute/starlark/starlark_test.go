package starlark

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	for text, want := range map[string]string{
		"":               "metrics: is empty: declare at least one metric, by its name",
		"metrics: {x: }": "metrics.x: needs at least a type, such as {type: gauge}",
		"metrics: {x: {type: gauge, labels: [a, a]}}":            "metrics.x.labels.1: a is listed twice: remove one",
		"metrics: {x: {type: counter}}":                          "metrics.x: a counter's name ends in _total: call it x_total, or make it a gauge if its value can fall",
		"metrics: {x: {type: gauge, once_by: id}}":               "metrics.x.once_by: is only valid for a counter, a histogram or a summary",
		"metrics: {x: {type: summary, once_by: a, labels: [a]}}": "metrics.x.once_by: a is in labels too, where each event would make a series: remove it from labels",
		"max_memory: 1kB\nmetrics: {x: {type: gauge}}":           "max_memory: want at least 1MiB",
		"settings: {a: {1: 2}}\nmetrics: {x: {type: gauge}}":     "settings: a: want strings, numbers, lists and mappings with strings as keys",
	} {
		if err := configOf(t, text).Validate(); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	if err := Kind.Defaults().Validate(); err == nil || !strings.Contains(err.Error(), "file: is required") {
		t.Errorf("got %v", err)
	}
}

func TestSettings(t *testing.T) {
	got := collect(t, "settings: {a: text, n: 5, f: 0.5, l: [1, {b: true}], none: null}\nmetrics: {x: {type: gauge}}", "def get_x(): return fail(config)", nil)
	if want := `{"a": "text", "f": 0.5, "l": [1, {"b": True}], "n": 5, "none": None}`; !strings.Contains(got, want) {
		t.Errorf("got %s", got)
	}
}
