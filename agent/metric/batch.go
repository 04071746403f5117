package metric

import "time"

// Batch is a job's whole set of metric families after a tick, as absolute values. It is never changed once it is made, so
// whoever gets it may keep it.
type Batch struct {
	Job      string
	Time     time.Time // the tick's time; the samples carry it, except those with a time of their own
	Families []Family

	// Every is how long the job takes from tick to tick; 0 = unknown. A sink whose receiver forgets what it has not heard
	// of for a while tells it again meanwhile.
	Every time.Duration
}

// Series counts the batch's series.
func (b *Batch) Series() int {
	n := 0
	for i := range b.Families {
		n += len(b.Families[i].Series)
	}
	return n
}

// Samples counts what the batch has to tell: its series, and the points before their values.
func (b *Batch) Samples() int {
	n := b.Series()
	for i := range b.Families {
		for _, points := range b.Families[i].Earlier {
			n += len(points)
		}
	}
	return n
}

// Points counts those of the samples that have times of their own. No later batch makes up for them.
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

// Family is one metric with its series. Its order of series is the same from batch to batch while series live.
type Family struct {
	Desc   *Desc
	Series []Series

	// Earlier is what this tick brought of some series beside their values: points in order of time, before the series'
	// own. A receiver that keeps a series' past gets them first; a sink that shows what is now leaves them out.
	Earlier map[*LabelSet][]Point
}

// Series is one line of numbers of a family at the batch's time.
type Series struct {
	Labels *LabelSet
	Value  float64 // gauge and counter
	Time   int64   // the sample's own time in Unix milliseconds; 0 = the batch's
	Start  int64   // when a running total began at zero, in Unix milliseconds; 0 = unknown, or not a running total

	More *More // nil = the numbers are all
}

// More is what few series have.
type More struct {
	Exemplars []Exemplar      // of a counter or histogram; a sink that cannot carry them leaves them out
	Histogram *HistogramValue // of a histogram
	Summary   *SummaryValue   // of a summary
}

// Exemplars are those of the series.
func (s *Series) Exemplars() []Exemplar {
	if s.More == nil {
		return nil
	}
	return s.More.Exemplars
}

// Histogram is that of a series of a histogram; nil = it has none.
func (s *Series) Histogram() *HistogramValue {
	if s.More == nil {
		return nil
	}
	return s.More.Histogram
}

// Summary is that of a series of a summary; nil = it has none.
func (s *Series) Summary() *SummaryValue {
	if s.More == nil {
		return nil
	}
	return s.More.Summary
}

// Point is what a gauge or counter was at a time of its own.
type Point struct {
	Time  int64 // Unix milliseconds
	Value float64
	Start int64 // as that of a series
}

// Exemplar is one of the observations that a series has counted, with labels that lead to it, such as a trace's id. In a
// histogram it belongs to the bucket that its value falls into.
type Exemplar struct {
	Labels []Label // sorted by name
	Value  float64
	Time   int64 // Unix milliseconds; 0 = its sample's
}

// HistogramValue is a histogram's state, never changed once it is made.
type HistogramValue struct {
	Count  uint64
	Sum    float64
	Counts []uint64 // one per Desc.Buckets, not cumulative, and one more for +Inf; nil without classic buckets
	Native *NativeBuckets
}

// CustomBounds is the schema of native histograms with bounds of their own.
const CustomBounds = -53

// NativeBuckets are the buckets of a native histogram, as Prometheus' specification of them has it
// (https://prometheus.io/docs/specs/native_histograms/).
type NativeBuckets struct {
	Schema        int32     // bucket i ends at 2^(i / 2^Schema), or at Bounds[i]
	Bounds        []float64 // of schema CustomBounds, ascending, without +Inf
	ZeroThreshold float64
	ZeroCount     uint64
	Positive      []NativeBucket // ascending, none empty
	Negative      []NativeBucket // ascending by magnitude

	// Fractions tells that all counts, that of the HistogramValue too, are floating-point numbers by their bits
	// (math.Float64bits).
	Fractions bool
	Gauge     bool // counts may fall: of a GaugeHistogram
}

// NativeBucket counts the observations in a bucket: of an exponential schema in (2^((Index-1)/2^Schema), 2^(Index/2^Schema)].
type NativeBucket struct {
	Index int32
	Count uint64
}

// SummaryValue is a summary's state, never changed once it is made.
type SummaryValue struct {
	Count     uint64
	Sum       float64
	Quantiles []float64 // one per Desc.Quantiles; NaN where there is nothing to speak of
}
