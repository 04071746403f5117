package metric

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
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

// scrape parses a page as Prometheus does, and returns the page's samples and native histograms by series.
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
			t.Fatalf("Prometheus rejects the page: %v\n%s", err, page)
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

// TestFormatsAgree checks that Prometheus reads the same series from every format.
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
		// OpenMetrics writes whole numbers as le="1.0". The test has no such bounds.
		if !maps.EqualFunc(want, got, same) {
			t.Errorf("%s: Prometheus reads other series:\n%s", format, cmp.Diff(want, got))
		}
	}
	if len(want) != 14 {
		t.Errorf("Prometheus reads %d series, want 14: %v", len(want), want)
	}
}

// TestUnit checks when a unit is written, and that Prometheus accepts the page with any declared unit.
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
			t.Errorf("%s in %s: written is %t", c.name, c.unit, got)
		}
		for _, scheme := range []model.EscapingScheme{
			model.NoEscaping, model.UnderscoreEscaping, model.DotsEscaping, model.ValueEncodingEscaping,
		} {
			format := expfmt.NewFormat(expfmt.TypeOpenMetrics).WithEscapingScheme(scheme)
			scrape(t, encode(t, format, f), string(format), false)
		}
	}
}

// TestNativeHistogram checks, with random native histograms, that Prometheus reads the same buckets.
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
			n = &NativeBuckets{} // no observations, no zero bucket
		}
		v := &HistogramValue{Sum: random.Float64(), Native: n, Count: n.ZeroCount + sum(n.Positive) + sum(n.Negative)}
		c.Reset()
		f := c.Family(&Family{Desc: &Desc{Name: "h", Type: Histogram, Native: true}, Series: []Series{{More: &More{Histogram: v}}}})
		_, natives := scrape(t, encode(t, expfmt.FmtProtoDelim, f), string(expfmt.FmtProtoDelim), false)
		h := natives[`{__name__="h"}`]
		if h == nil {
			t.Fatalf("%d: Prometheus reads no native histogram in %v", i, f)
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

// TestNativeOnlyWhereDeclared checks that native buckets are left out of a metric that is declared without native buckets.
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
					t.Errorf("%s with the start timestamp %d: %v", d.Name, ms, err)
				}
				got = fmt.Sprint(start.AsTime())
			}
			if got != want {
				t.Errorf("%s with the start timestamp %d has %q, want %q", d.Name, ms, got, want)
			}
		}
	}
}

// TestConverterIsReused checks that the messages between two Resets do not overwrite each other while the slabs grow, and that
// they have no data of earlier messages.
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
				t.Errorf("round %d: %s is\n%v\nwant\n%v", round, all[i].Desc.Name, got[i], want)
			}
		}
	}
}

// TestConverterAllocations checks that a Converter allocates nothing per series if it has already converted as many series before.
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
		for range 12 { // until one block of every slab is large enough for all values
			c.Reset()
			c.Family(&f)
		}
		c.Reset()
		if n := inUse(reflect.ValueOf(c)); n != 0 {
			t.Errorf("%s: %d values are in use after Reset", d.Name, n)
		}
		if n := testing.AllocsPerRun(10, func() { c.Reset(); c.Family(&f) }); n > 3 {
			t.Errorf("%s: 1000 series cost %v allocations", d.Name, n)
		}
	}
}

// inUse returns how many values of all slabs within v are in use.
func inUse(v reflect.Value) (n int64) {
	if v.Kind() != reflect.Struct {
		return 0
	}
	for field, value := range v.Fields() {
		if field.Name == "used" {
			n += value.Int()
		}
		n += inUse(value)
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

// everyType returns a family of each type, with values and labels that need care.
func everyType() []Family {
	temp := &Desc{Name: "temp_celsius", Help: "A\nline and \\.", Unit: "celsius", Type: Gauge, LabelNames: []string{"room"}}
	calls := &Desc{Name: "calls_total", Type: Counter}
	took := &Desc{Name: "took_seconds", Help: "Time.", Type: Histogram, Buckets: []float64{0.5, 1e6}}
	size := &Desc{Name: "size", Type: Summary, Quantiles: []float64{0.5, 0.99}, Const: []Label{{"site", "a"}}}
	return []Family{
		{Desc: temp, Series: []Series{
			{Labels: temp.LabelSet([]string{"a\"b\\c\nd"}), Value: -1.5},
			{Labels: temp.LabelSet([]string{""}), Value: math.Inf(1), Time: 1772366400123},
			{Labels: temp.LabelSet([]string{"ü"}), Value: math.NaN()},
		}},
		{Desc: &Desc{Name: "silent", Type: Gauge}},
		{Desc: calls, Series: []Series{{Labels: calls.LabelSet(nil), Value: 1<<53 - 1, Start: 1772366400123}}},
		{Desc: took, Series: []Series{{Labels: took.LabelSet(nil), Start: -1, More: &More{Histogram: &HistogramValue{Count: 6, Sum: 1.25, Counts: []uint64{1, 2, 3}}}}}},
		{Desc: size, Series: []Series{{Labels: size.LabelSet(nil), More: &More{Summary: &SummaryValue{Count: 2, Sum: 3, Quantiles: []float64{1, math.NaN()}}}}}},
		{Desc: &Desc{Name: "other.name", Type: Unknown}, Series: []Series{{Value: 7}}},
	}
}

const everyText = `# HELP temp_celsius A\nline and \\.
# TYPE temp_celsius gauge
temp_celsius{room="a\"b\\c\nd"} -1.5
temp_celsius +Inf 1772366400123
temp_celsius{room="ü"} NaN
# TYPE calls_total counter
calls_total 9.007199254740991e+15
# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.5"} 1
took_seconds_bucket{le="1e+06"} 3
took_seconds_bucket{le="+Inf"} 6
took_seconds_sum 1.25
took_seconds_count 6
# TYPE size summary
size{site="a",quantile="0.5"} 1
size{site="a",quantile="0.99"} NaN
size_sum{site="a"} 3
size_count{site="a"} 2
# TYPE "other.name" untyped
{"other.name"} 7
`

func TestWriteText(t *testing.T) {
	var b strings.Builder
	if err := WriteText(&b, everyType()); err != nil {
		t.Fatal(err)
	}
	if b.String() != everyText {
		t.Errorf("got\n%s\nwant\n%s", b.String(), everyText)
	}
}

func TestWriteTextWithSettings(t *testing.T) {
	text := func(c Converter) string {
		var b strings.Builder
		if err := c.WriteText(&b, everyType()[:1]); err != nil {
			t.Fatal(err)
		}
		_, lines, _ := strings.Cut(b.String(), " gauge\n")
		return lines
	}
	for _, c := range []struct {
		name      string
		converter Converter
		want      string
	}{
		{"without times", Converter{Untimed: true, Time: 5}, "temp_celsius{room=\"a\\\"b\\\\c\\nd\"} -1.5\ntemp_celsius +Inf\ntemp_celsius{room=\"ü\"} NaN\n"},
		{"with the tick's", Converter{Time: 5}, "temp_celsius{room=\"a\\\"b\\\\c\\nd\"} -1.5 5\ntemp_celsius +Inf 1772366400123\ntemp_celsius{room=\"ü\"} NaN 5\n"},
		{"with other labels", Converter{Labels: func(into, own []Label) []Label {
			return append(append(into, Label{"job", "j"}), own...)
		}}, "temp_celsius{job=\"j\",room=\"a\\\"b\\\\c\\nd\"} -1.5\ntemp_celsius{job=\"j\"} +Inf 1772366400123\ntemp_celsius{job=\"j\",room=\"ü\"} NaN\n"},
	} {
		if got := text(c.converter); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

type brokenWriter struct{ writes int }

func (b *brokenWriter) Write([]byte) (int, error) { b.writes++; return 0, errors.New("broken") }

func TestWriteTextFails(t *testing.T) {
	w := &brokenWriter{}
	if err := WriteText(w, everyType()); err == nil || w.writes != 1 {
		t.Errorf("a failing writer gives %v after %d writes, want an error after one", err, w.writes)
	}
	if err := WriteText(w, []Family{{Desc: &Desc{Type: Gauge}, Series: []Series{{}}}}); err == nil {
		t.Error("a metric without a name is written")
	}
}
