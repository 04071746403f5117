package wire

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/collectington/collectington/agent/metric"
)

// randomItems returns random items of a request, in order.
func randomItems(dice *rand.Rand, name, text string) (all []Item) {
	var series []Item
	for i := range 1 + dice.IntN(8) {
		s := Item{
			Family: &metric.Desc{Name: fmt.Sprint("m", i%3), Type: metric.Type(dice.IntN(6)), Help: pick(dice, "", text, "Help."), Unit: pick(dice, "", name)},
			Labels: metric.Labels{{Name: "__name__", Value: fmt.Sprint("m", i%3)}, {Name: "a", Value: fmt.Sprint(i)}},
		}
		for range dice.IntN(4) {
			s.Labels = append(s.Labels, metric.Label{
				Name: "l" + pick(dice, name, text, "ü"), Value: pick(dice, name, text, "m0", strings.Repeat("long", dice.IntN(60))),
			})
		}
		slices.SortFunc(s.Labels, func(a, b metric.Label) int { return strings.Compare(a.Name, b.Name) })
		if dice.IntN(3) == 0 {
			s.Kind = Histogram
			s.Family.Type = metric.Histogram
		}
		series = append(series, s)
	}
	last, message := -1, -1
	for range dice.IntN(30) {
		k := dice.IntN(len(series))
		if k != last {
			last, message = k, message+1
		}
		i := series[k]
		i.Series, i.Time = message, pick(dice, 0, 1772366400123, -5, dice.Int64())
		switch {
		case dice.IntN(8) == 0:
			i.Kind, i.Value = Exemplar, randomNumber(dice)
			for _, value := range []string{"m0", text, fmt.Sprint(dice.Uint64())}[:dice.IntN(4)] {
				i.ExemplarLabels = append(i.ExemplarLabels, metric.Label{Name: fmt.Sprint("trace", len(i.ExemplarLabels)), Value: value})
			}
		case i.Kind == Histogram:
			i.Histogram, i.Start = randomHistogram(dice), pick(dice, 0, -1, dice.Int64())
		default:
			i.Value, i.Start = randomNumber(dice), pick(dice, 0, -1, dice.Int64())
		}
		all = append(all, i)
	}
	return all
}

func pick[T any](dice *rand.Rand, values ...T) T { return values[dice.IntN(len(values))] }

// stale is StaleNaN of Prometheus' model/value.
func stale() float64 { return math.Float64frombits(0x7ff0000000000002) }

func randomNumber(dice *rand.Rand) float64 {
	return pick(dice, 0, math.Copysign(0, -1), 1, math.Inf(-1), math.NaN(), stale(), dice.ExpFloat64(), math.MaxFloat64, math.Float64frombits(dice.Uint64()))
}

func randomHistogram(dice *rand.Rand) *metric.HistogramValue {
	n := &metric.NativeBuckets{}
	if dice.IntN(6) == 0 {
		return &metric.HistogramValue{Sum: stale(), Native: n}
	}
	*n = metric.NativeBuckets{Schema: int32(dice.IntN(13)) - 4, ZeroThreshold: dice.Float64(), ZeroCount: dice.Uint64N(9)}
	side := func() (all []metric.NativeBucket) {
		index := pick(dice, -20, 0, 7, math.MinInt32)
		for range dice.IntN(pick(dice, 4, 8, 80)) {
			all = append(all, metric.NativeBucket{Index: int32(index), Count: pick(dice, 0, 1, dice.Uint64()>>1, dice.Uint64N(1000))})
			index += 1 + dice.IntN(2)*dice.IntN(500)
		}
		return all
	}
	n.Positive, n.Negative = side(), side()
	n.Gauge, n.Fractions = dice.IntN(4) == 0, dice.IntN(4) == 0
	if dice.IntN(4) == 0 {
		n.Schema, n.Bounds = metric.CustomBounds, []float64{-1, 0, 0.25, 1e9, math.MaxFloat64}[:dice.IntN(6)]
	}
	return &metric.HistogramValue{Count: dice.Uint64N(1e6), Sum: dice.NormFloat64(), Native: n}
}

// build encodes items with a table and builder that may have been used before.
func build(b *Builder, p Protocol, items []Item) Request {
	b.Begin(p)
	sent := families{}
	var s *Series
	for k := range items {
		i := &items[k]
		if k == 0 || i.Series != items[k-1].Series {
			s = new(b.symbols.table.Series(i.Labels, i.Family))
			defer s.Forget()
		}
		b.add(s, i)
		if sent.add(i.Family) {
			b.AddMetadata(i.Family)
		}
	}
	return b.End()
}

// theirs1 returns the items as Prometheus' message of 1.0.
func theirs1(items []Item) *prompb.WriteRequest {
	q := &prompb.WriteRequest{}
	sent := families{}
	labels := func(from []metric.Label) (all []prompb.Label) {
		for _, l := range from {
			all = append(all, prompb.Label{Name: l.Name, Value: l.Value})
		}
		return all
	}
	for _, i := range items {
		if i.Series == len(q.Timeseries) {
			q.Timeseries = append(q.Timeseries, prompb.TimeSeries{Labels: labels(i.Labels)})
		}
		ts := &q.Timeseries[i.Series]
		switch i.Kind {
		case Sample:
			ts.Samples = append(ts.Samples, prompb.Sample{Value: i.Value, Timestamp: i.Time})
		case Exemplar:
			ts.Exemplars = append(ts.Exemplars, prompb.Exemplar{Labels: labels(i.ExemplarLabels), Value: i.Value, Timestamp: i.Time})
		case Histogram:
			h, n := i.Histogram, i.Histogram.Native
			m := prompb.Histogram{
				Count: &prompb.Histogram_CountInt{CountInt: h.Count}, Sum: h.Sum, Schema: n.Schema, ZeroThreshold: n.ZeroThreshold,
				ZeroCount: &prompb.Histogram_ZeroCountInt{ZeroCountInt: n.ZeroCount}, Timestamp: i.Time,
				CustomValues: n.Bounds,
			}
			if n.Gauge {
				m.ResetHint = prompb.Histogram_GAUGE
			}
			span := func(offset int32, length uint32) prompb.BucketSpan {
				return prompb.BucketSpan{Offset: offset, Length: length}
			}
			m.PositiveSpans, m.PositiveDeltas = spans(n.Positive, span)
			m.NegativeSpans, m.NegativeDeltas = spans(n.Negative, span)
			if n.Fractions {
				m.Count = &prompb.Histogram_CountFloat{CountFloat: math.Float64frombits(h.Count)}
				m.ZeroCount = &prompb.Histogram_ZeroCountFloat{ZeroCountFloat: math.Float64frombits(n.ZeroCount)}
				m.PositiveDeltas, m.NegativeDeltas = nil, nil
				m.PositiveCounts, m.NegativeCounts = fractions(n.Positive), fractions(n.Negative)
			}
			ts.Histograms = append(ts.Histograms, m)
		}
		if sent.add(i.Family) {
			q.Metadata = append(q.Metadata, prompb.MetricMetadata{
				MetricFamilyName: i.Family.Name, Help: i.Family.Help, Unit: i.Family.Unit,
				Type: prompb.MetricMetadata_MetricType(prompb.MetricMetadata_MetricType_value[strings.ToUpper(i.Family.Type.String())]),
			})
		}
	}
	return q
}

// theirs2 returns the items as Prometheus' message of 2.0.
func theirs2(items []Item) *writev2.Request {
	q := &writev2.Request{}
	y := writev2.NewSymbolTable()
	refs := func(from []metric.Label) (all []uint32) {
		for _, l := range from {
			all = append(all, y.Symbolize(l.Name), y.Symbolize(l.Value))
		}
		return all
	}
	for _, i := range items {
		if i.Series == len(q.Timeseries) {
			kind := strings.ToUpper("METRIC_TYPE_" + i.Family.Type.String())
			q.Timeseries = append(q.Timeseries, writev2.TimeSeries{
				LabelsRefs: refs(i.Labels),
				Metadata: writev2.Metadata{
					Type:    writev2.Metadata_MetricType(writev2.Metadata_MetricType_value[kind]),
					HelpRef: y.Symbolize(i.Family.Help), UnitRef: y.Symbolize(i.Family.Unit),
				},
			})
		}
		ts := &q.Timeseries[i.Series]
		switch i.Kind {
		case Sample:
			ts.Samples = append(ts.Samples, writev2.Sample{Value: i.Value, Timestamp: i.Time, StartTimestamp: i.Start})
		case Exemplar:
			ts.Exemplars = append(ts.Exemplars, writev2.Exemplar{LabelsRefs: refs(i.ExemplarLabels), Value: i.Value, Timestamp: i.Time})
		case Histogram:
			h, n := i.Histogram, i.Histogram.Native
			m := writev2.Histogram{
				Count: &writev2.Histogram_CountInt{CountInt: h.Count}, Sum: h.Sum, Schema: n.Schema, ZeroThreshold: n.ZeroThreshold,
				ZeroCount: &writev2.Histogram_ZeroCountInt{ZeroCountInt: n.ZeroCount}, Timestamp: i.Time, StartTimestamp: i.Start,
				CustomValues: n.Bounds,
			}
			if n.Gauge {
				m.ResetHint = writev2.Histogram_RESET_HINT_GAUGE
			}
			span := func(offset int32, length uint32) writev2.BucketSpan {
				return writev2.BucketSpan{Offset: offset, Length: length}
			}
			m.PositiveSpans, m.PositiveDeltas = spans(n.Positive, span)
			m.NegativeSpans, m.NegativeDeltas = spans(n.Negative, span)
			if n.Fractions {
				m.Count = &writev2.Histogram_CountFloat{CountFloat: math.Float64frombits(h.Count)}
				m.ZeroCount = &writev2.Histogram_ZeroCountFloat{ZeroCountFloat: math.Float64frombits(n.ZeroCount)}
				m.PositiveDeltas, m.NegativeDeltas = nil, nil
				m.PositiveCounts, m.NegativeCounts = fractions(n.Positive), fractions(n.Negative)
			}
			ts.Histograms = append(ts.Histograms, m)
		}
	}
	q.Symbols = y.Symbols()
	return q
}

func fractions(buckets []metric.NativeBucket) (all []float64) {
	for _, b := range buckets {
		all = append(all, math.Float64frombits(b.Count))
	}
	return all
}

// spans returns the spans of buckets. A span begins after each gap.
func spans[Span any](buckets []metric.NativeBucket, span func(offset int32, length uint32) Span) (all []Span, deltas []int64) {
	length, offset := uint32(0), int32(0)
	next, last := int32(0), int64(0)
	for _, b := range buckets {
		if length > 0 && b.Index != next {
			all = append(all, span(offset, length))
			length = 0
		}
		if length == 0 {
			offset = b.Index - next
		}
		length++
		deltas = append(deltas, int64(b.Count)-last)
		next, last = b.Index+1, int64(b.Count)
	}
	if length > 0 {
		all = append(all, span(offset, length))
	}
	return all, deltas
}

// bits formats the bits of a number. The result for both zeros is "0", since Prometheus' types do not encode a negative zero.
func bits(v float64) string {
	if v == 0 {
		return "0"
	}
	return fmt.Sprintf("%x", math.Float64bits(v))
}

func allBits(values []float64) (all []string) {
	for _, v := range values {
		all = append(all, bits(v))
	}
	return all
}

// lines1 formats all of a message of 1.0.
func lines1(q *prompb.WriteRequest) (all []string) {
	for _, ts := range q.Timeseries {
		all = append(all, fmt.Sprintf("series %q", ts.Labels))
		for _, s := range ts.Samples {
			all = append(all, fmt.Sprint("sample ", bits(s.Value), " @", s.Timestamp))
		}
		for _, e := range ts.Exemplars {
			all = append(all, fmt.Sprintf("exemplar %q %s @%d", e.Labels, bits(e.Value), e.Timestamp))
		}
		for _, h := range ts.Histograms {
			all = append(all, fmt.Sprint("histogram ", h.GetCountInt(), bits(h.Sum), h.Schema, bits(h.ZeroThreshold), h.GetZeroCountInt(),
				h.PositiveSpans, h.PositiveDeltas, h.NegativeSpans, h.NegativeDeltas, h.ResetHint, h.CustomValues, bits(h.GetCountFloat()), bits(h.GetZeroCountFloat()), allBits(h.PositiveCounts), allBits(h.NegativeCounts), " @", h.Timestamp,
				h.Count != nil, h.ZeroCount != nil))
		}
	}
	for _, m := range q.Metadata {
		all = append(all, fmt.Sprintf("family %q %v %q %q", m.MetricFamilyName, m.Type, m.Help, m.Unit))
	}
	return all
}

// lines2 formats a whole message of 2.0, with the strings in place of the symbol references.
func lines2(q *writev2.Request) (all []string) {
	text := func(refs []uint32) (all []string) {
		for _, n := range refs {
			all = append(all, q.Symbols[n])
		}
		return all
	}
	for _, ts := range q.Timeseries {
		all = append(all, fmt.Sprintf("series %q %v %q", text(ts.LabelsRefs), ts.Metadata.Type, text([]uint32{ts.Metadata.HelpRef, ts.Metadata.UnitRef})))
		for _, s := range ts.Samples {
			all = append(all, fmt.Sprint("sample ", bits(s.Value), " @", s.Timestamp, " since ", s.StartTimestamp))
		}
		for _, e := range ts.Exemplars {
			all = append(all, fmt.Sprintf("exemplar %q %s @%d", text(e.LabelsRefs), bits(e.Value), e.Timestamp))
		}
		for _, h := range ts.Histograms {
			all = append(all, fmt.Sprint("histogram ", h.GetCountInt(), bits(h.Sum), h.Schema, bits(h.ZeroThreshold), h.GetZeroCountInt(),
				h.PositiveSpans, h.PositiveDeltas, h.NegativeSpans, h.NegativeDeltas, h.ResetHint, h.CustomValues, bits(h.GetCountFloat()), bits(h.GetZeroCountFloat()), allBits(h.PositiveCounts), allBits(h.NegativeCounts), " @", h.Timestamp, " since ", h.StartTimestamp,
				h.Count != nil, h.ZeroCount != nil))
		}
	}
	return all
}

// lines formats items.
func lines(items []Item, p Protocol) (all []string) {
	for _, i := range items {
		if p == V1 {
			i.Start = 0
		}
		line := fmt.Sprintf("%d %d %q %s %q %q @%d since %d %x %q", i.Series, i.Kind, i.Labels, i.Family.Type, i.Family.Help, i.Family.Unit,
			i.Time, i.Start, math.Float64bits(i.Value), i.ExemplarLabels)
		if h := i.Histogram; h != nil {
			line += fmt.Sprint(h.Count, bits(h.Sum), h.Native.Schema, h.Native.ZeroThreshold, h.Native.ZeroCount, h.Native.Positive, h.Native.Negative,
				h.Native.Bounds, h.Native.Fractions, h.Native.Gauge)
		}
		all = append(all, line)
	}
	return all
}

// itemsOf returns copies of the items of a request.
func itemsOf(q Request) (all []Item, err error) {
	for i, err := range q.Items() {
		if err != nil {
			return nil, err
		}
		c := *i
		c.Labels = slices.Clone(i.Labels)
		family := *i.Family
		c.Family, c.ExemplarLabels = &family, slices.Clone(i.ExemplarLabels)
		if i.Histogram != nil {
			h, n := *i.Histogram, *i.Histogram.Native
			n.Positive, n.Negative = slices.Clone(n.Positive), slices.Clone(n.Negative)
			n.Bounds = slices.Clone(n.Bounds)
			h.Native = &n
			c.Histogram = &h
		}
		all = append(all, c)
	}
	return all, nil
}

// same reports an error with the differences if the two lists of lines differ.
func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if !slices.Equal(want, got) {
		t.Errorf("%s (-want +got):\n%s", what, cmp.Diff(want, got))
	}
}
