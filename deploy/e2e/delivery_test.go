//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/deploy/examples"
)

// Selectors for the samples that Prometheus gets in each of the two ways.
const (
	scraped = `{via="scrape"}`
	pushed  = `{via="push"}`
)

func TestDelivery(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
	defer cancel()
	at, demo, agent := startAll(ctx, t)
	prometheus, err := api.NewClient(api.Config{Address: at.prometheus})
	if err != nil {
		t.Fatal(err)
	}
	w := world{peers: at, prometheus: v1.NewAPI(prometheus)}
	t.Run("SameSeriesEverywhere", func(t *testing.T) { w.sameSeries(ctx, t) })
	t.Run("VanishedSeriesEnd", func(t *testing.T) { w.vanished(ctx, t) })
	t.Run("SameSeriesStill", func(t *testing.T) { w.sameSeries(ctx, t) })
	t.Run("CountersEqualTheAPI", func(t *testing.T) { w.counters(ctx, t) })
	t.Run("NothingIsDropped", func(t *testing.T) { w.nothingDropped(ctx, t) })
	t.Run("FallsBackTo1.0", func(t *testing.T) { fallsBack(ctx, t, agent) })
	agent.stop(t, 15*time.Second)
	demo.stop(t, 3*time.Second)
}

// world is the running programs, and the API of Prometheus.
type world struct {
	peers
	prometheus v1.API
}

// sameSeries waits until the page, Prometheus (scraped and pushed) and the gateway have the same series and values. They can be the same
// only between two runs.
func (w world) sameSeries(ctx context.Context, t *testing.T) {
	var count int
	poll(ctx, t, "compare series", func() error {
		page, err := w.scrape(w.page, "")
		if err != nil {
			return err
		}
		others := map[string]func() (values, error){
			"by scrape":        func() (values, error) { return w.instant(ctx, `{via="scrape", __name__=~"incident.*"}`) },
			"by remote write":  func() (values, error) { return w.instant(ctx, `{via="push", __name__=~"incident.*"}`) },
			"from the gateway": func() (values, error) { return w.scrape(w.gateway, "oncall") },
		}
		for _, name := range slices.Sorted(maps.Keys(others)) {
			got, err := others[name]()
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if diff := cmp.Diff(page, got); diff != "" {
				return fmt.Errorf("%s, not as on the page: %s", name, diff)
			}
		}
		count = len(page)
		return complete(page)
	})
	t.Logf("%d series, the same on the page, by scrape, by remote write and in the gateway", count)
}

// complete checks that each of the demo's metrics has series. The metric incidents_open_change has series only from the second run on.
func complete(page values) error {
	names := regexp.MustCompile(`(?m)^      ([a-z_]+):$`).FindAllStringSubmatch(examples.Demo("", ""), -1)
	if len(names) < 7 {
		return fmt.Errorf("the demo declares only %q", names)
	}
	for _, name := range names {
		ofIt := regexp.MustCompile(`^` + name[1] + `(_bucket|_sum|_count)?(\{|$)`)
		if !slices.ContainsFunc(slices.Collect(maps.Keys(page)), ofIt.MatchString) {
			return fmt.Errorf("no series of %s", name[1])
		}
	}
	return nil
}

// vanished waits until a series has ended, and fails if its last value remains. Without a staleness marker, Prometheus would return that
// value for five minutes.
func (w world) vanished(ctx context.Context, t *testing.T) {
	for _, how := range []string{scraped, pushed} {
		poll(ctx, t, "wait for a series to end", func() error {
			now := time.Now()
			past, err := w.samples(ctx, "incidents_waiting"+how+"[1m]", now)
			if err != nil {
				return err
			}
			present, _, _, err := w.prometheus.Query(ctx, "incidents_waiting"+how, now)
			if err != nil {
				return err
			}
			for _, series := range past {
				last := series.Values[len(series.Values)-1].Timestamp.Time()
				here := slices.ContainsFunc(present.(model.Vector), func(s *model.Sample) bool { return s.Metric.Equal(series.Metric) })
				if now.Sub(last) > 12*time.Second && here {
					t.Fatalf("%s has no sample since %s and is still there", series.Metric, last)
				}
				if now.Sub(last) > time.Second && !here {
					t.Logf("%s ended; its last sample is %s old", series.Metric, now.Sub(last).Round(time.Second))
					return nil
				}
			}
			return errors.New("none has ended")
		})
	}
}

// counters compares each sample of a counter with the number that the API had at the time of the sample.
func (w world) counters(ctx context.Context, t *testing.T) {
	const name = "incidents_total"
	const tick, second = 5 * time.Second, time.Second
	// A pushed sample has the time of its run. A scraped sample has the value of the last run, which may be one tick old.
	for how, age := range map[string]time.Duration{pushed: 0, scraped: tick + second} {
		var series model.Matrix
		poll(ctx, t, "wait for samples", func() (err error) {
			series, err = w.samples(ctx, name+how+"[1m]", time.Now())
			if err == nil && (len(series) != 1 || len(series[0].Values) < 5) {
				err = fmt.Errorf("%s%s: want one series of several samples, got %v", name, how, series)
			}
			return err
		})
		for _, sample := range series[0].Values {
			least, most := w.total(t, sample.Timestamp.Time().Add(-age)), w.total(t, sample.Timestamp.Time().Add(second))
			if v := int(sample.Value); v < least || v > most {
				t.Errorf("%s%s is %d at %s, want %d to %d", name, how, v, sample.Timestamp.Time(), least, most)
			}
		}
		t.Logf("%s%s: %d samples, the last %v, equal the API", name, how, len(series[0].Values), series[0].Values[len(series[0].Values)-1].Value)

		// The two metrics that count incidents must agree at any time.
		end := time.Now()
		query := "sum(incidents_by_team_total" + how + ") - sum(" + name + how + ")"
		differences, _, _, err := w.prometheus.QueryRange(ctx, query, v1.Range{Start: end.Add(-20 * time.Second), End: end, Step: second})
		if err != nil {
			t.Fatal(err)
		}
		if m := differences.(model.Matrix); len(m) != 1 {
			t.Errorf("%s: %v", query, m)
		} else if slices.ContainsFunc(m[0].Values, func(p model.SamplePair) bool { return p.Value != 0 }) {
			t.Errorf("%s is not 0: %v", query, m[0].Values)
		}
	}
}

// nothingDropped checks that the metrics of dropped samples and readings are 0.
func (w world) nothingDropped(ctx context.Context, t *testing.T) {
	for _, how := range []string{scraped, pushed} {
		poll(ctx, t, "ask for the agent's own metrics", func() error {
			dropped, err := w.instant(ctx, "sum(cton_sink_dropped_samples_total"+how+") + sum(cton_job_dropped_readings_total"+how+")")
			if err != nil {
				return err
			}
			if diff := cmp.Diff(values{"{}": 0}, dropped); diff != "" {
				return errors.New(diff)
			}
			return nil
		})
	}
	requests, err := w.instant(ctx, "cton_sink_requests_total"+pushed)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		t.Logf("%s %v", name, requests[name])
	}
}

// fallsBack checks that the agent sends remote-write 1.0 to a Prometheus before version 3.0.
func fallsBack(ctx context.Context, t *testing.T, agent *process) {
	version, err := exec.CommandContext(ctx, env(t, "PROMETHEUS"), "--version").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(version), " (")
	if !strings.Contains(first, "version 2.") {
		t.Skip(first + " accepts 2.0")
	}
	if !strings.Contains(agent.out.String(), "sending 1.0") {
		t.Errorf("%s: the agent has not logged that it sends 1.0; it wrote\n%s", first, agent.out)
	}
	t.Log(first + " is sent 1.0")
}

// values are sample values by series, without the labels that delivery adds.
type values map[string]float64

func collect(samples model.Vector) values {
	all := values{}
	for _, s := range samples {
		m := s.Metric.Clone()
		for _, name := range []model.LabelName{"job", "instance", "via"} {
			delete(m, name)
		}
		for _, name := range []model.LabelName{"le", "quantile"} {
			// 10 in the text format is 10.0 in OpenMetrics.
			if bound, err := strconv.ParseFloat(string(m[name]), 64); err == nil {
				m[name] = model.LabelValue(strconv.FormatFloat(bound, 'g', -1, 64))
			}
		}
		all[m.String()] = float64(s.Value)
	}
	return all
}

func (w world) instant(ctx context.Context, query string) (values, error) {
	v, _, _, err := w.prometheus.Query(ctx, query, time.Now())
	if err != nil {
		return nil, err
	}
	return collect(v.(model.Vector)), nil
}

func (w world) samples(ctx context.Context, query string, at time.Time) (model.Matrix, error) {
	v, _, _, err := w.prometheus.Query(ctx, query, at)
	if err != nil {
		return nil, err
	}
	return v.(model.Matrix), nil
}

// scrape reads a page and returns the samples of the demo's metrics whose label "job" has the given value.
func (w world) scrape(root, job string) (values, error) {
	response, err := http.Get(root + "/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, err
	}
	var kept model.Vector
	for name, family := range families {
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.Now()}, family)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, s := range samples {
			if name[:min(8, len(name))] == "incident" && string(s.Metric["job"]) == job {
				kept = append(kept, s)
			}
		}
	}
	return collect(kept), nil
}

// total asks the API how many incidents were opened up to a time. It rounds the time up to the end of its second.
func (w world) total(t *testing.T, at time.Time) int {
	t.Helper()
	before := at.Truncate(time.Second).Add(time.Second).UTC().Format(time.RFC3339)
	response, err := http.Get(w.api + "/api-reporting/v2/incidents?limit=0&" + url.Values{"startedBefore": {before}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Total int }
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return answer.Total
}
