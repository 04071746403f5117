package wrap

import (
	"maps"
	"slices"

	"github.com/collectington/collectington/agent/metric"
)

// Prefix is the beginning of the names of metrics about runs.
const Prefix = "cton_exec_"

// Output is the number of bytes that a command has written. It is counted only on request.
type Output struct{ Stdout, Stderr int64 }

// Families returns the metrics of the runs. The argument "output" can be nil. A value that is not known has no series, such as the exit
// code before the first run has ended.
func (h *History) Families(output *Output) []metric.Family {
	t := &h.Totals
	b := &builder{}
	b.gauge("running", "Runs of the command that are running.", float64(len(t.Open)))
	b.time("last_start_timestamp_seconds", "When the last run of the command started.", t.Started)
	if l := t.Last; l != nil {
		b.time("last_end_timestamp_seconds", "When the last run of the command ended.", l.Ended)
		b.gauge("last_success", "Whether the last run of the command succeeded: its exit code was 0.", truth(l.Success))
		b.gauge("last_exit_code", "Exit code of the last run of the command: 128 plus the signal that ended it, 124 after a timeout.", float64(l.Code))
		b.gauge("last_duration_seconds", "Duration of the last run of the command, with its retries.", l.Seconds)
		b.vector("last_cpu_seconds", "CPU time of the last run of the command.", metric.Gauge, "mode",
			map[string]float64{"system": l.System, "user": l.User}, 0)
		if l.Memory > 0 {
			b.gauge("last_peak_memory_bytes", "Peak resident memory of the largest process of the last run; at least that of cton itself.", float64(l.Memory))
		}
	}
	b.time("last_success_timestamp_seconds", "When the last successful run of the command ended.", t.Succeeded)
	b.time("next_run_timestamp_seconds", "When the next run of the command is expected.", t.Next)
	runs := map[string]float64{}
	for result, n := range t.Runs {
		runs[result] = float64(n)
	}
	b.vector("runs_total", "Runs of the command by result: success, failure, timeout, lost (cton was killed) or skipped (locked).",
		metric.Counter, "result", runs, t.Created)
	b.vector("retries_total", "Retries of runs of the command that failed.", metric.Counter, "", map[string]float64{"": float64(t.Retries)}, t.Created)
	b.durations(t)
	if output != nil {
		b.vector("last_output_bytes", "What the last run of the command wrote.", metric.Gauge, "stream",
			map[string]float64{"stdout": float64(output.Stdout), "stderr": float64(output.Stderr)}, 0)
	}
	return b.families
}

// builder collects the families of metrics.
type builder struct{ families []metric.Family }

// vector adds a metric with one series for each value of a label. If the argument "label" is "", the metric has no labels.
func (b *builder) vector(name, help string, typ metric.Type, label string, values map[string]float64, start int64) {
	d := &metric.Desc{Name: Prefix + name, Help: help, Type: typ}
	if label != "" {
		d.LabelNames = []string{label}
	}
	f := metric.Family{Desc: d}
	for _, of := range slices.Sorted(maps.Keys(values)) {
		s := metric.Series{Labels: d.LabelSet(nil), Value: values[of], Start: start}
		if label != "" {
			s.Labels = d.LabelSet([]string{of})
		}
		f.Series = append(f.Series, s)
	}
	b.families = append(b.families, f)
}

func (b *builder) gauge(name, help string, value float64) {
	b.vector(name, help, metric.Gauge, "", map[string]float64{"": value}, 0)
}

// time adds a metric whose value is a time. It does nothing if the time is 0.
func (b *builder) time(name, help string, ms int64) {
	if ms != 0 {
		b.gauge(name, help, float64(ms)/1000)
	}
}

func (b *builder) durations(t *Totals) {
	d := &metric.Desc{
		Name: Prefix + "duration_seconds", Help: "Durations of the runs of the command, with their retries.", Type: metric.Histogram, Buckets: t.Bounds,
	}
	value := &metric.HistogramValue{Sum: t.Sum, Counts: slices.Clone(t.Counts)}
	for _, n := range t.Counts {
		value.Count += n
	}
	b.families = append(b.families, metric.Family{Desc: d, Series: []metric.Series{{
		Labels: d.LabelSet(nil), Start: t.Created, More: &metric.More{Histogram: value},
	}}})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
