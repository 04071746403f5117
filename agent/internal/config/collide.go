package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// collisions finds what is right by itself and wrong together.
func (r *reader) collisions(plan *Plan, root *yaml.Node) {
	claimed := map[string]string{}
	var merging []string
	for _, s := range plan.Sinks {
		if c, ok := s.Config.(sinks.Claimer); ok {
			for _, claim := range c.Claims() {
				if other := claimed[claim]; other != "" {
					r.bad(keyAt(root, "sinks", s.Name), "sinks."+s.Name, "%s belongs to sinks.%s already", claim, other)
				}
				claimed[claim] = s.Name
			}
		}
		if m, ok := s.Config.(sinks.Merger); ok && m.Merges() {
			merging = append(merging, s.Name)
		}
	}
	r.metricCollisions(plan, root, merging)
}

// declared is one metric of one job.
type declared struct {
	job      *Job
	name     string // the declared one
	at       string // where it is declared, below the job
	series   string // a name that its series have: name, or name_sum and so on
	kind     string // what must be the same wherever the name is declared
	help     string
	unit     string
	constant map[string]string
	labels   []string
}

func (d *declared) path() string { return join("jobs", d.job.Name, d.at, d.name) }

func declares(job *Job) []declared {
	d, ok := job.SourceConfig.(sources.Declarer)
	if !ok {
		return nil
	}
	var all []declared
	for _, m := range d.Declares() {
		one := declared{job: job, name: m.Name, at: job.MetricsAt, kind: m.Type.String(), help: m.Help, unit: m.Unit, constant: map[string]string{}, labels: m.LabelNames}
		for _, l := range m.Const {
			one.constant[l.Name] = l.Value
		}
		suffixes := map[string][]string{"histogram": {"_bucket", "_sum", "_count", "_created"}, "summary": {"_sum", "_count", "_created"}}[one.kind]
		for _, suffix := range append([]string{""}, suffixes...) {
			one.series = m.Name + suffix
			all = append(all, one)
		}
		if base, total := strings.CutSuffix(m.Name, "_total"); total && one.kind == "counter" {
			for _, one.series = range []string{base, base + "_created"} { // what OpenMetrics calls the family, and reserves
				all = append(all, one)
			}
		}
	}
	return all
}

func (r *reader) metricCollisions(plan *Plan, root *yaml.Node, merging []string) {
	before := map[string][]declared{} // by the name of their series
	for i := range plan.Jobs {
		for _, d := range declares(&plan.Jobs[i]) {
			for _, other := range before[d.series] {
				if other.job == d.job && other.name == d.name || !meet(d.job, other.job, plan.Sinks) {
					continue
				}
				if text := clash(d, other, page(d.job, other.job, merging)); text != "" {
					names := append(append([]string{"jobs", d.job.Name}, strings.Split(d.at, ".")...), d.name)
					r.bad(keyAt(root, names...), d.path(), "%s", text)
					break
				}
			}
			before[d.series] = append(before[d.series], d)
		}
	}
}

// meet reports whether some sink gets the metrics of both jobs.
func meet(a, b *Job, all []Sink) bool {
	return slices.ContainsFunc(all, func(s Sink) bool { return a.GoesTo(s.Name) && b.GoesTo(s.Name) })
}

// page is the first of the merging sinks that shows the metrics of both jobs, "" where none does.
func page(a, b *Job, merging []string) string {
	for _, name := range merging {
		if a.GoesTo(name) && b.GoesTo(name) {
			return name
		}
	}
	return ""
}

// clash says why two metrics cannot be side by side, "" where they can.
func clash(d, other declared, merged string) string {
	where := other.path()
	switch {
	case d.name != other.name:
		return fmt.Sprintf("the name %s belongs to %s too", d.series, where)
	case d.kind != other.kind:
		return fmt.Sprintf("is a %s here and a %s in %s: a name has one type", d.kind, other.kind, where)
	case d.unit != other.unit:
		return fmt.Sprintf("its unit differs from that of %s: a name has one unit", where)
	case d.help != other.help:
		return fmt.Sprintf("its help differs from that of %s: a name has one help", where)
	case merged != "" && !apart(d, other) && !apart(other, d):
		return fmt.Sprintf("can have the same series as %s on the page of sinks.%s; tell them apart by const_labels, or set job_label there", where, merged)
	}
	return ""
}

// apart reports whether a constant label of a keeps its series from ever being one of b's.
func apart(a, b declared) bool {
	for name, value := range a.constant {
		theirs, constant := b.constant[name]
		if constant && theirs != value || !constant && !slices.Contains(b.labels, name) {
			return true
		}
	}
	return false
}

// keyAt is the key at the end of a way through mappings, or the nearest above it.
func keyAt(n *yaml.Node, names ...string) *yaml.Node {
	at := n
	for _, name := range names {
		key, value := child(n, name)
		if key == nil {
			break
		}
		at, n = key, value
	}
	return at
}
