package run

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/collectington/collectington/agent/clock"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
)

// report logs the errors of a job or a sink: each error once, again when its text changes or when it lasts for long, and once when the
// error is over.
type report struct {
	log     *slog.Logger
	failing map[string]*failure        // the errors that are not over yet; the key says what fails; in a sink's report it is the name of the job
	lasting map[string]*clock.Reminder // by the text of each error that is not over yet
	metrics map[string][]noted         // problems of single metrics in the last tick, by metric and kind of problem
}

// noted is a problem of a single metric.
type noted struct {
	metric, reason string
	same           string // a text that stays the same as long as the problem lasts, and that differs for other problems of this kind
}

// failure is an error that is not over yet.
type failure struct {
	text  string // the text without its variable parts; see constant
	last  string // the full text
	times int
}

// failed logs an error that begins. If an error with the same text is not over yet, it logs the error only when a reminder is due.
func (r *report) failed(message, what string, err error) {
	text := constant(err)
	if r.failing == nil {
		r.failing, r.lasting = map[string]*failure{}, map[string]*clock.Reminder{}
	}
	f := r.failing[what]
	if f == nil {
		f = &failure{}
		r.failing[what] = f
	}
	before := f.text
	f.text, f.last = text, err.Error()
	f.times++
	if before != text {
		r.over(before)
	}
	switch lasting := r.lasting[text]; {
	case lasting == nil:
		r.lasting[text] = clock.NewReminder()
		r.log.Error(message, "error", err.Error())
	case lasting.Due():
		r.log.Error(message, "error", err.Error(), "since", lasting.Since(), "failures", f.times)
	}
}

// isFailing reports whether an error of what is not over yet.
func (r *report) isFailing(what string) bool { return r.failing[what] != nil }

// constant returns the part of an error's text that two errors with the same cause have in common.
func constant(err error) string {
	if e, ok := errors.AsType[*ledger.Excess](err); ok {
		return e.Same
	}
	return err.Error()
}

// over reports whether no error with this text is left.
func (r *report) over(text string) bool {
	for _, f := range r.failing {
		if f.text == text {
			return false
		}
	}
	delete(r.lasting, text)
	return true
}

// recovered logs that an error is over. It does not log this while something else fails with the same text.
func (r *report) recovered(what string) {
	f := r.failing[what]
	if f == nil {
		return
	}
	delete(r.failing, what)
	if r.over(f.text) {
		r.log.Info("recovered", "failures", f.times, "last_error", f.last)
	}
}

// wholeRun names the failure of a whole tick, for report.
const wholeRun = "run"

// succeeded logs a successful tick and the problems of single metrics in it.
func (r *report) succeeded(result *ledger.Result) {
	r.recovered(wholeRun)
	r.log.Debug("run succeeded", "readings", result.Readings, "series", result.Series)
	for _, name := range result.Restarted {
		r.log.Warn("the metric starts from zero: its declaration has changed", "metric", name)
	}
	now := make(map[string][]noted, len(result.Problems)+len(result.Drops))
	for _, p := range result.Problems {
		r.note(now, p.Metric, noted{p.Metric, p.Err.Error(), constant(p.Err)}, "metric not measured")
	}
	for _, d := range result.Drops {
		if d.Reason == metric.NotNewer {
			continue // not a problem: the API shows old readings again
		}
		if explained(result.Problems, &d) {
			continue
		}
		name, reason := d.Metric, string(d.Reason)
		same := reason
		if d.Reason == metric.Skipped {
			name = "*" // the drop concerns all metrics, so it is logged once
		} else { // the source and the ledger can both drop readings for the same reason; their counts and texts change from tick to tick
			same += strconv.Itoa(len(now[name+" "+reason]))
		}
		r.note(now, name+" "+reason, noted{name, reason, same}, "readings dropped", "first", d.First, "count", d.Count, "of", d.Of)
	}
	for _, w := range result.Warnings {
		if w.Limit {
			r.note(now, nearLimit, noted{w.Metric, w.Text, w.Text}, "close to max_series")
			continue
		}
		r.note(now, w.Metric+" "+w.Text, noted{w.Metric, w.Text, w.Text}, "metric is probably wrong")
	}
	for key, was := range r.metrics {
		if len(now[key]) == 0 {
			r.metricRecovered(key, was)
		}
	}
	r.metrics = now
}

// metricRecovered logs that the problems with this key are over.
func (r *report) metricRecovered(key string, was []noted) {
	if key == nearLimit {
		r.log.Info("no longer close to max_series")
		return
	}
	for _, n := range slices.CompactFunc(was, func(a, b noted) bool { return a.reason == b.reason }) {
		r.log.Info("metric recovered", "metric", n.metric, "reason", n.reason)
	}
}

// nearLimit is the key of the warning that the job is close to its maximum number of series. The key is the same whichever metric the
// warning names.
const nearLimit = " near"

// note logs a problem, unless the last tick had the same problem, or the problem was already logged for this tick.
func (r *report) note(now map[string][]noted, key string, n noted, message string, more ...any) {
	known := func(k noted) bool { return k.same == n.same }
	if slices.ContainsFunc(now[key], known) {
		return
	}
	now[key] = append(now[key], n)
	if slices.ContainsFunc(r.metrics[key], known) {
		return
	}
	args := append([]any{"metric", n.metric, "reason", n.reason}, more...)
	r.log.Warn(message, args...)
}

// first returns the first problem of a tick as one line, or "" if there is none.
func first(result *ledger.Result) string {
	if len(result.Problems) > 0 {
		p := result.Problems[0]
		return fmt.Sprintf("%s: %v", p.Metric, p.Err)
	}
	return ""
}

// explained returns true if the metric could not be measured because of the dropped readings. The error of the metric then describes the
// drop already.
func explained(problems []ledger.Problem, d *ledger.Drop) bool {
	return slices.ContainsFunc(problems, func(p ledger.Problem) bool {
		return p.Metric == d.Metric && strings.Contains(p.Err.Error(), d.First)
	})
}

// Problems returns a readable line for each metric that a tick could not measure, each kind of dropped readings, and each warning.
func Problems(r *ledger.Result) []string {
	var lines []string
	for _, p := range r.Problems {
		lines = append(lines, fmt.Sprintf("%s: %v", p.Metric, p.Err))
	}
	for _, d := range r.Drops {
		if explained(r.Problems, &d) {
			continue
		}
		if line := describe(d.Metric, &d.Drop, d.Of); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return append(lines, warnings(r)...)
}

// warnings returns a readable line for each value that a tick has measured and that is probably wrong.
func warnings(r *ledger.Result) (lines []string) {
	for _, w := range r.Warnings {
		lines = append(lines, w.Metric+": "+w.Text)
	}
	return lines
}

// Unmeasured is like Problems, but for readings that were not applied to a ledger because the tick has failed.
func Unmeasured(readings metric.Readings) []string {
	var lines []string
	for i := range readings {
		m := &readings[i]
		if m.Desc == nil {
			continue // this is a bug of the source; the error of the tick names it
		}
		if m.Err != nil {
			lines = append(lines, fmt.Sprintf("%s: %v", m.Desc.Name, m.Err))
		}
		for k := range m.Drops {
			if m.Err != nil && strings.Contains(m.Err.Error(), m.Drops[k].First) {
				continue
			}
			if line := describe(m.Desc.Name, &m.Drops[k], m.Count()); line != "" && !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// describe returns a line about dropped readings, or "" if dropping them is not a problem.
func describe(name string, d *metric.Drop, of int) string {
	switch d.Reason {
	case metric.NotNewer: // the API shows old readings again
		return ""
	case metric.Skipped: // the drop concerns all metrics
		return fmt.Sprintf("%s skipped, the first: %s", text.Count(d.Count, "item"), d.First)
	}
	return fmt.Sprintf("%s: %d of %s dropped, %s: %s", name, d.Count, text.Count(of, "reading"), d.Reason, d.First)
}
