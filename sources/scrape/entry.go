package scrape

import (
	"fmt"
	"strconv"

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

	told  // no sample: it tells a family's help or unit
	typed // no sample: it tells a family's type
)

// entry is one line of a page, from scrape to scrape: a sample, or what is told of a family. There are as many as samples, so
// it is to be small: of the line's own text there is a hash, of which no other line's is a copy but by a chance of 2⁻⁶⁴.
type entry struct {
	hash      uint64 // of the line's series as the page has it; of what is told, of the line
	length    uint32 // of that, in bytes
	version   uint32 // of meta
	meta      *meta  // of its family; nil = the page says nothing of it
	to        *series
	next      *entry  // the next line of that series
	bound     float64 // of a bucket: le or quantile
	kind      kind    // what it is of its series
	duplicate bool    // another line is the same of the same series; then, and where relabelling leaves it out, to is nil

	seen, filled uint32 // the scrape that last had the line, and that could use it

	// Of the scrape at hand.
	value       float64
	time, start int64

	more *more // nil where there is nothing in it
}

// more is what few lines have.
type more struct {
	alone *series // what it is shown as where the whole cannot be put together

	// Of the scrape at hand.
	exemplars []metric.Exemplar
	histogram *metric.HistogramValue
}

// also is more, to be written to.
func (e *entry) also() *more {
	if e.more == nil {
		e.more = &more{}
	}
	return e.more
}

// exemplars are those of the scrape at hand.
func (e *entry) exemplars() []metric.Exemplar {
	if e.more == nil {
		return nil
	}
	return e.more.exemplars
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
	scraped := r.scraped()
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

// scraped are the labels of the line at hand.
func (r *reader) scraped() (all labels.Labels) {
	r.p.Labels(&all)
	own := ""
	switch r.typ {
	case model.MetricTypeHistogram:
		own = model.BucketLabel
	case model.MetricTypeSummary:
		own = model.QuantileLabel
	}
	// Prometheus' parsers write bounds in one way behind a line that tells the type. One that was begun behind that line
	// does not know.
	if text := all.Get(own); text != "" {
		if bound, err := strconv.ParseFloat(text, 64); err == nil {
			r.builder.Reset(all)
			r.builder.Set(own, labels.FormatOpenMetricsFloat(bound))
			all = r.builder.Labels()
		}
	}
	return all
}
