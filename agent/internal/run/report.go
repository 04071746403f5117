package run

import (
	"fmt"
	"log/slog"

	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
)

// report logs what happens to a job or a sink: an error once, and again when its text changes; then that it is over.
type report struct {
	log     *slog.Logger
	failing map[string]*failure // by what fails: a sink delivers for many jobs
	metrics map[string]string   // what is wrong with single metrics, by metric and reason
}

// failure is an error under way.
type failure struct {
	text  string
	times int
}

// failed logs an error of what, unless it is logged already, for this or for another.
func (r *report) failed(message, what string, err error) {
	text := err.Error()
	known := r.says(text)
	f := r.failing[what]
	if f == nil {
		f = &failure{}
		if r.failing == nil {
			r.failing = map[string]*failure{}
		}
		r.failing[what] = f
	}
	f.text = text
	f.times++
	if !known {
		r.log.Error(message, "error", text)
	}
}

// says tells whether an error of this text is under way.
func (r *report) says(text string) bool {
	for _, f := range r.failing {
		if f.text == text {
			return true
		}
	}
	return false
}

// recovered logs the end of an error, once nothing has it any more.
func (r *report) recovered(what string) {
	f := r.failing[what]
	if f == nil {
		return
	}
	delete(r.failing, what)
	if !r.says(f.text) {
		r.log.Info("recovered", "failures", f.times, "last_error", f.text)
	}
}

// theTick is what fails where a job's whole tick does.
const theTick = "tick"

// took logs a tick that has succeeded, and what was wrong with single metrics of it.
func (r *report) took(result *ledger.Result) {
	r.recovered(theTick)
	r.log.Debug("tick", "readings", result.Readings, "series", result.Series)
	for _, name := range result.Restarted {
		r.log.Warn("metric begins anew: it is declared otherwise than before", "metric", name)
	}
	now := make(map[string]string, len(result.Problems)+len(result.Drops))
	for _, p := range result.Problems {
		r.note(now, p.Metric, p.Metric, "metric not measured", p.Err.Error())
	}
	for _, d := range result.Drops {
		if d.Reason == metric.NotNewer {
			continue // nothing is wrong: an API shows its past again
		}
		name := d.Metric
		if d.Reason == metric.Skipped {
			name = "*" // it is the same for all metrics, and told once
		}
		r.note(now, name+" "+string(d.Reason), name, "readings left out", string(d.Reason), "first", d.First, "count", d.Count)
	}
	for key := range r.metrics {
		if now[key] == "" {
			r.log.Info("metric recovered", "metric", key)
		}
	}
	r.metrics = now
}

// note logs one such thing unless it was so in the last tick, or has been noted in this one.
func (r *report) note(now map[string]string, key, name, what, reason string, more ...any) {
	told := now[key] == reason || r.metrics[key] == reason
	now[key] = reason
	if told {
		return
	}
	args := append([]any{"metric", name, "reason", reason}, more...)
	r.log.Warn(what, args...)
}

// first is what went wrong in a tick, in one line; empty where nothing did.
func first(result *ledger.Result) string {
	if len(result.Problems) > 0 {
		p := result.Problems[0]
		return fmt.Sprintf("%s: %v", p.Metric, p.Err)
	}
	return ""
}
