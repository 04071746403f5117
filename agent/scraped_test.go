package agent_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"google.golang.org/protobuf/proto"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest/peers"
	"github.com/collectington/collectington/sources/scrape/scrapetest"
)

// pages is an exporter that serves one page after the other. After the last page has been served, it serves the last page each time. An
// empty page is a 503, and "nothing" is a page without a byte.
type pages struct {
	contentType string
	bodies      []string
	times       []time.Time // of the requests
}

func (p *pages) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	body := p.bodies[min(len(p.times), len(p.bodies)-1)]
	p.times = append(p.times, time.Now())
	if body == "" {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", p.contentType)
	_, _ = io.WriteString(w, strings.TrimPrefix(body, "nothing"))
}

// scraped runs the agent until its job has scraped the exporters n times. It returns the Prometheus that has received the samples. The keys
// of the map "exporters" are hosts.
func scraped(t *testing.T, n int, settings string, exporters map[string]*pages) *peers.Prometheus {
	t.Helper()
	network, prometheus := memnet.NewNetwork(), peers.NewPrometheus(t)
	network.Serve(t, "rw.test:80", prometheus)
	targets := ""
	for host, p := range exporters {
		network.Serve(t, host+":80", p)
		targets += fmt.Sprintf("%q, ", host)
	}
	runFor(t, network, fmt.Sprintf(`
sinks:
  rw: {remote_write: {url: "http://rw.test/api/v1/write"}}
jobs:
  node:
    schedule: "@every 15s"
    scrape: {targets: [%s], %s}
`, targets, settings), time.Now().Add(time.Duration(n)*15*time.Second-time.Second))
	for host, p := range exporters {
		if len(p.times) != n {
			t.Fatalf("%s was scraped %d times, want %d", host, len(p.times), n)
		}
	}
	return prometheus
}

// prometheusReads returns the samples of a page as Prometheus' parser reads them, with the target's labels and without _created lines. The
// value for a native histogram is its count.
func prometheusReads(t *testing.T, body []byte, contentType, instance string) map[string]float64 {
	t.Helper()
	p, err := textparse.New(body, contentType, nil, textparse.ParserOptions{OpenMetricsSkipSTSeries: true})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		var set labels.Labels
		var value float64
		switch entry {
		case textparse.EntrySeries:
			_, _, value = p.Series()
		case textparse.EntryHistogram:
			_, _, h, _ := p.Histogram()
			value = float64(h.Count)
		default:
			continue
		}
		p.Labels(&set)
		b := labels.NewBuilder(set)
		for _, l := range []labels.Label{{Name: "job", Value: "node"}, {Name: "instance", Value: instance}} {
			if own := set.Get(l.Name); own != "" {
				b.Set("exported_"+l.Name, own)
			}
			b.Set(l.Name, l.Value)
		}
		all[b.Labels().String()] = value
	}
}

// encodePage returns a page with the families in a format.
func encodePage(t *testing.T, f expfmt.Format, families ...*dto.MetricFamily) string {
	t.Helper()
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
	return body.String()
}

// TestScrapedIsStored checks, for every format, that Prometheus stores what its own parser reads from the page.
func TestScrapedIsStored(t *testing.T) {
	families, err := scrapetest.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []expfmt.Format{expfmt.FmtProtoDelim, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtText} {
		f = f.WithEscapingScheme(model.NoEscaping)
		t.Run(string(f), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := encodePage(t, f, families...)
				e := &pages{contentType: string(f), bodies: []string{body}}
				p := scraped(t, 2, "scrape_native_histograms: true", map[string]*pages{"exporter.test": e})
				want := prometheusReads(t, []byte(body), string(f), "exporter.test")
				for i, at := range e.times { // in the first scrape all series are new, in the second all are known
					got := p.Query(t, at.Add(time.Second), `{__name__=~".+",__name__!~"up|(scrape|cton)_.*"}`)
					if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
						t.Errorf("scrape %d (- page, + stored):\n%s", i, diff)
					}
				}
			})
		})
	}
}

// TestScrapedNativeHistogramsAreStored checks two kinds of native histograms: one with float counts, and a gauge histogram. Each is stored
// as the kind that it is on the page.
func TestScrapedNativeHistogramsAreStored(t *testing.T) {
	histogram := func() *dto.Histogram {
		return &dto.Histogram{
			SampleCount: proto.Uint64(9), SampleSum: proto.Float64(7.5), Schema: proto.Int32(2),
			ZeroThreshold: proto.Float64(1e-3), ZeroCount: proto.Uint64(1),
			PositiveSpan: []*dto.BucketSpan{
				{Offset: proto.Int32(-2), Length: proto.Uint32(2)}, {Offset: proto.Int32(3), Length: proto.Uint32(1)},
			},
			PositiveDelta: []int64{2, 1, 0},
		}
	}
	family := func(name string, typ dto.MetricType, h *dto.Histogram) *dto.MetricFamily {
		return &dto.MetricFamily{Name: &name, Type: &typ, Metric: []*dto.Metric{{Histogram: h}}}
	}
	floats, less := histogram(), histogram()
	floats.SampleCountFloat, floats.ZeroCountFloat = proto.Float64(9.5), proto.Float64(1.5)
	floats.PositiveDelta, floats.PositiveCount = nil, []float64{2, 3.25, 2.75}
	less.SampleCount, less.PositiveDelta = proto.Uint64(6), []int64{2, -1, 1}
	synctest.Test(t, func(t *testing.T) {
		e := &pages{contentType: string(expfmt.FmtProtoDelim)}
		for _, gauge := range []*dto.Histogram{histogram(), less} {
			e.bodies = append(e.bodies, encodePage(t, expfmt.FmtProtoDelim,
				family("floats", dto.MetricType_HISTOGRAM, floats), family("waiting", dto.MetricType_GAUGE_HISTOGRAM, gauge)))
		}
		p := scraped(t, 2, "scrape_native_histograms: true", map[string]*pages{"exporter.test": e})
		for query, want := range map[string]float64{
			"histogram_count(floats)":  9.5,
			"histogram_sum(floats)":    7.5,
			"histogram_count(waiting)": 6,
			// The counts of a gauge histogram may decrease without a reset, so sum_over_time adds them as they are.
			"histogram_count(sum_over_time(waiting[1h]))": 15,
		} {
			if v := p.Value(t, e.times[1].Add(time.Second), query); v != want {
				t.Errorf("%s is %v, want %v", query, v, want)
			}
		}
	})
}

// TestScrapedClassicHistogramsAreStoredAsNative checks that convert_classic_histograms_to_nhcb stores one series with the same
// bounds, and no classic series.
func TestScrapedClassicHistogramsAreStoredAsNative(t *testing.T) {
	const page = `# TYPE took_seconds histogram
took_seconds_bucket{le="1"} 2
took_seconds_bucket{le="2.5"} 2
took_seconds_bucket{le="+Inf"} 5
took_seconds_sum 20
took_seconds_count 5
# TYPE only_seconds histogram
only_seconds_bucket{le="+Inf"} 3
only_seconds_sum 1
only_seconds_count 3
`
	synctest.Test(t, func(t *testing.T) {
		e := &pages{contentType: "text/plain", bodies: []string{page}}
		p := scraped(t, 1, "convert_classic_histograms_to_nhcb: true", map[string]*pages{"exporter.test": e})
		at := e.times[0].Add(time.Second)
		for query, want := range map[string]float64{
			"histogram_count(took_seconds)":          5,
			"histogram_sum(took_seconds)":            20,
			"histogram_fraction(0, 1, took_seconds)": 0.4,
			"histogram_quantile(0.9, took_seconds)":  2.5, // the highest bound
			"histogram_count(only_seconds)":          3,
		} {
			if v := p.Value(t, at, query); v != want {
				t.Errorf("%s is %v, want %v", query, v, want)
			}
		}
		if got := p.Query(t, at, `{__name__=~"(took|only)_seconds_.*"}`); len(got) > 0 {
			t.Errorf("there are classic series: %v", got)
		}
	})
}

// TestScrapedSeriesEnd checks that Prometheus sees at once that series have ended. In one case the page no longer has a series. In the
// other case a target is down, so that all its series have ended. The series of the other target continue.
func TestScrapedSeriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &pages{contentType: "text/plain", bodies: []string{"x 1\ny 1\n", "x 3\n"}}
		b := &pages{contentType: "text/plain", bodies: []string{"x 2\n", "x 2\n", "", "x 2\n"}}
		p := scraped(t, 4, "", map[string]*pages{"a.test": a, "b.test": b})
		gone := math.NaN()
		for i, want := range []map[string]float64{
			{`x{instance="a.test"}`: 1, `y{instance="a.test"}`: 1, `x{instance="b.test"}`: 2, `up{instance="a.test"}`: 1, `up{instance="b.test"}`: 1},
			{`x{instance="a.test"}`: 3, `y{instance="a.test"}`: gone, `x{instance="b.test"}`: 2},
			{`x{instance="a.test"}`: 3, `x{instance="b.test"}`: gone, `up{instance="a.test"}`: 1, `up{instance="b.test"}`: 0},
			{`x{instance="a.test"}`: 3, `x{instance="b.test"}`: 2, `up{instance="b.test"}`: 1},
		} {
			for query, v := range want {
				if got := p.Value(t, a.times[i].Add(time.Second), query); got != v && !(math.IsNaN(got) && math.IsNaN(v)) {
					t.Errorf("scrape %d: %s is %v, want %v", i, query, got, v)
				}
			}
		}
	})
}
