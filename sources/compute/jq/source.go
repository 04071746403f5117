package jq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

// Bounds on what one document can make of one metric.
const (
	maxItems = 2_000_000 // readings of one metric in one tick
	maxLabel = 4096      // bytes of a label's value
)

// source computes all metrics of a job from one document. Metrics with the same items are computed in one walk over them,
// and those of them with the same labels share these.
type source struct {
	fetch    sources.Fetcher
	walks    []*walkPlan
	measured metric.Readings
	arena    []string // label values of the tick under way
	machine  machine  // of the tick under way
	window   window   // of that tick
}

// walkPlan is the metrics with the same items.
type walkPlan struct {
	items  *Expr
	place  *place // where they all look members up
	groups []*group
}

// group is the metrics of a walk with the same labels.
type group struct {
	labels []*Expr // in the order of the metrics' label names
	rules  []rule
}

// rule is how one metric is computed. At is its place in the readings.
type rule struct {
	*Metric
	at int
}

func newSource(c Config, fetch sources.Fetcher) *source {
	s := &source{fetch: fetch}
	walks, groups := map[string]*walkPlan{}, map[string]*group{}
	for at, name := range slices.Sorted(maps.Keys(c)) {
		m := c[name]
		s.measured = append(s.measured, metric.Measured{Desc: m.desc(name)})
		items := ""
		if m.Items != nil {
			items = m.Items.text
		}
		w := walks[items]
		if w == nil {
			w = &walkPlan{place: &place{}}
			w.items = m.Items.at(w.place)
			walks[items] = w
			s.walks = append(s.walks, w)
		}
		key := items
		var labels []*Expr
		for _, label := range m.labelNames() {
			labels = append(labels, m.Labels[label].at(w.place))
			key += "\x00" + m.Labels[label].text
		}
		g := groups[key]
		if g == nil {
			g = &group{labels: labels}
			groups[key] = g
			w.groups = append(w.groups, g)
		}
		g.rules = append(g.rules, rule{m.at(w.place), at})
	}
	return s
}

// at is the metric whose expressions are for the items at a place.
func (m *Metric) at(p *place) *Metric {
	placed := *m
	placed.Value, placed.OnceBy, placed.Time = m.Value.at(p), m.OnceBy.at(p), m.Time.at(p)
	return &placed
}

// Collect fetches the document and computes every metric from it.
func (s *source) Collect(ctx context.Context, tick sources.Tick) (metric.Readings, error) {
	doc, err := s.fetch.Fetch(ctx, tick)
	if err != nil {
		return nil, err
	}
	s.arena, s.window = s.arena[:0], windowOf(tick)
	s.machine.begin(tick)
	for i := range s.measured {
		m := &s.measured[i]
		m.Rows, m.Err, m.Drops = m.Rows[:0], nil, nil
	}
	// A document is converted for jq at most once a tick, and not at all where paths do.
	root := &item{value: ofDocument(doc.Root)}
	for _, w := range s.walks {
		w.place.forget()
		err := s.walk(ctx, w, root)
		switch {
		case err != nil:
			s.fail(w, fmt.Errorf("items %s: %s", w.items, short(err.Error())))
		case w.items == nil && doc.Skipped.Items > 0: // what is one value of all items would be another without some
			s.fail(w, fmt.Errorf("is measured of the whole document, which lacks %d of its items; the first: %w", doc.Skipped.Items, doc.Skipped.First))
		}
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("compute metrics: %w", context.Cause(ctx))
	}
	for i := range s.measured {
		failWhole(&s.measured[i])
		doc.Skipped.Count(&s.measured[i])
	}
	return s.measured, nil
}

// fail makes it the error of all metrics of a walk.
func (s *source) fail(w *walkPlan, err error) {
	for _, g := range w.groups {
		for _, r := range g.rules {
			s.measured[r.at].Err = err
		}
	}
}

// failWhole makes it the metric's error when none of its readings could be used. Fields that are missing and texts that
// are to be dropped are not meant: there may be nothing else today.
func failWhole(m *metric.Measured) {
	if m.Err != nil || len(m.Rows) > 0 {
		return
	}
	for _, d := range m.Drops {
		if d.Reason != metric.Missing && d.Reason != metric.Unmapped {
			m.Err = fmt.Errorf("no reading can be used: %s", d.First)
			return
		}
	}
}

var errTooMany = errors.New("too many items: at most 2000000 in one tick")

func (s *source) walk(ctx context.Context, w *walkPlan, root *item) error {
	if w.items == nil {
		s.compute(ctx, w, root)
		return nil
	}
	n := 0
	return w.items.all(ctx, &s.machine, root, func(v value) error {
		if n++; n > maxItems {
			return errTooMany
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		s.compute(ctx, w, &item{value: v, at: n - 1})
		return nil
	})
}
