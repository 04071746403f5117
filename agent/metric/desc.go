// Package metric has the data model of the agent: what a source returns ([Readings]), what a sink receives ([Batch]), and
// how a metric is declared ([Desc]). It also writes batches in the text exposition format and converts them to
// client_model's messages.
//
// A source fills Readings: for each metric a Desc and one [Reading] per measured value. The agent turns readings into a
// Batch of families of series with absolute values, and gives that to every sink. [LabelSet] says how a sink recognizes a
// series from batch to batch.
//
// Authors of sources and sinks can rely on this package. It imports no other package of the agent.
package metric

import (
	"slices"
	"strings"
	"time"
)

// Type is a metric's type, as in Prometheus.
type Type uint8

// The types of metrics. Only Gauge to Summary can be declared; only scraped metrics have the others. A GaugeHistogram has native
// buckets only. Info and StateSet are values of [Desc.Scraped]; the Type of such a metric is Gauge.
const (
	Unknown Type = iota
	Gauge
	Counter
	Histogram
	Summary
	GaugeHistogram
	Info
	StateSet
)

// From is what the readings of a counter or a gauge are.
type From uint8

// A counter's reading is the upstream's running total, the increase since the last tick, or one event. A gauge's reading is its
// value (Total), or a change of it (Increment), which can be negative.
const (
	Total From = iota
	Increment
	Events
)

// OnDecrease is what to do when an upstream running total decreases.
type OnDecrease uint8

// A decrease is an upstream reset, is ignored until the total has grown past its last value, is dropped and counted, or is an
// upstream reset after which the ledger adds on: its own total never decreases.
const (
	DecreaseReset OnDecrease = iota
	DecreaseIgnore
	DecreaseError
	DecreaseAdd
)

// OnDuplicate is what to do with two readings of one series in one tick.
type OnDuplicate uint8

// Two readings of one series are an error of the metric, or are combined into one.
const (
	DuplicateError OnDuplicate = iota
	DuplicateSum
	DuplicateLast
	DuplicateMax
	DuplicateMin
	DuplicateCount
)

// FirstRun is what to do with the readings of a metric's first tick ever, if they add to a running total.
type FirstRun uint8

// The readings of the first tick count, or are only remembered.
const (
	FirstCount FirstRun = iota
	FirstSkip
)

// Desc declares a metric: its name, what its readings mean, and which labels they have. It is immutable. Readings and
// families refer to it by pointer, and a source uses the same pointer in every tick.
//
// Its JSON form identifies the metric's state: state is carried over a restart or a reload if the JSON is the same. Fields
// that the state does not depend on are not part of it. A field with its zero value is left out, so that a new field does
// not invalidate saved state.
type Desc struct {
	Name string `json:"name"`
	Help string `json:"-"`
	Unit string `json:"unit,omitempty"`
	Type Type   `json:"type,omitempty"`

	// How identifies how readings are made, such as the text of the expressions. A metric with another How is another
	// metric: it starts without state.
	How string `json:"how,omitempty"`

	LabelNames []string `json:"labels,omitempty"`       // in the order in which readings give their values; one can be MoreLabels
	Const      []Label  `json:"const_labels,omitempty"` // on every series

	// Targeted marks series with their own job and instance labels, of the target that they were scraped from. A sink that
	// adds such labels does not add them to these series.
	Targeted bool `json:"targeted,omitempty"`

	// Scraped is the type that an exporter states for a metric that is passed on as gauges: Info, StateSet, or GaugeHistogram
	// for the series of a classic one. A sink that sends types sends it in place of Type. 0 = Type.
	Scraped Type `json:"-"`

	// Delta says that only the change of a reading since the last tick is used. A gauge shows it. A histogram or summary observes
	// it: its readings are running totals, of which a decrease is a reset, and the first is observed as nothing.
	Delta bool `json:"delta,omitempty"`

	From        From        `json:"from,omitempty"`        // counter or gauge
	OnDecrease  OnDecrease  `json:"on_decrease,omitempty"` // counter
	OnDuplicate OnDuplicate `json:"on_duplicate,omitempty"`

	// Once makes a reading count once per event ID. An ID is forgotten when it has not been seen for Remember, and the
	// ones not seen for longest are forgotten when there are more than MaxEvents.
	Once      bool          `json:"once,omitempty"`
	Remember  time.Duration `json:"remember,omitempty"`
	MaxEvents int           `json:"max_events,omitempty"`

	FirstRun FirstRun `json:"-"`

	// MinReadings is the least number of readings in a tick: fewer are an error of the metric. nil = the declaration does not say,
	// so that none is right, but perhaps not meant.
	MinReadings *int `json:"-"`

	OwnTimes bool `json:"-"` // readings have times of their own

	Buckets   []float64 `json:"buckets,omitempty"`   // classic histogram: upper bounds, ascending, without +Inf
	Native    bool      `json:"native,omitempty"`    // histogram: native buckets, besides the classic ones if any
	Quantiles []float64 `json:"quantiles,omitempty"` // summary

	// KeepClassic makes a sink that sends native buckets send the classic ones too.
	KeepClassic bool `json:"keep_classic,omitempty"`

	MaxAge time.Duration `json:"max_age,omitempty"` // summary: quantiles are computed over observations of this time
}

// SeriesNames returns the names that only this metric can use: those of its series, of its family in OpenMetrics, and those that
// OpenMetrics reserves.
func (d *Desc) SeriesNames() []string {
	all := []string{d.Name}
	switch d.Type {
	case Histogram:
		all = append(all, d.Name+"_bucket", d.Name+"_sum", d.Name+"_count", d.Name+"_created")
	case Summary:
		all = append(all, d.Name+"_sum", d.Name+"_count", d.Name+"_created")
	case Counter:
		if base, total := strings.CutSuffix(d.Name, "_total"); total {
			all = append(all, base, base+"_created")
		}
	}
	return all
}

// Accumulates reports whether readings add to a running total that the ledger keeps. A tick without a reading of such a
// series leaves it unchanged. A series of any other metric is gone without a reading.
func (d *Desc) Accumulates() bool {
	return d.Observes() || d.Type == Counter && d.From != Total || d.Type == Gauge && d.From == Increment
}

// Observes reports whether the metric is made of observations: it is a histogram or a summary.
func (d *Desc) Observes() bool { return d.Type == Histogram || d.Type == Summary }

// IsZeroWhenEmpty reports whether a tick without readings measures 0: the metric is the number or the sum of the readings, and has a
// single series.
func (d *Desc) IsZeroWhenEmpty() bool {
	return d.Type == Gauge && len(d.LabelNames) == 0 && !d.OwnTimes && (d.OnDuplicate == DuplicateSum || d.OnDuplicate == DuplicateCount)
}

// LabelSet returns a new set of the declared labels with these values, and the constant ones. Labels with empty values are
// left out. The strings are copied.
func (d *Desc) LabelSet(values []string) *LabelSet {
	var buf [16]Label // large enough for most metrics
	labels := buf[:0]
	for _, l := range d.Const {
		if l.Value != "" {
			labels = append(labels, l)
		}
	}
	more := ""
	for i, v := range values {
		switch {
		case v == "":
		case d.LabelNames[i] == MoreLabels:
			more = v
		default:
			labels = append(labels, Label{d.LabelNames[i], v})
		}
	}
	if more != "" {
		return NewLabelSet(mergeLabels(labels, UnpackLabels(nil, more)))
	}
	slices.SortFunc(labels, compareLabels)
	return NewLabelSet(labels)
}
