package config

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v4"

	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
	"github.com/collectington/collectington/sources/targets"
)

// Defaults of a job.
const (
	defaultTimeout   = setting.Duration(30 * time.Second)
	defaultMaxSeries = 100_000

	// assumedSchedule is the schedule that is assumed for a job without one. The default of valid_for follows from it. This schedule has a
	// long interval, so that the series of the job do not end when a run fails and the next one succeeds.
	assumedSchedule = "@every 24h"
)

func (r *reader) jobs(plan *Plan, n *yaml.Node) {
	r.entries(n, "jobs", "jobs by name, each with a schedule, a source of data, and metrics", func(key, value *yaml.Node) {
		path := "jobs." + key.Value
		if !r.goodName(key, "jobs") {
			return
		}
		if key.Value == "cton" {
			r.bad(key, path, "the name cton is reserved for the agent's own metrics")
			return
		}
		if value.Kind != yaml.MappingNode {
			r.bad(key, path, "want a mapping with a schedule, a source of data, and metrics")
			return
		}
		plan.Jobs = append(plan.Jobs, r.job(plan, key, value, path))
	})
}

// job reads one job. Each of its keys is either a setting that every job has, or the name of a kind of fetcher or source.
func (r *reader) job(plan *Plan, key, n *yaml.Node, path string) Job {
	n = r.withDefaults(n)
	own := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column}
	known := settingsAt(reflect.TypeFor[JobSettings](), "")
	job := Job{Name: key.Value, at: key, node: n}
	var fetchKey, sourceKey *yaml.Node
	r.entries(n, path, "a schedule, a source of data, and metrics", func(key, value *yaml.Node) {
		if slices.Contains(known, key.Value) {
			own.Content = append(own.Content, key, value)
			return
		}
		if kind, ok := kindOf(r.catalogue.Fetchers, key.Value); ok {
			before := value
			if job.FetcherConfig, value = readKind(r, kind, key, value, path, fetchKey, "source"); value != before {
				job.Key += " " + fingerprint(value)
			}
			job.Fetches = key.Value + " " + fingerprint(value)
			if id, ok := job.FetcherConfig.(sources.Identifier); ok {
				job.Fetches = key.Value + " " + id.Identity()
			}
			fetchKey = key
			job.Key += r.authKey(plan, value, join(path, kind.Name), job.FetcherConfig)
			return
		}
		if kind, ok := kindOf(r.catalogue.Sources, key.Value); ok {
			job.SourceKind = kind
			before := value
			if job.SourceConfig, value = readKind(r, kind, key, value, path, sourceKey, "way to compute metrics"); value != before {
				job.Key += " " + fingerprint(value)
			}
			sourceKey = key
			job.Key += r.authKey(plan, value, join(path, kind.Name), job.SourceConfig)
			if job.MetricsAt = kind.Name; kind.Name != "metrics" {
				job.MetricsAt = kind.Name + ".metrics"
			}
			return
		}
		if text := r.inKind(n, path, key.Value); text != "" && prometheusKeys()[key.Value].text == "" {
			r.bad(key, path, "%s", text)
			return
		}
		r.bad(key, path, "%s", r.unknownSetting(path, key.Value, append(r.jobKinds(), known...)))
	})
	switch {
	case sourceKey == nil && !r.meant[join(path, "metrics")]:
		r.bad(key, path, "computes no metrics: add %s", strings.Join(names(r.catalogue.Sources), " or "))
	case sourceKey != nil && sourceKey.Value == "metrics" && fetchKey == nil:
		r.bad(key, path, "has no source of data: add %s", strings.Join(names(r.catalogue.Fetchers), " or "))
	case sourceKey != nil:
		r.texts(&job, sourceKey, fetchKey, path)
		r.mixes(&job, n, fetchKey, path)
	}
	r.jobSettings(&job, key, own, path)
	r.targetMetrics(&job, key, path)
	job.Key, job.Shown = fingerprint(n)+job.Key, shown(n)
	return job
}

// texts reports a problem if the source of a job reads texts, but the fetcher of the job cannot fetch texts.
func (r *reader) texts(job *Job, source, fetch *yaml.Node, path string) {
	if _, reads := job.SourceConfig.(sources.TextReader); !reads {
		return
	}
	c, ok := job.FetcherConfig.(sources.TextConfig)
	switch {
	case fetch == nil:
		r.bad(source, join(path, source.Value), "has no source of text: add exec or file; for a page of an exporter, use scrape alone")
	case !ok:
		r.bad(fetch, join(path, fetch.Value), "cannot be set with %s, which needs exec or file; for a page of an exporter, use scrape alone", source.Value)
	default:
		for _, p := range setting.Problems(c.CheckTexts()) {
			r.bad(fetch, join(path, fetch.Value, p.Path), "%s", p.Text)
		}
	}
}

// mixes checks that no metric adds up documents that can have parts of an earlier answer beside new ones, since these parts would count
// twice.
func (r *reader) mixes(job *Job, n, fetch *yaml.Node, path string) {
	c, ok := job.FetcherConfig.(sources.Mixer)
	if !ok || job.MetricsAt != "metrics" || job.SourceConfig == nil || isDated(job.FetcherConfig) || c.Mixes() == "" {
		return
	}
	at := join(fetch.Value, c.Mixes())
	all, _ := job.Declares()
	for _, m := range all {
		if m.Accumulates() && !m.Once {
			r.bad(find(n, at), join(path, at), "some answers of a run can be used again while others are new, so %s would count some things twice: "+
				"set its once_by, or remove %s", m.Name, c.Mixes())
		}
	}
}

// jobSettings reads the settings that every job has.
func (r *reader) jobSettings(job *Job, key, own *yaml.Node, path string) {
	s := &job.JobSettings
	s.Timeout, s.MaxSeries = defaultTimeout, defaultMaxSeries
	if filled := r.load(own, path, s); filled != own {
		own, job.Key = filled, job.Key+" "+fingerprint(filled)
	}
	at := func(name string) *yaml.Node {
		if k, v := child(own, name); k != nil {
			return v
		}
		return key
	}
	zone, err := schedule.Location(s.Timezone)
	if err != nil {
		r.bad(at("timezone"), join(path, "timezone"), "%v", err)
	}
	if s.ScheduleText == "" {
		s.ScheduleText = job.SourceKind.Schedule
	}
	text := s.ScheduleText
	switch job.Unscheduled = text == ""; {
	case !job.Unscheduled:
	case s.WindowSettings != nil || job.Dated():
		r.missing(at("schedule"), join(path, "schedule"), `"@every 60s", or cron text such as "*/5 * * * *"; for a job of cton once, how often it runs: the window that its first run reads follows from it`)
		zone = nil
	default:
		text = assumedSchedule
	}
	if zone != nil {
		if job.Schedule, err = schedule.Parse(text, zone); err != nil {
			r.bad(at("schedule"), join(path, "schedule"), "%v", err)
		}
	}
	if s.Timeout == 0 {
		r.bad(at("timeout"), join(path, "timeout"), "want more than 0: a run without a timeout could block the job")
	}
	if s.MaxSeries < 1 {
		r.bad(at("max_series"), join(path, "max_series"), "want at least 1")
	}
	if n := at("window"); s.WindowSettings != nil && job.Schedule != nil && resolve(n).Kind == yaml.MappingNode {
		r.windows(job, zone, n, join(path, "window"))
	}
	r.jobLabels(job, at("labels"), path)
	if k, v := child(own, "sinks"); k != nil && resolve(v).Kind == yaml.SequenceNode {
		r.jobSinks(v, k, join(path, "sinks"), s.Sinks)
	}
}

// targetMetrics checks that a job with targets declares no metric with the name of a metric that cton adds for each target.
func (r *reader) targetMetrics(job *Job, key *yaml.Node, path string) {
	if job.Targeter() == nil || job.SourceConfig == nil {
		return
	}
	all, _ := job.Declares()
	for _, m := range all {
		if m.Name == targets.Up || m.Name == targets.Duration {
			r.bad(key, join(path, job.MetricsAt, m.Name), "a job with targets has the metric %s for each of them: give this one another name", m.Name)
		}
	}
}

// jobLabels checks the labels of a job and adds them to its metrics.
func (r *reader) jobLabels(job *Job, n *yaml.Node, path string) {
	before := len(r.problems)
	for _, name := range slices.Sorted(maps.Keys(job.Labels)) {
		at := join(path, "labels", name)
		switch n := find(n, name); {
		case !model.UTF8Validation.IsValidLabelName(name) || strings.HasPrefix(name, "__"):
			r.bad(n, at, "%q is not a valid label name", name)
		case job.Labels[name] == "":
			r.bad(n, at, "the value is empty: a label without a value does not exist")
		case name == "job" || name == "le" || name == "quantile":
			r.bad(n, at, "the label %s is reserved: give it another name", name)
		}
	}
	if len(job.Labels) == 0 || len(r.problems) > before || job.SourceConfig == nil {
		return
	}
	labeler, ok := job.SourceConfig.(sources.Labeler)
	if t := job.Targeter(); t != nil {
		labeler, ok = t, true
	}
	if !ok {
		r.bad(n, join(path, "labels"), "%s cannot add labels to its metrics: remove this setting", job.SourceKind.Name)
		return
	}
	labeler.AddLabels(job.Labels)
}

// jobSinks checks the names in the setting sinks of a job.
func (r *reader) jobSinks(n, key *yaml.Node, path string, named []string) {
	if len(named) == 0 {
		r.bad(key, path, "the list is empty; leave it out to use all sinks")
	}
	r.sinkList(n, path, named)
}

// sinkList checks a list of names of sinks.
func (r *reader) sinkList(n *yaml.Node, path string, named []string) {
	for i, name := range named {
		_, at := child(n, strconv.Itoa(i))
		switch {
		case !slices.Contains(r.sinkNames, name):
			r.bad(at, path, "%s", unknown("sink", name, r.sinkNames))
		case slices.Contains(named[:i], name):
			r.bad(at, path, "%q is listed twice", name)
		}
	}
}

// readKind reads the settings of a kind. It returns them, and their node with its references replaced. A job can have only one kind of
// each role. If the job already has a kind of the same role, the argument "other" is the key of that kind.
func readKind[T any](
	r *reader, kind sources.Kind[T], key, value *yaml.Node, path string, other *yaml.Node, role string,
) (sources.Config[T], *yaml.Node) {
	if other != nil {
		r.bad(key, path, "a job can have only one %s; %q is already set", role, other.Value)
	}
	path = join(path, kind.Name)
	c := kind.Defaults()
	before := len(r.problems)
	value = r.load(value, path, c)
	if len(r.problems) == before {
		r.validate(value, key, path, c)
	}
	return c, value
}

func kindOf[T any](kinds []sources.Kind[T], name string) (sources.Kind[T], bool) {
	for _, k := range kinds {
		if k.Name == name {
			return k, true
		}
	}
	return sources.Kind[T]{}, false
}

func names[T any](kinds []sources.Kind[T]) []string {
	var all []string
	for _, k := range kinds {
		all = append(all, k.Name)
	}
	return all
}

func (r *reader) jobKinds() []string {
	return append(names(r.catalogue.Fetchers), names(r.catalogue.Sources)...)
}
