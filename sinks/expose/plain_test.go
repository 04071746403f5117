package expose

import (
	"bytes"
	"math"
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/collectington/collectington/agent/metric"
)

// FuzzPlain checks that plain samples are written as expfmt writes them.
func FuzzPlain(f *testing.F) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1, -1, 7, 999_999, 1e6, -999_999, 1_000_001, 0.5, 1e-7, 123456.5, 1e21, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN()} {
		f.Add(v, "eu", "a", uint8(2))
	}
	f.Add(2.0, "a\"b\\c\nd\r\x00e", "é\xff\xfe€", uint8(7))
	f.Fuzz(func(t *testing.T, v float64, text, other string, bits uint8) {
		d := &metric.Desc{
			Name: []string{"x_total", "x_ratio"}[bits&1], Type: []metric.Type{metric.Gauge, metric.Counter, metric.Unknown}[bits>>1%3],
			Help: "An \\ \"X\".", Unit: "ratio", LabelNames: []string{"a", "job", "z"},
		}
		all := metric.Family{Desc: d, Series: []metric.Series{
			{Labels: d.LabelSet([]string{text, other, other}), Value: v, Start: 1000},
			{Labels: d.LabelSet([]string{other, text, ""}), Value: -v},
			{Value: float64(int64(bits))},
			{Labels: d.LabelSet([]string{"", text + other, other + text}), Value: math.Trunc(v)},
		}}
		if !isPlain(d, all.Series) {
			t.Fatal("the family is not plain")
		}
		s := idleSink()
		s.job = "fleet"
		if bits&8 != 0 {
			s.config.JobLabel = "job"
			s.converter.Labels = s.withJob
		}
		for _, format := range formats() {
			want := newRendering(variant{format: format}, bits&16 != 0)
			s.encode(want, s.message(d, all.Series), true)
			got := newRendering(variant{format: format}, bits&16 != 0)
			s.renderChunk(true, d, all.Series[:2], []*rendering{got})
			s.renderChunk(true, d, all.Series[2:], []*rendering{got})
			if want, got := body(want), body(got); !bytes.Equal(got, want) && format.FormatType() != expfmt.TypeProtoDelim {
				t.Errorf("%s:\n%s\nwant\n%s", format, got, want)
			}
		}
	})
}

func body(r *rendering) []byte { return bytes.Join(r.encoder.end().bytes, nil) }

// TestNotPlain checks series that have more than a value. They are written by expfmt.
func TestNotPlain(t *testing.T) {
	value := metric.Series{Value: 1}
	for name, c := range map[string]struct {
		typ  metric.Type
		last metric.Series
	}{
		"histogram":       {metric.Histogram, value},
		"gauge histogram": {metric.GaugeHistogram, value},
		"summary":         {metric.Summary, value},
		"exemplars":       {metric.Counter, metric.Series{More: &metric.More{}}},
		"own time":        {metric.Gauge, metric.Series{Time: 1}},
	} {
		if isPlain(&metric.Desc{Type: c.typ}, []metric.Series{value, c.last}) {
			t.Errorf("%s: plain", name)
		}
	}
	counter := &metric.Desc{Type: metric.Counter}
	if e := newEncoder(expfmt.FmtText, new(rawPacker), true); e.writesPlain(counter) {
		t.Error("a counter would lose its line of the start timestamp")
	}
	if e := newEncoder(expfmt.FmtProtoDelim, new(rawPacker), false); e.writesPlain(counter) {
		t.Error("a message would contain text")
	}
}
