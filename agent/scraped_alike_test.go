package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"

	"github.com/collectington/collectington/agent/httpclient/memnet"
	"github.com/collectington/collectington/sinks/sinktest"
)

const (
	textPage        = "text/plain; version=0.0.4"
	openMetricsPage = "application/openmetrics-text; version=1.0.0"
)

// scrapedByPrometheus returns what Prometheus' own scraper stores of the exporter, which it scrapes once per page.
func scrapedByPrometheus(t *testing.T, settings, host string, p *pages) *sinktest.Prometheus {
	t.Helper()
	network, prometheus := memnet.NewNetwork(), sinktest.NewPrometheus(t)
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

// storedOf returns the samples and exemplars of the last scrape: the values by series, and the labels and values of exemplars.
func storedOf(t *testing.T, p *sinktest.Prometheus, at time.Time) (map[string]float64, []string) {
	t.Helper()
	samples := p.Query(t, at.Add(time.Second), `{__name__=~".+",__name__!~"scrape_duration_seconds|scrape_series_added|cton_.*"}`)
	var exemplars []string
	for name := range samples {
		selector := name
		if !strings.Contains(name, "{") {
			selector += "{}"
		}
		for _, e := range p.Exemplars(t, selector) {
			exemplars = append(exemplars, name+" # "+describeExemplar(e))
		}
	}
	return samples, exemplars
}

func describeExemplar(e exemplar.Exemplar) string { return fmt.Sprintf("%s %v", e.Labels, e.Value) }

// TestScrapedAsByPrometheus holds that the receiver has the same samples and exemplars whether the agent or Prometheus itself
// has scraped the pages.
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
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := &pages{contentType: c.contentType, bodies: c.bodies}, &pages{contentType: c.contentType, bodies: c.bodies}
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

var _ = expfmt.FmtText
var _ = model.NoEscaping
