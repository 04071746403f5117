// Package metric holds what flows through the agent: readings on the way in, families of series on the way out, and the
// text form of both. It is made of plain values and knows nothing else of the agent.
package metric

import (
	"slices"
	"time"
)

// Type is a metric's type, in Prometheus' sense.
type Type uint8

// The types a metric can be declared with, and two that only a scraped target has: Unknown where it says nothing, and
// GaugeHistogram, which has native buckets alone.
const (
	Unknown Type = iota
	Gauge
	Counter
	Histogram
	Summary
	GaugeHistogram
)

// From says what a counter's readings are.
type From uint8

// A reading of a counter is the upstream's running total, what is new since the last tick, or one event.
const (
	Total From = iota
	Increment
	Events
)

// OnDecrease says what a decrease of an upstream running total means.
type OnDecrease uint8

// A decrease is an upstream reset, a wobble to wait out, or that metric's error.
const (
	DecreaseReset OnDecrease = iota
	DecreaseIgnore
	DecreaseError
)

// OnDuplicate says what becomes of two readings of one series in one tick.
type OnDuplicate uint8

// Two readings of one series are that metric's error, or are combined into one.
const (
	DuplicateError OnDuplicate = iota
	DuplicateSum
	DuplicateLast
	DuplicateMax
	DuplicateMin
	DuplicateCount
)

// FirstRun says what becomes of the readings of a metric's first tick ever, where readings add to a running total of ours.
type FirstRun uint8

// What an API shows at first counts, or is known from then on and does not count.
const (
	FirstCount FirstRun = iota
	FirstSkip
)

// Desc declares one metric: what it is called, what its readings mean, and which labels they carry. It is made once and
// never changed; readings and families point to it.
type Desc struct {
	Name string
	Help string
	Unit string
	Type Type

	// How says how readings are made, such as the text of the expressions. A metric whose How has changed is another one:
	// nothing of its state carries over a reload.
	How string

	LabelNames []string // in the order in which readings give their values
	Const      []Label  // on every series

	// Targeted tells that the series name the target that they were scraped from by labels of their own, as job and
	// instance. A sink that adds such labels leaves these series as they are.
	Targeted bool

	Delta       bool // gauge: the change since the last tick
	From        From // counter
	OnDecrease  OnDecrease
	OnDuplicate OnDuplicate

	// Once makes a reading count once per event id, however often it is seen. An id is forgotten when it has not been
	// seen for Remember; MaxEvents bounds how many are known.
	Once      bool
	Remember  time.Duration
	MaxEvents int

	FirstRun FirstRun

	Buckets   []float64     // classic histogram: upper bounds, ascending, without +Inf
	Native    bool          // histogram: native buckets beside the classic ones
	Quantiles []float64     // summary
	MaxAge    time.Duration // summary: quantiles speak of observations of this last span
}

// Accumulates tells whether readings add to a running total of ours, so that a tick without a reading of a series leaves
// the series as it is. Where they do not, such a series is gone.
func (d *Desc) Accumulates() bool {
	return d.Type == Histogram || d.Type == Summary || d.Type == Counter && d.From != Total
}

// LabelSet is the identity of a series with these label values, which are copied. Empty values are no labels.
func (d *Desc) LabelSet(values []string) *LabelSet {
	var room [16]Label // most often enough
	labels := room[:0]
	for _, l := range d.Const {
		if l.Value != "" {
			labels = append(labels, l)
		}
	}
	for i, v := range values {
		if v != "" {
			labels = append(labels, Label{d.LabelNames[i], v})
		}
	}
	slices.SortFunc(labels, compareLabels)
	return NewLabelSet(labels)
}
