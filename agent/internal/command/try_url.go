package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/collectington/collectington/agent/document"
	"github.com/collectington/collectington/agent/internal/infer"
	"github.com/collectington/collectington/agent/jq"
)

// isAddress reports whether the argument of try is a URL, as opposed to the name of a job.
func isAddress(job string) bool {
	return strings.HasPrefix(job, "http://") || strings.HasPrefix(job, "https://")
}

// runURL requests a URL without a configuration, and shows the answer and the paths of its values.
func (c *tryCmd) runURL(ctx context.Context, a *App, g *globals) error {
	if c.Save != "" || c.Replay != "" {
		return fmt.Errorf("--save and --replay need a job, not a URL: write a configuration first, such as with cton init")
	}
	i, err := newInquiry(a, g, &c.asking, c.Job)
	if err != nil {
		return err
	}
	defer i.close()
	t := &try{App: a, out: a.Out, whole: c.Document}
	if c.Expression == "" {
		i.observe = t.exchange
	}
	if err := i.ask(ctx); err != nil {
		return err
	}
	if c.Expression != "" {
		return t.evaluate(ctx, c.Expression, i.answers[0])
	}
	t.headers(i.first)
	t.section("document")
	t.line("%s, %s", i.request.Format, size(i.first.body))
	if c.Document {
		t.text(i.answers[0])
	}
	t.section("paths")
	if err := infer.WritePaths(scrubber{a.Out, a.vault}, i.answers[0]); err != nil {
		return err
	}
	return nil
}

// headers shows the headers of a response that matter for a job: those about the format, pages, caching, limits and
// deprecation.
func (t *try) headers(r *recorded) {
	t.section("response")
	var names []string
	for name := range r.header {
		lower := strings.ToLower(name)
		matters := slices.Contains([]string{"content-type", "link", "etag", "last-modified", "cache-control", "retry-after", "deprecation", "sunset", "warning"}, lower)
		for _, part := range []string{"ratelimit", "rate-limit", "quota", "x-total", "x-next", "x-page", "cursor", "x-per-page"} {
			matters = matters || strings.Contains(lower, part)
		}
		if matters {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	t.line("status %d", r.status)
	for _, name := range names {
		t.line("%s: %s", name, strings.Join(r.header[name], ", "))
	}
}

// Limits of the results of an expression that are shown.
const (
	maxResults     = 1000
	maxResultBytes = 1 << 20
)

var errEnough = errors.New("enough results")

// evaluate shows the results of an expression for a document, one result per line.
func (t *try) evaluate(ctx context.Context, expression string, root document.Value) error {
	var e jq.Expression
	if err := e.UnmarshalText([]byte(expression)); err != nil {
		return fmt.Errorf("-e: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, maxEvaluation)
	defer cancel()
	written, n := 0, 0
	err := e.Each(ctx, root.JQ(), func(v any) error {
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if written += len(text); n == maxResults || written > maxResultBytes {
			t.line("… more results; the first %d are shown", n)
			return errEnough
		}
		n++
		t.line("%s", text)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return &exitError{exitFetch, fmt.Errorf("-e: %w", err)}
	}
	return nil
}
