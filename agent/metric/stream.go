package metric

// Stream is samples of another sender, to be passed on as they are: labels, times and values do not change, and nothing is
// added or ended. It is immutable, and valid until the call that it is given to returns.
type Stream []StreamSeries

// StreamSeries is samples of one series, in the order in which they came. A series may be in a stream several times.
type StreamSeries struct {
	Labels    []Label // with the metric name as __name__, sorted by name, none empty or twice
	Family    *Desc   // name, type, help and unit of its family; nil = not known. The same pointer for the same family
	Samples   []StreamSample
	Exemplars []Exemplar
}

// StreamSample is a sample of a series. A staleness marker has the NaN of Prometheus as its value, or as the sum of its histogram.
type StreamSample struct {
	Time      int64 // Unix milliseconds
	Start     int64 // when a running total was zero, Unix milliseconds; 0 = unknown
	Value     float64
	Histogram *HistogramValue // with native buckets; nil = Value counts
}

// Samples returns the number of samples, histograms included.
func (s Stream) Samples() int {
	n := 0
	for i := range s {
		n += len(s[i].Samples)
	}
	return n
}
