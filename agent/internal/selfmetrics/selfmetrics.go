// Package selfmetrics computes the agent's own metrics from its state.
package selfmetrics

import (
	"maps"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
)

// Metrics computes the agent's own metrics. They exist before the first run of a job, so that their absence means that the
// agent is down.
type Metrics struct {
	version  string
	readings metric.Readings
	at       map[string]int // index of a metric in readings, by name
}

// The labels. The job's name is not in the label job, which a scrape or a push would overwrite.
const (
	jobLabel    = run.JobLabel
	sinkLabel   = "sink"
	reasonLabel = "reason"
)

// New returns the metrics of an agent of the given version.
func New(version string) *Metrics {
	m := &Metrics{version: version, at: map[string]int{}}
	m.gauge("cton_build_info", "Always 1, with the agent's version.", "version", "goversion")
	m.gauge("cton_config_last_reload_successful", "Whether the last reload of the configuration succeeded.")
	m.gauge("cton_config_last_reload_success_timestamp_seconds", "When the current configuration was loaded.")
	m.counter("cton_clock_jumps_total", "Jumps of the clock by a second or more, forward or back.")

	m.gauge("cton_state_last_write_timestamp_seconds", "When the state file was last written; 0 before the first time. Only with a state file.")
	m.counter("cton_state_failed_writes_total", "Failed writes of the state file. Only with a state file.")

	m.gauge("cton_job_up", "Whether the job's last run succeeded; 0 before the first.", jobLabel)
	m.gauge("cton_job_last_start_timestamp_seconds", "When the job's last run started; 0 before the first.", jobLabel)
	m.gauge("cton_job_last_success_timestamp_seconds", "When the job's last successful run started; 0 before the first.", jobLabel)
	m.gauge("cton_job_next_run_timestamp_seconds", "When the job is due next.", jobLabel)
	m.gauge("cton_job_last_duration_seconds", "Duration of the job's last run.", jobLabel)
	m.gauge("cton_job_readings", "Readings of the job's last successful run.", jobLabel)
	m.gauge("cton_job_series", "Series of the job after its last successful run.", jobLabel)
	m.gauge("cton_job_unmeasured_metrics", "Metrics that the job's last successful run could not measure.", jobLabel)
	m.counter("cton_job_runs_total", "Runs of the job by result: success, partial, error or skipped.", jobLabel, "result")
	m.counter("cton_job_dropped_readings_total", "Dropped readings of the job by reason.", jobLabel, reasonLabel)
	m.counter("cton_job_upstream_resets_total", "Upstream totals that decreased, which was taken for a counter reset.", jobLabel)
	m.gauge("cton_job_cursor_timestamp_seconds", "The end of the last window that the job has read; 0 before the first. Only for jobs with a window.", jobLabel)
	m.counter("cton_job_skipped_windows_total", "Windows that the job has skipped because they lay further back than max_catch_up. Only for jobs with a window.", jobLabel)
	m.counter("cton_job_requests_total", "Requests of the job by host and status code; code 0 means no response.", jobLabel, "host", "code")
	m.counter("cton_job_received_bytes_total", "Size of the response bodies that the job has received, decompressed.", jobLabel, "host")
	m.counter("cton_job_cached_responses_total", "Responses that the job took from its cache without a request (cache_for).", jobLabel, "host")
	m.gauge("cton_job_remaining_requests", "Requests that the host still accepts, by its rate limit headers.", jobLabel, "host")

	m.counter("cton_sink_sent_samples_total", "Samples that the sink has delivered.", sinkLabel)
	m.counter("cton_sink_failed_deliveries_total", "Deliveries of the sink that failed.", sinkLabel)
	m.counter("cton_sink_retried_deliveries_total", "Deliveries of the sink that were retried.", sinkLabel)
	m.counter("cton_sink_dropped_samples_total", "Samples that the sink will never deliver, by reason.", sinkLabel, reasonLabel)
	m.gauge("cton_sink_pending_samples", "Samples that the sink has not delivered yet.", sinkLabel)
	m.gauge("cton_sink_pending_bytes", "Size of what the sink has not delivered yet.", sinkLabel)
	m.gauge("cton_sink_oldest_pending_age_seconds", "Age of the oldest sample that the sink has not delivered yet.", sinkLabel)
	m.counter("cton_sink_requests_total", "Requests of the sink by host and status code; code 0 means no response.", sinkLabel, "host", "code")
	return m
}

func (m *Metrics) gauge(name, help string, labels ...string) {
	m.declare(&metric.Desc{Name: name, Help: help, Type: metric.Gauge, LabelNames: labels})
}

func (m *Metrics) counter(name, help string, labels ...string) {
	m.declare(&metric.Desc{Name: name, Help: help, Type: metric.Counter, LabelNames: labels})
}

func (m *Metrics) declare(d *metric.Desc) {
	m.at[d.Name] = len(m.readings)
	m.readings = append(m.readings, metric.Measured{Desc: d})
}

func (m *Metrics) set(name string, value float64, labels ...string) {
	r := &m.readings[m.at[name]]
	r.Rows = append(r.Rows, metric.Reading{Labels: labels, Value: value})
}

// Readings returns the readings for a state. They are valid until the next call.
func (m *Metrics) Readings(s run.State) metric.Readings {
	for i := range m.readings {
		m.readings[i].Rows = m.readings[i].Rows[:0]
	}
	if s.Single {
		m.single(&s)
		return m.readings
	}
	m.set("cton_build_info", 1, m.version, runtime.Version())
	m.set("cton_config_last_reload_successful", truth(s.ReloadGood))
	m.set("cton_config_last_reload_success_timestamp_seconds", seconds(s.Reloaded))
	m.set("cton_clock_jumps_total", float64(s.ClockJumps))
	if s.File != nil {
		m.set("cton_state_last_write_timestamp_seconds", seconds(s.File.Written))
		m.set("cton_state_failed_writes_total", float64(s.File.Failed))
	}
	for i := range s.Jobs {
		m.job(&s.Jobs[i])
	}
	for i := range s.Sinks {
		m.sink(&s.Sinks[i])
	}
	return m.readings
}

// single sets the metrics of a single run, which are those of its jobs: what is true of its process alone ends with it, and other
// processes with other jobs would tell the same series of themselves. What it does not know it leaves out, since an earlier process
// may have told it.
func (m *Metrics) single(s *run.State) {
	for i := range s.Jobs {
		m.job(&s.Jobs[i])
	}
	for _, unknown := range []string{"cton_job_last_success_timestamp_seconds", "cton_job_next_run_timestamp_seconds", "cton_job_cursor_timestamp_seconds"} {
		r := &m.readings[m.at[unknown]]
		r.Rows = slices.DeleteFunc(r.Rows, func(row metric.Reading) bool { return row.Value == 0 })
	}
}

func (m *Metrics) job(j *run.JobState) {
	m.set("cton_job_up", truth(j.Up), j.Name)
	m.set("cton_job_last_start_timestamp_seconds", seconds(j.LastStart), j.Name)
	m.set("cton_job_last_success_timestamp_seconds", seconds(j.LastSuccess), j.Name)
	m.set("cton_job_next_run_timestamp_seconds", seconds(j.NextRun), j.Name)
	m.set("cton_job_last_duration_seconds", j.Duration.Seconds(), j.Name)
	m.set("cton_job_readings", float64(j.Readings), j.Name)
	m.set("cton_job_series", float64(j.Series), j.Name)
	m.set("cton_job_unmeasured_metrics", float64(j.Unmeasured), j.Name)
	m.set("cton_job_upstream_resets_total", float64(j.Resets), j.Name)
	if j.Windowed {
		m.set("cton_job_cursor_timestamp_seconds", seconds(j.Cursor), j.Name)
		m.set("cton_job_skipped_windows_total", float64(j.Skipped), j.Name)
	}
	for _, result := range slices.Sorted(maps.Keys(j.Ticks)) {
		m.set("cton_job_runs_total", float64(j.Ticks[result]), j.Name, result)
	}
	m.reasons("cton_job_dropped_readings_total", j.Name, j.Drops)
	m.requests("cton_job_requests_total", j.Name, j.Requests)
	m.costs(j)
}

func (m *Metrics) sink(s *run.SinkState) {
	m.set("cton_sink_sent_samples_total", float64(s.Sent), s.Name)
	m.set("cton_sink_failed_deliveries_total", float64(s.Failed), s.Name)
	m.set("cton_sink_retried_deliveries_total", float64(s.Retried), s.Name)
	m.reasons("cton_sink_dropped_samples_total", s.Name, s.Dropped)
	m.set("cton_sink_pending_samples", float64(s.Pending.Samples), s.Name)
	m.set("cton_sink_pending_bytes", float64(s.Pending.Bytes), s.Name)
	m.requests("cton_sink_requests_total", s.Name, s.Requests)
	age := 0.0
	if !s.Pending.Oldest.IsZero() {
		age = max(0, time.Since(s.Pending.Oldest).Seconds())
	}
	m.set("cton_sink_oldest_pending_age_seconds", age, s.Name)
}

func (m *Metrics) reasons(name, of string, counts map[metric.Reason]int64) {
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		m.set(name, float64(counts[reason]), of, string(reason))
	}
}

func (m *Metrics) requests(metric, name string, counts map[run.Request]int64) {
	for request, n := range counts {
		m.set(metric, float64(n), name, request.Host, strconv.Itoa(request.Code))
	}
}

// costs sets the metrics of the hosts that the job has received data from.
func (m *Metrics) costs(j *run.JobState) {
	for host, c := range j.Costs {
		m.set("cton_job_received_bytes_total", float64(c.Received), j.Name, host)
		m.set("cton_job_cached_responses_total", float64(c.Cached), j.Name, host)
		if c.Left != nil {
			m.set("cton_job_remaining_requests", float64(*c.Left), j.Name, host)
		}
	}
}

// truth returns 1 for true and 0 for false.
func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds returns a time in Unix seconds, 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
