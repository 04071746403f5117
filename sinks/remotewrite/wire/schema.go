package wire

import "github.com/collectington/collectington/agent/metric"

// The field numbers of prometheus.WriteRequest (1.0) and its messages.
const (
	series1   = 1 // of a request
	metadata1 = 3

	exemplar1  = 3 // of a series
	histogram1 = 4

	labelName  = 1
	labelValue = 2

	familyType = 1 // of metadata
	familyName = 2
	familyHelp = 4
	familyUnit = 5
)

// The field numbers of io.prometheus.write.v2.Request (2.0) and its messages.
const (
	symbol2 = 4 // of a request
	series2 = 5

	histogram2 = 3 // of a series
	exemplar2  = 4
	metadata2  = 5

	metadataType = 1
	metadataHelp = 3
	metadataUnit = 4
)

// The field numbers that both protocols have.
const (
	seriesLabels = 1 // of a series: in 1.0 a message for each label, in 2.0 the packed numbers of their strings
	seriesSample = 2

	sampleValue = 1
	sampleTime  = 2
	sampleStart = 3 // 2.0 alone

	exemplarLabels = 1 // as seriesLabels
	exemplarValue  = 2
	exemplarTime   = 3

	histogramCount         = 1 // the field of fractions is the next
	histogramSum           = 3
	histogramSchema        = 4
	histogramZeroThreshold = 5
	histogramZeroCount     = 6 // the field of fractions is the next
	histogramNegative      = 8 // spans; the next is of deltas, the one after it of fractions
	histogramPositive      = 11
	histogramHint          = 14
	histogramTime          = 15
	histogramBounds        = 16
	histogramStart         = 17 // 2.0 alone

	spanOffset = 1
	spanLength = 2
)

// hintGauge is the reset hint of a histogram of which counts may fall. Of others, receivers find resets by themselves.
const hintGauge = 3

// typeNumber is the number of a metric's type in both protocols.
func typeNumber(t metric.Type) uint64 {
	switch t {
	case metric.Counter:
		return 1
	case metric.Gauge:
		return 2
	case metric.Histogram:
		return 3
	case metric.Summary:
		return 5
	case metric.GaugeHistogram:
		return 4
	}
	return 0
}
