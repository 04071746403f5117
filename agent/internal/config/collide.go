package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/agent/webserver"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sources"
)

// collisions checks whether jobs and sinks that are valid on their own exclude each other.
func (r *reader) collisions(plan *Plan, root *yaml.Node) {
	claimed := map[string]string{}
	claim := func(c sinks.Claimer, role, name string) {
		for _, claim := range c.Claims() {
			if other := claimed[claim]; other != "" {
				r.bad(keyAt(root, role, name), join(role, name), "%s is already used by %s: choose another", claim, other)
			}
			claimed[claim] = join(role, name)
		}
	}
	if address := webserver.Claim(plan.Web.Listen); address != "" {
		claimed[address] = "web.listen"
	}
	var merging []string
	for _, s := range plan.Sinks {
		if c, ok := s.Config.(sinks.Claimer); ok {
			claim(c, "sinks", s.Name)
		}
		if s.Kind.Merges != nil && s.Kind.Merges(s.Config) {
			merging = append(merging, s.Name)
		}
	}
	for _, j := range plan.Jobs {
		if c, ok := j.SourceConfig.(sources.Claimer); ok {
			claim(c, "jobs", j.Name)
		}
	}
	r.forwards(plan, root)
	r.metricCollisions(plan, root, merging)
}

// forwards checks the jobs that forward samples they receive. All sinks of such a job must be able to forward samples.
func (r *reader) forwards(plan *Plan, root *yaml.Node) {
	for i := range plan.Jobs {
		j := &plan.Jobs[i]
		if j.SourceKind.Forwards == nil || !j.SourceKind.Forwards(j.SourceConfig) {
			continue
		}
		for _, s := range plan.Sinks {
			if j.GoesTo(s.Name) && !s.Kind.Forwards {
				r.bad(keyAt(root, "jobs", j.Name), join("jobs", j.Name), "receives samples that the sink %s cannot pass on: name sinks that can, such as a remote_write sink, with sinks: […]", s.Name)
			}
		}
	}
}

// declared is a series name that a metric of a job uses.
type declared struct {
	job      *Job
	name     string // name of the metric
	at       string // path of the declaration within the job
	series   string // name of the series: the name of the metric, perhaps with a suffix such as _sum
	kind     string // type of the metric
	help     string
	unit     string
	constant map[string]string
	labels   []string
}

func (d *declared) path() string { return join("jobs", d.job.Name, d.at, d.name) }

func declares(job *Job) []declared {
	metrics, _ := job.Declares()
	var all []declared
	for _, m := range metrics {
		one := declared{job: job, name: m.Name, at: job.MetricsAt, kind: m.Type.String(), help: m.Help, unit: m.Unit, constant: map[string]string{}, labels: m.LabelNames}
		for _, l := range m.Const {
			one.constant[l.Name] = l.Value
		}
		for _, one.series = range m.SeriesNames() {
			all = append(all, one)
		}
	}
	return all
}

func (r *reader) metricCollisions(plan *Plan, root *yaml.Node, merging []string) {
	before := map[string]*namesakes{} // keyed by the name of their series
	var found []*collision
	first := map[string]*collision{} // keyed by the place of the declaration in a job, its name, and the text
	for i := range plan.Jobs {
		for _, d := range declares(&plan.Jobs[i]) {
			same := before[d.series]
			if same == nil {
				same = &namesakes{byKey: map[string]*alike{}}
				before[d.series] = same
			}
			if text, remedy := same.clash(&d, plan.Sinks, merging); text != "" {
				key := d.at + " " + d.name + " " + text
				c := first[key]
				if c == nil {
					c = &collision{declared: d, text: text, remedy: remedy, jobs: map[string]bool{}}
					found, first[key] = append(found, c), c
				}
				c.jobs[d.job.Name] = true
			}
			same.add(&d)
		}
	}
	for _, c := range found {
		names := append(append([]string{"jobs", c.job.Name}, strings.Split(c.at, ".")...), c.name)
		likewise := ""
		if more := len(c.jobs) - 1; more > 0 {
			likewise = fmt.Sprintf(" (the same in %s)", text.Count(more, "more job"))
		}
		r.bad(keyAt(root, names...), c.path(), "%s%s: %s", c.text, likewise, c.remedy)
	}
}

// collision is a declaration that an earlier declaration excludes. The field jobs has all jobs with the same problem.
type collision struct {
	declared
	text, remedy string
	jobs         map[string]bool
}

// namesakes are the declarations that use the same name for a series. Thousands of jobs can declare the same metric, so groups of
// declarations are compared, not all pairs of declarations.
type namesakes struct {
	groups []*alike // in the order of their first declarations
	byKey  map[string]*alike
}

// alike are declarations that differ only in their job and in the values of their constant labels.
type alike struct {
	all     []*declared
	byValue map[string]*declared // by the values of the constant labels: the first declaration with these values
}

// key returns a key that is equal for all declarations of a group (see alike), and the values of the constant labels.
func (d *declared) key() (key, values string) {
	names := slices.Sorted(maps.Keys(d.constant))
	for _, name := range names {
		values += strconv.Quote(d.constant[name])
	}
	return fmt.Sprintf("%q %q %q %q %t %q %q %q", d.name, d.kind, d.help, d.unit, d.job.Sinks == nil, d.job.Sinks, names, d.labels), values
}

func (n *namesakes) add(d *declared) {
	key, values := d.key()
	g := n.byKey[key]
	if g == nil {
		g = &alike{byValue: map[string]*declared{}}
		n.groups, n.byKey[key] = append(n.groups, g), g
	}
	g.all = append(g.all, d)
	if g.byValue[values] == nil {
		g.byValue[values] = d
	}
}

// clash returns why a declaration and an earlier one exclude each other, and what to do. It returns "" if the two declarations do not
// exclude each other.
func (n *namesakes) clash(d *declared, all []Sink, merging []string) (text, remedy string) {
	key, values := d.key()
	for _, g := range n.groups {
		others := g.all
		if g == n.byKey[key] { // only those with the same values can be wrong
			others = nil
			if same := g.byValue[values]; same != nil {
				others = []*declared{same}
			}
		}
		for _, other := range others {
			if other.job == d.job && other.name == d.name {
				continue
			}
			if !meet(d.job, other.job, all) {
				break // the other declarations of the group have the same sinks
			}
			merged := page(d.job, other.job, merging)
			if text, remedy := clash(d, other, merged); text != "" {
				return text, remedy
			}
			if merged == "" {
				break // constant labels make no difference
			}
		}
	}
	return "", ""
}

// meet reports whether at least one sink gets the metrics of both jobs.
func meet(a, b *Job, all []Sink) bool {
	return slices.ContainsFunc(all, func(s Sink) bool { return a.GoesTo(s.Name) && b.GoesTo(s.Name) })
}

// page returns the name of the first sink in the list "merging" that shows the metrics of both jobs, or "".
func page(a, b *Job, merging []string) string {
	for _, name := range merging {
		if a.GoesTo(name) && b.GoesTo(name) {
			return name
		}
	}
	return ""
}

// clash returns why two metrics exclude each other, and what to do. It returns "" if they do not exclude each other.
func clash(d, other *declared, merged string) (text, remedy string) {
	switch where := other.path; {
	case d.name != other.name:
		return fmt.Sprintf("the name %s is also used by %s", d.series, where()), "rename one of them"
	case d.kind != other.kind:
		return fmt.Sprintf("is a %s here and a %s in %s", d.kind, other.kind, where()), "metrics of one name must have the same type"
	case d.unit != other.unit:
		return fmt.Sprintf("the unit differs from that of %s", where()), "metrics of one name must have the same unit"
	case d.help != other.help:
		return fmt.Sprintf("the help differs from that of %s", where()), "metrics of one name must have the same help"
	case merged != "" && !apart(d, other) && !apart(other, d) && d.job.Targeter() == nil && other.job.Targeter() == nil: // targets have a job label
		return fmt.Sprintf("can have the same series as %s on the page of sinks.%s", where(), merged), "set const_labels that differ, or job_label: job_name in the sink"
	}
	return "", ""
}

// apart reports whether a constant label of the first declaration (a) makes all series of this declaration different from all series of
// the second declaration (b).
func apart(a, b *declared) bool {
	for name, value := range a.constant {
		theirs, constant := b.constant[name]
		if constant && theirs != value || !constant && !slices.Contains(b.labels, name) {
			return true
		}
	}
	return false
}

// keyAt returns the key at the end of a path through mappings. If the path does not exist, it returns the last key on it
// that exists.
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
