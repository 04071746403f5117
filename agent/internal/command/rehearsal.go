package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/jobtest"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sources"
)

// rehearsal is a test under way: the job as the agent runs it, at the test's times.
type rehearsal struct {
	*jobtest.Test
	dir   string
	vault *setting.SecretStore
	file  string // the configuration
	job   *run.Job
	book  *ledger.Ledger

	lastSuccess time.Time
	cursor      time.Time // everything before is read
	shown       []metric.Family
	rewrite     map[*jobtest.Section]string
	findings    []string
}

// choose finds the configuration: the archive's own, or the real one with the files in its folder. Secrets are the test's
// in either case.
func (r *rehearsal) choose(g *globals) error {
	own := r.Config.Line > 0
	switch {
	case own && g.Named:
		return fmt.Errorf("%s: the archive has a configuration of its own: leave out -c %s, or that section", r.Config.Place(), g.Config)
	case own:
		r.file = filepath.Join(r.dir, r.Config.Name)
		return nil
	case g.Config == "-":
		return errors.New("test: the configuration is read from a file, not from standard input")
	}
	if _, err := os.Stat(g.Config); err != nil && !g.Named {
		return fmt.Errorf("%s: there is no configuration: add -- cton.yaml --, or name one with -c FILE", r.Config.File)
	}
	r.file = g.Config
	r.Config = jobtest.Section{File: r.Config.File}
	r.vault.Dir, r.vault.StandIns = filepath.Dir(g.Config), append([]string{}, slices.Sorted(maps.Keys(r.Env))...)
	return nil
}

// build makes the job. Its secrets are the test's, and so are its servers.
func (r *rehearsal) build(a *App, g *globals) error {
	own, flags := &App{Version: a.Version, Catalogue: a.Catalogue, Out: a.Out, Err: a.Err, vault: r.vault, logins: logins{}}, *g
	own.log = own.logger(g)
	flags.Config = r.file
	plan, err := own.load(&flags, r.Job)
	if err != nil {
		return err
	}
	if len(plan.Jobs) != 1 {
		return fmt.Errorf("the configuration has %s: name the one to test in the archive's first lines, as in job: %s",
			count(len(plan.Jobs), "job"), plan.Jobs[0].Name)
	}
	built, err := (&assembly{App: own, answer: r.Answers}).build(&config.Plan{Concurrency: 1, Auth: plan.Auth, Jobs: plan.Jobs})
	if err != nil {
		return err
	}
	r.job = &built.Jobs[0]
	r.job.Jitter = 0 // it differs from host to host
	r.book = ledger.New(r.job.ValidUntil, r.job.MaxSeries)
	return nil
}

// inArchive is an error that names lines of the archive in place of those of the configuration in it.
func (r *rehearsal) inArchive(err error) error {
	problems, ok := errors.AsType[config.Problems](err)
	switch {
	case r.Config.Line == 0:
		return err // which names the real file
	case !ok:
		return fmt.Errorf("%s: %w", r.Config.Place(), err)
	}
	problems = slices.Clone(problems)
	for i := range problems {
		if p := &problems[i]; p.Line > 0 {
			p.File, p.Line = r.Config.File, r.Config.Line+p.Line
		} else {
			p.File = r.Config.Place()
		}
	}
	return problems
}

// play does every tick. What differs from what is expected is found, or with update taken for right.
func (r *rehearsal) play(ctx context.Context, update bool) {
	at := r.first()
	for n := 1; n <= r.Ticks && ctx.Err() == nil; n++ {
		if at.IsZero() {
			r.found("%s: the schedule has no tick %d: set every: in the archive's first lines", r.Config.Place(), n)
			return
		}
		r.Answers.Begin(n)
		problems := r.tick(ctx, at.UTC())
		r.hold(n, jobtest.Errors, r.clean(lines(problems)), update)
		r.hold(n, jobtest.Metrics, r.clean(r.page()), update)
		at = r.next(at)
	}
	if ctx.Err() != nil {
		r.found("%s: stopped", r.Config.File)
		return
	}
	for s, instead := range r.Answers.Unasked() {
		if instead != nil {
			r.found("%s: %s: was never asked: line %d names more of the request and goes before it", s.Place(), s.Name, instead.Line)
			continue
		}
		r.found("%s: %s: was never asked", s.Place(), s.Name)
	}
	if len(r.findings) == 0 && !r.Expects() {
		r.found("%s: expects nothing: add an empty section -- 1 metrics --, and cton test -u fills it in", r.Config.File)
	}
}

// first is the first tick's time: the start, or for cron text the first time at or after it that is due.
func (r *rehearsal) first() time.Time {
	if _, every := r.job.Schedule.Every(); every || r.Every > 0 {
		return r.Start
	}
	return r.job.Schedule.Next(r.Start.Add(-time.Nanosecond))
}

func (r *rehearsal) next(at time.Time) time.Time {
	if r.Every > 0 {
		return at.Add(r.Every)
	}
	return r.job.Schedule.Next(at)
}

// tick is what the agent does for a due time: a tick, or one for each window that waits to be read. It returns what went
// wrong. A tick that fails shows the last values while they are valid.
func (r *rehearsal) tick(ctx context.Context, at time.Time) []string {
	var wrong []string
	for n := range r.job.Burst(at, r.next(at)) {
		tick, _, due := r.job.Window(r.cursor, at.Add(time.Duration(n)*time.Millisecond))
		if !due {
			break
		}
		result, err := r.read(ctx, tick)
		if err != nil {
			if !at.Before(r.job.ValidUntil(r.lastSuccess)) {
				r.shown = nil
			}
			return append(wrong, err.Error())
		}
		r.lastSuccess, r.cursor, r.shown = tick.Time, tick.End, result.Families
		wrong = append(wrong, problems(result)...)
	}
	return wrong
}

func (r *rehearsal) read(ctx context.Context, tick sources.Tick) (*ledger.Result, error) {
	readings, err := run.Collect(ctx, r.job, tick)
	if err == nil {
		err = run.Unmeasured(readings)
	}
	if err != nil {
		return nil, err
	}
	return r.book.ApplyWindow(tick.Time, tick.End, readings)
}

// page is what the job has to show, sorted, so that the order of a document does not matter.
func (r *rehearsal) page() string {
	families := slices.Clone(r.shown)
	slices.SortFunc(families, func(a, b metric.Family) int { return cmp.Compare(a.Desc.Name, b.Desc.Name) })
	for i := range families {
		series := slices.Clone(families[i].Series)
		slices.SortFunc(series, func(a, b metric.Series) int { return cmp.Compare(a.Labels.String(), b.Labels.String()) })
		families[i].Series = series
	}
	var page strings.Builder
	if err := metric.WriteText(&page, families); err != nil {
		r.found("%s: %v", r.Config.File, err)
	}
	return page.String()
}

// hold holds what a tick came to against what is expected of it. What goes wrong has to be expected; of metrics, only those
// count that a section speaks of.
func (r *rehearsal) hold(tick int, what, got string, update bool) {
	want := r.Expected(tick, what)
	switch {
	case want == nil && what == jobtest.Metrics:
	case want == nil:
		if got != "" {
			r.found("%s: tick %d has errors, and no section -- %d errors -- expects them:\n%s", r.Config.File, tick, tick, got)
		}
	case strings.ReplaceAll(want.Text, "\r\n", "\n") == got:
	case update:
		r.rewrite[want] = got
	default:
		r.found("%s: tick %d has other %s:\n%s", want.Place(), tick, what, difference(want.Text, got))
	}
}

// found notes what is wrong, without secrets and without the name of the folder, which is another each time.
func (r *rehearsal) found(format string, args ...any) {
	r.findings = append(r.findings, strings.TrimSuffix(r.clean(fmt.Sprintf(format, args...)), "\n"))
}

func (r *rehearsal) clean(text string) string {
	return r.vault.Scrub(strings.ReplaceAll(text, r.dir+string(filepath.Separator), ""))
}

// lines is a text of lines, whatever stands in each.
func lines(all []string) string {
	var b strings.Builder
	for _, line := range all {
		b.WriteString(strings.NewReplacer("\n", " ", "\r", " ").Replace(line) + "\n")
	}
	return b.String()
}

// maxDifference bounds what is shown of a difference, in lines.
const maxDifference = 50

// difference shows what is wanted (-) and what there is (+).
func difference(want, got string) string {
	all := strings.SplitAfter(string(diff.Diff("wanted", []byte(strings.ReplaceAll(want, "\r\n", "\n")), "measured", []byte(got))), "\n")
	all = all[1:] // the name of the command that others would have run
	if more := len(all) - maxDifference; more > 0 {
		all = append(all[:maxDifference], fmt.Sprintf("… %d lines more\n", more))
	}
	return strings.Join(all, "")
}
