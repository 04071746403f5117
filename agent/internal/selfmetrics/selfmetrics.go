// Package selfmetrics computes the agent's own metrics from its state.
package selfmetrics

import (
	"maps"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/shard"
	"github.com/collectington/collectington/agent/metric"
)

// Metrics computes the agent's own metrics. They exist before the first run of a job, so their absence means that the agent is down. Each
// job of a user adds series, so there are only few: an idle job has at most a dozen. For everything that can fail or be lost, a total
// exists from the start. The counters for single reasons exist only after their reason has occurred. Counters that remain 0 for most jobs
// also exist only when they are no longer 0.
type Metrics struct {
	version  string
	names    []string // names of the labels that all metrics have
	values   []string // values of these labels
	readings metric.Readings
	at       map[string]int // index of a metric in readings, by name
}

const (
	jobLabel    = run.JobLabel
	sinkLabel   = run.SinkLabel
	reasonLabel = "reason"
)

// New returns the metrics of an agent with the given version. The argument o distinguishes this agent from other agents.
func New(version string, o Others) *Metrics {
	m := &Metrics{version: version, at: map[string]int{}}
	labels := o.Labels()
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		m.names, m.values = append(m.names, name), append(m.values, labels[name])
	}
	if o.Shard.Count > 0 {
		m.gauge("cton_shards", "Number of shards.")
		m.gauge(run.AllJobs, "Jobs of all shards together.")
	}
	if o.Replica != "" {
		m.gauge("cton_lease_active", "Whether this process holds the lease and runs the jobs.")
	}
	m.gauge("cton_build_info", "Always 1, with the agent's version.", "version", "goversion")
	m.gauge("cton_config_last_reload_successful", "Whether the last reload succeeded.")
	m.gauge("cton_config_last_reload_success_timestamp_seconds", "When the configuration was loaded.")
	m.counter("cton_clock_jumps_total", "Jumps of the clock by a second or more.")

	m.gauge("cton_state_last_write_timestamp_seconds", "When the state file was last written.")
	m.counter("cton_state_failed_writes_total", "Failed writes of the state file.")

	m.gauge("cton_job_up", "Whether the last run succeeded.", jobLabel)
	m.gauge("cton_job_last_success_timestamp_seconds", "When the last successful run started.", jobLabel)
	m.gauge("cton_job_next_run_timestamp_seconds", "When the job is due next.", jobLabel)
	m.gauge("cton_job_last_duration_seconds", "Duration of the last run.", jobLabel)
	m.gauge("cton_job_readings", "Readings of the last successful run.", jobLabel)
	m.gauge("cton_job_series", "Series after the last successful run.", jobLabel)
	m.gauge("cton_job_unmeasured_metrics", "Metrics that the last successful run could not measure.", jobLabel)
	m.counter("cton_job_runs_total", "Runs by result.", jobLabel, "result")
	m.counter("cton_job_dropped_readings_total", "Dropped readings.", jobLabel)
	m.counter("cton_job_dropped_readings_by_reason_total", "Dropped readings by reason.", jobLabel, reasonLabel)
	m.counter("cton_job_upstream_resets_total", "Upstream totals that decreased, taken for a counter reset.", jobLabel)
	m.gauge("cton_job_cursor_timestamp_seconds", "The end of the last window read.", jobLabel)
	m.counter("cton_job_skipped_windows_total", "Windows skipped because they were older than max_catch_up.", jobLabel)
	m.counter("cton_job_requests_total", "Requests by status code; 0 means no response.", jobLabel, "host", "code")
	m.counter("cton_job_received_bytes_total", "Size of response bodies, decompressed.", jobLabel, "host")
	m.counter("cton_job_cached_responses_total", "Responses from the cache (cache_for).", jobLabel, "host")
	m.gauge("cton_job_remaining_requests", "Requests that the host still accepts, by its rate limit headers.", jobLabel, "host")

	m.counter("cton_sink_sent_samples_total", "Delivered samples.", sinkLabel)
	m.counter("cton_sink_failed_deliveries_total", "Failed deliveries.", sinkLabel)
	m.counter("cton_sink_retried_deliveries_total", "Retried deliveries.", sinkLabel)
	m.counter("cton_sink_dropped_samples_total", "Samples that will never be delivered.", sinkLabel)
	m.counter("cton_sink_dropped_samples_by_reason_total", "Samples that will never be delivered, by reason.", sinkLabel, reasonLabel)
	m.gauge("cton_sink_pending_samples", "Samples in the queue.", sinkLabel)
	m.gauge("cton_sink_pending_bytes", "Size of the queue.", sinkLabel)
	m.gauge("cton_sink_oldest_pending_age_seconds", "Age of the oldest sample in the queue.", sinkLabel)
	m.gauge("cton_sink_spool_up", "Whether the spool can be written. If not, samples wait in memory.", sinkLabel)
	m.counter("cton_sink_requests_total", "Requests by status code; 0 means no response.", sinkLabel, "host", "code")
	return m
}

// Others identifies this agent among several agents with the same configuration. The label "instance" is not enough for this, because all of
// them can have the same one.
type Others struct {
	Shard   shard.Shard
	Replica string // name of the host, if the agent shares a lease with others; "" = it does not
}

// Labels returns the labels that all metrics of the agent have.
func (o Others) Labels() map[string]string {
	labels := map[string]string{}
	if o.Shard.Count > 0 {
		labels["shard"] = strconv.Itoa(o.Shard.Index)
	}
	if o.Replica != "" {
		labels["replica"] = o.Replica
	}
	return labels
}

func (m *Metrics) gauge(name, help string, labels ...string) {
	m.declare(&metric.Desc{Name: name, Help: help, Type: metric.Gauge, LabelNames: labels})
}

func (m *Metrics) counter(name, help string, labels ...string) {
	m.declare(&metric.Desc{Name: name, Help: help, Type: metric.Counter, LabelNames: labels})
}

func (m *Metrics) declare(d *metric.Desc) {
	d.LabelNames = append(d.LabelNames, m.names...)
	m.at[d.Name] = len(m.readings)
	m.readings = append(m.readings, metric.Measured{Desc: d})
}

func (m *Metrics) set(name string, value float64, labels ...string) {
	r := &m.readings[m.at[name]]
	labels = append(labels, m.values...)
	r.Rows = append(r.Rows, metric.Reading{Labels: labels, Value: value})
}

// Readings returns the readings for a state. They are valid until the next call of Readings.
func (m *Metrics) Readings(s run.State) metric.Readings {
	for i := range m.readings {
		m.readings[i].Rows = m.readings[i].Rows[:0]
	}
	if s.Single {
		m.single(&s)
		return m.readings
	}
	m.set("cton_build_info", 1, m.version, runtime.Version())
	if s.Shard.Count > 0 {
		m.set("cton_shards", float64(s.Shard.Count))
		m.set(run.AllJobs, float64(s.AllJobs))
	}
	if s.Lease != nil {
		m.set("cton_lease_active", truth(s.Lease.Active))
	}
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

// single sets the metrics of a process that runs its jobs once. These are only the metrics of the jobs. Metrics of the process itself are
// left out: they would end with the process, and other processes with other jobs would write the same series. Times that are unknown are
// left out too, because an earlier process may have delivered them.
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
	m.set("cton_job_last_success_timestamp_seconds", seconds(j.LastSuccess), j.Name)
	if !j.NextRun.IsZero() {
		m.set("cton_job_next_run_timestamp_seconds", seconds(j.NextRun), j.Name)
	}
	m.set("cton_job_last_duration_seconds", j.Duration.Seconds(), j.Name)
	m.set("cton_job_readings", float64(j.Readings), j.Name)
	m.set("cton_job_series", float64(j.Series), j.Name)
	m.set("cton_job_unmeasured_metrics", float64(j.Unmeasured), j.Name)
	m.once("cton_job_upstream_resets_total", j.Resets, j.Name)
	if j.Windowed {
		m.set("cton_job_cursor_timestamp_seconds", seconds(j.Cursor), j.Name)
		m.set("cton_job_skipped_windows_total", float64(j.Skipped), j.Name)
	}
	m.set("cton_job_runs_total", float64(j.Ticks[run.Succeeded]), j.Name, run.Succeeded)
	m.set("cton_job_runs_total", float64(j.Ticks[run.Failed]), j.Name, run.Failed)
	m.once("cton_job_runs_total", j.Ticks[run.Partial], j.Name, run.Partial)
	m.once("cton_job_runs_total", j.Ticks[run.Skipped], j.Name, run.Skipped)
	m.drops("cton_job_dropped_readings", j.Name, j.Drops)
	m.requests("cton_job_requests_total", j.Name, j.Requests)
	m.costs(j)
}

func (m *Metrics) sink(s *run.SinkState) {
	m.set("cton_sink_sent_samples_total", float64(s.Sent), s.Name)
	m.set("cton_sink_failed_deliveries_total", float64(s.Failed), s.Name)
	m.once("cton_sink_retried_deliveries_total", s.Retried, s.Name)
	m.drops("cton_sink_dropped_samples", s.Name, s.Dropped)
	m.requests("cton_sink_requests_total", s.Name, s.Requests)
	if s.Spool != nil {
		m.set("cton_sink_spool_up", truth(s.Spool.Why == ""), s.Name)
	}
	if !s.Queues {
		return
	}
	m.set("cton_sink_pending_samples", float64(s.Pending.Samples), s.Name)
	m.set("cton_sink_pending_bytes", float64(s.Pending.Bytes), s.Name)
	age := 0.0
	if !s.Pending.Oldest.IsZero() {
		age = max(0, time.Since(s.Pending.Oldest).Seconds())
	}
	m.set("cton_sink_oldest_pending_age_seconds", age, s.Name)
}

// once sets a counter, unless the count is 0.
func (m *Metrics) once(name string, count int64, labels ...string) {
	if count != 0 {
		m.set(name, float64(count), labels...)
	}
}

// drops sets a total of drops and its parts by reason.
func (m *Metrics) drops(name, of string, counts map[metric.Reason]int64) {
	var total int64
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		total += counts[reason]
		m.once(name+"_by_reason_total", counts[reason], of, string(reason))
	}
	m.set(name+"_total", float64(total), of)
}

func (m *Metrics) requests(metric, name string, counts map[run.Request]int64) {
	for request, n := range counts {
		m.set(metric, float64(n), name, request.Host, strconv.Itoa(request.Code))
	}
}

// costs sets the metrics about the hosts from which the job has received data.
func (m *Metrics) costs(j *run.JobState) {
	for host, c := range j.Costs {
		m.set("cton_job_received_bytes_total", float64(c.Received), j.Name, host)
		m.once("cton_job_cached_responses_total", c.Cached, j.Name, host)
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

// seconds returns a time in Unix seconds. It returns 0 for the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
