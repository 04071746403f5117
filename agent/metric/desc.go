// Package metric has the data model of the agent: the result of a source ([Readings]), the input of a sink ([Batch]), and the
// declaration of a metric ([Desc]). It also writes batches in the text exposition format, and converts them to messages of
// client_model.
//
// A source returns Readings: for each metric a Desc and one [Reading] per measured value. The agent turns readings into a Batch,
// which has families of series with absolute values, and passes the Batch to every sink. [LabelSet] explains how a sink recognizes
// a series in several batches.
//
// The API of this package is stable for authors of sources and sinks. It imports no other package of the agent.
package metric

import (
	"slices"
	"strings"
	"time"
)

// Type is a metric's type, as in Prometheus.
type Type uint8

// The types of metrics. Only Gauge, Counter, Histogram and Summary can be declared; scraped metrics may also have the other types. A
// GaugeHistogram has only native buckets. Info and StateSet occur only as values of [Desc.Scraped]; the Type of such a metric is Gauge.
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

// From says what the readings of a counter or a gauge mean.
type From uint8

// A counter's reading is the upstream's running total, the increase since the last tick, or one event. A gauge's reading is its
// value (Total), or a change of it (Increment), which can be negative.
const (
	Total From = iota
	Increment
	Events
)

// OnDecrease says what to do when the running total of the upstream decreases.
type OnDecrease uint8

// DecreaseReset: the upstream has started again from zero. DecreaseIgnore: the decrease is ignored until the total has grown past its value
// before the decrease. DecreaseError: the reading is dropped and counted. DecreaseAdd: the upstream has started again from zero, and the
// ledger adds its values to a total that never decreases.
const (
	DecreaseReset OnDecrease = iota
	DecreaseIgnore
	DecreaseError
	DecreaseAdd
)

// OnDuplicate says what to do with several readings of one series in the same tick.
type OnDuplicate uint8

// With DuplicateError, several readings of a series are an error of the metric. The other values combine the readings into one.
const (
	DuplicateError OnDuplicate = iota
	DuplicateSum
	DuplicateLast
	DuplicateMax
	DuplicateMin
	DuplicateCount
)

// FirstRun says what to do with the readings of the first tick of a metric that has no state, if they add to a running total.
type FirstRun uint8

// FirstCount counts the readings of the first tick. FirstSkip only remembers them, for later ticks. The first tick is that of the metric, not of
// each target: readings of a target that has none in the first tick count later.
const (
	FirstCount FirstRun = iota
	FirstSkip
)

// Desc declares a metric: its name, the meaning of its readings, and the names of its labels. It is immutable. Readings and
// families have a pointer to it, and a source uses the same pointer in every tick.
//
// The JSON of a Desc identifies the state of the metric: the state is kept over a restart or a reload if the JSON is the same.
// Fields that do not affect the state are not in the JSON. Fields with zero values are left out, so that adding a field to Desc
// does not invalidate saved state.
type Desc struct {
	Name string `json:"name"`
	Help string `json:"-"`
	Unit string `json:"unit,omitempty"`
	Type Type   `json:"type,omitempty"`

	// How identifies the way in which the readings are made. It is a text, such as that of the expressions. If the value of How changes,
	// the metric is another metric, which starts without state.
	How string `json:"how,omitempty"`

	LabelNames []string `json:"labels,omitempty"`       // in the order in which readings give their values; one can be MoreLabels
	Const      []Label  `json:"const_labels,omitempty"` // on every series

	// Targeted marks series that already have the job and instance labels of the target that they were scraped from. A sink that
	// adds such labels does not add them to these series.
	Targeted bool `json:"targeted,omitempty"`

	// Scraped is the type that an exporter states, if it cannot be Type because the metric is passed on as gauges: Info, StateSet,
	// or GaugeHistogram for the series of a classic gauge histogram. A sink that sends types sends Scraped in place of Type. 0 =
	// it sends Type.
	Scraped Type `json:"-"`

	// Delta says that each reading is replaced by its change since the last tick. The value of a gauge is this change. A histogram or
	// summary observes the change of a running total; a decrease is a reset of the total, and the first reading adds no observation.
	Delta bool `json:"delta,omitempty"`

	From        From        `json:"from,omitempty"`        // counter or gauge
	OnDecrease  OnDecrease  `json:"on_decrease,omitempty"` // counter
	OnDuplicate OnDuplicate `json:"on_duplicate,omitempty"`

	// Once is true if the readings have event IDs. Each event is then counted once, even if several readings have its ID. An ID is
	// forgotten when it has not occurred for the time Remember. If there are more than MaxEvents IDs, those that have not occurred for the
	// longest time are forgotten.
	Once      bool          `json:"once,omitempty"`
	Remember  time.Duration `json:"remember,omitempty"`
	MaxEvents int           `json:"max_events,omitempty"`

	FirstRun FirstRun `json:"-"`

	// MinReadings is the smallest number of readings in a tick: fewer are an error of the metric. nil = the declaration sets no
	// minimum, so a tick without readings is no error, although it may not be intended.
	MinReadings *int `json:"-"`

	OwnTimes bool `json:"-"` // readings have their own times

	Buckets   []float64 `json:"buckets,omitempty"`   // classic histogram: upper bounds, ascending, without +Inf
	Native    bool      `json:"native,omitempty"`    // histogram: has native buckets, in addition to the classic ones, if any
	Quantiles []float64 `json:"quantiles,omitempty"` // summary

	// KeepClassic makes a sink that sends native buckets send the classic buckets too.
	KeepClassic bool `json:"keep_classic,omitempty"`

	MaxAge time.Duration `json:"max_age,omitempty"` // summary: quantiles are computed from the observations within this time
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

// Accumulates reports whether readings add to a running total that the ledger keeps. If a tick has no reading for a series of such a
// metric, the series stays unchanged. A series of any other metric ends in such a tick.
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

// LabelSet returns a new set of the declared labels with these values, and of the constant labels. Labels with empty values are
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
