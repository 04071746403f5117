// Package targets computes the metrics of a job for each of several targets.
//
//	targets ─▶ workers: each has a fetcher and a source, and computes the metrics of one target at a time
//	        ─▶ merge: readings of the same metric are put together, with the labels of their targets
//
// If a target fails, its series of the metric named up is 0, and its other series end, except the running totals that the ledger keeps. Other
// targets are not affected.
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
	make     func(sources.Fetcher) (sources.Source, error) // makes the source of a worker
	most     int                                           // maximum number of workers
	log      *slog.Logger
	workers  []*worker
	up       *metric.Desc
	duration *metric.Desc

	list    []*sources.Target // targets of the last tick
	known   map[*sources.Target]*known
	byPlace map[place][]*sources.Target // targets by their labels job and instance
	was     map[string]string           // by what identifies a target in the IDs of its events: the other text that can have identified it before
	results []result                    // results of the current tick, one for each target
	metrics map[string]*merged          // metric by name
	order   []*merged                   // the values of metrics, in the order in which they came
}

// place is the labels that identify a target.
type place struct{ job, instance string }

func placeOf(t *sources.Target) place { return place{t.Labels.Get("job"), t.Labels.Get("instance")} }

// packed returns the two labels as metric.PackLabels does.
func (p place) packed() string {
	return metric.PackLabels([]metric.Label{{Name: "instance", Value: p.instance}, {Name: "job", Value: p.job}})
}

// known is what is kept of a target from one tick to the next.
type known struct {
	packed string           // labels of the target, packed by metric.PackLabels
	events string           // beginning of the IDs of the target's events: see metric.TargetMark
	labels *metric.LabelSet // labels of the target
	since  time.Time        // start of the first window in which the target failed; zero = the last tick succeeded
}

// New returns a source for the targets t. The argument "workers" is the maximum number of targets that are fetched at the same time. The
// function "make" is called once for each worker. It returns the worker's source, which uses the given fetcher.
func New(t sources.Targets, workers int, log *slog.Logger, make func(sources.Fetcher) (sources.Source, error)) (*Source, error) {
	s := &Source{
		targets: t, make: make, most: workers, log: log,
		up:       &metric.Desc{Name: Up, Help: UpHelp, Type: metric.Gauge, Targeted: true},
		duration: &metric.Desc{Name: Duration, Help: DurationHelp, Type: metric.Gauge, Targeted: true},
		metrics:  map[string]*merged{},
	}
	return s, s.employ(1)
}

// Describe returns a copy of a metric's description that also has the labels of targets.
func Describe(d *metric.Desc) *metric.Desc {
	with := *d
	with.Targeted = true
	if !slices.Contains(d.LabelNames, metric.MoreLabels) {
		with.LabelNames = append(slices.Clone(d.LabelNames), metric.MoreLabels)
	}
	if d.IsZeroWhenEmpty() {
		with.OnDuplicate = metric.DuplicateSum // merged.add adds 1 for each reading, and 0 for a target that has none
	}
	return &with
}

// First returns the source of the first worker. The sources of all workers are alike.
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

// Collect computes the metrics of each target once. The error of a target that fails is reported with the metric named up, and does not
// affect other targets.
func (s *Source) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	list, problems := s.targets.Discover(ctx, tick)
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

// update replaces the list of targets. It keeps what is known of targets that are also in the new list.
//
// The events of a target are identified by its job and instance. A target whose other labels change is still the same server, so its events
// must not count again. Only if several targets have the same job and instance, all labels identify the target. Such a target can come and go,
// so the IDs of an event change from the one form to the other. The ledger finds the earlier form by eventWas.
func (s *Source) update(list []*sources.Target) {
	if s.known != nil && slices.Equal(list, s.list) {
		return
	}
	before := s.known
	s.list, s.known, s.byPlace = list, map[*sources.Target]*known{}, map[place][]*sources.Target{}
	for _, t := range list {
		k := before[t]
		if k == nil {
			k = &known{packed: metric.PackLabels(t.Labels), labels: metric.NewLabelSet(t.Labels)}
		}
		s.known[t] = k
		s.byPlace[placeOf(t)] = append(s.byPlace[placeOf(t)], t)
	}
	s.was = map[string]string{}
	for t, k := range s.known {
		at := placeOf(t)
		now, other := at.packed(), k.packed
		if len(s.byPlace[at]) > 1 {
			now, other = other, now
		}
		k.events = metric.TargetMark(now)
		if now != other {
			s.was[now] = other
		}
	}
}

// eventWas returns a function that is described at [metric.Measured]. A target that shares its job and instance can have been the only one with
// them before. Which of those that share them now was the only one is not known, so an event that it had counts for none of them again:
// counting an event twice cannot be undone.
func (s *Source) eventWas() func(event string) string {
	was := s.was
	return func(event string) string {
		target, id, _ := metric.CutTarget(event)
		if other, ok := was[target]; ok {
			return metric.TargetEvent(other, id)
		}
		return ""
	}
}

// merge returns the readings of all targets, metric by metric. The metrics about the targets come first.
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
	was := s.eventWas()
	for _, m := range s.order {
		if m.measured > 0 || len(list) == 0 && m.Desc.Accumulates() {
			m.end()
			m.Ended, m.EventWas = s.ended(m), was
			readings = append(readings, m.Measured)
		}
	}
	s.forget()
	return readings
}

// metric returns the merged metric with the name of d. It creates the metric if the name is new.
func (s *Source) metric(d *metric.Desc) *merged {
	m := s.metrics[d.Name]
	if m == nil {
		m = newMerged(d)
		s.metrics[d.Name], s.order = m, append(s.order, m)
	}
	return m
}

// forget removes the metrics that no target has now, since their names came from items that are gone. It removes none if all targets
// failed.
func (s *Source) forget() {
	s.order = slices.DeleteFunc(s.order, func(m *merged) bool {
		gone := m.measured == 0 && !m.Desc.Accumulates() && len(s.list) > 0 && s.answered()
		if gone {
			delete(s.metrics, m.Desc.Name)
		}
		return gone
	})
}

// answered reports whether at least one target succeeded in the current tick.
func (s *Source) answered() bool {
	return slices.ContainsFunc(s.results, func(r result) bool { return r.err == nil })
}

// ended returns a function that reports whether a series of a metric belongs to a target that the job no longer has. It returns nil if the
// metric is not accumulated. It also returns nil if the metric itself has a label job or instance, since its series then do not show their
// target.
func (s *Source) ended(m *merged) func(*metric.LabelSet) bool {
	if !m.Desc.Accumulates() || m.declares("job") || m.declares("instance") {
		return nil
	}
	byPlace := s.byPlace
	return func(set *metric.LabelSet) bool {
		return !slices.ContainsFunc(byPlace[place{set.Get("job"), set.Get("instance")}], func(t *sources.Target) bool { return m.isOf(t, set) })
	}
}

// isOf reports whether a series can be of the target, by its labels.
func (m *merged) isOf(t *sources.Target, set *metric.LabelSet) bool {
	for _, l := range t.Labels {
		if got := set.Get(l.Name); got != l.Value && (got == "" || !m.mayHave(l.Name)) {
			return false
		}
	}
	for l := range set.All() {
		if !m.mayHave(l.Name) && t.Labels.Get(l.Name) == "" {
			return false
		}
	}
	return true
}

// worker computes the metrics of targets, one target at a time.
type worker struct {
	fetch  sources.TargetFetcher
	source sources.Source
	log    *slog.Logger
}

// result is the result of one target in a tick.
type result struct {
	measured []metric.Measured // copies, since the worker goes on to the next target
	took     time.Duration
	since    time.Time // new value of known.since
	err      error
}

// collect computes the metrics of a target. If earlier ticks failed, the window begins where the last successful one ended. A panic
// becomes an error of the target.
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
	return result{measured: copied(readings, k)}
}

// copied returns a copy of the readings of the target k, with the packed labels of the target added, and with event IDs that differ from those
// of other targets. The copy stays valid when the source collects again.
func copied(readings metric.Readings, k *known) []metric.Measured {
	packed := k.packed
	all := make([]metric.Measured, len(readings))
	for i := range readings {
		m := readings[i]
		keep := keeper(m.Rows, k.events)
		more := slices.Index(m.Desc.LabelNames, metric.MoreLabels)
		width := len(m.Desc.LabelNames)
		if more < 0 {
			width++
		}
		labels := make([]string, 0, width*len(m.Rows))
		rows := make([]metric.Reading, len(m.Rows))
		own, merged := "", packed // labels of the last row, without and with the target's labels; the next row often has the same
		for at, row := range m.Rows {
			from := len(labels)
			for j, value := range row.Labels {
				if j != more {
					value = keep("", value)
				} else if value != own {
					own = value
					merged = metric.MergePacked(keep("", value), packed)
				}
				if j == more {
					value = merged
				}
				labels = append(labels, value)
			}
			if more < 0 {
				labels = append(labels, packed)
			}
			if row.Event != "" {
				row.Event = keep(k.events, row.Event)
			}
			row.Labels = labels[from:len(labels):len(labels)]
			rows[at] = row
		}
		m.Rows, m.Drops, m.Warnings, m.Answers = rows, slices.Clone(m.Drops), slices.Clone(m.Warnings), slices.Clone(m.Answers)
		for i := range m.Answers {
			m.Answers[i].Target = packed
		}
		all[i] = m
	}
	return all
}

// keeper returns a function that copies a string of the rows, after the string before, into a shared block of memory and returns the copy. The
// block has room for one copy of each string, with events before each event ID.
func keeper(rows []metric.Reading, events string) func(before, s string) string {
	size := 0
	for i := range rows {
		if rows[i].Event != "" {
			size += len(events) + len(rows[i].Event)
		}
		for _, value := range rows[i].Labels {
			size += len(value)
		}
	}
	var block strings.Builder
	block.Grow(size)
	return func(before, s string) string {
		from := block.Len()
		block.WriteString(before)
		block.WriteString(s)
		return block.String()[from:]
	}
}
