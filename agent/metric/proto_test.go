package metric

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"google.golang.org/protobuf/proto"
)

// scrape reads a page as Prometheus would: every sample and native histogram of it, by series.
func scrape(t *testing.T, page []byte, contentType string, ownBuckets bool) (map[string]float64, map[string]*histogram.Histogram) {
	t.Helper()
	parser, err := textparse.New(page, contentType, labels.NewSymbolTable(), textparse.ParserOptions{KeepClassicOnClassicAndNativeHistograms: ownBuckets})
	if err != nil {
		t.Fatal(err)
	}
	values, natives := map[string]float64{}, map[string]*histogram.Histogram{}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return values, natives
		}
		if err != nil {
			t.Fatalf("Prometheus refuses the page: %v\n%s", err, page)
		}
		var set labels.Labels
		switch entry {
		case textparse.EntrySeries:
			parser.Labels(&set)
			_, _, values[set.String()] = parser.Series()
		case textparse.EntryHistogram:
			parser.Labels(&set)
			_, _, natives[set.String()], _ = parser.Histogram()
		}
	}
}

func encode(t *testing.T, format expfmt.Format, families ...*dto.MetricFamily) []byte {
	t.Helper()
	var page bytes.Buffer
	e := expfmt.NewEncoder(&page, format)
	for _, f := range families {
		if err := e.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.(expfmt.Closer).Close(); err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}

// TestFormatsAgree holds that Prometheus stores the same series whichever format it asks for.
func TestFormatsAgree(t *testing.T) {
	var c Converter
	var families []*dto.MetricFamily
	all := everyType()
	for i := range all {
		if len(all[i].Series) > 0 {
			families = append(families, c.Family(&all[i]))
		}
	}
	var want map[string]float64
	for _, kind := range []expfmt.FormatType{expfmt.TypeTextPlain, expfmt.TypeOpenMetrics, expfmt.TypeProtoDelim} {
		format := expfmt.NewFormat(kind).WithEscapingScheme(model.NoEscaping)
		got, _ := scrape(t, encode(t, format, families...), string(format), false)
		if want == nil {
			want = got
		}
		same := func(a, b float64) bool { return a == b || a != a && b != b }
		// OpenMetrics writes bounds as floats, le="1.0"; none here differs.
		if !maps.EqualFunc(want, got, same) {
			t.Errorf("%s: Prometheus stores other series:\n%s", format, cmp.Diff(want, got))
		}
	}
	if len(want) != 14 {
		t.Errorf("Prometheus stores %d series, want 14: %v", len(want), want)
	}
}

// TestUnit holds when a unit is shown, and that Prometheus takes the page whatever unit is declared.
func TestUnit(t *testing.T) {
	for _, c := range []struct {
		name, unit string
		kind       Type
		shown      bool
	}{
		{"took_seconds", "seconds", Gauge, true},
		{"took_seconds_total", "seconds", Counter, true},
		{"took_seconds_total", "seconds", Gauge, false},
		{"took_seconds_total", "total", Gauge, true},
		{"took", "seconds", Gauge, false},
		{"tookseconds", "seconds", Gauge, false},
		{"seconds", "seconds", Gauge, false},
		{"took_seconds", "", Gauge, false},
		{"speed_m/s", "m/s", Gauge, false},
		{"http.took_seconds", "seconds", Gauge, false},
	} {
		var conv Converter
		f := conv.Family(&Family{Desc: &Desc{Name: c.name, Unit: c.unit, Type: c.kind}, Series: []Series{{Value: 1}}})
		if got := f.Unit != nil; got != c.shown {
			t.Errorf("%s in %s: shown is %t", c.name, c.unit, got)
		}
		for _, scheme := range []model.EscapingScheme{
			model.NoEscaping, model.UnderscoreEscaping, model.DotsEscaping, model.ValueEncodingEscaping,
		} {
			format := expfmt.NewFormat(expfmt.TypeOpenMetrics).WithEscapingScheme(scheme)
			scrape(t, encode(t, format, f), string(format), false)
		}
	}
}

// TestNativeHistogram holds that Prometheus reads the buckets that were given, for many shapes of them.
func TestNativeHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	buckets := func() (list []NativeBucket) {
		index := int32(random.IntN(40) - 20)
		for range random.IntN(12) {
			list = append(list, NativeBucket{index, 1 + random.Uint64N(1000)})
			index += 1 + int32(random.IntN(4))*int32(random.IntN(3))
		}
		return list
	}
	sum := func(list []NativeBucket) (n uint64) {
		for _, b := range list {
			n += b.Count
		}
		return n
	}
	var c Converter
	for i := range 300 {
		n := &NativeBuckets{Schema: int32(random.IntN(13) - 4), ZeroCount: random.Uint64N(3), Positive: buckets(), Negative: buckets()}
		if i%2 == 0 {
			n.ZeroThreshold = 0x1p-128
		}
		if i == 1 {
			n = &NativeBuckets{} // nothing observed, no zero bucket
		}
		v := &HistogramValue{Sum: random.Float64(), Native: n, Count: n.ZeroCount + sum(n.Positive) + sum(n.Negative)}
		c.Reset()
		f := c.Family(&Family{Desc: &Desc{Name: "h", Type: Histogram, Native: true}, Series: []Series{{More: &More{Histogram: v}}}})
		_, natives := scrape(t, encode(t, expfmt.FmtProtoDelim, f), string(expfmt.FmtProtoDelim), false)
		h := natives[`{__name__="h"}`]
		if h == nil {
			t.Fatalf("%d: Prometheus sees no native histogram in %v", i, f)
		}
		if err := h.Validate(); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if h.Count != v.Count || h.Sum != v.Sum || h.ZeroCount != n.ZeroCount || h.Schema != n.Schema || h.ZeroThreshold != n.ZeroThreshold {
			t.Errorf("%d: %v is read as %v", i, v, h)
		}
		if got := read(h.PositiveBucketIterator()); !slices.Equal(got, n.Positive) {
			t.Errorf("%d: positive buckets %v are read as %v", i, n.Positive, got)
		}
		if got := read(h.NegativeBucketIterator()); !slices.Equal(got, n.Negative) {
			t.Errorf("%d: negative buckets %v are read as %v", i, n.Negative, got)
		}
	}
}

func read(it histogram.BucketIterator[uint64]) (list []NativeBucket) {
	for it.Next() {
		list = append(list, NativeBucket{it.At().Index, it.At().Count})
	}
	return list
}

// TestNativeOnlyWhereDeclared holds that native buckets stay away from a metric that is declared without.
func TestNativeOnlyWhereDeclared(t *testing.T) {
	var c Converter
	v := &HistogramValue{Count: 1, Counts: []uint64{1, 0}, Native: &NativeBuckets{Positive: []NativeBucket{{1, 1}}}}
	for _, native := range []bool{true, false} {
		f := c.Family(&Family{Desc: &Desc{Name: "h", Type: Histogram, Buckets: []float64{1}, Native: native}, Series: []Series{{More: &More{Histogram: v}}}})
		h := f.Metric[0].Histogram
		if (h.Schema != nil) != native || len(h.Bucket) != 2 {
			t.Errorf("declared native: %t gives %v", native, h)
		}
	}
}

func TestStart(t *testing.T) {
	var c Converter
	for _, d := range []*Desc{{Name: "a_total", Type: Counter}, {Name: "h", Type: Histogram}, {Name: "s", Type: Summary}} {
		for ms, want := range map[int64]string{0: "", 1772366400123: "2026-03-01 12:00:00.123 +0000 UTC", -1: "1969-12-31 23:59:59.999 +0000 UTC"} {
			m := c.Family(&Family{Desc: d, Series: []Series{{Start: ms, More: &More{Histogram: &HistogramValue{}, Summary: &SummaryValue{}}}}}).Metric[0]
			start := m.GetCounter().GetCreatedTimestamp()
			switch d.Type {
			case Histogram:
				start = m.Histogram.CreatedTimestamp
			case Summary:
				start = m.Summary.CreatedTimestamp
			}
			got := ""
			if start != nil {
				if err := start.CheckValid(); err != nil {
					t.Errorf("%s that began at %d: %v", d.Name, ms, err)
				}
				got = fmt.Sprint(start.AsTime())
			}
			if got != want {
				t.Errorf("%s that began at %d says %q, want %q", d.Name, ms, got, want)
			}
		}
	}
}

// TestConverterIsReused holds that messages of one Reset do not disturb each other, however the slabs grow, and that
// what a message held before is gone.
func TestConverterIsReused(t *testing.T) {
	var reused Converter
	for round := range 6 {
		all := everyType()
		slices.Reverse(all[round%2*3:])
		big := Family{Desc: &Desc{Name: "big", Type: Gauge, LabelNames: []string{"i"}}}
		for i := range round * 100 {
			big.Series = append(big.Series, Series{Labels: big.Desc.LabelSet([]string{fmt.Sprint(i)}), Value: float64(i)})
		}
		all = append(all, big, Family{Desc: &Desc{Name: "h", Type: Histogram, Native: round%2 == 0}, Series: []Series{{
			More: &More{Histogram: &HistogramValue{Native: &NativeBuckets{Negative: []NativeBucket{{1, 2}}}}},
		}}})
		reused.Reset()
		var got []*dto.MetricFamily
		for i := range all {
			got = append(got, reused.Family(&all[i]))
		}
		for i := range all {
			if want := new(Converter).Family(&all[i]); !proto.Equal(want, got[i]) {
				t.Errorf("round %d: %s comes out as\n%v\nwant\n%v", round, all[i].Desc.Name, got[i], want)
			}
		}
	}
}

// TestConverterAllocations holds that a series costs nothing once the Converter has seen as many.
func TestConverterAllocations(t *testing.T) {
	for _, d := range []*Desc{
		{Name: "g", Type: Gauge},
		{Name: "c_total", Type: Counter},
		{Name: "u"},
		{Name: "h", Type: Histogram, Buckets: []float64{1, 2}, Native: true},
		{Name: "s", Type: Summary, Quantiles: []float64{0.5}},
	} {
		f := Family{Desc: d}
		for range 1000 {
			f.Series = append(f.Series, Series{
				Labels: NewLabelSet(Labels{{"a", "1"}, {"b", "2"}}), Start: 1, Time: 2,
				More: &More{Histogram: &HistogramValue{Counts: []uint64{1, 2, 3}, Native: &NativeBuckets{Positive: []NativeBucket{{1, 2}, {5, 3}}}}, Summary: &SummaryValue{Quantiles: []float64{1}}},
			})
		}
		c := Converter{Labels: func(into, own []Label) []Label { return append(append(into, own...), Label{"job", "j"}) }}
		for range 12 { // until every slab has one block for all
			c.Reset()
			c.Family(&f)
		}
		c.Reset()
		if lent := lent(reflect.ValueOf(c)); lent != 0 {
			t.Errorf("%s: %d values are not taken back", d.Name, lent)
		}
		if n := testing.AllocsPerRun(10, func() { c.Reset(); c.Family(&f) }); n > 3 {
			t.Errorf("%s: 1000 series cost %v allocations", d.Name, n)
		}
	}
}

// lent counts what the slabs within a value have lent.
func lent(v reflect.Value) (n int64) {
	if v.Kind() != reflect.Struct {
		return 0
	}
	for field, value := range v.Fields() {
		if field.Name == "used" {
			n += value.Int()
		}
		n += lent(value)
	}
	return n
}

func BenchmarkConverter(b *testing.B) {
	f := Family{Desc: &Desc{Name: "g", Type: Gauge}}
	for range 30000 {
		f.Series = append(f.Series, Series{Labels: NewLabelSet([]Label{{"a", "1"}, {"b", "2"}, {"c", "3"}})})
	}
	var c Converter
	for b.Loop() {
		c.Reset()
		c.Family(&f)
	}
}
