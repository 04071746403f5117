package selfmetrics

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/collectington/collectington/agent/internal/lease"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// names are the agent's own metrics. Dashboards and alerts of users depend on every name, type and label: change none.
const names = `
cton_build_info gauge {version,goversion} Always 1, with the agent's version.
cton_config_last_reload_successful gauge {} Whether the last reload succeeded.
cton_config_last_reload_success_timestamp_seconds gauge {} When the configuration was loaded.
cton_clock_jumps_total counter {} Jumps of the clock by a second or more.
cton_state_last_write_timestamp_seconds gauge {} When the state file was last written.
cton_state_failed_writes_total counter {} Failed writes of the state file.
cton_job_up gauge {cton_job} Whether the last run succeeded.
cton_job_last_success_timestamp_seconds gauge {cton_job} When the last successful run started.
cton_job_next_run_timestamp_seconds gauge {cton_job} When the job is due next.
cton_job_last_duration_seconds gauge {cton_job} Duration of the last run.
cton_job_readings gauge {cton_job} Readings of the last successful run.
cton_job_series gauge {cton_job} Series after the last successful run.
cton_job_unmeasured_metrics gauge {cton_job} Metrics that the last successful run could not measure.
cton_job_runs_total counter {cton_job,result} Runs by result.
cton_job_dropped_readings_total counter {cton_job} Dropped readings.
cton_job_dropped_readings_by_reason_total counter {cton_job,reason} Dropped readings by reason.
cton_job_upstream_resets_total counter {cton_job} Upstream totals that decreased, taken for a counter reset.
cton_job_cursor_timestamp_seconds gauge {cton_job} The end of the last window read.
cton_job_skipped_windows_total counter {cton_job} Windows skipped because they were older than max_catch_up.
cton_job_requests_total counter {cton_job,host,code} Requests by status code; 0 means no response.
cton_job_received_bytes_total counter {cton_job,host} Size of response bodies, decompressed.
cton_job_cached_responses_total counter {cton_job,host} Responses from the cache (cache_for).
cton_job_remaining_requests gauge {cton_job,host} Requests that the host still accepts, by its rate limit headers.
cton_sink_sent_samples_total counter {sink} Delivered samples.
cton_sink_failed_deliveries_total counter {sink} Failed deliveries.
cton_sink_retried_deliveries_total counter {sink} Retried deliveries.
cton_sink_dropped_samples_total counter {sink} Samples that will never be delivered.
cton_sink_dropped_samples_by_reason_total counter {sink,reason} Samples that will never be delivered, by reason.
cton_sink_pending_samples gauge {sink} Samples in the queue.
cton_sink_pending_bytes gauge {sink} Size of the queue.
cton_sink_oldest_pending_age_seconds gauge {sink} Age of the oldest sample in the queue.
cton_sink_spool_up gauge {sink} Whether the spool can be written. If not, samples wait in memory.
cton_sink_requests_total counter {sink,host,code} Requests by status code; 0 means no response.
`

func TestNames(t *testing.T) {
	var got strings.Builder
	got.WriteByte('\n')
	for _, m := range New("1.0", Others{}).Readings(run.State{}) {
		fmt.Fprintf(&got, "%s %s {%s} %s\n", m.Desc.Name, m.Desc.Type, strings.Join(m.Desc.LabelNames, ","), m.Desc.Help)
	}
	if got.String() != names {
		t.Errorf("the agent's own metrics are%s\nwant%s", got.String(), names)
	}
}

// TestLint checks that the metrics follow the naming practice of Prometheus. The state in this test has everything that the agent's metrics
// can report.
func TestLint(t *testing.T) {
	left := int64(7)
	requests := map[run.Request]int64{{Host: "api.example.com", Code: 200}: 3}
	page := text(t, run.State{
		Reloaded: time.Unix(1, 0), ReloadGood: true, File: &state.Status{Failed: 2},
		Jobs: []run.JobState{{
			Name: "api", Windowed: true, NextRun: time.Unix(2, 0), Resets: 1, Ticks: map[string]int64{run.Succeeded: 1}, Drops: map[metric.Reason]int64{metric.Missing: 1},
			Requests: requests, Costs: map[string]run.Cost{"api.example.com": {Received: 10, Cached: 1, Left: &left}},
		}},
		Sinks: []run.SinkState{{Name: "out", Queues: true, Spool: &sinks.SpoolFault{}, Retried: 1, Dropped: map[metric.Reason]int64{sinks.Refused: 1}, Requests: requests}},
	})
	if n := strings.Count(page, "# TYPE "); n != strings.Count(names, "\n")-1 {
		t.Errorf("%d metrics have a series, want all:\n%s", n, page)
	}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestOptional checks the metrics of things that are not configured. These metrics have no series. All other metrics exist before anything
// has happened, so that their absence means that the agent is down.
func TestOptional(t *testing.T) {
	page := text(t, run.State{Jobs: []run.JobState{{Name: "api"}}, Sinks: []run.SinkState{{Name: "page"}, {Name: "out", Queues: true}}})
	for _, absent := range []string{
		"cton_state_", "cton_job_cursor_", "cton_job_skipped_windows_", "cton_job_next_run_", "reason=", `result="partial"`, `result="skipped"`,
		"_resets_", "_cached_", "_retried_", `cton_sink_pending_samples{sink="page"}`, "cton_sink_spool_up",
	} {
		if strings.Contains(page, absent) {
			t.Errorf("there is %s in\n%s", absent, page)
		}
	}
	for _, present := range []string{
		`cton_job_up{cton_job="api"} 0`, `cton_job_last_success_timestamp_seconds{cton_job="api"} 0`,
		`cton_job_runs_total{cton_job="api",result="error"} 0`, `cton_job_dropped_readings_total{cton_job="api"} 0`,
		`cton_sink_dropped_samples_total{sink="out"} 0`, `cton_sink_pending_samples{sink="out"} 0`, `cton_sink_oldest_pending_age_seconds{sink="out"} 0`,
	} {
		if !strings.Contains(page, present+"\n") {
			t.Errorf("there is no %s in\n%s", present, page)
		}
	}
}

// TestFew checks how many series an idle job and an idle sink have, because the series of all jobs and sinks of a user add up.
func TestFew(t *testing.T) {
	left := int64(7)
	requests := map[run.Request]int64{{Host: "api.example.com", Code: 200}: 3}
	page := text(t, run.State{
		Jobs: []run.JobState{{
			Name: "api", NextRun: time.Unix(2, 0), Ticks: map[string]int64{run.Succeeded: 3}, Requests: requests,
			Costs: map[string]run.Cost{"api.example.com": {Received: 10}},
		}, {Name: "limited", NextRun: time.Unix(2, 0), Requests: requests, Costs: map[string]run.Cost{"api.example.com": {Received: 10, Left: &left}}}},
		Sinks: []run.SinkState{{Name: "out", Queues: true, Requests: requests}, {Name: "disk", Queues: true, Spool: &sinks.SpoolFault{}, Requests: requests}},
	})
	for label, want := range map[string]int{`cton_job="api"`: 12, `cton_job="limited"`: 13, `sink="out"`: 7, `sink="disk"`: 8} {
		if got := strings.Count(page, label); got != want {
			t.Errorf("%d series of %s, want %d:\n%s", got, label, want, page)
		}
	}
}

// TestDropped checks that the total of drops is the sum of the drops by reason.
func TestDropped(t *testing.T) {
	page := text(t, run.State{
		Jobs:  []run.JobState{{Name: "api", Drops: map[metric.Reason]int64{metric.Missing: 3, metric.Future: 4, metric.NotTime: 0}}},
		Sinks: []run.SinkState{{Name: "out", Dropped: map[metric.Reason]int64{sinks.Refused: 2}}},
	})
	for _, want := range []string{
		`cton_job_dropped_readings_total{cton_job="api"} 7`, `cton_job_dropped_readings_by_reason_total{cton_job="api",reason="missing"} 3`,
		`cton_job_dropped_readings_by_reason_total{cton_job="api",reason="future"} 4`, `cton_sink_dropped_samples_total{sink="out"} 2`,
		`cton_sink_dropped_samples_by_reason_total{reason="refused",sink="out"} 2`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("there is no %s in\n%s", want, page)
		}
	}
}

// text returns the agent's own metrics in the text format.
func text(t *testing.T, s run.State) string {
	t.Helper()
	result, err := ledger.New(ledger.For(time.Minute), 1000).Apply(time.Unix(1e9, 0), New("1.0", Others{}).Readings(s))
	if err != nil || len(result.Problems)+len(result.Drops) > 0 {
		t.Fatal(err, result)
	}
	var page bytes.Buffer
	if err := metric.WriteText(&page, result.Families); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// TestSingle checks that a single run delivers only metrics of its jobs, and no unknown times.
func TestSingle(t *testing.T) {
	state := run.State{
		Single: true, ReloadGood: true, Reloaded: time.Unix(1, 0), File: &state.Status{}, Sinks: []run.SinkState{{Name: "rw"}},
		Jobs: []run.JobState{{Name: "failed", LastStart: time.Unix(5, 0)}, {Name: "worked", Up: true, LastStart: time.Unix(5, 0), LastSuccess: time.Unix(5, 0)}},
	}
	var got []string
	for _, m := range New("1.0", Others{}).Readings(state) {
		for _, row := range m.Rows {
			if row.Labels[0] != "failed" && row.Labels[0] != "worked" || len(m.Desc.LabelNames) == 0 || m.Desc.LabelNames[0] != run.JobLabel {
				t.Errorf("%s %q: not of a job", m.Desc.Name, row.Labels)
			}
			if strings.Contains(m.Desc.Name, "timestamp") || m.Desc.Name == "cton_job_up" {
				got = append(got, fmt.Sprintf("%s%s%v", m.Desc.Name, row.Labels, row.Value))
			}
		}
	}
	want := "cton_job_up[failed]0 cton_job_up[worked]1 cton_job_last_success_timestamp_seconds[worked]5"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

// TestSpool checks that cton_sink_spool_up is 0 for a spool that cannot be written.
func TestSpool(t *testing.T) {
	page := text(t, run.State{Sinks: []run.SinkState{{Name: "good", Spool: &sinks.SpoolFault{}}, {Name: "bad", Spool: &sinks.SpoolFault{Why: "read-only"}}}})
	for _, want := range []string{`cton_sink_spool_up{sink="good"} 1`, `cton_sink_spool_up{sink="bad"} 0`} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("there is no %s in\n%s", want, page)
		}
	}
}

// TestShard checks that each metric of a shard has the shard's number as a label: the label "instance" can be the same for all shards.
func TestShard(t *testing.T) {
	m := New("1.0", Others{Shard: shard.Shard{Index: 2, Count: 5}})
	s := run.State{
		Shard: shard.Shard{Index: 2, Count: 5}, AllJobs: 7, Jobs: []run.JobState{{Name: "a", Ticks: map[string]int64{run.Failed: 1}}},
		Sinks: []run.SinkState{{Name: "out", Queues: true}},
	}
	values := map[string]float64{}
	for _, r := range m.Readings(s) {
		for _, row := range r.Rows {
			if len(row.Labels) != len(r.Desc.LabelNames) || row.Labels[len(row.Labels)-1] != "2" || r.Desc.LabelNames[len(row.Labels)-1] != "shard" {
				t.Errorf("%s has the labels %q with the values %q", r.Desc.Name, r.Desc.LabelNames, row.Labels)
			}
			values[r.Desc.Name] += row.Value
		}
	}
	if values["cton_shards"] != 5 || values["cton_shards_jobs"] != 7 || values["cton_job_runs_total"] != 1 {
		t.Errorf("got %v", values)
	}
}

// TestLease checks that each metric of an agent with a lease has the agent's host as a label. It also checks that one of the metrics says
// whether the agent is active.
func TestLease(t *testing.T) {
	m := New("1.0", Others{Shard: shard.Shard{Index: 2, Count: 5}, Replica: "cton-1"})
	for _, active := range []bool{true, false} {
		value := -1.0
		for _, r := range m.Readings(run.State{Lease: &lease.Status{Active: active}, Sinks: []run.SinkState{{Name: "out"}}}) {
			for _, row := range r.Rows {
				if n := len(row.Labels); n != len(r.Desc.LabelNames) || row.Labels[n-2] != "cton-1" || r.Desc.LabelNames[n-2] != "replica" || row.Labels[n-1] != "2" {
					t.Errorf("%s has the labels %q with the values %q", r.Desc.Name, r.Desc.LabelNames, row.Labels)
				}
				if r.Desc.Name == "cton_lease_active" {
					value = row.Value
				}
			}
		}
		if value != truth(active) {
			t.Errorf("cton_lease_active is %v, want %v", value, truth(active))
		}
	}
}
