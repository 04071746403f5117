package metric

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// everyType is a family of each type, with what is hard to write in it.
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
		t.Errorf("a broken writer gives %v after %d writes, want an error after one", err, w.writes)
	}
	if err := WriteText(w, []Family{{Desc: &Desc{Type: Gauge}, Series: []Series{{}}}}); err == nil {
		t.Error("a metric without a name is written")
	}
}
