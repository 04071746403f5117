// Package selfmetrics returns the agent's state as metrics, prefixed with cton_.
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

// Metrics makes the agent's own metrics. They exist before the first run of a job, so that their absence means that the agent
// is not running.
type Metrics struct {
	version  string
	readings metric.Readings
	at       map[string]int // index of a metric in readings, by name
}

// Labels of the metrics. The label of the job's name is not "job", since a scrape or a push sets that one.
const (
	jobLabel    = "cton_job"
	sinkLabel   = "sink"
	reasonLabel = "reason"
)

// New returns the metrics of an agent of the given version.
func New(version string) *Metrics {
	m := &Metrics{version: version, at: map[string]int{}}
	m.gauge("cton_build_info", "1, with the agent's version.", "version", "goversion")
	m.gauge("cton_config_last_reload_successful", "1 where the last try to reload the configuration succeeded.")
	m.gauge("cton_config_last_reload_success_timestamp_seconds", "When the configuration at work was loaded.")

	m.gauge("cton_state_last_write_timestamp_seconds", "When the state file was last written; 0 before the first time. Where a state file is set.")
	m.counter("cton_state_failed_writes_total", "Tries to write the state file that have failed. Where a state file is set.")

	m.gauge("cton_job_up", "1 where the job's last tick succeeded; 0 before the first.", jobLabel)
	m.gauge("cton_job_last_start_timestamp_seconds", "When the job's last tick began; 0 before the first.", jobLabel)
	m.gauge("cton_job_last_success_timestamp_seconds", "When the job's last tick that succeeded began; 0 before the first.", jobLabel)
	m.gauge("cton_job_next_run_timestamp_seconds", "When the job is due next.", jobLabel)
	m.gauge("cton_job_last_duration_seconds", "How long the job's last tick took.", jobLabel)
	m.gauge("cton_job_readings", "Readings of the job's last tick that succeeded.", jobLabel)
	m.gauge("cton_job_series", "Series that the job's last tick that succeeded has left.", jobLabel)
	m.gauge("cton_job_unmeasured_metrics", "Metrics that the job's last tick that succeeded could not measure.", jobLabel)
	m.counter("cton_job_ticks_total", "Ticks of the job by result.", jobLabel, "result")
	m.counter("cton_job_dropped_readings_total", "Readings left out, by reason.", jobLabel, reasonLabel)
	m.counter("cton_job_upstream_resets_total", "Upstream totals that fell and were taken to have begun anew.", jobLabel)
	m.gauge("cton_job_cursor_timestamp_seconds", "The end of the last window that the job has read; 0 before the first. Where a window is set.", jobLabel)
	m.counter("cton_job_skipped_windows_total", "Windows that the job has not read, since they lay further back than max_catch_up. Where a window is set.", jobLabel)
	m.counter("cton_job_requests_total", "Requests of the job by host and status code, 0 where no response came.", jobLabel, "host", "code")
	m.counter("cton_job_received_bytes_total", "Bytes of answers that the job has received, decompressed.", jobLabel, "host")
	m.counter("cton_job_reused_answers_total", "Answers that were there already, so that the job sent no request (cache_for).", jobLabel, "host")
	m.gauge("cton_job_quota_remaining", "Requests that the host still takes for now, as it says.", jobLabel, "host")

	m.counter("cton_sink_sent_samples_total", "Samples that the sink has delivered.", sinkLabel)
	m.counter("cton_sink_failed_deliveries_total", "Deliveries of the sink that ended in an error.", sinkLabel)
	m.counter("cton_sink_retried_deliveries_total", "Deliveries of the sink that were tried again.", sinkLabel)
	m.counter("cton_sink_dropped_samples_total", "Samples that the sink will never deliver, by reason.", sinkLabel, reasonLabel)
	m.gauge("cton_sink_pending_samples", "Samples that the sink holds undelivered.", sinkLabel)
	m.gauge("cton_sink_pending_bytes", "Bytes that the sink holds undelivered.", sinkLabel)
	m.gauge("cton_sink_oldest_pending_age_seconds", "Age of the oldest sample that the sink holds undelivered.", sinkLabel)
	m.counter("cton_sink_requests_total", "Requests of the sink by host and status code, 0 where no response came.", sinkLabel, "host", "code")
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

// Readings returns the metrics of a state. They are valid until the next call.
func (m *Metrics) Readings(s run.State) metric.Readings {
	for i := range m.readings {
		m.readings[i].Rows = m.readings[i].Rows[:0]
	}
	m.set("cton_build_info", 1, m.version, runtime.Version())
	m.set("cton_config_last_reload_successful", truth(s.ReloadGood))
	m.set("cton_config_last_reload_success_timestamp_seconds", seconds(s.Reloaded))
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
		m.set("cton_job_ticks_total", float64(j.Ticks[result]), j.Name, result)
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
		m.set("cton_job_reused_answers_total", float64(c.Reused), j.Name, host)
		if c.Left != nil {
			m.set("cton_job_quota_remaining", float64(*c.Left), j.Name, host)
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
