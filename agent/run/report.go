package run

import (
	"fmt"
	"log/slog"

	"github.com/collectington/collectington/agent/ledger"
)

// report logs what happens to a job or a sink: an error once, and again when its text changes; then that it is over.
type report struct {
	log     *slog.Logger
	last    string // the error under way
	times   int
	metrics map[string]string // what is wrong with single metrics, by metric and reason
}

// failed logs an error unless it is the one already logged.
func (r *report) failed(err error) {
	r.times++
	if text := err.Error(); text != r.last {
		r.last = text
		r.log.Error(text)
	}
}

// delivered, and took below, log the end of an error.
func (r *report) delivered() {
	if r.last != "" {
		r.log.Info("recovered", "failures", r.times, "last_error", r.last)
	}
	r.last, r.times = "", 0
}

// took logs a tick that has succeeded, and what was wrong with single metrics of it.
func (r *report) took(result *ledger.Result) {
	r.delivered()
	r.log.Debug("tick", "readings", result.Readings, "series", result.Series)
	now := make(map[string]string, len(result.Problems)+len(result.Drops))
	for _, p := range result.Problems {
		r.note(now, p.Metric, p.Metric, "metric not measured", p.Err.Error())
	}
	for _, d := range result.Drops {
		r.note(now, d.Metric+" "+string(d.Reason), d.Metric, "readings left out", string(d.Reason), "first", d.First, "count", d.Count)
	}
	for key := range r.metrics {
		if now[key] == "" {
			r.log.Info("metric recovered", "metric", key)
		}
	}
	r.metrics = now
}

// note logs one such thing unless it was so in the last tick.
func (r *report) note(now map[string]string, key, name, what, reason string, more ...any) {
	now[key] = reason
	if r.metrics[key] == reason {
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
