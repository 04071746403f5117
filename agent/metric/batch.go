package metric

import "time"

// Batch holds all metric families of a job after a tick, as absolute values. It is immutable, so a sink may keep it.
type Batch struct {
	Job      string
	Time     time.Time // time of the tick, which is the time of all samples without their own time
	Families []Family

	// Repeated marks the last batch before a restart. It is unknown whether the sink has delivered this batch: see sinks.Repeater. Known has
	// the series that were delivered before the restart, and whose values are not repeated in Families.
	Repeated bool
	Known    []Family

	// Partial marks a batch that has only some series of its job. The missing series have not ended. A sink whose receiver replaces all series
	// of a job must then only replace the metrics in the batch.
	Partial bool

	// Complete marks a batch of a tick that has measured all metrics of its job. A series that is not in the batch has then ended, even if
	// an earlier process has delivered it.
	Complete bool

	// Every is the interval between the job's ticks; 0 = unknown. If a receiver drops series that it has not received for some
	// time, its sink sends the batch again between two ticks.
	Every time.Duration

	// PartBy is the name of a label, or "". If it is set, other processes deliver batches of the same Job at the same time, with other values
	// of this label. A sink that replaces the series of a job must then not replace those of the other processes. It replaces only series whose
	// value of this label occurs in the batch, and of these series only the families in the batch.
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

// Samples returns the number of samples in the batch: one for each series, and the earlier points.
func (b *Batch) Samples() int {
	n := b.Series()
	for i := range b.Families {
		for _, points := range b.Families[i].Earlier {
			n += len(points)
		}
	}
	return n
}

// Points returns the number of samples that have their own times. Later batches do not replace these samples.
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

	// Earlier maps the labels of a series to the points of this tick that are older than the series' current value, sorted by
	// time. A sink whose receiver stores history sends them before the value. A sink that shows current values
	// ignores them.
	Earlier map[*LabelSet][]Point
}

// Series is one series of a family, with its value at the batch's time. [LabelSet] explains how a series is identified.
type Series struct {
	Labels *LabelSet
	Value  float64 // value of a gauge or counter
	Time   int64   // the sample's own time in Unix milliseconds; 0 = the batch's time
	Start  int64   // when a running total was zero (start timestamp), in Unix milliseconds; 0 = unknown, or not a running total

	More *More // nil if the series has only Value
}

// More holds data that few series have. It is not in Series, to save memory.
type More struct {
	Exemplars []Exemplar      // a sink that cannot send exemplars ignores them
	Histogram *HistogramValue // value of a histogram
	Summary   *SummaryValue   // value of a summary
}

// Exemplars returns the series' exemplars.
func (s *Series) Exemplars() []Exemplar {
	if s.More == nil {
		return nil
	}
	return s.More.Exemplars
}

// Histogram returns the value of a histogram's series, or nil.
func (s *Series) Histogram() *HistogramValue {
	if s.More == nil {
		return nil
	}
	return s.More.Histogram
}

// Summary returns the value of a summary's series, or nil.
func (s *Series) Summary() *SummaryValue {
	if s.More == nil {
		return nil
	}
	return s.More.Summary
}

// Point is the value of a gauge or counter at its own time.
type Point struct {
	Time  int64 // Unix milliseconds
	Value float64
	Start int64 // see Series.Start
}

// Exemplar is one of the observations that a series has counted. The labels of the exemplar say more about this observation, such as a
// trace ID.
type Exemplar struct {
	Labels []Label // sorted by name
	Value  float64
	Time   int64 // Unix milliseconds; 0 = the time of the sample

	// Sample says which sample of a classic histogram or of a summary the exemplar belongs to. 1 is the first bucket or quantile. The sum and
	// the count follow after the last one, which in a histogram is the bucket +Inf. 0 = the bucket into which the exemplar's value falls.
	Sample int
}

// HistogramValue is the value of a histogram. It is immutable.
type HistogramValue struct {
	Count  uint64
	Sum    float64
	Counts []uint64 // one for each of Desc.Buckets and one for +Inf, not cumulative; nil if there are no classic buckets
	Native *NativeBuckets
}

// CustomBounds is the schema of native histograms with custom bucket boundaries.
const CustomBounds = -53

// NativeBuckets are the buckets of a native histogram, as in Prometheus' specification
// (https://prometheus.io/docs/specs/native_histograms/).
type NativeBuckets struct {
	Schema        int32     // the upper bound of bucket i is 2^(i / 2^Schema), or Bounds[i] if Schema is CustomBounds
	Bounds        []float64 // only for CustomBounds: ascending, without +Inf
	ZeroThreshold float64
	ZeroCount     uint64
	Positive      []NativeBucket // in ascending order, without empty buckets
	Negative      []NativeBucket // in ascending order of magnitude, without empty buckets

	// Fractions marks a float histogram: each count, including HistogramValue.Count, is the bits of a float64 (math.Float64bits).
	Fractions bool
	Gauge     bool // the histogram is a GaugeHistogram, whose counts may decrease
}

// NativeBucket is the count of one bucket. In an exponential schema, the bucket contains values in (2^((Index-1)/2^Schema),
// 2^(Index/2^Schema)].
type NativeBucket struct {
	Index int32
	Count uint64
}

// SummaryValue is the value of a summary. It is immutable.
type SummaryValue struct {
	Count     uint64
	Sum       float64
	Quantiles []float64 // one for each of Desc.Quantiles; NaN if there are no observations
}
