package jobtest

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources/targets"
)

// Runner runs a test: it runs the ticks of the job at the times of the test, and compares the results with the expectations.
type Runner struct {
	*Test
	Job    *run.Worker
	Dir    string                   // folder with the files of the test; it is different at each run
	Scrub  func(text string) string // removes secrets from a text
	Update bool                     // replace expectations that differ from the results

	shown    []metric.Family
	rewrite  map[*Section]string
	failures []string
	readings map[*metric.Desc]bool // whether a tick had readings of a metric; only for metrics without min_readings
}

// Empty returns the metrics that were measured but had no readings in any tick, sorted by name.
func (r *Runner) Empty() []*metric.Desc {
	var all []*metric.Desc
	for d, some := range r.readings {
		if !some {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b *metric.Desc) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// collected notes which metrics have readings in a tick.
func (r *Runner) collected(readings metric.Readings) {
	for i := range readings {
		m := &readings[i]
		if m.Desc != nil && m.Desc.MinReadings == nil && (m.IsEmpty() || m.Count() > 0) {
			r.readings[m.Desc] = r.readings[m.Desc] || m.Count() > 0
		}
	}
}

// Run runs all ticks and returns the failures of the test. If Update is true, the result "updated" is the archive with changed
// expectations, or nil if nothing has changed.
func (r *Runner) Run(ctx context.Context) (failures []string, updated []byte) {
	r.rewrite, r.readings = map[*Section]string{}, map[*metric.Desc]bool{}
	r.ticks(ctx)
	switch {
	case ctx.Err() != nil:
		r.fail("%s: stopped", r.Config.File)
		return r.failures, nil
	case len(r.rewrite) > 0:
		updated = r.Rewrite(r.rewrite)
	}
	return r.failures, updated
}

func (r *Runner) ticks(ctx context.Context) {
	at := r.first()
	for n := 1; n <= r.Ticks && ctx.Err() == nil; n++ {
		if at.IsZero() {
			r.fail("%s: the schedule has no run %d: set every: in the archive's first lines", r.Config.Place(), n)
			return
		}
		r.Responses.Begin(n)
		problems := r.tick(ctx, at.UTC())
		r.compare(n, Errors, r.Clean(lines(problems)))
		r.compare(n, Metrics, r.Clean(r.page()))
		at = r.next(at)
	}
	for s, instead := range r.Responses.Unused() {
		if instead != nil {
			r.fail("%s: %s: was never requested: line %d matches more of the request and is used before it", s.Place(), s.Name, instead.Line)
			continue
		}
		r.fail("%s: %s: was never requested", s.Place(), s.Name)
	}
	if len(r.failures) == 0 && !r.Expects() {
		r.fail("%s: expects nothing: add an empty section -- 1 metrics --, and cton test -u fills it in", r.Config.File)
	}
}

// first returns the time of the first tick: Start, or for a cron expression the first due time at or after Start.
func (r *Runner) first() time.Time {
	if _, every := r.Job.Schedule.Every(); every || r.Every > 0 {
		return r.Start
	}
	return r.Job.Schedule.Next(r.Start.Add(-time.Nanosecond))
}

func (r *Runner) next(at time.Time) time.Time {
	if r.Every > 0 {
		return at.Add(r.Every)
	}
	return r.Job.Schedule.Next(at)
}

// tick does what the agent does when the job is due. It runs the job once. A job with windows runs once for each window that can be read.
// The result is the problems of these runs. If a run fails, the last values remain as long as they are valid.
func (r *Runner) tick(ctx context.Context, at time.Time) (problems []string) {
	for n := range r.Job.Burst(at, r.next(at)) {
		tick, _, due := r.Job.NextWindow(r.Job.Cursor, at.Add(time.Duration(n)*time.Millisecond))
		if !due {
			break
		}
		result, err := r.Job.Tick(ctx, tick, run.Steps{Collected: r.collected})
		if err != nil {
			if !at.Before(r.Job.ValidUntil(r.Job.LastSuccess)) {
				r.shown = nil
			}
			return append(problems, err.Error())
		}
		r.shown = result.Families
		problems = append(problems, run.Problems(result)...)
	}
	return problems
}

// page returns the job's metrics in the text format, sorted, so that the order of a document does not matter. The duration of a target,
// which differs each time, is left out.
func (r *Runner) page() string {
	families := slices.DeleteFunc(slices.Clone(r.shown), func(f metric.Family) bool { return f.Desc.Targeted && f.Desc.Name == targets.Duration })
	slices.SortFunc(families, func(a, b metric.Family) int { return cmp.Compare(a.Desc.Name, b.Desc.Name) })
	for i := range families {
		series := slices.Clone(families[i].Series)
		slices.SortFunc(series, func(a, b metric.Series) int { return cmp.Compare(a.Labels.String(), b.Labels.String()) })
		families[i].Series = series
	}
	var page strings.Builder
	if err := metric.WriteText(&page, families); err != nil {
		r.fail("%s: %v", r.Config.File, err)
	}
	return page.String()
}

// compare compares a result of a tick with the expectation for it. Errors without an expectation are a failure; metrics
// without an expectation are not compared.
func (r *Runner) compare(tick int, what, got string) {
	want := r.Expected(tick, what)
	switch {
	case want == nil && what == Metrics:
	case want == nil:
		if got != "" {
			r.fail("%s: run %d has errors, and no section -- %d errors -- expects them:\n%s", r.Config.File, tick, tick, got)
		}
	case strings.ReplaceAll(want.Text, "\r\n", "\n") == got:
	case r.Update:
		r.rewrite[want] = got
	default:
		r.fail("%s: the %s of run %d differ:\n%s", want.Place(), what, tick, difference(want.Text, got))
	}
}

func (r *Runner) fail(format string, args ...any) {
	r.failures = append(r.failures, strings.TrimSuffix(r.Clean(fmt.Sprintf(format, args...)), "\n"))
}

// Clean returns a text without secrets and without the name of the test's folder.
func (r *Runner) Clean(text string) string {
	return r.Scrub(strings.ReplaceAll(text, r.Dir+string(filepath.Separator), ""))
}

// lines joins texts to lines. Line breaks within a text are replaced by spaces.
func lines(all []string) string {
	var b strings.Builder
	for _, line := range all {
		b.WriteString(strings.NewReplacer("\n", " ", "\r", " ").Replace(line) + "\n")
	}
	return b.String()
}

// maxDifference is the maximum number of lines of a difference that are shown.
const maxDifference = 50

// difference returns the lines that differ: - is expected, + was measured.
func difference(want, got string) string {
	all := strings.SplitAfter(string(diff.Diff("expected", []byte(strings.ReplaceAll(want, "\r\n", "\n")), "measured", []byte(got))), "\n")
	all = all[1:] // the first line is the command line of diff
	if more := len(all) - maxDifference; more > 0 {
		all = append(all[:maxDifference], fmt.Sprintf("… %d more lines\n", more))
	}
	return strings.Join(all, "")
}
