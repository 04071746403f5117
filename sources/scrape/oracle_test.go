package scrape

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
	"github.com/collectington/collectington/sinks/remotewrite"
	"github.com/collectington/collectington/sinks/sinktest"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

// stored is what a real Prometheus holds at a time, after a batch has been written to it by remote-write.
type stored struct {
	*peers.Prometheus
	t    testing.TB
	sink sinks.Sink
	at   time.Time
}

func newStored(t *testing.T) *stored {
	t.Helper()
	p := peers.NewPrometheus(t)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	c := remotewrite.Kind.Defaults().(*remotewrite.Config)
	var u setting.URL
	if err := u.UnmarshalText([]byte(server.URL)); err != nil {
		t.Fatal(err)
	}
	c.URL = u
	env, _ := sinktest.Env(t)
	sink, err := c.New(env)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- sink.(sinks.Runner).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return &stored{Prometheus: p, t: t, sink: sink, at: time.Now()}
}

// write writes a tick and waits until it is stored: its last series is.
func (s *stored) write(c collected) {
	s.t.Helper()
	s.at = s.at.Add(15 * time.Second)
	families := append(c.Families[:len(c.Families):len(c.Families)], metric.Family{
		Desc:   &metric.Desc{Name: "zz_last", Type: metric.Gauge},
		Series: []metric.Series{{Labels: &metric.LabelSet{}, Value: float64(s.at.Unix())}},
	})
	if err := s.sink.Write(s.t.Context(), metric.Batch{Job: "node", Time: s.at, Families: families}); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); s.Value(s.t, s.at, "zz_last") != float64(s.at.Unix()); {
		if time.Now().After(deadline) {
			s.t.Fatal("the tick does not arrive")
		}
	}
}

// series is all that comes from pages.
func (s *stored) series() map[string]float64 {
	return s.Query(s.t, s.at, `{__name__=~".+",__name__!~"up|scrape_.*|zz_last"}`)
}

// shown is what a page says in Prometheus' own reading, with the target's labels and without the lines for starts.
func shown(t *testing.T, body []byte, kind, instance string) map[string]float64 {
	t.Helper()
	p, err := textparse.New(body, kind, nil, textparse.ParserOptions{OpenMetricsSkipSTSeries: true})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for {
		what, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var set labels.Labels
		switch what {
		case textparse.EntrySeries:
			_, _, v := p.Series()
			p.Labels(&set)
			all[withTarget(set, instance)] = v
		case textparse.EntryHistogram:
			_, _, h, _ := p.Histogram()
			p.Labels(&set)
			all[withTarget(set, instance)] = float64(h.Count)
		}
	}
}

func withTarget(set labels.Labels, instance string) string {
	b := labels.NewBuilder(set)
	for _, l := range []labels.Label{{Name: "job", Value: "node"}, {Name: "instance", Value: instance}} {
		if own := set.Get(l.Name); own != "" {
			b.Set("exported_"+l.Name, own)
		}
		b.Set(l.Name, l.Value)
	}
	return b.Labels().String()
}

// registry has every type, with values that are hard to carry.
func registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls_total", Help: `Calls "by" code \ all.`}, []string{"code"})
	c.WithLabelValues("200").(prometheus.ExemplarAdder).AddWithExemplar(1<<53-1, prometheus.Labels{"trace_id": "abc"})
	c.WithLabelValues("a\"b\\c\nd").Inc()
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "temp_celsius", Help: "Temperature."}, []string{"job", "instance"})
	g.WithLabelValues("mine", "too").Set(math.Inf(-1))
	g.WithLabelValues("nan", "x").Set(math.NaN())
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "took_seconds", Help: "Took.", Buckets: []float64{.5, 1, 1e6}}, []string{"path"})
	s := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "size_bytes", Help: "Size.", Objectives: map[float64]float64{.5: .05, .99: .001}}, []string{"kind"})
	n := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native_seconds", Help: "Native.", NativeHistogramBucketFactor: 1.1})
	both := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "both_seconds", Help: "Both.", NativeHistogramBucketFactor: 1.1, Buckets: []float64{1, 2}})
	for i := range 50 {
		v := float64(i*i) / 7
		h.WithLabelValues("/a").Observe(v)
		h.WithLabelValues("/b").Observe(-v)
		s.WithLabelValues("x").Observe(v)
		n.Observe(v - 100)
		both.(prometheus.ExemplarObserver).ObserveWithExemplar(v, prometheus.Labels{"trace_id": "def"})
	}
	u := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "whatever", Help: "No type."}, func() float64 { return -0.25 })
	utf := prometheus.NewGauge(prometheus.GaugeOpts{Name: "größe.total", Help: "Name in UTF-8.", ConstLabels: prometheus.Labels{"straße": "ß"}})
	utf.Set(3)
	r.MustRegister(c, g, h, s, n, both, u, utf)
	return r
}

// TestPrometheusHoldsWhatPagesSay holds, in every format, that what arrives in a Prometheus is what Prometheus itself
// reads off the page.
func TestPrometheusHoldsWhatPagesSay(t *testing.T) {
	families, err := registry().Gather()
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
			s, p := sourceOf(t, func(c *Config) { c.Targets = addresses(t, e.URL) }), newStored(t)
			for range 2 { // as new, and as known
				got := collect(t, s)
				if got.problem() != "" || len(got.Drops) > 0 {
					t.Fatal(got.problem(), got.Drops)
				}
				p.write(got)
				if diff := cmp.Diff(shown(t, body.Bytes(), string(f), e.instance()), p.series(), cmpopts.EquateNaNs()); diff != "" {
					t.Errorf("Prometheus holds something else (-page +got):\n%s", diff)
				}
			}
		})
	}
}

// TestRealExporter asks client_golang's own handler, so that the formats are negotiated, and looks at what numbers alone
// do not say.
func TestRealExporter(t *testing.T) {
	server := httptest.NewServer(promhttp.HandlerFor(registry(), promhttp.HandlerOpts{EnableOpenMetrics: true}))
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

// TestNativeHistogramsUnasked holds that a histogram keeps its classic buckets, in whatever format it comes.
func TestNativeHistogramsUnasked(t *testing.T) {
	handler := promhttp.HandlerFor(registry(), promhttp.HandlerOpts{EnableOpenMetrics: true})
	for _, force := range []string{"", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Accept"), "protobuf") {
				t.Error("protobuf is asked for")
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
