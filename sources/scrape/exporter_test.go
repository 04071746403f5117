package scrape

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources/scrape/scrapetest"
)

// parsed returns the samples of a page as Prometheus' parser reads them, without _created lines, keyed by NAME{LABEL="VALUE",…}.
func parsed(t testing.TB, body []byte, contentType string, change func(*labels.Builder)) map[string]float64 {
	t.Helper()
	p, err := textparse.New(body, contentType, nil, textparse.ParserOptions{
		OpenMetricsSkipSTSeries: true, KeepClassicOnClassicAndNativeHistograms: true, IgnoreNativeHistograms: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return values
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, body)
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, value := p.Series()
		var set labels.Labels
		p.Labels(&set)
		b := labels.NewBuilder(set)
		change(b)
		var all metric.Labels
		b.Del(model.MetricNameLabel).Labels().Range(func(l labels.Label) {
			all = append(all, metric.Label{Name: l.Name, Value: l.Value})
		})
		name := set.Get(model.MetricNameLabel) + all.String()
		if _, twice := values[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		values[name] = value
	}
}

// of adds the labels of the target to those of a series.
func (e *exporter) of(b *labels.Builder) {
	for _, l := range []labels.Label{{Name: "job", Value: "node"}, {Name: "instance", Value: e.instance()}} {
		if own := b.Get(l.Name); own != "" {
			b.Set("exported_"+l.Name, own)
		}
		b.Set(l.Name, l.Value)
	}
}

// TestValuesAreThoseOfPrometheus checks that in every format, the readings have the values that Prometheus' parser reads.
func TestValuesAreThoseOfPrometheus(t *testing.T) {
	families, err := scrapetest.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []expfmt.Format{expfmt.FmtProtoDelim, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtText} {
		f = f.WithEscapingScheme(model.NoEscaping)
		t.Run(string(f), func(t *testing.T) {
			var body bytes.Buffer
			encoder := expfmt.NewEncoder(&body, f, expfmt.WithCreatedLines())
			for _, family := range families {
				if err := encoder.Encode(family); err != nil {
					t.Fatal(err)
				}
			}
			if c, ok := encoder.(expfmt.Closer); ok {
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			}
			e := newExporter(t, "")
			e.show(string(f), body.String())
			s := sourceOf(t, func(c *Config) { c.Targets, c.NativeHistograms = addresses(t, e.URL), false })
			want := parsed(t, body.Bytes(), string(f), e.of)
			for range 2 { // all lines are new, then all are known
				got := collect(t, s)
				if got.problem() != "" || len(got.Drops) > 0 {
					t.Fatal(got.problem(), got.Drops)
				}
				if diff := cmp.Diff(want, got.scraped(), cmpopts.EquateNaNs()); diff != "" {
					t.Errorf("- Prometheus, + readings:\n%s", diff)
				}
			}
		})
	}
}

// TestRealExporter checks metadata, start timestamps and exemplars of client_golang's own handler, which negotiates the format.
func TestRealExporter(t *testing.T) {
	server := httptest.NewServer(promhttp.HandlerFor(scrapetest.Registry(), promhttp.HandlerOpts{EnableOpenMetrics: true}))
	t.Cleanup(server.Close)
	got := collect(t, sourceOf(t, func(c *Config) { c.Targets = addresses(t, server.URL) }))
	if v := got.values()[`größe.total{"straße"="ß"}`]; v != 3 {
		t.Errorf("the name in UTF-8 has %v: %v", v, got.values())
	}
	calls := got.family("calls_total")
	if d := calls.Desc; d.Type != metric.Counter || d.Help != `Calls "by" code \ all.` || !d.Targeted {
		t.Errorf("calls_total is %+v", d)
	}
	if c := calls.Series[0]; c.Start == 0 || len(c.Exemplars()) != 1 || c.Exemplars()[0].Labels[0] != (metric.Label{Name: "trace_id", Value: "abc"}) || c.Exemplars()[0].Value != 1<<53-1 {
		t.Errorf("calls_total has the start %d and exemplars %v", c.Start, c.Exemplars())
	}
	both := got.family("both_seconds")
	if v := both.Series[0]; !both.Desc.Native || len(both.Desc.Buckets) != 2 || v.Histogram().Native == nil || len(v.Histogram().Counts) != 3 || v.Histogram().Count != 50 || v.Start == 0 || len(v.Exemplars()) == 0 {
		t.Errorf("both_seconds is %+v of %+v", v.Histogram(), both.Desc)
	}
	if n := got.family("native_seconds").Series[0].Histogram(); n.Counts != nil || n.Native == nil || len(n.Native.Negative) == 0 {
		t.Errorf("native_seconds is %+v", n)
	}
}

// TestNativeHistogramsOff checks that a histogram has its classic buckets only, in all formats.
func TestNativeHistogramsOff(t *testing.T) {
	handler := promhttp.HandlerFor(scrapetest.Registry(), promhttp.HandlerOpts{EnableOpenMetrics: true})
	for _, force := range []string{"", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Accept"), "protobuf") {
				t.Error("the Accept header has protobuf")
			}
			if force != "" {
				r.Header.Set("Accept", force)
			}
			handler.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		got := collect(t, sourceOf(t, func(c *Config) { c.Targets, c.NativeHistograms = addresses(t, server.URL), false }))
		both := got.family("both_seconds")
		if v := both.Series[0].Histogram(); both.Desc.Native || v.Native != nil || len(v.Counts) != 3 || v.Count != 50 {
			t.Errorf("%q: both_seconds is %+v of %+v", force, v, both.Desc)
		}
	}
}
