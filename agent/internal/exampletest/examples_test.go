package exampletest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/collectington/collectington/agent"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/demo"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/deploy/examples"
	"github.com/collectington/collectington/sources"
)

func TestDemoReplacesAddresses(t *testing.T) {
	asWritten := examples.Demo("http://127.0.0.1:8001", ":8000")
	for _, address := range []string{"http://127.0.0.1:8001", `":8000"`} {
		if n := strings.Count(asWritten, address); n != 1 {
			t.Errorf("%s stands %d times in demo.yaml, want it once", address, n)
		}
	}
	text := examples.Demo("http://127.0.0.1:4711", "[::1]:8010")
	for address, want := range map[string]int{"http://127.0.0.1:8001": 0, `":8000"`: 0, "http://127.0.0.1:4711/": 1, `"[::1]:8010"`: 1} {
		if n := strings.Count(text, address); n != want {
			t.Errorf("%s stands %d times in what comes out, want %d", address, n, want)
		}
	}
	// Demo quotes every address. So even a wrong address gives valid YAML, and is refused only when the address of the page is checked.
	if _, err := config.Load("demo.yaml", []byte(examples.Demo("http://127.0.0.1:1", "\"}: \n x")), agent.Catalogue()); err == nil || strings.Contains(err.Error(), "not valid YAML") {
		t.Errorf("a strange address: %v", err)
	}
}

func TestDemoPassesTheCheck(t *testing.T) {
	plan, err := config.Load("demo.yaml", []byte(examples.Demo("http://127.0.0.1:8001", ":8000")), agent.Catalogue())
	if err != nil {
		t.Fatal(err)
	}
	types := map[metric.Type]bool{}
	delta := false
	for _, d := range plan.Jobs[0].SourceConfig.(sources.Declarer).Declares() {
		types[d.Type] = true
		delta = delta || d.Delta && len(d.LabelNames) > 0
	}
	for _, want := range []metric.Type{metric.Counter, metric.Gauge, metric.Histogram, metric.Summary} {
		if !types[want] {
			t.Errorf("no %s among the metrics", want)
		}
	}
	if !delta {
		t.Error("no delta with labels among the metrics")
	}
}

// TestDemoCounts checks the series of the demo's job in each tick of some minutes. They must be equal to the series that
// plain Go code computes from everything that the API returns.
func TestDemoCounts(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := start
	api := httptest.NewServer(demo.Handler(start, func() time.Time { return now }))
	defer api.Close()
	plan, err := config.Load("demo.yaml", []byte(examples.Demo(api.URL, ":8000")), agent.Catalogue())
	if err != nil {
		t.Fatal(err)
	}
	source := assemble(t, &plan.Jobs[0])
	book := ledger.New(ledger.For(time.Minute), 1000)
	var open map[string]int
	for tick := range 60 {
		now = start.Add(3*time.Minute + time.Duration(tick)*5*time.Second)
		readings, err := source.Collect(t.Context(), sources.Tick{Time: now, Start: now.Add(-5 * time.Second), End: now})
		if err != nil {
			t.Fatal(err)
		}
		result, err := book.Apply(now, readings)
		if err != nil || len(result.Problems)+len(result.Drops) > 0 {
			t.Fatalf("%v, %v, %v", err, result.Problems, result.Drops)
		}
		want, opened := expected(history(t, api.URL), open)
		if diff := cmp.Diff(want, shown(t, result.Families)); diff != "" {
			t.Fatalf("tick %d, - wanted, + got:\n%s", tick, diff)
		}
		open = opened
	}
}

// assemble returns the source that a job describes, with its fetcher.
func assemble(t *testing.T, job *config.Job) sources.Source {
	t.Helper()
	env := sources.Env{Job: job.Name, Web: &httpclient.Host{Secrets: &setting.SecretStore{}, UserAgent: "test"}}
	var err error
	if env.Fetch, err = job.FetcherConfig.New(env); err != nil {
		t.Fatal(err)
	}
	source, err := job.SourceConfig.New(env)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

type incident struct {
	CurrentPhase, Team, Stack             string
	StartedAt, AcknowledgedAt, ResolvedAt time.Time
}

// history returns all incidents that the API has.
func history(t *testing.T, root string) []incident {
	t.Helper()
	response, err := http.Get(root + demo.Path + "?limit=1000")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Incidents []incident }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Incidents
}

// expected returns the series that a history should give, without quantiles, and the number of open incidents by team. The argument
// "before" has these numbers of the previous tick. It is nil in the first tick.
func expected(all []incident, before map[string]int) (series map[string]float64, open map[string]int) {
	series = map[string]float64{"incidents_total": float64(len(all))}
	open = map[string]int{}
	for i, one := range all {
		series[fmt.Sprintf("incidents_by_team_total{stack=%q, team=%q}", one.Stack, one.Team)]++
		switch {
		case one.CurrentPhase != "RESOLVED":
			open[one.Team]++
		case i < 100: // the incident is on the page that the job requests
			open[one.Team] += 0
		}
		if one.CurrentPhase == "UNACKED" {
			series[fmt.Sprintf("incidents_waiting{team=%q}", one.Team)]++
		}
		if !one.AcknowledgedAt.IsZero() {
			series["incident_acknowledgement_seconds_count"]++
			series["incident_acknowledgement_seconds_sum"] += one.AcknowledgedAt.Sub(one.StartedAt).Seconds()
		}
		if !one.ResolvedAt.IsZero() {
			took := one.ResolvedAt.Sub(one.StartedAt).Seconds()
			series[fmt.Sprintf("incident_resolution_seconds_count{stack=%q}", one.Stack)]++
			series[fmt.Sprintf("incident_resolution_seconds_sum{stack=%q}", one.Stack)] += took
			for _, bound := range []float64{10, 20, 30, 40, 50, 60} {
				name := fmt.Sprintf(`incident_resolution_seconds_bucket{le="%v", stack=%q}`, bound, one.Stack)
				series[name] += 0
				if took <= bound {
					series[name]++
				}
			}
			series[fmt.Sprintf(`incident_resolution_seconds_bucket{le="+Inf", stack=%q}`, one.Stack)]++
		}
	}
	for team, n := range open {
		series[fmt.Sprintf("incidents_open{team=%q}", team)] = float64(n)
		if last, known := before[team]; known {
			series[fmt.Sprintf("incidents_open_change{team=%q}", team)] = float64(n - last)
		}
	}
	return series, open
}

// shown returns the series of families, without quantiles. It writes them as text and reads the text with Prometheus'
// own parser.
func shown(t *testing.T, families []metric.Family) map[string]float64 {
	t.Helper()
	var text strings.Builder
	if err := metric.WriteText(&text, families); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range parsed {
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, family)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			if s.Metric["quantile"] == "" {
				all[s.Metric.String()] = float64(s.Value)
			}
		}
	}
	return all
}
