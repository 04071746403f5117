package selfmetrics

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/state"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sinks"
)

// names are the agent's own metrics. Dashboards and alerts of users depend on every name, type and label: change none.
const names = `
cton_build_info gauge {version,goversion} Always 1, with the agent's version.
cton_config_last_reload_successful gauge {} Whether the last reload of the configuration succeeded.
cton_config_last_reload_success_timestamp_seconds gauge {} When the current configuration was loaded.
cton_clock_jumps_total counter {} Jumps of the clock by a second or more, forward or back.
cton_state_last_write_timestamp_seconds gauge {} When the state file was last written; 0 before the first time. Only with a state file.
cton_state_failed_writes_total counter {} Failed writes of the state file. Only with a state file.
cton_job_up gauge {cton_job} Whether the job's last run succeeded; 0 before the first.
cton_job_last_start_timestamp_seconds gauge {cton_job} When the job's last run started; 0 before the first.
cton_job_last_success_timestamp_seconds gauge {cton_job} When the job's last successful run started; 0 before the first.
cton_job_next_run_timestamp_seconds gauge {cton_job} When the job is due next.
cton_job_last_duration_seconds gauge {cton_job} Duration of the job's last run.
cton_job_readings gauge {cton_job} Readings of the job's last successful run.
cton_job_series gauge {cton_job} Series of the job after its last successful run.
cton_job_unmeasured_metrics gauge {cton_job} Metrics that the job's last successful run could not measure.
cton_job_runs_total counter {cton_job,result} Runs of the job by result: success, partial, error or skipped.
cton_job_dropped_readings_total counter {cton_job,reason} Dropped readings of the job by reason.
cton_job_upstream_resets_total counter {cton_job} Upstream totals that decreased, which was taken for a counter reset.
cton_job_cursor_timestamp_seconds gauge {cton_job} The end of the last window that the job has read; 0 before the first. Only for jobs with a window.
cton_job_skipped_windows_total counter {cton_job} Windows that the job has skipped because they lay further back than max_catch_up. Only for jobs with a window.
cton_job_requests_total counter {cton_job,host,code} Requests of the job by host and status code; code 0 means no response.
cton_job_received_bytes_total counter {cton_job,host} Size of the response bodies that the job has received, decompressed.
cton_job_cached_responses_total counter {cton_job,host} Responses that the job took from its cache without a request (cache_for).
cton_job_remaining_requests gauge {cton_job,host} Requests that the host still accepts, by its rate limit headers.
cton_sink_sent_samples_total counter {sink} Samples that the sink has delivered.
cton_sink_failed_deliveries_total counter {sink} Deliveries of the sink that failed.
cton_sink_retried_deliveries_total counter {sink} Deliveries of the sink that were retried.
cton_sink_dropped_samples_total counter {sink,reason} Samples that the sink will never deliver, by reason.
cton_sink_pending_samples gauge {sink} Samples that the sink has not delivered yet.
cton_sink_pending_bytes gauge {sink} Size of what the sink has not delivered yet.
cton_sink_oldest_pending_age_seconds gauge {sink} Age of the oldest sample that the sink has not delivered yet.
cton_sink_requests_total counter {sink,host,code} Requests of the sink by host and status code; code 0 means no response.
`

func TestNames(t *testing.T) {
	var got strings.Builder
	got.WriteByte('\n')
	for _, m := range New("1.0").Readings(run.State{}) {
		fmt.Fprintf(&got, "%s %s {%s} %s\n", m.Desc.Name, m.Desc.Type, strings.Join(m.Desc.LabelNames, ","), m.Desc.Help)
	}
	if got.String() != names {
		t.Errorf("the agent's own metrics are%s\nwant%s", got.String(), names)
	}
}

// TestLint checks the metrics of an agent with everything against Prometheus' naming practice.
func TestLint(t *testing.T) {
	left := int64(7)
	requests := map[run.Request]int64{{Host: "api.example.com", Code: 200}: 3}
	page := text(t, run.State{
		Reloaded: time.Unix(1, 0), ReloadGood: true, File: &state.Status{Failed: 2},
		Jobs: []run.JobState{{
			Name: "api", Windowed: true, Ticks: map[string]int64{run.Succeeded: 1}, Drops: map[metric.Reason]int64{metric.Missing: 1},
			Requests: requests, Costs: map[string]run.Cost{"api.example.com": {Received: 10, Cached: 1, Left: &left}},
		}},
		Sinks: []run.SinkState{{Name: "out", Dropped: map[metric.Reason]int64{sinks.Refused: 1}, Requests: requests}},
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

// TestOptional checks that metrics of something that is not configured have no series, and that the others exist before
// anything has happened, so that their absence means that the agent is down.
func TestOptional(t *testing.T) {
	page := text(t, run.State{Jobs: []run.JobState{{Name: "api"}}, Sinks: []run.SinkState{{Name: "out"}}})
	for _, absent := range []string{"cton_state_", "cton_job_cursor_", "cton_job_skipped_windows_"} {
		if strings.Contains(page, absent) {
			t.Errorf("there is %s in\n%s", absent, page)
		}
	}
	for _, present := range []string{
		`cton_job_up{cton_job="api"} 0`, `cton_job_last_success_timestamp_seconds{cton_job="api"} 0`,
		`cton_sink_pending_samples{sink="out"} 0`, `cton_sink_oldest_pending_age_seconds{sink="out"} 0`,
	} {
		if !strings.Contains(page, present+"\n") {
			t.Errorf("there is no %s in\n%s", present, page)
		}
	}
}

// text returns the agent's own metrics in the text format.
func text(t *testing.T, s run.State) string {
	t.Helper()
	result, err := ledger.New(ledger.For(time.Minute), 1000).Apply(time.Unix(1e9, 0), New("1.0").Readings(s))
	if err != nil || len(result.Problems)+len(result.Drops) > 0 {
		t.Fatal(err, result)
	}
	var page bytes.Buffer
	if err := metric.WriteText(&page, result.Families); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// TestSingle holds that a single run tells only of its jobs, and nothing that it does not know.
func TestSingle(t *testing.T) {
	state := run.State{
		Single: true, ReloadGood: true, Reloaded: time.Unix(1, 0), File: &state.Status{}, Sinks: []run.SinkState{{Name: "rw"}},
		Jobs: []run.JobState{{Name: "failed", LastStart: time.Unix(5, 0)}, {Name: "worked", Up: true, LastStart: time.Unix(5, 0), LastSuccess: time.Unix(5, 0)}},
	}
	var got []string
	for _, m := range New("1.0").Readings(state) {
		for _, row := range m.Rows {
			if row.Labels[0] != "failed" && row.Labels[0] != "worked" || len(m.Desc.LabelNames) == 0 || m.Desc.LabelNames[0] != run.JobLabel {
				t.Errorf("%s %q: not of a job", m.Desc.Name, row.Labels)
			}
			if strings.Contains(m.Desc.Name, "timestamp") || m.Desc.Name == "cton_job_up" {
				got = append(got, fmt.Sprintf("%s%s%v", m.Desc.Name, row.Labels, row.Value))
			}
		}
	}
	want := "cton_job_up[failed]0 cton_job_up[worked]1 cton_job_last_start_timestamp_seconds[failed]5 cton_job_last_start_timestamp_seconds[worked]5 cton_job_last_success_timestamp_seconds[worked]5"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}
