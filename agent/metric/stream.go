package metric

// Stream holds samples of another sender, which are passed on unchanged: labels, times and values stay the same, and no samples or
// staleness markers are added. A Stream is immutable. A function that gets a Stream as an argument may use it only until the function
// returns.
type Stream []StreamSeries

// StreamSeries holds samples of one series, in the order in which they were received. A stream may contain a series several times.
type StreamSeries struct {
	Labels    []Label // including the metric name as __name__; sorted by name, without empty or repeated labels
	Family    *Desc   // name, type, help and unit of its family; nil = unknown. All series of a family have the same pointer
	Samples   []StreamSample
	Exemplars []Exemplar
}

// StreamSample is a sample of a series. In a staleness marker, the value, or the sum of the histogram, is the StaleNaN of
// Prometheus.
type StreamSample struct {
	Time      int64 // Unix milliseconds
	Start     int64 // start timestamp of a running total, when it was zero, in Unix milliseconds; 0 = unknown
	Value     float64
	Histogram *HistogramValue // has native buckets; nil = the sample is Value
}

// Samples returns the number of samples, including histograms.
func (s Stream) Samples() int {
	n := 0
	for i := range s {
		n += len(s[i].Samples)
	}
	return n
}
