// Package targets computes the metrics of a job for each of several targets.
//
//	targets ─▶ workers, each with a fetcher and a source, work on one target at a time
//	        ─▶ their readings, with the labels of the target, become those of one metric
//
// A target that fails costs its own readings: the metric up is 0 for it, and its series end.
package targets

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// Source computes the metrics of all targets of a job.
type Source struct {
	targets  sources.Targets
	make     func(sources.Fetcher) (sources.Source, error)
	most     int // workers
	log      *slog.Logger
	workers  []*worker
	up       *metric.Desc
	duration *metric.Desc

	list    []*sources.Target // of the last tick
	known   map[*sources.Target]*known
	byPlace map[place]*sources.Target
	results []result // of the current tick, one for each target
	metrics map[string]*merged
	order   []*merged // those of metrics, in the order in which they came
}

// place is the labels that identify a target.
type place struct{ job, instance string }

// known is what all series of a target share.
type known struct {
	packed string // its labels
	labels *metric.LabelSet
	since  time.Time // the start of the window that it could not be read in; zero = the last tick has read it
}

// New returns the source. At most a number of targets are worked on at the same time. Make is called for each worker: it returns the
// source that uses a fetcher.
func New(t sources.Targets, workers int, log *slog.Logger, make func(sources.Fetcher) (sources.Source, error)) (*Source, error) {
	s := &Source{
		targets: t, make: make, most: workers, log: log,
		up:       &metric.Desc{Name: Up, Help: UpHelp, Type: metric.Gauge, Targeted: true},
		duration: &metric.Desc{Name: Duration, Help: DurationHelp, Type: metric.Gauge, Targeted: true},
		metrics:  map[string]*merged{},
	}
	return s, s.employ(1)
}

// Describe returns the description of a metric with the labels of targets.
func Describe(d *metric.Desc) *metric.Desc {
	with := *d
	with.Targeted = true
	if !slices.Contains(d.LabelNames, metric.MoreLabels) {
		with.LabelNames = append(slices.Clone(d.LabelNames), metric.MoreLabels)
	}
	if d.IsZeroWhenEmpty() {
		with.OnDuplicate = metric.DuplicateSum // of ones, so that a target without a reading has a zero
	}
	return &with
}

// First returns one of the sources that compute the metrics. All are the same.
func (s *Source) First() sources.Source { return s.workers[0].source }

// employ makes workers until there are n.
func (s *Source) employ(n int) error {
	for len(s.workers) < n {
		fetch := s.targets.NewFetcher()
		source, err := s.make(fetch)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, &worker{fetch: fetch, source: source, log: s.log})
	}
	return nil
}

// Collect computes the metrics of each target once. A target that fails is a problem of the metric up, and costs the others nothing.
func (s *Source) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	list, problems := s.targets.Discover()
	s.update(list)
	n := min(s.most, len(list))
	if err := s.employ(n); err != nil {
		return nil, err
	}
	s.results = slices.Grow(s.results[:0], len(list))[:len(list)]
	within, cancel := WithDeadline(ctx, tick)
	defer cancel()
	Each(n, len(list), func(worker, i int) {
		s.results[i] = s.workers[worker].collect(within, tick, list[i], s.known[list[i]])
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	defer clear(s.results)
	return s.merge(list, problems), nil
}

// update takes over the list of targets. What is known of those that stay is kept.
func (s *Source) update(list []*sources.Target) {
	if s.known != nil && slices.Equal(list, s.list) {
		return
	}
	before := s.known
	s.list, s.known, s.byPlace = list, map[*sources.Target]*known{}, map[place]*sources.Target{}
	for _, t := range list {
		k := before[t]
		if k == nil {
			k = &known{packed: metric.PackLabels(t.Labels), labels: metric.NewLabelSet(t.Labels)}
		}
		s.known[t] = k
		s.byPlace[place{t.Labels.Get("job"), t.Labels.Get("instance")}] = t
	}
}

// merge returns the readings of all targets, metric by metric. Those about the targets come first.
func (s *Source) merge(list []*sources.Target, problems []error) metric.Readings {
	for _, m := range s.order {
		m.begin()
	}
	up, took := make([]metric.Series, len(list)), make([]metric.Series, len(list))
	for i, t := range list {
		r, labels := &s.results[i], s.known[t].labels
		s.known[t].since = r.since
		up[i], took[i] = metric.Series{Labels: labels, Value: 1}, metric.Series{Labels: labels, Value: r.took.Seconds()}
		if r.err != nil {
			up[i].Value = 0
			problems = append(problems, r.err)
			continue
		}
		for k := range r.measured {
			if err := s.metric(r.measured[k].Desc).add(t, &r.measured[k]); err != nil {
				problems = append(problems, fmt.Errorf("%s: %s: %w", t.Name, r.measured[k].Desc.Name, err))
			}
		}
	}
	readings := metric.Readings{{Desc: s.up, Series: up, Err: Summarize(problems)}, {Desc: s.duration, Series: took}}
	for _, m := range s.order {
		if m.measured > 0 || len(list) == 0 && m.Desc.Accumulates() {
			m.end()
			m.Ended = s.ended(m)
			readings = append(readings, m.Measured)
		}
	}
	s.forget()
	return readings
}

// metric returns the metric of all targets that a target's belongs to.
func (s *Source) metric(d *metric.Desc) *merged {
	m := s.metrics[d.Name]
	if m == nil {
		m = newMerged(d)
		s.metrics[d.Name], s.order = m, append(s.order, m)
	}
	return m
}

// forget forgets the metrics that no target has: their names came from items.
func (s *Source) forget() {
	s.order = slices.DeleteFunc(s.order, func(m *merged) bool {
		gone := m.measured == 0 && !m.Desc.Accumulates() && len(s.list) > 0 && s.answered()
		if gone {
			delete(s.metrics, m.Desc.Name)
		}
		return gone
	})
}

// answered reports whether a target was measured in the current tick.
func (s *Source) answered() bool {
	return slices.ContainsFunc(s.results, func(r result) bool { return r.err == nil })
}

// ended returns a function that reports whether a series of a metric belongs to no target of now, nil if that cannot be known.
func (s *Source) ended(m *merged) func(*metric.LabelSet) bool {
	if !m.Desc.Accumulates() || m.declares("job") || m.declares("instance") {
		return nil
	}
	byPlace := s.byPlace
	return func(set *metric.LabelSet) bool {
		t := byPlace[place{set.Get("job"), set.Get("instance")}]
		if t == nil {
			return true
		}
		for _, l := range t.Labels {
			if got := set.Get(l.Name); got != l.Value && (got == "" || !m.mayHave(l.Name)) {
				return true
			}
		}
		for l := range set.All() {
			if !m.mayHave(l.Name) && t.Labels.Get(l.Name) == "" {
				return true
			}
		}
		return false
	}
}

// worker computes the metrics of one target after the other.
type worker struct {
	fetch  sources.TargetFetcher
	source sources.Source
	log    *slog.Logger
}

// result is what came of one target in a tick.
type result struct {
	measured []metric.Measured // copies
	took     time.Duration
	since    time.Time // as in known
	err      error
}

// collect computes the metrics of a target. Its window begins where the last one that was read ends. A panic is an error of the target.
func (w *worker) collect(ctx context.Context, tick sources.Tick, t *sources.Target, k *known) (r result) {
	begin := time.Now()
	if !k.since.IsZero() && k.since.Before(tick.Start) {
		tick.Start = k.since
	}
	defer func() {
		if p := recover(); p != nil {
			const who = "source"
			w.log.Error(who+" panicked: this is a bug, please report it with the stack", "target", t.Name, "panic", p, "stack", string(debug.Stack()))
			r.err = fmt.Errorf("%s: %s panicked: %v", t.Name, who, p)
		}
		if r.took = time.Since(begin); r.err != nil {
			r.since = tick.Start
		}
	}()
	if ctx.Err() != nil {
		return result{err: fmt.Errorf("%s: %w", t.Name, context.Cause(ctx))}
	}
	w.fetch.Use(t)
	readings, err := w.source.Collect(ctx, tick)
	if err != nil {
		return result{err: err}
	}
	return result{measured: copied(readings, k.packed)}
}

// copied returns readings that do not change when the source collects again, with the packed labels of their target.
func copied(readings metric.Readings, packed string) []metric.Measured {
	all := make([]metric.Measured, len(readings))
	for i := range readings {
		m := readings[i]
		keep := keeper(m.Rows)
		more := slices.Index(m.Desc.LabelNames, metric.MoreLabels)
		width := len(m.Desc.LabelNames)
		if more < 0 {
			width++
		}
		labels := make([]string, 0, width*len(m.Rows))
		rows := make([]metric.Reading, len(m.Rows))
		for k, row := range m.Rows {
			from := len(labels)
			for j, value := range row.Labels {
				if value = keep(value); j == more {
					value = metric.MergePacked(value, packed)
				}
				labels = append(labels, value)
			}
			if more < 0 {
				labels = append(labels, packed)
			}
			row.Event, row.Labels = keep(row.Event), labels[from:len(labels):len(labels)]
			rows[k] = row
		}
		m.Rows, m.Drops, m.Warnings = rows, slices.Clone(m.Drops), slices.Clone(m.Warnings)
		all[i] = m
	}
	return all
}

// keeper returns a function that copies strings of the rows, each once, into one block of memory.
func keeper(rows []metric.Reading) func(string) string {
	size := 0
	for i := range rows {
		size += len(rows[i].Event)
		for _, value := range rows[i].Labels {
			size += len(value)
		}
	}
	var block strings.Builder
	block.Grow(size)
	return func(s string) string {
		from := block.Len()
		block.WriteString(s)
		return block.String()[from:]
	}
}
