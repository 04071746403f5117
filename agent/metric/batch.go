package metric

import "time"

// Batch is all metric families of a job after a tick, as absolute values. It is immutable: a sink may keep it.
type Batch struct {
	Job      string
	Time     time.Time // of the tick; the time of all samples that have none of their own
	Families []Family

	// Repeated marks the last batch before a restart. A sink may have delivered it, or not: see sinks.Repeater. Known are then the
	// series that had been delivered before and whose values are not repeated.
	Repeated bool
	Known    []Family

	// Partial marks a batch that does not have all series of its job: those that it lacks have not ended. A sink whose receiver
	// replaces the series of a job replaces only the metrics of the batch.
	Partial bool

	// Every is the interval between the job's ticks, 0 if it is not known. A sink whose receiver drops series that it has
	// not received for some time re-sends the batch in between.
	Every time.Duration

	// PartBy is the name of a label, or "". Other processes deliver batches of the same Job at the same time, with other values of
	// the label. A sink that replaces what it has of a job replaces only the series with the values of this batch, and of these
	// only the families that the batch has.
	PartBy string
}

// Series returns the number of series in the batch.
func (b *Batch) Series() int {
	n := 0
	for i := range b.Families {
		n += len(b.Families[i].Series)
	}
	return n
}

// Samples returns the number of samples in the batch: one per series, and the earlier points.
func (b *Batch) Samples() int {
	n := b.Series()
	for i := range b.Families {
		for _, points := range b.Families[i].Earlier {
			n += len(points)
		}
	}
	return n
}

// Points returns the number of samples that have times of their own. A later batch does not replace them.
func (b *Batch) Points() int {
	n := b.Samples() - b.Series()
	for i := range b.Families {
		for k := range b.Families[i].Series {
			if b.Families[i].Series[k].Time != 0 {
				n++
			}
		}
	}
	return n
}

// Family is one metric with its series. Series keep their order from batch to batch.
type Family struct {
	Desc   *Desc
	Series []Series

	// Earlier has, by labels, the points that this tick brought of a series of this family besides its value. They are
	// sorted by time and older than the value. A sink whose receiver stores history sends them first; a sink that shows
	// current values leaves them out.
	Earlier map[*LabelSet][]Point
}

// Series is one series of a family, with its value at the batch's time. See [LabelSet] for what identifies it.
type Series struct {
	Labels *LabelSet
	Value  float64 // of a gauge or counter
	Time   int64   // the sample's own time, Unix milliseconds; 0 = the batch's
	Start  int64   // when a running total was zero, Unix milliseconds; 0 = unknown, or not a running total

	More *More // nil if Value is all
}

// More is what few series have, apart from the others to save memory.
type More struct {
	Exemplars []Exemplar      // a sink that cannot carry them leaves them out
	Histogram *HistogramValue // of a histogram
	Summary   *SummaryValue   // of a summary
}

// Exemplars returns the series' exemplars.
func (s *Series) Exemplars() []Exemplar {
	if s.More == nil {
		return nil
	}
	return s.More.Exemplars
}

// Histogram returns the value of a histogram's series, nil if it has none.
func (s *Series) Histogram() *HistogramValue {
	if s.More == nil {
		return nil
	}
	return s.More.Histogram
}

// Summary returns the value of a summary's series, nil if it has none.
func (s *Series) Summary() *SummaryValue {
	if s.More == nil {
		return nil
	}
	return s.More.Summary
}

// Point is the value of a gauge or counter at a time of its own.
type Point struct {
	Time  int64 // Unix milliseconds
	Value float64
	Start int64 // as in Series
}

// Exemplar is one of the observations that a series has counted, with labels such as a trace ID.
type Exemplar struct {
	Labels []Label // sorted by name
	Value  float64
	Time   int64 // Unix milliseconds; 0 = the sample's

	// Sample is which sample of a classic histogram or of a summary has it. 1 is the first bucket or quantile; behind the
	// last, which in a histogram is +Inf, come the sum and the count. 0 = the bucket of its value.
	Sample int
}

// HistogramValue is the value of a histogram. It is immutable.
type HistogramValue struct {
	Count  uint64
	Sum    float64
	Counts []uint64 // one per Desc.Buckets and one for +Inf, not cumulative; nil without classic buckets
	Native *NativeBuckets
}

// CustomBounds is the schema of native histograms with custom bucket boundaries.
const CustomBounds = -53

// NativeBuckets are the buckets of a native histogram, as in Prometheus' specification
// (https://prometheus.io/docs/specs/native_histograms/).
type NativeBuckets struct {
	Schema        int32     // the upper bound of bucket i is 2^(i / 2^Schema), or Bounds[i] for CustomBounds
	Bounds        []float64 // of schema CustomBounds, ascending, without +Inf
	ZeroThreshold float64
	ZeroCount     uint64
	Positive      []NativeBucket // ascending, none empty
	Negative      []NativeBucket // ascending by magnitude, none empty

	// Fractions marks a float histogram: every count, including that of the HistogramValue, holds the bits of a float64
	// (math.Float64bits).
	Fractions bool
	Gauge     bool // of a GaugeHistogram: counts may decrease
}

// NativeBucket is the count of one bucket. In an exponential schema that is the bucket
// (2^((Index-1)/2^Schema), 2^(Index/2^Schema)].
type NativeBucket struct {
	Index int32
	Count uint64
}

// SummaryValue is the value of a summary. It is immutable.
type SummaryValue struct {
	Count     uint64
	Sum       float64
	Quantiles []float64 // one per Desc.Quantiles; NaN without observations
}
