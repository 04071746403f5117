package relabel

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v4"
)

func rules(t *testing.T, text string) Rules {
	t.Helper()
	var all Rules
	if err := yaml.Load([]byte(text), &all, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRulesAreThoseOfPrometheus checks that rules mean the same as in Prometheus' configuration. This includes its defaults, and settings
// that are set to the empty string.
func TestRulesAreThoseOfPrometheus(t *testing.T) {
	from := labels.FromStrings("__name__", "x", "a", "1", "b", "2")
	for text, want := range map[string]string{
		"[{source_labels: [a, b], target_label: c}]":                                            `{__name__="x", a="1", b="2", c="1;2"}`,
		"[{source_labels: [a, b], separator: '', target_label: c}]":                             `{__name__="x", a="1", b="2", c="12"}`,
		"[{source_labels: [a], regex: '(.)', target_label: c, replacement: 'v$1'}]":             `{__name__="x", a="1", b="2", c="v1"}`,
		"[{source_labels: [a], regex: 2, target_label: c}]":                                     `{__name__="x", a="1", b="2"}`,
		"[{target_label: b, replacement: ''}]":                                                  `{__name__="x", a="1"}`,
		"[{action: labeldrop, regex: 'a|b'}]":                                                   `{__name__="x"}`,
		"[{action: LabelKeep, regex: '__name__|b'}]":                                            `{__name__="x", b="2"}`,
		"[{action: hashmod, source_labels: [a], modulus: 1, target_label: c}]":                  `{__name__="x", a="1", b="2", c="0"}`,
		"[{action: drop, source_labels: [a], regex: 1}, {target_label: c, replacement: never}]": "dropped",
		"[]": `{__name__="x", a="1", b="2"}`,
	} {
		compiled, err := rules(t, text).Compile("rules")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		b := labels.NewBuilder(from)
		got := "dropped"
		if relabel.ProcessBuilder(b, compiled...) {
			got = b.Labels().String()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// TestProblemsNameTheirRule checks that an error has the index of its rule.
func TestProblemsNameTheirRule(t *testing.T) {
	_, err := rules(t, "[{target_label: a}, {regex: '('}, {action: remove}, {}]").Compile("rules")
	for _, want := range []string{"rules.1: regex: missing closing )", "rules.2: action: want one of replace keep", "rules.3: relabel configuration for replace"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "rules.0") {
		t.Errorf("the first rule is right: %v", err)
	}
}
