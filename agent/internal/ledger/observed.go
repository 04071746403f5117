package ledger

import (
	"math"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// maxWindow bounds the observations that a summary's quantiles are computed from, for each series.
const maxWindow = 4096

// observed is the state of a histogram's or summary's series. What it shows is immutable: batches hold on to it.
type observed struct {
	histogram *metric.HistogramValue
	native    *native
	summary   *metric.SummaryValue
	shown     *metric.More  // the two, as a batch has them
	window    []observation // of a summary with quantiles, oldest first

	changed uint32 // the tick that last changed what is shown, so that it is copied once a tick
}

type observation struct {
	at    int64
	value float64
}

// observe adds one observation.
func (e *entry) observe(d *metric.Desc, c *commit, p *pending) {
	o := e.observed
	if o == nil {
		o = &observed{}
		e.observed = o
	}
	if d.Type == metric.Histogram {
		h := o.editHistogram(d, c.tick)
		h.Count++
		h.Sum += p.value
		if h.Counts != nil {
			// A bucket holds what is less than or equal to its bound.
			at, _ := slices.BinarySearch(d.Buckets, p.value)
			h.Counts[at]++
		}
		if d.Native {
			o.native.observe(p.value)
		}
		return
	}
	s := o.editSummary(d, c.tick)
	s.Count++
	s.Sum += p.value
	if len(d.Quantiles) > 0 {
		if len(o.window) >= maxWindow {
			o.window = o.window[len(o.window)-maxWindow+1:]
		}
		o.window = append(o.window, observation{c.at, p.value})
	}
}

// editHistogram is a copy of what was shown last, made once a tick.
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

// show fills in what the series has to show.
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

// quantiles speaks of the observations of the last MaxAge: of n sorted ones, quantile q is the one at place ceil(q·n)
// (nearest rank).
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

// rank is the place of quantile q among n sorted values, from 1. A quantile is written as a decimal number, which floats
// only come near to: 0.07 of 100 is the 7th, though 0.07*100 is a little more than 7 in floats.
func rank(q float64, n int) int {
	return min(max(1, int(math.Ceil(q*float64(n)-1e-9))), n)
}
