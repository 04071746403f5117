package command

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/collectington/collectington/agent/internal/backfill"
	"github.com/collectington/collectington/agent/internal/run"
	"github.com/collectington/collectington/agent/metric"
	"github.com/collectington/collectington/agent/setting"
	"github.com/collectington/collectington/sinks"
)

// TestContinuation checks the command that a stopped backfill prints. It must have all flags of the first command, and must be quoted for a
// shell.
func TestContinuation(t *testing.T) {
	next := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
	for line, want := range map[string]string{
		"backfill|api|--from|2026-01-01|--to|2026-01-02": "cton backfill api --from 2026-01-01T02:00:00Z --to 2026-01-02T00:00:00Z",
		"backfill|api|--from|2026-01-01|--to|2026-01-02|--step|1h|--sink|rw|--sink|other|--deadline|5m|-c|my cton.yaml": "cton backfill api --from 2026-01-01T02:00:00Z " +
			"--to 2026-01-02T00:00:00Z --step 1h --sink rw --sink other --deadline 5m0s -c 'my cton.yaml'",
		"backfill|it's $(here)|--from|2026-01-01|--to|2026-01-02": `cton backfill 'it'\''s $(here)' --from 2026-01-01T02:00:00Z --to 2026-01-02T00:00:00Z`,
	} {
		var c cli
		parser, err := c.parser(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(strings.Split(line, "|")); err != nil {
			t.Fatal(err)
		}
		c.Named = slices.Contains(strings.Split(line, "|"), "-c")
		if got := c.Backfill.continuation(&c.globals, next); got != want {
			t.Errorf("got\n%s, want\n%s", got, want)
		}
	}
}

// TestBackfillExitCodes checks the exit code of each result of a backfill, and that the report says why.
func TestBackfillExitCodes(t *testing.T) {
	from := time.Now().Add(-2 * time.Hour)
	for _, c := range []struct {
		name    string
		report  backfill.Report
		dropped metric.Reason
		want    int
		says    string
	}{
		{"ok", backfill.Report{Windows: 2}, "", exitOK, "2 windows of 2, 0 readings measured\nrw accepted 0 samples\n"},
		{"fetch", backfill.Report{Err: backfill.ErrFetch}, "", exitFetch, ""},
		{"delivery", backfill.Report{Err: backfill.ErrDelivery}, "", exitDelivery, ""},
		{"refused", backfill.Report{Windows: 2}, sinks.Refused, exitDelivery, "  dropped as refused: 3 samples\n  a receiver refuses samples"},
		{"too old", backfill.Report{Windows: 2}, sinks.Past, exitDelivery, "older than max_sample_age: raise it"},
		{"partial", backfill.Report{Windows: 2, Partial: 1, Problem: "x: no value"}, "", exitPartial, "measured in part: 1 window; the first: x: no value\n"},
		{"stopped", backfill.Report{Windows: 1, Next: from, Err: errors.New("interrupt")}, "", exitPartial, "continue with: cton backfill api --from "},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			a := &App{Out: &out, Err: io.Discard, vault: &setting.SecretStore{}}
			stats := &sinks.Stats{}
			if c.dropped != "" {
				stats.Drop(c.dropped, 3)
			}
			w := &backfill.Walk{Job: run.NewWorker(run.Job{}), From: from, To: from.Add(2 * time.Hour), Step: time.Hour, Sinks: []run.Sink{{Name: "rw", Stats: stats}}}
			if c.report.Next.IsZero() {
				c.report.Next = w.To
			}
			cmd := &backfillCmd{Job: "api", To: moment{w.To}, Deadline: time.Minute}
			if got := a.exit(cmd.report(a, &globals{}, w, &c.report)); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("the report lacks %q:\n%s", c.says, out.String())
			}
		})
	}
}

// TestProgress checks the two forms of progress: a bar in one line, which ends with a line break, and a line per tenth.
func TestProgress(t *testing.T) {
	end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var bar, lines strings.Builder
	for out, isBar := range map[*strings.Builder]bool{&bar: true, &lines: false} {
		p := &progress{out: out, what: "windows", bar: isBar}
		for n := 1; n <= 40; n++ {
			p.show(n, 40, "up to "+end.Format(time.RFC3339))
		}
		p.end()
	}
	if n := strings.Count(bar.String(), "\n"); n != 1 || !strings.HasSuffix(bar.String(), "\r["+strings.Repeat("#", 40)+"] 40 of 40, up to 2026-01-01T00:00:00Z\x1b[K\n") {
		t.Errorf("%d line breaks: %q", n, bar.String())
	}
	if n := strings.Count(lines.String(), "\n"); n != 10 || !strings.HasPrefix(lines.String(), "4 of 40 windows, up to 2026-01-01T00:00:00Z\n8 of 40 ") {
		t.Errorf("%d lines:\n%s", n, lines.String())
	}
}
