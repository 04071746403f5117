package ledger

import (
	"math"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// maxWindow is the maximum number of observations that are used to compute the quantiles of a series.
const maxWindow = 4096

// observed is the state of a series of a histogram or summary. Batches that were sent earlier share its values, so a tick
// changes a copy.
type observed struct {
	histogram *metric.HistogramValue
	native    *native
	summary   *metric.SummaryValue
	shown     *metric.More  // the values as they were in the last batch
	window    []observation // for a summary with quantiles, oldest first
	unsaved   int           // number of observations, at the end of window, that are not in the journal yet

	changed uint32 // the last tick that copied the value; a tick copies it only once
}

// observation is an observed value and its time, Unix milliseconds.
type observation struct {
	at    int64
	value float64
}

// observe adds observations to the series. If there are no values, it only makes sure that the series has a value.
func (e *entry) observe(d *metric.Desc, c *commit, values ...float64) {
	o := e.observed
	if o == nil {
		o = &observed{}
		e.observed = o
	}
	if d.Type == metric.Histogram {
		h := o.editHistogram(d, c.tick)
		for _, value := range values {
			o.addTo(h, d, value)
		}
		return
	}
	s := o.editSummary(d, c.tick)
	for _, value := range values {
		s.Count++
		s.Sum += value
		if len(d.Quantiles) == 0 {
			continue
		}
		if len(o.window) >= maxWindow {
			o.window = o.window[len(o.window)-maxWindow+1:]
		}
		o.window = append(o.window, observation{c.at, value})
		o.unsaved++
	}
}

// observeChange adds an observation of how much an upstream running total has grown. After a decrease, which is a reset of the upstream,
// the observation is the whole total. The first reading cannot be compared, so the series is shown without observations.
func (e *entry) observeChange(d *metric.Desc, c *commit, total float64, first bool) {
	switch {
	case first:
		e.observe(d, c)
	case total < e.upstream:
		c.result.Resets++
		e.observe(d, c, total)
	default:
		e.observe(d, c, total-e.upstream)
	}
	e.upstream = total
}

// addTo adds an observation to the histogram.
func (o *observed) addTo(h *metric.HistogramValue, d *metric.Desc, value float64) {
	h.Count++
	h.Sum += value
	if h.Counts != nil {
		// A bucket's upper bound is inclusive.
		at, _ := slices.BinarySearch(d.Buckets, value)
		h.Counts[at]++
	}
	if d.Native {
		o.native.observe(value)
	}
}

// editHistogram returns the histogram's value to change. It copies the value once per tick.
func (o *observed) editHistogram(d *metric.Desc, tick uint32) *metric.HistogramValue {
	if o.histogram == nil || o.changed != tick {
		next := metric.HistogramValue{}
		if o.histogram != nil {
			next = *o.histogram
			next.Counts = slices.Clone(next.Counts)
		} else if len(d.Buckets) > 0 {
			next.Counts = make([]uint64, len(d.Buckets)+1)
		}
		if d.Native && o.native == nil {
			o.native = newNative()
		}
		next.Native = nil
		o.histogram, o.changed = &next, tick
	}
	return o.histogram
}

// editSummary returns the summary's value, which the caller may change. It copies the value once per tick.
func (o *observed) editSummary(d *metric.Desc, tick uint32) *metric.SummaryValue {
	if o.summary == nil || o.changed != tick {
		next := metric.SummaryValue{}
		if o.summary != nil {
			next = *o.summary
		}
		next.Quantiles = slices.Repeat([]float64{math.NaN()}, len(d.Quantiles))
		o.summary, o.changed = &next, tick
	}
	return o.summary
}

// show sets s to the values of the histogram or summary.
func (o *observed) show(d *metric.Desc, c *commit, s *metric.Series) {
	if o.histogram != nil && d.Native && o.histogram.Native == nil {
		o.histogram.Native = o.native.buckets()
	}
	if o.summary != nil && len(d.Quantiles) > 0 {
		o.quantiles(d, c)
	}
	if m := o.shown; m == nil || m.Histogram != o.histogram || m.Summary != o.summary {
		o.shown = &metric.More{Histogram: o.histogram, Summary: o.summary}
	}
	s.More = o.shown
}

// quantiles computes the quantiles of the observations of the last MaxAge. Quantile q of n sorted values is the value of
// rank ceil(q·n), counted from 1 (nearest rank).
func (o *observed) quantiles(d *metric.Desc, c *commit) {
	oldest := c.at - d.MaxAge.Milliseconds()
	kept := slices.IndexFunc(o.window, func(x observation) bool { return x.at > oldest })
	if kept < 0 {
		kept = len(o.window)
	}
	o.window = o.window[kept:]
	if kept == 0 && o.changed != c.tick {
		return
	}
	values := make([]float64, len(o.window))
	for i, x := range o.window {
		values[i] = x.value
	}
	slices.Sort(values)
	s := o.editSummary(d, c.tick)
	for i, q := range d.Quantiles {
		if n := len(values); n > 0 {
			s.Quantiles[i] = values[rank(q, n)-1]
		}
	}
}

// rank returns the rank of quantile q among n sorted values, counted from 1. It allows for rounding errors of floats:
// quantile 0.07 of 100 values is the 7th value, although 0.07*100 as a float is a little more than 7.
func rank(q float64, n int) int {
	return min(max(1, int(math.Ceil(q*float64(n)-1e-9))), n)
}
