package expose

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/collectington/collectington/agent/metric"
)

// exemplarsOf returns the exemplars of a page by series, as Prometheus' parser reads them.
func exemplarsOf(t *testing.T, page, contentType string) map[string][]string {
	t.Helper()
	p, err := textparse.New([]byte(page), contentType, labels.NewSymbolTable(), textparse.ParserOptions{KeepClassicOnClassicAndNativeHistograms: true})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, page)
		}
		if entry == textparse.EntryHistogram {
			p.Histogram() // the parser needs the call
		} else if entry != textparse.EntrySeries {
			continue
		}
		var set labels.Labels
		p.Labels(&set)
		for e := (exemplar.Exemplar{}); p.Exemplar(&e); e = (exemplar.Exemplar{}) {
			all[set.String()] = append(all[set.String()], fmt.Sprintf("%s %v %d", e.Labels, e.Value, e.Ts))
		}
	}
}

// TestExemplars checks that pages in OpenMetrics and protobuf have the exemplars that these formats can carry. Exemplars that a format
// cannot carry do not make its page invalid.
func TestExemplars(t *testing.T) {
	at := func(ms int64, sample int, trace string, value float64) metric.Exemplar {
		return metric.Exemplar{Labels: []metric.Label{{Name: "trace_id", Value: trace}}, Value: value, Time: ms, Sample: sample}
	}
	calls := &metric.Desc{Name: "calls_total", Type: metric.Counter, LabelNames: []string{"code"}}
	took := &metric.Desc{Name: "took_seconds", Type: metric.Histogram, Buckets: []float64{1, 2.5}}
	both := &metric.Desc{Name: "both_seconds", Type: metric.Histogram, Buckets: []float64{1}, Native: true}
	native := &metric.NativeBuckets{Schema: 3, ZeroThreshold: 1e-9, ZeroCount: 3}
	odd := at(0, 0, "x", 1)
	odd.Labels = []metric.Label{{Name: "größe", Value: "1"}}
	plain := gauge("temp", "a")
	plain.Series[0].More = &metric.More{Exemplars: []metric.Exemplar{at(0, 0, "gauge", 1)}}
	counter := func(code string, all ...metric.Exemplar) metric.Series {
		return metric.Series{Labels: calls.LabelSet([]string{code}), Value: 1, More: &metric.More{Exemplars: all}}
	}
	all := []metric.Family{
		plain,
		{Desc: calls, Series: []metric.Series{
			counter("200", at(1500, 0, "old", 1), at(2500, 0, "new", 2)), counter("untimed", at(0, 0, "u", 3)),
			counter("odd", odd), counter("late", at(1<<62, 0, "late", 1)), counter("bare", metric.Exemplar{Value: 1}),
		}},
		{Desc: took, Series: []metric.Series{{More: &metric.More{
			Histogram: &metric.HistogramValue{Count: 6, Sum: 12.5, Counts: []uint64{1, 2, 3}},
			Exemplars: []metric.Exemplar{at(0, 0, "by value", 0.5), at(0, 2, "as it stands", 0.4), at(0, 0, "high", 99), at(0, 5, "of the count", 1)},
		}}}},
		{Desc: both, Series: []metric.Series{{More: &metric.More{
			Histogram: &metric.HistogramValue{Count: 3, Sum: 12.5, Counts: []uint64{1, 2}, Native: native},
			Exemplars: []metric.Exemplar{at(1000, 0, "n1", 0.5), at(2000, 0, "n2", 0.4), at(0, 2, "classic", 5)},
		}}}},
	}
	b := open(t, Config{})
	b.write(t, "all", all...)
	b.scrape(t, string(expfmt.FmtOpenMetrics_1_0_0), false)
	without := all[2]
	without.Series = []metric.Series{{More: &metric.More{Histogram: all[2].Series[0].Histogram()}}}
	b.write(t, "all", without) // reuses the memory of the previous page
	if got := exemplarsOf(t, b.scrape(t, string(expfmt.FmtOpenMetrics_1_0_0), false), string(expfmt.FmtOpenMetrics_1_0_0)); len(got) != 0 {
		t.Errorf("exemplars that are gone: %v", got)
	}
	b.write(t, "all", all...)
	for _, f := range []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtProtoDelim, expfmt.FmtText} {
		f = f.WithEscapingScheme(model.NoEscaping)
		want := map[string][]string{
			`{__name__="calls_total", code="200"}`:        {`{trace_id="new"} 2 2500`},
			`{__name__="calls_total", code="untimed"}`:    {`{trace_id="u"} 3 0`},
			`{__name__="took_seconds_bucket", le="1.0"}`:  {`{trace_id="by value"} 0.5 0`},
			`{__name__="took_seconds_bucket", le="2.5"}`:  {`{trace_id="as it stands"} 0.4 0`},
			`{__name__="took_seconds_bucket", le="+Inf"}`: {`{trace_id="high"} 99 0`},
			`{__name__="both_seconds_bucket", le="+Inf"}`: {`{trace_id="classic"} 5 0`},
		}
		switch f.FormatType() {
		case expfmt.TypeProtoDelim:
			want[`{__name__="both_seconds"}`] = []string{`{trace_id="n1"} 0.5 1000`, `{trace_id="n2"} 0.4 2000`}
		case expfmt.TypeTextPlain:
			clear(want)
		}
		got := exemplarsOf(t, b.scrape(t, string(f), false), string(f))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f, diff)
		}
	}
}
