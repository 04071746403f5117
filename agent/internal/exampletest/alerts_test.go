package exampletest

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"go.yaml.in/yaml/v4"
)

// alertTests is the part of a file for "promtool test rules" that the tests here need.
type alertTests struct {
	RuleFiles []string `yaml:"rule_files"`
	Tests     []struct {
		Name     string         `yaml:"name"`
		Interval model.Duration `yaml:"interval"`
		Series   []struct {
			Series, Values string
		} `yaml:"input_series"`
		Alerts []struct {
			At    string `yaml:"eval_time"`
			Alert string `yaml:"alertname"`
			Want  []struct {
				Labels map[string]string `yaml:"exp_labels"`
			} `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

// TestAlerts checks the alerts with their tests, in the engine of Prometheus. In deploy/e2e, promtool runs the same tests, and
// also compares the annotations.
func TestAlerts(t *testing.T) {
	for _, file := range files(t, "../alerts", "*_test.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tests alertTests
		if err := yaml.Unmarshal(text, &tests); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		rules := rulesOf(t, &tests)
		fired := map[string]bool{}
		for _, c := range tests.Tests {
			load := "load " + c.Interval.String() + "\n"
			for _, s := range c.Series {
				load += "  " + s.Series + " " + s.Values + "\n"
			}
			storage := promqltest.LoadedStorage(t, load)
			for _, a := range c.Alerts {
				at, err := model.ParseDuration(a.At)
				if err != nil {
					t.Fatal(err)
				}
				var want []string
				for _, w := range a.Want {
					want = append(want, fmt.Sprint(w.Labels))
				}
				got := firing(t, storage, rules[a.Alert], time.UnixMilli(0).Add(time.Duration(at)))
				if slices.Sort(want); !slices.Equal(got, want) {
					t.Errorf("%s: %s at %s: fires for %v, want %v", c.Name, a.Alert, a.At, got, want)
				}
				fired[a.Alert] = fired[a.Alert] || len(want) > 0
			}
		}
		for name := range rules {
			if !fired[name] {
				t.Errorf("%s: no test has the alert %s fire", file, name)
			}
		}
	}
}

// rulesOf returns the rules of the alerts that a file tests, keyed by the name of the alert.
func rulesOf(t *testing.T, tests *alertTests) map[string]rulefmt.Rule {
	t.Helper()
	rules := map[string]rulefmt.Rule{}
	for _, name := range tests.RuleFiles {
		quiet := slog.New(slog.DiscardHandler)
		groups, errs := rulefmt.ParseFile(filepath.Join("../alerts", name), false, model.UTF8Validation, parser.NewParser(parser.Options{}), quiet)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, group := range groups.Groups {
			for _, r := range group.Rules {
				rules[r.Alert] = r
			}
		}
	}
	return rules
}

// firing returns the labels of the alerts that a rule fires at a time. An alert fires if the expression of the rule is true for the
// alert's labels, and has been true for as long as the rule's "for" demands.
func firing(t *testing.T, storage storage.Queryable, r rulefmt.Rule, at time.Time) []string {
	t.Helper()
	if r.Alert == "" {
		t.Fatal("a test is of an alert that does not exist")
	}
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	holds := func(at time.Time) (all []string) {
		q, err := engine.NewInstantQuery(t.Context(), storage, nil, r.Expr, at)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		vector, err := q.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range vector {
			labels := s.Metric.Map()
			maps.Copy(labels, r.Labels)
			delete(labels, model.MetricNameLabel)
			all = append(all, fmt.Sprint(labels))
		}
		slices.Sort(all)
		return all
	}
	before := holds(at.Add(-time.Duration(r.For)))
	return slices.DeleteFunc(holds(at), func(labels string) bool { return !slices.Contains(before, labels) })
}
