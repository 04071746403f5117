package scrape

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/collectington/collectington/agent/metric"
)

// kind is what a line is of its series.
type kind uint8

const (
	number  kind = iota // all of it
	bucket              // a bucket's count, or the value of a quantile
	count               // of a histogram or summary
	sum                 // of a histogram or summary
	native              // a histogram with its native buckets
	created             // when it began
)

// entry is one line of a page, from scrape to scrape.
type entry struct {
	raw       string // the line's series as the page has it
	place     int    // in target.before
	to        *series
	duplicate bool    // another line is the same of the same series; then, and where relabelling leaves it out, to is nil
	kind      kind    // what it is of it
	bound     float64 // of a bucket: le or quantile
	alone     *series // what it is shown as where the whole cannot be put together

	meta    *meta // nil = the page says nothing of it
	version uint32

	seen, filled uint32 // the scrape that last had the line, and that could use it

	// Of the scrape at hand.
	value       float64
	time, start int64
	exemplars   []metric.Exemplar
	histogram   *metric.HistogramValue
}

// outdated tells whether what the line is has to be found out anew.
func (e *entry) outdated(t *target) bool {
	switch {
	case e.duplicate: // the other may be gone
		return true
	case e.meta == nil:
		return e.version != t.generation
	}
	return e.version != e.meta.version
}

// resolve finds out what a line is.
func (r *reader) resolve(e *entry, isNative bool) error {
	var scraped labels.Labels
	r.p.Labels(&scraped)
	name := scraped.Get(model.MetricNameLabel)
	if label, twice := scraped.HasDuplicateLabelNames(); twice {
		return fmt.Errorf("a series of %s has the label %s twice", printable(name), printable(label))
	}
	m, suffix := r.t.meta(name)
	e.meta, e.version = m, r.t.generation
	if m != nil {
		e.version = m.version
	}
	final, keep := r.relabelled(scraped)
	if !keep {
		r.detach(e)
		return nil
	}
	if err := r.withinLimits(final); err != nil {
		return err
	}
	id := identity{name: final.Get(model.MetricNameLabel)}
	switch {
	case isNative:
		id.typ, id.kind = metric.Histogram, native
		if m != nil && m.typ == model.MetricTypeGaugeHistogram {
			id.typ = metric.GaugeHistogram
		}
	case m != nil:
		id = id.of(m.typ, suffix, final)
		if id.kind == created && r.format != openMetrics {
			id = identity{name: final.Get(model.MetricNameLabel)} // the other formats have no such lines
		}
	}
	r.attach(e, id, final)
	return nil
}
