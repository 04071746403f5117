package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/collectington/collectington/agent/httpclient"
	"github.com/collectington/collectington/agent/internal/config"
	"github.com/collectington/collectington/agent/internal/ledger"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/internal/schedule"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/sources"
)

type tryCmd struct {
	Job string `arg:"" help:"The job to try."`
}

// How much of each thing is shown.
const (
	maxDocument = 2000 // bytes
	maxReadings = 20   // of one metric
)

// Run does one tick of a job and shows each step of it.
func (c *tryCmd) Run(ctx context.Context, a *App, g *globals) error {
	plan, err := a.load(g, c.Job)
	if err != nil {
		return err
	}
	t := &try{App: a}
	b := &assembly{App: a, observe: t.exchange, show: t.show, fetcher: t.showing}
	built, err := b.build(&config.Plan{Concurrency: 1, Auth: plan.Auth, Jobs: plan.Jobs})
	if err != nil {
		return err
	}
	return t.tick(ctx, &built.Jobs[0], a.saved(plan, c.Job))
}

// try is one tick on show.
type try struct {
	*App
	mu sync.Mutex // of what requests show, of which several may be under way
}

// tick goes on from what is saved of the job, if anything is.
func (t *try) tick(ctx context.Context, job *run.Job, saved *run.Saved) error {
	now := time.Now()
	book := ledger.New(job.ValidUntil, job.MaxSeries)
	var cursor time.Time
	if saved != nil {
		var err error
		if _, cursor, err = saved.Restore(job, book, now); err != nil {
			return fmt.Errorf("the state of job %s: %w", job.Name, err)
		}
	}
	tick, skipped, due := job.Window(cursor, now)
	if !due {
		// Whoever tries a job wants to see something of it.
		book = ledger.New(job.ValidUntil, job.MaxSeries)
		tick, skipped, _ = job.Window(time.Time{}, now)
	}
	if job.Windows != nil {
		t.window(job.Windows, tick, cursor, skipped)
	}
	readings, err := run.Collect(ctx, job, tick)
	if err != nil {
		t.section("error")
		t.line("%v", err)
		return &exitError{code: exitFetch}
	}
	t.readings(readings)
	t.section("ledger before")
	book.Dump(scrubber{t.Out, t.vault})
	result, err := book.ApplyWindow(now, tick.End, readings)
	if err != nil {
		t.section("error")
		t.line("%v", err)
		return &exitError{code: exitFetch}
	}
	t.section("ledger after")
	book.Dump(scrubber{t.Out, t.vault})
	t.section("metrics")
	if err := metric.WriteText(scrubber{t.Out, t.vault}, result.Families); err != nil {
		return err
	}
	t.problems(result)
	if run.Unmeasured(readings) != nil {
		return &exitError{code: exitFetch}
	}
	if len(result.Problems) > 0 {
		return &exitError{code: exitPartial}
	}
	return nil
}

// window shows which window is tried.
func (t *try) window(w *schedule.Windows, tick sources.Tick, cursor time.Time, skipped int) {
	t.section("window")
	t.line("%s to %s", tick.Start.UTC().Format(time.RFC3339), tick.End.UTC().Format(time.RFC3339))
	if skipped > 0 {
		t.line("%s before it would be skipped, further back than window.max_catch_up", count(skipped, "window"))
	}
	if !tick.End.After(cursor) {
		t.line("it is read already, and tried without what is saved; the next can be read from %s on", w.Ready(cursor).UTC().Format(time.RFC3339))
	}
}

func (t *try) section(name string) { fmt.Fprintf(t.Out, "== %s\n", name) }

func (t *try) line(format string, args ...any) {
	fmt.Fprintln(t.Out, t.vault.Scrub(fmt.Sprintf(format, args...)))
}

// exchange shows a request and what came of it.
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
		t.line("nothing sent, an answer was there: %d bytes", x.Bytes)
		return
	}
	t.line("%d, %d bytes in %s", x.Code, x.Bytes, x.Took.Round(time.Millisecond))
}

// shown shows the documents of a fetcher.
type shown struct {
	sources.Fetcher
	try *try
}

// showing is a fetcher that is shown, and an Asker if it was one.
func (t *try) showing(f sources.Fetcher) sources.Fetcher {
	if a, ok := f.(sources.Asker); ok {
		return &shownAsker{shown{f, t}, a}
	}
	return &shown{f, t}
}

func (s *shown) Fetch(ctx context.Context, tick sources.Tick) (*sources.Document, error) {
	doc, err := s.Fetcher.Fetch(ctx, tick)
	if err == nil {
		s.try.document(doc)
	}
	return doc, err
}

// shownAsker shows the documents of an Asker.
type shownAsker struct {
	shown
	asker sources.Asker
}

func (s *shownAsker) Ask(ctx context.Context, tick sources.Tick, r sources.Request) (*sources.Document, error) {
	doc, err := s.asker.Ask(ctx, tick, r)
	if err == nil {
		s.try.document(doc)
	}
	return doc, err
}

// show shows what a source says of itself.
func (t *try) show(section, line string) {
	t.section(section)
	t.line("%s", line)
}

func (t *try) document(doc *sources.Document) {
	t.section("document")
	text := doc.Root.Raw()
	var pretty bytes.Buffer
	if json.Indent(&pretty, []byte(text), "", "  ") == nil {
		text = pretty.String()
	}
	if len(text) > maxDocument {
		t.line("%s\n… %d bytes more", strings.ToValidUTF8(text[:maxDocument], ""), len(text)-maxDocument)
		return
	}
	t.line("%s", text)
}

// readings shows what was measured, before the ledger has seen it.
func (t *try) readings(readings metric.Readings) {
	t.section("readings")
	for _, m := range readings {
		if m.Series != nil {
			t.line("%s: %d series, ready-made", m.Desc.Name, len(m.Series))
			continue
		}
		t.line("%s: %s", m.Desc.Name, count(len(m.Rows), "reading"))
		for i, row := range m.Rows {
			if i == maxReadings {
				t.line("  … %d more", len(m.Rows)-i)
				break
			}
			more := ""
			if m.Desc.Once {
				more = " event " + row.Event
			}
			if row.Time != 0 {
				more += " at " + time.UnixMilli(row.Time).UTC().Format(time.RFC3339)
			}
			t.line("  %s%s %v%s", m.Desc.Name, m.Desc.LabelSet(row.Labels), row.Value, more)
		}
	}
}

// problems shows what could not be measured.
func (t *try) problems(r *ledger.Result) {
	lines := problems(r)
	if len(lines) > 0 {
		t.section("problems")
	}
	for _, line := range lines {
		t.line("%s", line)
	}
}
