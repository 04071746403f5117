package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/legacy"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/text"
	"github.com/collectington/collectington/sources"
)

type tryCmd struct {
	asking
	Job        string `arg:"" optional:"" help:"The job to try, or a URL to look at without a configuration."`
	Document   bool   `help:"Show the document whole."`
	Save       string `placeholder:"FILE" help:"Write the requests and responses to FILE as a test (cton explain test). Secrets are replaced."`
	Replay     string `placeholder:"FILE" help:"Answer requests from FILE, as of --save or a test, and send nothing."`
	Expression string `short:"e" placeholder:"JQ" help:"Show only what a jq expression makes of the document."`
}

// maxEvaluation is the maximum time for evaluating an expression.
const maxEvaluation = 30 * time.Second

// Limits of what is shown.
const (
	maxDocument = 2000 // bytes of a document
	maxReadings = 20   // readings of one metric
)

// Run runs a job once and shows each step.
func (c *tryCmd) Run(ctx context.Context, a *App, g *globals) error {
	if isAddress(c.Job) || c.Curl != "" {
		return c.runURL(ctx, a, g)
	}
	if len(c.Header) > 0 || c.Data != "" || c.Auth != "" {
		return errors.New("-H, --data and --auth can be used only with a URL: for a job, set them in the configuration")
	}
	now := time.Now()
	t := &try{App: a, out: a.Out, whole: c.Document, only: c.Expression}
	b := &assembly{App: a, observe: t.exchange, show: t.show, fetcher: t.wrap}
	if c.Save == "" && c.Replay == "" { // what is saved and replayed depends on the order of the requests
		b.stage = &stage{try: t}
	}
	if t.only != "" {
		b.observe, b.show = nil, nil
	}
	if c.Replay != "" {
		test, err := c.replayed(a, g)
		if err != nil {
			return err
		}
		now, b.answer = test.Start, test.Responses
	}
	recorder := &recorder{}
	if c.Save != "" {
		b.tap = recorder.tap
	}
	plan, err := a.loadOne(g, &c.Job)
	if err != nil {
		return err
	}
	job, err := b.buildJob(plan)
	if err != nil {
		return err
	}
	var saved *run.Saved
	if c.Replay == "" {
		saved = a.savedState(plan, c.Job)
	}
	t.plan, t.stage = plan, b.stage
	err = t.run(ctx, job, saved, now)
	a.logout(ctx)
	if c.Save == "" {
		return err
	}
	return errors.Join(c.save(ctx, a, g, recorder, now), err)
}

// loadOne returns a plan that has only the job with the name *job. If *job is "", the configuration must have only one job, and
// loadOne sets *job to its name.
func (a *App) loadOne(g *globals, job *string) (*config.Plan, error) {
	plan, err := a.loadFor(g, legacy.Options{Service: *job})
	switch {
	case err != nil:
		return nil, err
	case *job == "" && len(plan.Jobs) > 1:
		return nil, fmt.Errorf("which job? There are %s", list(namesOfJobs(plan)))
	}
	*job = plan.Jobs[0].Name
	return plan, nil
}

func namesOfJobs(plan *config.Plan) []string {
	var names []string
	for _, j := range plan.Jobs {
		names = append(names, j.Name)
	}
	return names
}

// try shows one run of a job.
type try struct {
	*App
	out   io.Writer
	stage *stage           // nil = one target is asked at a time, and what is shown of it is written at once
	mu    sync.Mutex       // guards the output of concurrent requests
	whole bool             // show the whole document
	only  string           // expression; if it is not "", only its results are shown
	docs  []document.Value // documents on which to evaluate the expression
	plan  *config.Plan
}

// run runs the job once. It starts from the saved state if there is one.
func (t *try) run(ctx context.Context, job *run.Worker, saved *run.Saved, now time.Time) error {
	if saved != nil {
		if err := saved.Restore(job, now); err != nil {
			return fmt.Errorf("the state of job %s: %w", job.Name, err)
		}
	}
	read := job.Cursor
	tick, skipped, due := job.NextWindow(read, now)
	if !due { // no window is due: show the last window again, without the saved state
		job = run.NewWorker(job.Job)
		tick, skipped, _ = job.NextWindow(time.Time{}, now)
	}
	if t.only != "" {
		return t.expression(ctx, job, tick)
	}
	if job.Windows != nil {
		t.window(job.Windows, tick, read, skipped)
	}
	var readings metric.Readings
	result, err := job.Tick(ctx, tick, run.Steps{Collected: func(r metric.Readings) {
		readings = r
		t.stage.end()
		t.readings(r)
		t.section("ledger before")
		job.Ledger.Dump(scrubber{t.out, t.vault})
	}})
	t.stage.end()
	if err != nil {
		t.problems(run.Unmeasured(readings))
		t.section("error")
		t.line("%v", err)
		return &exitError{code: exitFetch}
	}
	t.section("ledger after")
	job.Ledger.Dump(scrubber{t.out, t.vault})
	t.section("metrics")
	if err := metric.WriteText(scrubber{t.out, t.vault}, result.Families); err != nil {
		return err
	}
	t.problems(run.Problems(result))
	t.warnings(job, readings, now)
	if len(result.Problems) > 0 {
		return &exitError{code: exitPartial}
	}
	return nil
}

// window shows the window of the run.
func (t *try) window(w *schedule.Windows, tick sources.Tick, read time.Time, skipped int) {
	t.section("window")
	t.line("%s to %s", tick.Start.UTC().Format(time.RFC3339), tick.End.UTC().Format(time.RFC3339))
	if skipped > 0 {
		t.line("%s before it would be skipped: they are older than window.max_catch_up", text.Count(skipped, "window"))
	}
	if !tick.End.After(read) {
		t.line("this window is read already, and is shown without the saved state; the next one can be read from %s", w.Ready(read).UTC().Format(time.RFC3339))
	}
}

func (t *try) section(name string) { fmt.Fprintf(t.out, "== %s\n", name) }

func (t *try) line(format string, args ...any) {
	fmt.Fprintln(t.out, t.vault.Scrub(fmt.Sprintf(format, args...)))
}

// exchange shows a request and its response.
func (t *try) exchange(x httpclient.Exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.section("request")
	t.line("%s %s", x.Method, x.URL)
	for _, name := range slices.Sorted(maps.Keys(x.Header)) {
		t.line("%s: %s", name, strings.Join(x.Header[name], ", "))
	}
	if x.Body != nil {
		t.line("body: %s", x.Body())
	}
	if x.Err != nil {
		t.line("no response after %s: %v", x.Took.Round(time.Millisecond), x.Err)
		return
	}
	if x.Unsent {
		t.line("nothing sent, the response was cached: %d bytes", x.Bytes)
		return
	}
	waited := ""
	if x.Waited >= time.Millisecond {
		waited = fmt.Sprintf(", %s of it waiting until a limit allowed the request", x.Waited.Round(time.Millisecond))
	}
	t.line("%d, %d bytes in %s%s", x.Code, x.Bytes, x.Took.Round(time.Millisecond), waited)
}

// shown is a fetcher that shows its documents.
type shown struct {
	sources.Fetcher
	try *try
}

// wrap returns a fetcher that shows its documents.
func (t *try) wrap(f sources.Fetcher) sources.Fetcher { return &shown{f, t} }

func (s *shown) Fetch(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	doc, err := s.Fetcher.Fetch(ctx, tick, r)
	if err == nil {
		s.try.document(doc)
	}
	return doc, err
}

// Unwrap returns the wrapped fetcher.
func (s *shown) Unwrap() sources.Fetcher { return s.Fetcher }

// show shows a line from a source.
func (t *try) show(section, line string) {
	t.section(section)
	t.line("%s", line)
}

func (t *try) document(doc *sources.Document) {
	if t.only != "" {
		t.docs = append(t.docs, doc.Root.Clone())
		return
	}
	t.section("document")
	t.text(doc.Root)
}

// expression runs the job and shows the results of the expression for each document of the run.
func (t *try) expression(ctx context.Context, job *run.Worker, tick sources.Tick) error {
	_, err := job.Tick(ctx, tick, run.Steps{})
	t.stage.end()
	if len(t.docs) == 0 {
		if err == nil {
			err = errors.New("-e works only on jobs that fetch a document, such as with http, exec, file or sql")
		}
		return &exitError{exitFetch, err}
	}
	for _, doc := range t.docs {
		if err := t.evaluate(ctx, t.only, doc); err != nil {
			return err
		}
	}
	return nil
}

// text shows a document.
func (t *try) text(root document.Value) {
	text := root.Raw()
	var pretty bytes.Buffer
	if json.Indent(&pretty, []byte(text), "", "  ") == nil {
		text = pretty.String()
	}
	if len(text) > maxDocument && !t.whole {
		t.line("%s\n… %d more bytes; --document shows all, -e JQ a part", strings.ToValidUTF8(text[:maxDocument], ""), len(text)-maxDocument)
		return
	}
	t.line("%s", text)
}

// readings shows the readings before the ledger processes them.
func (t *try) readings(readings metric.Readings) {
	t.section("readings")
	for _, m := range readings {
		if m.Series != nil {
			t.line("%s: %d series, passed on as they are", m.Desc.Name, len(m.Series))
			continue
		}
		if m.ByName {
			t.line("%s: %s, of the metrics that their items name", m.Desc.Name, text.Count(m.Elsewhere, "reading"))
			continue
		}
		t.line("%s: %s", m.Desc.Name, text.Count(len(m.Rows), "reading"))
		for i, row := range m.Rows {
			if i == maxReadings {
				t.line("  … %d more", len(m.Rows)-i)
				break
			}
			more := ""
			if m.Desc.Once {
				_, id, _ := metric.CutTarget(row.Event)
				more = " event " + id
			}
			if row.Time != 0 {
				more += " at " + time.UnixMilli(row.Time).UTC().Format(time.RFC3339)
			}
			t.line("  %s%s %v%s", m.Desc.Name, m.Desc.LabelSet(row.Labels), row.Value, more)
		}
	}
}

// problems shows what was not measured.
func (t *try) problems(lines []string) {
	if len(lines) > 0 {
		t.section("problems")
	}
	for _, line := range lines {
		t.line("%s", line)
	}
}

// warnings shows probable mistakes in the job's settings and in the readings.
func (t *try) warnings(job *run.Worker, readings metric.Readings, now time.Time) {
	all := slices.DeleteFunc(slices.Clone(t.plan.Warnings), func(w config.Warning) bool { return w.Job != job.Name })
	add := func(name, text, remedy string) {
		all = append(all, config.Warning{Place: "jobs." + job.Name + "." + job.MetricsAt + "." + name, Text: text, Remedy: remedy})
	}
	for i := range readings {
		m := &readings[i]
		if m.IsEmpty() && m.Desc.MinReadings == nil {
			add(m.Desc.Name, emptyText(m.Desc), emptyRemedy)
		}
		page := t.plan.Page(&job.Job.Job)
		newest := newestOf(m.Rows)
		if page != "" && newest > 0 && now.Sub(time.UnixMilli(newest)) > config.LookBack {
			text, remedy := config.Unseen(page, "the newest is of "+time.UnixMilli(newest).UTC().Format(time.RFC3339))
			add(m.Desc.Name, text, remedy)
		}
	}
	if len(all) > 0 {
		t.section("warnings")
	}
	for _, w := range all {
		t.line("%s", w)
	}
}

// emptyRemedy says what to do about a metric without readings.
const emptyRemedy = "if that is right, set expect: {min: 0}; if it is an error, expect: {min: 1}; else correct the expressions (cton try JOB -e JQ shows what one gives)"

// emptyText says that a metric has no readings, and whether its value is then 0.
func emptyText(d *metric.Desc) string {
	if d.IsZeroWhenEmpty() {
		return "has no reading, so it is 0"
	}
	return "has no reading"
}

// newestOf returns the latest time of the readings, in milliseconds, or 0 if a reading has no time of its own.
func newestOf(rows []metric.Reading) int64 {
	newest := int64(0)
	for i := range rows {
		if rows[i].Time == 0 {
			return 0
		}
		newest = max(newest, rows[i].Time)
	}
	return newest
}
