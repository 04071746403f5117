package command

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/legacy"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
)

// diff compares a plan with the configuration in the file "old". It returns which series end and which series begin when the plan
// replaces that configuration.
func (a *App) diff(plan *config.Plan, old string, g *globals) ([]string, error) {
	doc, err := a.parse([]string{old})
	if err != nil {
		return nil, fmt.Errorf("--diff: %w", err)
	}
	before, err := a.plan(doc, g, legacy.Options{WithoutSecrets: true})
	if err != nil {
		return nil, fmt.Errorf("--diff: %w", err)
	}
	var changes []string
	if !maps.Equal(plan.External, before.External) {
		changes = append(changes, "external_labels: new series of all jobs in sinks that push: the labels change from "+becomes(before.External, plan.External))
	}
	earlier := map[string]*config.Job{}
	for i := range before.Jobs {
		earlier[before.Jobs[i].Name] = &before.Jobs[i]
	}
	for i := range plan.Jobs {
		j := &plan.Jobs[i]
		if earlier[j.Name] == nil {
			changes = append(changes, fmt.Sprintf("jobs.%s: is new%s", j.Name, seriesOf(j)))
			continue
		}
		changes = append(changes, jobChanges(earlier[j.Name], j)...)
		delete(earlier, j.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(earlier)) {
		changes = append(changes, fmt.Sprintf("jobs.%s: is gone: its series end%s", name, seriesOf(earlier[name])))
	}
	return changes, nil
}

// declared returns the metrics of a job by name, nil if the job's metrics are known only after it has run.
func declared(j *config.Job) map[string]*metric.Desc {
	metrics, known := j.Declares()
	if !known {
		return nil
	}
	all := map[string]*metric.Desc{}
	for _, m := range metrics {
		all[m.Name] = m
	}
	return all
}

func seriesOf(j *config.Job) string {
	if all := declared(j); all != nil {
		return ", " + text.Count(len(all), "metric")
	}
	return ""
}

// jobChanges returns what changes in the metrics of a job that both configurations have.
func jobChanges(old, now *config.Job) (changes []string) {
	before, after := declared(old), declared(now)
	say := func(name, format string, args ...any) {
		changes = append(changes, fmt.Sprintf("jobs.%s.%s.%s: ", now.Name, now.MetricsAt, name)+fmt.Sprintf(format, args...))
	}
	if before == nil || after == nil {
		if old.Key != now.Key {
			return []string{fmt.Sprintf("jobs.%s: has changed; which series it has is known only when it runs", now.Name)}
		}
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if before[name] == nil {
			say(name, "is new")
		} else if text := metricChange(before[name], after[name]); text != "" {
			say(name, "%s", text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] == nil {
			say(name, "is gone: its series end")
		}
	}
	return changes
}

// metricChange returns why a metric has new series, or why its totals start from zero. It returns "" if neither happens.
func metricChange(old, now *metric.Desc) string {
	switch {
	case old.Type != now.Type:
		return fmt.Sprintf("new series: the type changes from %s to %s", old.Type, now.Type)
	case !slices.Equal(slices.Sorted(slices.Values(old.LabelNames)), slices.Sorted(slices.Values(now.LabelNames))):
		return fmt.Sprintf("new series: the labels change from %s to %s", listOf(old.LabelNames), listOf(now.LabelNames))
	case !slices.Equal(old.Const, now.Const):
		return "new series: the constant labels change from " + becomes(constant(old), constant(now))
	case !slices.Equal(old.Buckets, now.Buckets):
		return "new series: the buckets change"
	}
	a, errA := json.Marshal(old)
	b, errB := json.Marshal(now)
	if (now.Accumulates() || now.Delta) && (errA != nil || errB != nil || string(a) != string(b)) {
		return "its totals start from zero: it is computed in another way"
	}
	return ""
}

func constant(d *metric.Desc) map[string]string {
	all := map[string]string{}
	for _, l := range d.Const {
		all[l.Name] = l.Value
	}
	return all
}

func listOf(names []string) string {
	names = slices.Clone(names)
	if i := slices.Index(names, metric.MoreLabels); i >= 0 {
		names[i] = "and others"
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// becomes returns two sets of labels with "to" between them, for messages such as: the labels change from {a="1"} to {}.
func becomes(old, now map[string]string) string {
	show := func(labels map[string]string) string {
		var all metric.Labels
		for _, name := range slices.Sorted(maps.Keys(labels)) {
			all = append(all, metric.Label{Name: name, Value: labels[name]})
		}
		if len(all) == 0 {
			return "{}"
		}
		return all.String()
	}
	return show(old) + " to " + show(now)
}
