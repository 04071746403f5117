package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/model/exemplar"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest/peers"
)

const (
	textPage        = "text/plain; version=0.0.4"
	openMetricsPage = "application/openmetrics-text; version=1.0.0"
)

// nativePage is the content type of a page in protobuf. A test writes such a page in protobuf's text format.
const nativePage = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// both has a native histogram with classic buckets, a classic histogram, and a native histogram without classic buckets.
const both = `name:"both" type:HISTOGRAM metric:{label:{name:"a" value:"1"} histogram:{sample_count:3 sample_sum:4 schema:0
	zero_threshold:0.001 zero_count:0 positive_span:{offset:0 length:2} positive_delta:1 positive_delta:1
	exemplars:{label:{name:"trace_id" value:"n"} value:2 timestamp:{seconds:946684800}}
	bucket:{cumulative_count:1 upper_bound:1 exemplar:{label:{name:"trace_id" value:"c"} value:0.5}} bucket:{cumulative_count:3 upper_bound:2}}}
metric:{label:{name:"a" value:"2"} histogram:{sample_count:2 sample_sum:3 bucket:{cumulative_count:2 upper_bound:2}}}
---
name:"classic" type:HISTOGRAM metric:{histogram:{sample_count:1 sample_sum:4 bucket:{cumulative_count:1 upper_bound:1 exemplar:{label:{name:"trace_id" value:"x"} value:0.5}}}}
---
name:"only" type:HISTOGRAM metric:{histogram:{sample_count:2 sample_sum:4 schema:0 zero_threshold:0.001 zero_count:2 positive_span:{offset:0 length:0}
	exemplars:{label:{name:"trace_id" value:"untimed"} value:2}}}`

const classicLines = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n"

// exemplarsPage has exemplars on samples of every type, also where they do not belong.
const exemplarsPage = `# TYPE u unknown
u 1 # {trace_id="u"} 1
# TYPE g gauge
g 1 # {trace_id="g"} 1
# TYPE s summary
s{quantile="0.5"} 1 # {trace_id="q"} 1
s_sum 1 # {trace_id="sum"} 1
s_count 1 # {trace_id="count"} 1
# TYPE gh gaugehistogram
gh_bucket{le="1.0"} 1 # {trace_id="gh"} 0.5
gh_bucket{le="+Inf"} 1
gh_gcount 1
gh_gsum 1
# TYPE h histogram
h_bucket{le="1.0"} 1
h_bucket{le="2.5"} 2 # {trace_id="low"} 0.4
h_bucket{le="+Inf"} 2 # {trace_id="high"} 9
h_count 2 # {trace_id="hc"} 2
h_sum 2 # {trace_id="hs"} 2
# EOF
`

// encoded returns the bodies as they are served: in binary form if contentType is nativePage.
func encoded(t *testing.T, contentType string, bodies []string) []string {
	t.Helper()
	if contentType != nativePage {
		return bodies
	}
	var all []string
	for _, body := range bodies {
		var families []*dto.MetricFamily
		for text := range strings.SplitSeq(body, "---") {
			f := &dto.MetricFamily{}
			if err := prototext.Unmarshal([]byte(text), f); err != nil {
				t.Fatal(err)
			}
			families = append(families, f)
		}
		all = append(all, encodePage(t, expfmt.FmtProtoDelim, families...))
	}
	return all
}

// scrapedByPrometheus returns what Prometheus' own scraper stores of the exporter, which it scrapes once per page.
func scrapedByPrometheus(t *testing.T, settings, host string, p *pages) *peers.Prometheus {
	t.Helper()
	network, prometheus := memnet.NewNetwork(), peers.NewPrometheus(t)
	network.Serve(t, host+":80", p)
	lines := strings.Join(strings.Split(settings, "\n"), "\n  ")
	begin := time.Now()
	prometheus.Scrape(t, network.Dial, fmt.Sprintf(`job_name: node
  scrape_interval: 15s
  scrape_timeout: 10s
  static_configs: [{targets: [%q]}]
  %s
`, host, lines), 15*time.Second*time.Duration(len(p.bodies))-time.Millisecond)
	if len(p.times) != len(p.bodies) {
		t.Fatalf("Prometheus has scraped %d times in %s, want %d", len(p.times), time.Since(begin), len(p.bodies))
	}
	return prometheus
}

// storedOf returns the samples and exemplars of the last scrape: the values by series, and the labels and values of exemplars. If the
// scrape has failed, it returns only the metrics about the scrape, since the agent ends the other series at once, and Prometheus ends them
// later.
func storedOf(t *testing.T, p *peers.Prometheus, at time.Time) (map[string]float64, []string) {
	t.Helper()
	names := `,__name__=~".+"`
	if p.Value(t, at.Add(time.Second), "up") == 0 {
		names = `,__name__=~"up|scrape_.*"`
	}
	samples := p.Query(t, at.Add(time.Second), `{__name__!~"scrape_duration_seconds|scrape_series_added|cton_.*"`+names+`}`)
	var exemplars []string
	for name := range samples {
		for _, e := range p.Exemplars(t, name) {
			exemplars = append(exemplars, name+" # "+describeExemplar(e))
		}
	}
	return samples, exemplars
}

func describeExemplar(e exemplar.Exemplar) string { return fmt.Sprintf("%s %v", e.Labels, e.Value) }

// TestScrapedAsByPrometheus checks that the same samples and exemplars are stored whether the agent or Prometheus itself has scraped
// the pages.
func TestScrapedAsByPrometheus(t *testing.T) {
	for name, c := range map[string]struct {
		contentType, settings string
		bodies                []string
	}{
		"an empty label of the target, honored": {
			textPage, "honor_labels: true",
			[]string{"m{instance=\"\",job=\"nightly\"} 1\nn{instance=\"\"} 2\no{x=\"\"} 3\n"},
		},
		"an empty label of the target": {textPage, "honor_labels: false", []string{"m{instance=\"\",job=\"nightly\"} 1\nn{job=\"\"} 2\n"}},
		"exported labels":              {textPage, "", []string{"m{exported_job=\"a\",job=\"b\",instance=\"c\"} 1\n"}},
		"no name after relabelling": {
			textPage, "metric_relabel_configs: [{source_labels: [__name__], regex: m, target_label: __name__, replacement: ''}]",
			[]string{"n 1\nm{a=\"1\"} 1\n"},
		},
		"no label after relabelling": {textPage, "metric_relabel_configs: [{regex: .*, action: labeldrop}]", []string{"n 1\n"}},
		"nothing, as OpenMetrics":    {openMetricsPage, "", []string{"a 1\n# EOF\n", "nothing"}},
		"more samples than the limit": {
			textPage, "sample_limit: 2\nmetric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]",
			[]string{"a 1\nc 1\n", "a 1\nb 1\nc 1\nd 1\na 1\ne 1\nb{x=\"1\"} 1\n"},
		},
		"a native histogram and its classic lines": {nativePage, "sample_limit: 10", []string{both, both}},
		"a native histogram that is dropped": {
			nativePage, "metric_relabel_configs: [{source_labels: [__name__], regex: both|classic_sum, action: drop}]", []string{both, both},
		},
		"labels of classic lines that are too many": {nativePage, "label_limit: 3", []string{both, both}},
		"native and classic":                        {nativePage, "always_scrape_classic_histograms: true", []string{both, both}},
		"classic histograms as native ones": {
			textPage, "convert_classic_histograms_to_nhcb: true\nsample_limit: 3", []string{classicLines + "a 1\nb 1\n", classicLines + "a 1\nb 1\n"},
		},
		"both, from classic ones": {
			textPage, "convert_classic_histograms_to_nhcb: true\nalways_scrape_classic_histograms: true", []string{classicLines, classicLines + "a 1\n"},
		},
		"exemplars without timestamps": {openMetricsPage, "", []string{
			"# TYPE a counter\na_total 1 # {trace_id=\"t0\"} 1\n# EOF\n",
			"# TYPE a counter\na_total 2 # {trace_id=\"t1\"} 1\n# EOF\n",
			"# TYPE a counter\na_total 2 # {trace_id=\"t1\"} 1\n# EOF\n",
			"# TYPE a counter\na_total 3 # {trace_id=\"t2\"} 1\n# EOF\n",
		}},
		"exemplars of one time": {openMetricsPage, "", []string{
			"# TYPE a counter\na_total 1 # {trace_id=\"t0\"} 1 946684800.5\n# EOF\n",
			"# TYPE a counter\na_total 1 # {trace_id=\"t0\"} 1 946684800.5\n# EOF\n",
			"# TYPE a counter\na_total 2 # {trace_id=\"t1\"} 2 946684800.5\n# EOF\n",
			"# TYPE a counter\na_total 2 # {trace_id=\"t2\"} 2\n# EOF\n",
		}},
		"exemplars of every type": {openMetricsPage, "", []string{exemplarsPage, exemplarsPage}},
		"labels of exemplars": {openMetricsPage, "", []string{
			"# TYPE a counter\na_total{x=\"1\"} 1 # {a=\"\",b=\"1\"} 1\na_total{x=\"2\"} 1 # {} 1\n# EOF\n",
		}},
		"a label twice, once dropped":  {textPage, "metric_relabel_configs: [{regex: x, action: labeldrop}]", []string{"a{x=\"1\"} 1\n"}},
		"any Content-Type":             {"text/html", "fallback_scrape_protocol: PrometheusText0.0.4", []string{"a 1\n"}},
		"no Content-Type, OpenMetrics": {"", "fallback_scrape_protocol: OpenMetricsText1.0.0", []string{"a 1\n# EOF\n", "a 1\n"}},
		"labels of the target": {
			textPage, "params: {a: [x, y], b: [z]}\nmetrics_path: /m\nrelabel_configs: [{source_labels: [__address__, __scheme__, __metrics_path__, __param_a, job], target_label: all}, " +
				"{source_labels: [__address__], regex: '([^.]+).*', target_label: instance}, {target_label: __param_a, replacement: changed}]",
			[]string{"a 1\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bodies := encoded(t, c.contentType, c.bodies)
				ours, theirs := &pages{contentType: c.contentType, bodies: bodies}, &pages{contentType: c.contentType, bodies: bodies}
				settings := "scrape_native_histograms: true\n" + c.settings
				got := scraped(t, len(c.bodies), strings.ReplaceAll(strings.TrimSpace(settings), "\n", ", "), map[string]*pages{"exporter.test": ours})
				want := scrapedByPrometheus(t, settings, "exporter.test", theirs)
				last := len(c.bodies) - 1
				gotSamples, gotExemplars := storedOf(t, got, ours.times[last])
				wantSamples, wantExemplars := storedOf(t, want, theirs.times[last])
				if diff := cmp.Diff(wantSamples, gotSamples, cmpopts.EquateNaNs()); diff != "" {
					t.Errorf("samples (- Prometheus, + agent):\n%s", diff)
				}
				sorted := cmpopts.SortSlices(strings.Compare)
				if diff := cmp.Diff(wantExemplars, gotExemplars, sorted, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("exemplars (- Prometheus, + agent):\n%s", diff)
				}
			})
		})
	}
}

// TestScrapedPoints checks pages with several points of one series. Each point is stored once, with its own time, in whatever order the
// lines of the page are. Prometheus' own scraper stores the same.
func TestScrapedPoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(s int) int64 { return time.Now().Add(time.Duration(s-60) * time.Second).UnixMilli() }
		var bodies []string
		for _, points := range [][]int{{1}, {1, 2, 3}, {2, 3, 4}, {3, 4}, {4}, {4, 5}, {6}} {
			var page strings.Builder
			page.WriteString("# TYPE h histogram\n")
			for _, p := range points {
				fmt.Fprintf(&page, "m{a=\"1\"} %d %d\n", p, at(p))
			}
			for _, p := range points {
				fmt.Fprintf(&page, "h_bucket{le=\"1.0\"} %d %d\nh_bucket{le=\"+Inf\"} %[1]d %[2]d\nh_sum %[1]d %[2]d\nh_count %[1]d %[2]d\n", p, at(p))
			}
			fmt.Fprintf(&page, "labels{a=\"1\",b=\"2\"} %d %d\nlabels{b=\"2\",a=\"1\"} %d %d\n", points[0], at(10*len(bodies)), points[0]+1, at(10*len(bodies)+1))
			bodies = append(bodies, page.String())
		}
		ours, theirs := &pages{contentType: textPage, bodies: bodies}, &pages{contentType: textPage, bodies: bodies}
		got := scraped(t, len(bodies), "", map[string]*pages{"exporter.test": ours})
		want := scrapedByPrometheus(t, "", "exporter.test", theirs)
		for name, n := range map[string]int{"m": 6, "h_bucket": 12, "h_sum": 6, "h_count": 6, "labels": 14} {
			a, err := want.Stored(name)
			b, err2 := got.Stored(name)
			if err != nil || err2 != nil || len(a) != n {
				t.Fatalf("%s: %v, %v, Prometheus has %d points, want %d", name, err, err2, len(a), n)
			}
			if diff := cmp.Diff(a, b); diff != "" {
				t.Errorf("%s (- Prometheus, + agent):\n%s", name, diff)
			}
		}
		if n := got.Value(t, ours.times[len(bodies)-1].Add(time.Second), `sum(cton_sink_dropped_samples_total)`); n != 0 {
			t.Errorf("%v samples are counted as dropped", n)
		}
	})
}
